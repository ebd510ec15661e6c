"""Expectations of truncated powers of one normal variable and of products of two, in closed form."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neural_kernels.activations.expectations.hermite import hermite_functions
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.pieces import Ramp
from neural_kernels.activations.expectations.quadrant import quadrant_probability
from neural_kernels.runtime.numerics import safe_divide, safe_sqrt

_FARTHEST = 38.0
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def partial_moments(mean: Tensor, std: Tensor, most: int) -> list[Tensor]:
    """Return E[(mean + std z)_+^n] for n = 0..most; a step is 1/2 at 0 where the standard deviation is 0."""
    ratio = safe_divide(mean, std)
    density = torch.exp(-ratio * ratio / 2) / _ROOT_TWO_PI
    step = torch.heaviside(mean.detach(), torch.full((), 0.5, dtype=mean.dtype, device=mean.device))
    moments = [torch.where(std > 0, torch.special.ndtr(ratio), step)]
    if most:
        moments.append(mean * moments[0] + std * density)
    for n in range(2, most + 1):
        moments.append(mean * moments[n - 1] + (n - 1) * std * std * moments[n - 2])
    return moments


def ramp_coefficients(ramps: tuple[Ramp, ...], std: Tensor, degree: int) -> Tensor:
    """Hermite coefficients of the sum of the ramps, shape (n, degree + 1), for positive standard deviations.

    By Stein's identity ``s^j m! / (m - j)! E[(X - a)_+^(m-j)]`` for j <= m and ``s^m m! phi(alpha) he_(j-m-1)(alpha)``
    beyond, alpha = a / s, both over sqrt(j!).
    """
    total = torch.zeros((*std.shape, degree + 1), dtype=std.dtype, device=std.device)
    j = torch.arange(degree + 1, dtype=std.dtype, device=std.device)
    for ramp in ramps:
        m = ramp.order
        alpha = safe_divide(torch.full_like(std, ramp.threshold), std).clamp(max=_FARTHEST)
        moments = partial_moments(-alpha, torch.ones_like(alpha), m)
        low = [math.perm(m, i) * moments[m - i] / math.sqrt(math.factorial(i)) for i in range(min(m, degree) + 1)]
        parts = [torch.stack(low, -1)]
        if degree > m:
            high = hermite_functions(alpha, degree - m - 1).movedim(0, -1) * torch.exp(-alpha * alpha / 4)[..., None]
            ratio = torch.exp((torch.lgamma(j[m + 1 :] - m) - torch.lgamma(j[m + 1 :] + 1)) / 2)
            parts.append(math.factorial(m) / _ROOT_TWO_PI * ratio * high)
        total = total + ramp.coefficient * (std**m)[..., None] * torch.cat(parts, -1) * ramp.side**j
    return total


class _Quadrant:
    """M_{m,n} = E[(X - a)_+^m (Y - b)_+^n], each computed once."""

    def __init__(self, a: float, b: float, normal: BivariateNormal) -> None:
        self.a, self.b, self.normal = a, b, normal
        alpha = safe_divide(torch.full_like(normal.std1, a), normal.std1)
        beta = safe_divide(torch.full_like(normal.std2, b), normal.std2)
        self.density1 = normal.std1 * torch.exp(-alpha * alpha / 2) / _ROOT_TWO_PI
        self.density2 = normal.std2 * torch.exp(-beta * beta / 2) / _ROOT_TWO_PI
        sine = safe_sqrt(normal.delta * normal.opposite)
        # Mean and standard deviation of Y - b given X = a, and of X - a given Y = b. Of coincident variables one mean
        # is a multiple of the other, of the opposite sign; it must be so to the last bit, as their signs are steps.
        gap = a * safe_divide(normal.std2, normal.std1) - b
        back = -gap * safe_divide(normal.std1, normal.std2)
        self.given1 = gap - normal.delta * normal.std2 * alpha, normal.std2 * sine
        self.given2 = back - normal.delta * normal.std1 * beta, normal.std1 * sine
        self.table = {(0, 0): quadrant_probability(alpha, beta, normal.delta)}

    def moment(self, m: int, n: int) -> Tensor:
        """Return M_{m,n} by E[(X - a) g] = s^2 E[dg/dx] + cov E[dg/dy] - a E[g] (Stein), a step's slope a density."""
        if (m, n) not in self.table:
            self.table[m, n] = self._lower_first(m, n) if m else self._lower_second(n)
        return self.table[m, n]

    def _lower_first(self, m: int, n: int) -> Tensor:
        x = self.normal
        if m == 1:
            value = self.density1 * partial_moments(*self.given1, n)[n] - self.a * self.moment(0, n)
        else:
            value = (m - 1) * x.var1 * self.moment(m - 2, n) - self.a * self.moment(m - 1, n)
        if n:
            return value + n * x.cov * self.moment(m - 1, n - 1)
        return value + x.rho * x.std1 * safe_divide(self.density2, x.std2) * partial_moments(*self.given2, m - 1)[-1]

    def _lower_second(self, n: int) -> Tensor:
        x = self.normal
        if n == 1:
            value = self.density2 * partial_moments(*self.given2, 0)[0] - self.b * self.moment(0, 0)
        else:
            value = (n - 1) * x.var2 * self.moment(0, n - 2) - self.b * self.moment(0, n - 1)
        return value + x.rho * x.std2 * safe_divide(self.density1, x.std1) * partial_moments(*self.given1, n - 1)[-1]


def ramp_products(ramps: tuple[Ramp, ...], normal: BivariateNormal) -> Tensor:
    """Return E[R(X) R(Y)] for the sum R of the ramps."""
    total = torch.zeros(torch.broadcast_shapes(normal.std1.shape, normal.std2.shape, normal.delta.shape))
    total = total.to(normal.delta)
    places = sorted({(r.side, r.threshold) for r in ramps})
    for side1, a in places:
        for side2, b in places:
            ends = (normal.delta, normal.opposite) if side1 == side2 else (normal.opposite, normal.delta)
            quadrant = _Quadrant(a, b, BivariateNormal(normal.std1, normal.std2, *ends))
            for first in (r for r in ramps if (r.side, r.threshold) == (side1, a)):
                for second in (r for r in ramps if (r.side, r.threshold) == (side2, b)):
                    factor = first.coefficient * second.coefficient
                    total = total + factor * quadrant.moment(first.order, second.order)
    return total
