"""The kinks of a function: truncated powers that have its jumps, found by automatic differentiation beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations.hermite import Function

_ORDERS = 4
_OFFSET = 1e-7


@dataclass(frozen=True)
class Ramp:
    """``coefficient * (side x - threshold)_+^order`` with threshold >= 0."""

    side: int
    threshold: float
    order: int
    coefficient: float

    def __call__(self, x: Tensor) -> Tensor:
        """Evaluate the truncated power at every entry."""
        y = self.side * x - self.threshold
        return torch.where(y > 0, self.coefficient * y**self.order, 0)


@dataclass(frozen=True)
class Pieces:
    """What makes a function's kinks, where they are, and its rest where that is a polynomial (lowest degree first)."""

    ramps: tuple[Ramp, ...]
    kinks: tuple[float, ...]
    polynomial: tuple[float, ...] | None

    @classmethod
    def of(cls, fn: Function, kinks: Iterable[float]) -> Pieces:
        """Find the pieces from the function's one-sided derivatives at its kinks."""
        kinks = tuple(sorted(set(kinks)))
        ramps = tuple(ramp for a in kinks for ramp in _ramps(fn, a))
        return cls(ramps, kinks, _polynomial(fn, ramps, kinks))

    def lowered(self) -> Pieces:
        """Return the pieces of the almost-everywhere derivative: jumps of the function itself drop out."""
        ramps = tuple(
            Ramp(r.side, r.threshold, r.order - 1, r.side * r.order * r.coefficient) for r in self.ramps if r.order
        )
        p = self.polynomial
        return Pieces(ramps, self.kinks, None if p is None else tuple(i * c for i, c in enumerate(p))[1:] or (0.0,))


def jumps_at(fn: Function, a: float, most: int) -> list[float]:
    """Return by how much derivatives 0..most jump at a; jumps at rounding's level are none."""
    with torch.enable_grad():
        above, below = _one_sided(fn, a, 1, most), _one_sided(fn, a, -1, most)
    return [
        up - down if abs(up - down) > 1e-11 * max(1.0, abs(up), abs(down)) else 0.0
        for up, down in zip(above, below, strict=True)
    ]


def _one_sided(fn: Function, a: float, sign: int, most: int) -> list[float]:
    """Return derivatives 0..most at a from one side, extrapolated to a from two points beside it."""
    x = torch.tensor([a + sign * _OFFSET, a + 2 * sign * _OFFSET], dtype=torch.float64, requires_grad=True)
    limits, value = [], fn(x)
    for _ in range(most + 1):
        near, far = value.tolist()
        limits.append(2 * near - far)
        value = _gradient(fn, value, x) if value.requires_grad else torch.zeros_like(x)
    return limits


def _gradient(fn: Function, value: Tensor, x: Tensor) -> Tensor:
    """Return the derivative of one derivative, entry by entry; raise `ValueError` where autograd has none."""
    try:
        (slope,) = torch.autograd.grad(value.sum(), x, create_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "not implemented" not in str(error):
            raise
        raise ValueError(
            f"{fn!r} has kinks, whose jumps are found by differentiating it repeatedly, and autograd has no second "
            f"derivative of it ({error}): write it with torch.clamp or torch.relu, or use the named activation"
        ) from error
    return torch.zeros_like(x) if slope is None else slope


def _ramps(fn: Function, a: float) -> list[Ramp]:
    """Return the truncated powers at one kink."""
    side = -1 if a < 0 else 1
    # (x - a)^m = (x - a)_+^m + (-1)^m (a - x)_+^m: mirrored, the jump keeps its size up to this sign.
    return [
        Ramp(side, abs(a), m, side ** (m + 1) * jump / math.factorial(m))
        for m, jump in enumerate(jumps_at(fn, a, _ORDERS))
        if jump
    ]


def rest(fn: Function, ramps: tuple[Ramp, ...]) -> Function:
    """Return the function without its kinks, which are those of the ramps."""
    return lambda x: fn(x) - sum((ramp(x) for ramp in ramps), torch.zeros_like(x))


def _polynomial(fn: Function, ramps: tuple[Ramp, ...], kinks: tuple[float, ...]) -> tuple[float, ...] | None:
    """Return coefficients of the rest if it is a polynomial of low degree, else None."""
    reach = 3 * max(1.0, *(abs(a) for a in kinks))
    unit = np.cos(np.pi * (np.arange(65) + 0.37) / 65)
    values = rest(fn, ramps)(torch.from_numpy(reach * unit)).detach().numpy()
    fit = np.polynomial.chebyshev.Chebyshev.fit(unit, values, _ORDERS + 1, domain=[-1, 1])
    size = max(1.0, float(np.abs(values).max()))
    if np.abs(fit(unit) - values).max() > 1e-11 * size:
        return None
    power = np.asarray(fit.convert(kind=np.polynomial.Polynomial).coef, dtype=np.float64)
    power = np.where(np.abs(power) > 1e-12, power, 0)
    power = power / reach ** np.arange(_ORDERS + 2)
    return tuple(np.trim_zeros(power, "b").tolist()) or (0.0,)
