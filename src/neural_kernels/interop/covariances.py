"""Kernels as modules of GPyTorch: parameters, batches, and gradients by parameters and inputs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import singledispatch
from typing import Any

import gpytorch.kernels as theirs
import torch
from gpytorch.constraints import Positive
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact import GammaExponential, Kernel, NetworkKernel, as_kernel
from neural_kernels.exact.arrays import read
from neural_kernels.exact.expressions.pairs import BatchPairs
from neural_kernels.exact.kernel import AffineKernel, KernelProduct, KernelSum

_WHOLE = slice(None)


def _positive(name: str, doc: str) -> property:
    """A positive number for each batch, behind which stands the parameter `raw_name`."""
    raw = f"raw_{name}"

    def get(self: Any) -> Tensor:
        return getattr(self, f"{raw}_constraint").transform(getattr(self, raw))

    def put(self: Any, value: Any) -> None:
        parameter = getattr(self, raw)
        value = torch.as_tensor(value).to(parameter).expand(parameter.shape)
        self.initialize(**{raw: getattr(self, f"{raw}_constraint").inverse_transform(value)})

    return property(get, put, doc=doc)


class Covariance(theirs.Kernel):
    """A kernel times an amplitude.

    Parameters
    ----------
    kernel : Kernel
    amplitude : float or Tensor
    **options
        `active_dims` and `batch_shape` of GPyTorch's kernels.
    """

    kernel: Any  # what each class says it is
    amplitude = _positive("amplitude", "The factor of the kernel, of shape `batch_shape`.")

    def __init__(self, kernel: Kernel, amplitude: Any = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.kernel = kernel
        self._learn("amplitude", amplitude)

    def _learn(self, name: str, value: Any) -> None:
        raw = f"raw_{name}"
        self.register_parameter(raw, torch.nn.Parameter(torch.zeros(self.batch_shape)))
        self.register_constraint(raw, Positive())
        setattr(self, name, value)

    @abstractmethod
    def unscaled(self) -> Kernel:
        """The kernel of this library without the amplitude, at the values that the parameters have now."""

    @abstractmethod
    def _gram(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The kernel without the amplitude, shape (*batches, n1, n2)."""

    def _diagonal(self, x1: Tensor, x2: Tensor) -> Tensor:
        """The same of every row with its counterpart, shape (*batches, n)."""
        return self._gram(x1, x2).diagonal(dim1=-2, dim2=-1)

    def to_kernel(self) -> Kernel:
        """The kernel of this library at the values that the parameters have now; not of batches of parameters."""
        return self.amplitude.item() * self.unscaled()

    @override
    def forward(
        self, x1: Tensor, x2: Tensor, diag: bool = False, last_dim_is_batch: bool = False, **params: Any
    ) -> Tensor:
        """The Gram matrices, shape (*batches, n1, n2), or with `diag` their diagonals, shape (*batches, n)."""
        if last_dim_is_batch:
            raise ValueError("last_dim_is_batch=True: make a kernel with active_dims for every column, and add them")
        values = self._diagonal(x1, x2) if diag else self._gram(x1, x2)
        return values * self.amplitude[(..., *[None] * (1 if diag else 2))].to(values.dtype)


