"""What a kernel needs of an activation: its dual, its dual's slope, and both as correlations."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.activations.expectations.hermite import HermiteSeries, hermite_series
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.pieces import Pieces
from neural_kernels.algebra import KernelPair, Layer, Traits
from neural_kernels.runtime.numerics import safe_sqrt
from neural_kernels.runtime.types import Shape


class Wave(NamedTuple):
    """The function ``amplitude exp(-damping x^2) sin(frequency x + c)``.

    Parameters
    ----------
    amplitude, damping, frequency : float
    sine : float
        ``sin(c)^2``, all that kernels know of the phase.
    """

    amplitude: float
    damping: float
    frequency: float
    sine: float


class Dual(Layer):
    """A map of kernels: kappa(X, Y) = E[sigma(X) sigma(Y)] and its slope E[sigma'(X) sigma'(Y)].

    A subclass states the two expectations; the rest follows and may be overridden by something sharper.
    """

    @abstractmethod
    def dual(self, normal: BivariateNormal) -> Tensor:
        """Return kappa = E[sigma(X) sigma(Y)], of the broadcast shape of ``normal``."""

    @abstractmethod
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        """Return E[sigma'(X) sigma'(Y)] with the almost-everywhere derivative, of the same shape."""

    def grid(self, std1: Tensor, std2: Tensor, delta: Tensor, one_plus: Tensor) -> tuple[Tensor, Tensor]:
        """Return kappa and the slope for every standard deviation of X with every one of Y and every correlation.

        Parameters
        ----------
        std1, std2, delta, one_plus : Tensor, shapes (m,), (n,), (k,) and (k,), float64

        Returns
        -------
        tuple of Tensor, shape (m, n, k)
        """
        shape = len(std1), len(std2), len(delta)
        parts = (std1[:, None, None], std2[:, None], delta, one_plus)
        normal = BivariateNormal(*(part.expand(shape) for part in parts))
        return self.dual(normal), self.dual_slope(normal)

    def aligned(self, std1: Tensor, std2: Tensor) -> Tensor:
        """Return E[sigma(s z) sigma(t z)], z standard normal, for every s and t, shape (m, n)."""
        return self.grid(std1, std2, std1.new_zeros(1), std1.new_full((1,), 2))[0][..., 0]

    def std(self, std: Tensor) -> Tensor:
        """Return sqrt(E[sigma(X)^2]) for X of the given standard deviations, same shape."""
        return safe_sqrt(self.dual(BivariateNormal(std, std, torch.zeros_like(std))))

    def slope_std(self, std: Tensor) -> Tensor:
        """Return sqrt(E[sigma'(X)^2]) for X of the given standard deviations, same shape."""
        return safe_sqrt(self.dual_slope(BivariateNormal(std, std, torch.zeros_like(std))))

    def require_finite(self, std: Tensor, moments: Tensor) -> Tensor:
        """Return moments of the output (or derivative), one for each standard deviation of X, if all are finite.

        Raises
        ------
        OverflowError
            With the largest standard deviation that gives infinity.
        """
        if not (finite := torch.isfinite(moments)).all():
            precision = str(moments.dtype).removeprefix("torch.")
            raise OverflowError(
                f"{self!r}: the second moment of its output (or derivative) is not finite in {precision} where its "
                f"input has standard deviation {std[~finite].max().item():.3g}. Scale the inputs, lower weight_var, or "
                "normalise before it (LayerNorm)."
            )
        return moments

    def delta(self, normal: BivariateNormal) -> Tensor:
        """Return one minus the correlation of sigma(X) and sigma(Y), in [0, 2]; arbitrary where one vanishes."""
        return _difference(normal, self.std, self.dual)

    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        """Return the same of sigma'(X) and sigma'(Y)."""
        return _difference(normal, self.slope_std, self.dual_slope)

    def series(self, std: Tensor, tolerance: float) -> HermiteSeries | None:
        """Expand the dual in powers of the correlation, cut where the tail is below ``tolerance`` of the whole.

        Parameters
        ----------
        std : Tensor, shape (n,)
        tolerance : float
            Of sqrt(kappa(s, s) kappa(t, t)) for any two of the standard deviations, likewise for the slope.

        Returns
        -------
        HermiteSeries or None
            None where no short series reaches the tolerance (activations with kinks; very large arguments).
        """
        return None

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where the function or one of its derivatives jumps; empty for an analytic function."""
        return ()

    @property
    def arc_order(self) -> int | None:
        """The order n > 1 of the arc-cosine kernel that the dual is, its slope that of order n - 1; otherwise None."""
        return None

    @property
    def pieces(self) -> Pieces | None:
        """The truncated powers that make the kinks, with the rest; None for a function that does not say."""
        return None

    @property
    def wave(self) -> Wave | None:
        """The damped wave that the function is, of which the compiled engine has the duals; otherwise None.

        One that oscillates tells norms apart by their difference, not by their ratio: no table of few nodes has it.
        """
        return None

    @property
    def finite(self) -> bool:
        """Whether the series is one of few terms at any standard deviation, as a polynomial's."""
        return False

    @property
    def closed_form(self) -> bool:
        """Whether the expectations are elementary functions: exact to rounding, and of one cost at any norm."""
        return False

    @property
    def odd(self) -> bool:
        """Whether E[sigma(X)] = 0 for every centred normal X, as for an odd function."""
        return False

    @property
    def slopes(self) -> tuple[float, float] | None:
        """Slopes below and above 0, where sigma is linear on either side and says so; otherwise None.

        An activation that gives them is treated in closed form everywhere: exact kernels by an arc-cosine rule of the
        compiled engine (from `cusp` alone), features by functions of a direction of one length. Then `dual`,
        `dual_slope`, `std` and `slope_std` must be those of :class:`~neural_kernels.activations.relu.ArcCosine`.
        """
        return None

    @property
    def cusp(self) -> float | None:
        """(a - b)^2 / (a^2 + b^2) of the slopes a and b, the share of the kink; None where there are no slopes.

        It goes from 0 (linear) through 1 (ReLU) to 2 (absolute value) and determines the correlations:
        ``delta' = delta - cusp h(theta) / pi`` and, of the derivatives, ``cusp theta / pi``.
        """
        if self.slopes is None:
            return None
        scale = max(map(abs, self.slopes))
        if not scale:
            return 0.0
        a, b = (slope / scale for slope in self.slopes)
        return (a - b) ** 2 / (a * a + b * b)

    @override
    def propagate(self, pair: KernelPair[Any]) -> KernelPair[Any]:
        """Give ``nngp' = kappa(nngp)`` and ``ntk' = ntk * slope(nngp)``."""
        value, slope = pair.nngp.activate(self)
        return pair.after(nngp=value, ntk=pair.ntk * slope)

    @override
    def check(self, traits: Traits) -> Traits:
        return traits.activated(self, centred=self.odd)

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        raise TypeError(f"{self!r} is a kernel without an activation function: no finite network has it")


class Activation(Dual):
    """A function applied to every unit, with its dual.

    Only :meth:`fn` is required: the dual, its slope and the series follow by quadrature; closed forms override them.
    """

    @abstractmethod
    def fn(self, x: Tensor) -> Tensor:
        """Apply the function, entry by entry."""

    @override
    def series(self, std: Tensor, tolerance: float) -> HermiteSeries | None:
        """Expand by quadrature; None with kinks, where Hermite coefficients decay too slowly."""
        return None if self.kinks else hermite_series(self.fn, std, tolerance)

    @property
    @override
    def odd(self) -> bool:
        """Whether fn(-x) = -fn(x), seen on a grid."""
        x = torch.linspace(0, 6, 97, dtype=torch.float64)
        return bool(torch.allclose(self.fn(x), -self.fn(-x), rtol=1e-9, atol=1e-12))

    @override
    def build(self, shape: Shape, width: int, outputs: int, generator: torch.Generator) -> tuple[nn.Module, Shape]:
        from neural_kernels.finite.modules import ActivationModule

        return ActivationModule(self.fn, repr(self)), shape


def _difference(
    normal: BivariateNormal, std: Callable[[Tensor], Tensor], dual: Callable[[BivariateNormal], Tensor]
) -> Tensor:
    """Return 1 - dual / (std std), in float64: a difference of near equals must not be taken in float32."""
    wide = normal.to(torch.float64)
    scale = std(wide.std1) * std(wide.std2)
    positive = scale > 0
    delta = torch.where(positive, 1 - dual(wide) / torch.where(positive, scale, 1), 1)
    coincident = (wide.delta == 0) & (wide.std1 == wide.std2)
    return torch.where(coincident, 0, delta.clamp(0, 2)).to(normal.delta.dtype)
