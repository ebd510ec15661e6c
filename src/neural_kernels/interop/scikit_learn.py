"""Kernels for scikit-learn's Gaussian processes: hyperparameters, bounds, and gradients by them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import xlogy
from sklearn.gaussian_process import kernels as theirs
from typing_extensions import override

from neural_kernels.exact import GammaExponential, Kernel, NetworkKernel, as_kernel
from neural_kernels.exact.kernel import AffineKernel, CallableKernel, KernelProduct, KernelSum
from neural_kernels.interop.derivatives import log_derivatives

Bounds = tuple[float, float] | str
_BOUNDS = (1e-5, 1e5)  # those of scikit-learn
_NARROW = (1e-3, 1e3)  # of factors that a network of L layers takes to the power L


class ScaledKernel(theirs.Kernel):
    """A kernel times an amplitude, which is learnt as all its hyperparameters are, by its logarithm."""

    kernel: Any  # what each class says it is
    amplitude: float
    amplitude_bounds: Bounds

    @abstractmethod
    def unscaled(self) -> Kernel:
        """The kernel without the amplitude, at the values that the hyperparameters have now."""

    @abstractmethod
    def _derivatives(self, x: Any, gram: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Derivatives of the kernel without the amplitude by the logarithms of other hyperparameters, (n, n) each."""

    @property
    def hyperparameter_amplitude(self) -> theirs.Hyperparameter:
        """The factor of the kernel."""
        return theirs.Hyperparameter("amplitude", "numeric", self.amplitude_bounds)

    def to_kernel(self) -> Kernel:
        """The kernel of this library at the values that the hyperparameters have now."""
        return self.amplitude * self.unscaled()

    @override
    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """The Gram matrix, shape (n1, n2), float64.

        Parameters
        ----------
        X, Y : array, shape (n1, d) and (n2, d)
        eval_gradient : bool
            Also the derivatives by `theta`, shape (n1, n1, n_dims); `Y` must be None.
        """
        if not eval_gradient:
            return self.amplitude * self.unscaled()(_wide(X), None if Y is None or Y is X else _wide(Y))
        if Y is not None:
            raise ValueError("gradients are those of one batch: eval_gradient=True takes no Y")
        names = [parameter.name for parameter in self.hyperparameters if not parameter.fixed]
        x = _wide(X)
        gram = self.unscaled()(x)
        found = self._derivatives(x, gram, [name for name in names if name != "amplitude"])
        parts = [self.amplitude * {"amplitude": gram, **found}[name] for name in names]
        return self.amplitude * gram, np.stack(parts, -1) if parts else np.empty((*gram.shape, 0))

    @override
    def diag(self, X: Any) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        """k(x, x) for every row, shape (n,)."""
        return self.amplitude * self.unscaled().diag(_wide(X))

    @override
    def is_stationary(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Whether it is a function of the difference of its arguments."""
        return False

    def __repr__(self) -> str:
        values = ", ".join(f"{p.name}={getattr(self, p.name):.3g}" for p in self.hyperparameters)
        return f"{type(self).__name__}({self.kernel!r}, {values})"


class NetworkGPKernel(ScaledKernel):
    """A network's kernel: its amplitude, and what the variances of its weights and of its biases are multiplied by."""

    def __init__(
        self,
        kernel: NetworkKernel,
        amplitude: float = 1.0,
        weight_scale: float = 1.0,
        bias_scale: float = 1.0,
        amplitude_bounds: Bounds = _BOUNDS,
        weight_scale_bounds: Bounds = _NARROW,
        bias_scale_bounds: Bounds = _NARROW,
    ) -> None:
        self.kernel = kernel
        self.amplitude = amplitude
        self.weight_scale = weight_scale
        self.bias_scale = bias_scale
        self.amplitude_bounds = amplitude_bounds
        self.weight_scale_bounds = weight_scale_bounds
        self.bias_scale_bounds = bias_scale_bounds

    @property
    def hyperparameter_weight_scale(self) -> theirs.Hyperparameter:
        """The factor of the variances of all weights."""
        return theirs.Hyperparameter("weight_scale", "numeric", self.weight_scale_bounds)

    @property
    def hyperparameter_bias_scale(self) -> theirs.Hyperparameter:
        """The factor of the variances of all biases; fixed where the network has none."""
        biased = self.kernel.net.rescaled(1.0, 2.0) != self.kernel.net
        return theirs.Hyperparameter("bias_scale", "numeric", self.bias_scale_bounds if biased else "fixed")

    @override
    def unscaled(self) -> Kernel:
        scales = float(self.weight_scale), float(self.bias_scale)
        return self.kernel if scales == (1.0, 1.0) else replace(self.kernel, net=self.kernel.net.rescaled(*scales))

    @override
    def _derivatives(self, x: Any, gram: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        if not names:
            return {}
        scales = {"weights": float(self.weight_scale), "biases": float(self.bias_scale)}
        wanted = ["weights"] * ("weight_scale" in names) + ["biases"] * ("bias_scale" in names)
        found = log_derivatives(self.kernel, x, scales, wanted)
        return dict(zip([name for name in ("weight_scale", "bias_scale") if name in names], found, strict=True))


class DistanceGPKernel(ScaledKernel):
    """A gamma-exponential kernel: its amplitude, and `gamma`."""

    def __init__(
        self,
        kernel: GammaExponential,
        amplitude: float = 1.0,
        gamma: float = 1.0,
        amplitude_bounds: Bounds = _BOUNDS,
        gamma_bounds: Bounds = _BOUNDS,
    ) -> None:
        self.kernel = kernel
        self.amplitude = amplitude
        self.gamma = gamma
        self.amplitude_bounds = amplitude_bounds
        self.gamma_bounds = gamma_bounds

    @property
    def hyperparameter_gamma(self) -> theirs.Hyperparameter:
        """The inverse length scale to the power of the exponent."""
        return theirs.Hyperparameter("gamma", "numeric", self.gamma_bounds)

    @override
    def unscaled(self) -> Kernel:
        return replace(self.kernel, gamma=float(self.gamma))

    @override
    def _derivatives(self, x: Any, gram: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        return {name: xlogy(gram, gram) for name in names}  # k = exp(-gamma r^e)

    @override
    def is_stationary(self) -> bool:
        return True


class PlainGPKernel(ScaledKernel):
    """Any other kernel: its amplitude alone."""

    def __init__(self, kernel: Kernel, amplitude: float = 1.0, amplitude_bounds: Bounds = _BOUNDS) -> None:
        self.kernel = kernel
        self.amplitude = amplitude
        self.amplitude_bounds = amplitude_bounds

    @override
    def unscaled(self) -> Kernel:
        return self.kernel

    @override
    def _derivatives(self, x: Any, gram: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        return {}


def sklearn_kernel(kernel: Any, **parameters: Any) -> theirs.Kernel:
    """A kernel for scikit-learn's Gaussian processes, with hyperparameters that they learn.

    Parameters
    ----------
    kernel : Kernel or callable
    **parameters
        Of a kernel that is no sum or product: ``amplitude`` (default 1) and, of networks, ``weight_scale`` and
        ``bias_scale`` (1), which multiply the variances of all weights and of all biases; of
        :class:`GammaExponential` ``gamma`` (its own). Each has bounds, as ``amplitude_bounds=(1e-5, 1e5)`` or "fixed".

    Returns
    -------
    sklearn.gaussian_process.kernels.Kernel
        Adds, multiplies and is raised to powers with scikit-learn's own. ``to_kernel()`` of the kernels of
        one network or distance gives this library's kernel with the values that were learnt.

    Notes
    -----
    A sum of kernels becomes scikit-learn's sum, each part with its own hyperparameters; so does a product, whose
    second factor keeps its amplitude. The kernel of a network without biases and with one degree of homogeneity (ReLU)
    only grows with ``weight_scale``, as with ``amplitude``: fix one of them. Derivatives by the
    scales are exact where activations have closed forms, elsewhere and of images good to about 1e-9.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from sklearn.gaussian_process.kernels import WhiteKernel
    >>> x = np.linspace(-2, 2, 40)[:, None]
    >>> y = np.sin(3 * x[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(40)
    >>> kernel = nk.sklearn_kernel(nk.NNGP(nk.mlp(2, nk.Erf(), bias_var=0.1))) + WhiteKernel(0.01)
    >>> model = GaussianProcessRegressor(kernel).fit(x, y)
    >>> bool(model.score(x, y) > 0.9)
    True
    """
    if isinstance(kernel, theirs.Kernel) and not isinstance(kernel, Kernel):
        return kernel
    return _convert(as_kernel(kernel), **parameters)


@singledispatch
def _convert(kernel: Kernel, **parameters: Any) -> theirs.Kernel:
    return PlainGPKernel(kernel, **parameters)


@_convert.register
def _(kernel: NetworkKernel, **parameters: Any) -> theirs.Kernel:
    return NetworkGPKernel(kernel, **parameters)


@_convert.register
def _(kernel: GammaExponential, **parameters: Any) -> theirs.Kernel:
    return DistanceGPKernel(kernel, **{"gamma": kernel.gamma, **parameters})


@_convert.register
def _(kernel: CallableKernel, **parameters: Any) -> theirs.Kernel:
    if not parameters and isinstance(kernel.function, theirs.Kernel):
        return kernel.function
    return PlainGPKernel(kernel, **parameters)


@_convert.register
def _(kernel: KernelSum) -> theirs.Kernel:
    return sklearn_kernel(kernel.first) + sklearn_kernel(kernel.second)


@_convert.register
def _(kernel: KernelProduct) -> theirs.Kernel:
    second = sklearn_kernel(kernel.second)
    if isinstance(second, ScaledKernel):
        second.set_params(amplitude_bounds="fixed")
    return sklearn_kernel(kernel.first) * second


@_convert.register
def _(kernel: AffineKernel, **parameters: Any) -> theirs.Kernel:
    inner = _convert(kernel.kernel, **parameters)
    if isinstance(inner, ScaledKernel) and kernel.scale > 0:
        inner.set_params(amplitude=inner.amplitude * kernel.scale)
    else:
        inner = theirs.ConstantKernel(kernel.scale, "fixed") * inner
    return inner + theirs.ConstantKernel(kernel.shift) if kernel.shift else inner


def _wide(x: Any) -> Any:
    """Rows in float64, which factorisations of scikit-learn need."""
    return x.astype(np.float64) if sparse.issparse(x) else np.asarray(x, dtype=np.float64)