class NetworkCovariance(Covariance):
    """A network's kernel: its amplitude, and what the variances of its weights and of its biases are multiplied by.

    Networks without biases have no `bias_scale`.
    """

    weight_scale = _positive("weight_scale", "The factor of the variances of all weights, of shape `batch_shape`.")
    bias_scale = _positive("bias_scale", "The factor of the variances of all biases, of shape `batch_shape`.")

    def __init__(
        self,
        kernel: NetworkKernel,
        amplitude: Any = 1.0,
        weight_scale: Any = 1.0,
        bias_scale: Any = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(kernel, amplitude, **options)
        self._learn("weight_scale", weight_scale)
        if kernel.net.rescaled(1.0, 2.0) != kernel.net:
            self._learn("bias_scale", bias_scale)

    @override
    def unscaled(self) -> Kernel:
        return self._at(*(scale.item() for scale in self._scales()))

    def _scales(self) -> tuple[Tensor, Tensor]:
        weights = self.weight_scale
        return weights, self.bias_scale if hasattr(self, "raw_bias_scale") else torch.ones_like(weights)

    def _at(self, weights: Any, biases: Any) -> NetworkKernel:
        return replace(self.kernel, net=self.kernel.net.rescaled(weights, biases))

    @override
    def _gram(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _over_batches(self._entries, x1, x2, *self._scales())

    @override
    def _diagonal(self, x1: Tensor, x2: Tensor) -> Tensor:
        scales = (scale[..., None] for scale in self._scales())
        return _over_batches(self._entries, x1[..., None, :], x2[..., None, :], *scales)[..., 0, 0]

    def _entries(self, x1: Tensor, x2: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        wanted = torch.is_grad_enabled() and any(t.requires_grad for t in (x1, x2, weights, biases))
        if len(x1) == 1 and not wanted:  # compiled
            return self._at(weights.item(), biases.item())(x1[0].detach(), x2[0].detach())[None]
        seen = self.kernel.net.split()[1]
        left, right = (read(x.flatten(0, 1), "x").seen(seen).rows for x in (x1, x2))
        expression = self._at(weights, biases).expression([left, right])
        return expression.entries(BatchPairs(len(x1)), True).to(left.dtype)


class DistanceCovariance(Covariance):
    """A gamma-exponential kernel: its amplitude, and `gamma`."""

    gamma = _positive("gamma", "The inverse length scale to the power of the exponent, of shape `batch_shape`.")

    def __init__(self, kernel: GammaExponential, amplitude: Any = 1.0, gamma: Any = 1.0, **options: Any) -> None:
        super().__init__(kernel, amplitude, **options)
        self._learn("gamma", gamma)

    @property
    @override
    def is_stationary(self) -> bool:
        return True

    @override
    def unscaled(self) -> Kernel:
        return replace(self.kernel, gamma=self.gamma.item())

    @override
    def _gram(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _over_batches(self._entries, x1, x2, self.gamma)

    @override
    def _diagonal(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _over_batches(self._entries, x1[..., None, :], x2[..., None, :], self.gamma[..., None])[..., 0, 0]

    def _entries(self, x1: Tensor, x2: Tensor, gamma: Tensor) -> Tensor:
        tiles = ((read(a, "x1").rows, read(b, "x2").rows) for a, b in zip(x1, x2, strict=True))
        return torch.exp(-gamma * torch.stack([self.kernel.powers(*tile, _WHOLE, _WHOLE) for tile in tiles]))


class PlainCovariance(Covariance):
    """Any other kernel: its amplitude alone."""

    @override
    def unscaled(self) -> Kernel:
        return self.kernel

    @override
    def _gram(self, x1: Tensor, x2: Tensor) -> Tensor:
        return _over_batches(self._entries, x1, x2)

    def _entries(self, x1: Tensor, x2: Tensor) -> Tensor:
        values = torch.stack([torch.as_tensor(self.kernel(a, b)) for a, b in zip(x1, x2, strict=True)])
        if torch.is_grad_enabled() and (x1.requires_grad or x2.requires_grad) and not values.requires_grad:
            raise TypeError(f"{self.kernel!r} gives no gradients by its inputs, which were asked for")
        return values


def _over_batches(entries: Callable[..., Tensor], x1: Tensor, x2: Tensor, *parameters: Tensor) -> Tensor:
    """`entries` of batches, all at once where they share the numbers `parameters`, else one after another."""
    lead = torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2], *(p.shape for p in parameters))
    first, second = (x.expand(*lead, *x.shape[-2:]).reshape(-1, *x.shape[-2:]) for x in (x1, x2))
    if all(p.numel() == 1 for p in parameters):
        values = entries(first, second, *(p.reshape(()) for p in parameters))
    else:
        each = zip(first.split(1), second.split(1), *(p.expand(lead).flatten() for p in parameters), strict=True)
        values = torch.cat([entries(*one) for one in each])
    return values.reshape(*lead, *values.shape[1:])


def covariance(kernel: Any, **parameters: Any) -> theirs.Kernel:
    """A kernel as a module of GPyTorch; see `gpytorch_kernel`."""
    return kernel if isinstance(kernel, theirs.Kernel) else _convert(as_kernel(kernel), **parameters)


@singledispatch
def _convert(kernel: Kernel, **parameters: Any) -> theirs.Kernel:
    return PlainCovariance(kernel, **parameters)


@_convert.register
def _(kernel: NetworkKernel, **parameters: Any) -> theirs.Kernel:
    return NetworkCovariance(kernel, **parameters)


@_convert.register
def _(kernel: GammaExponential, **parameters: Any) -> theirs.Kernel:
    return DistanceCovariance(kernel, **{"gamma": kernel.gamma, **parameters})


@_convert.register
def _(kernel: KernelSum, **options: Any) -> theirs.Kernel:
    return _convert(kernel.first, **options) + _convert(kernel.second, **options)


@_convert.register
def _(kernel: KernelProduct, **options: Any) -> theirs.Kernel:
    second = _convert(kernel.second, **options)
    if isinstance(second, Covariance):
        second.raw_amplitude.requires_grad_(False)
    return _convert(kernel.first, **options) * second


@_convert.register
def _(kernel: AffineKernel, **parameters: Any) -> theirs.Kernel:
    inner = _convert(kernel.kernel, **parameters)
    if not (isinstance(inner, Covariance) and kernel.scale > 0):
        return PlainCovariance(kernel, **parameters)
    inner.amplitude = inner.amplitude.detach() * kernel.scale
    if not kernel.shift:
        return inner
    shift = theirs.ConstantKernel(batch_shape=inner.batch_shape)
    shift.constant = torch.full_like(shift.constant, kernel.shift)
    return inner + shift
