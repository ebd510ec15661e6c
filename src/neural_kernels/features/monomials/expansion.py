r"""Kernels by degrees: :math:`k(x, y) = \sum_p c_p(x)\, c_p(y) \cos^p(x, y)`, with coefficients of each row's norm."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact import GammaExponential, PolynomialKernel
from neural_kernels.features.angle.angle_map import norm_range, require_norm, series_of
from neural_kernels.features.angle.degree_plan import folded
from neural_kernels.features.method import Task, UnsuitableError

_SERIES = 8  # the highest degree of kernels of the angle, whose coefficients fall slowly whatever it is
_HIGHEST = 16  # of others
_LEFT = 0.01  # of k(x, x), above the highest degree
_MOST = 0.2  # of it, at worst


class DegreeExpansion(ABC):
    """The coefficients of a kernel by degree."""

    @abstractmethod
    def squares(self, std: Tensor) -> Tensor:
        """Compute the squares of c_p(x), shape (n, q + 1), float64, whose sum is k(x, x).

        Parameters
        ----------
        std : Tensor, shape (n,), float64
            sqrt(x.x / d).
        """


@dataclass(frozen=True)
class AngleExpansion(DegreeExpansion):
    """A kernel of the angle, with what lies above the highest degree in the last two.

    Parameters
    ----------
    coefficients : tuple of float
        Of rows of norm 1, by degree.
    features : int
    norm : float or None
        That of all rows, as sqrt(x.x / d); None where the kernel is homogeneous, and rows may have any.
    """

    coefficients: tuple[float, ...]
    features: int
    norm: float | None

    @override
    def squares(self, std: Tensor) -> Tensor:
        if self.norm is not None:
            require_norm(std, self.norm, self.features)
        size = std.square() if self.norm is None else torch.ones_like(std)
        return size[:, None] * torch.tensor(self.coefficients, dtype=torch.float64, device=std.device)


@dataclass(frozen=True)
class GaussianExpansion(DegreeExpansion):
    r"""The Gaussian kernel: :math:`c_p^2 = e^{-r} r^p / p!`, the weights of Poisson, with :math:`r = 2 \gamma |x|^2`.

    Degrees above the highest are added to the last two, by parity, so that k(x, x) and k(x, -x) are right.

    Parameters
    ----------
    gamma : float
    features, degree : int
    """

    gamma: float
    features: int
    degree: int

    @override
    def squares(self, std: Tensor) -> Tensor:
        mean = 2 * self.gamma * self.features * std.square()
        terms = [torch.exp(-mean)]
        for p in range(1, self.degree + 1):
            terms.append(terms[-1] * mean / p)
        known = torch.stack(terms, 1)
        opposite = torch.exp(-2 * mean)
        tails = [
            ((1 + sign * opposite) / 2 - known[:, parity::2].sum(1)).clamp(min=0)
            for parity, sign in enumerate((1.0, -1.0))
        ]
        last = [tails[p % 2] if p >= self.degree - 1 else torch.zeros_like(mean) for p in range(self.degree + 1)]
        return known + torch.stack(last, 1)


@dataclass(frozen=True)
class PolynomialExpansion(DegreeExpansion):
    """The polynomial kernel, by the binomial theorem: no degree is left out.

    Parameters
    ----------
    kernel : PolynomialKernel
    features : int
    """

    kernel: PolynomialKernel
    features: int

    @override
    def squares(self, std: Tensor) -> Tensor:
        q, inner = self.kernel.degree, self.kernel.gamma * self.features * std.square()
        terms = [math.comb(q, p) * self.kernel.bias ** (q - p) * inner**p for p in range(q + 1)]
        return torch.stack(terms, 1)


def expansion_of(task: Task, sample: Any) -> DegreeExpansion:
    """Find the expansion of a task's kernel, for data like the sample.

    Raises
    ------
    UnsuitableError
        It has none, or needs too many degrees.
    """
    kernel, features = task.kernel, task.in_features
    if task.positions:
        raise UnsuitableError(
            f"x has positions {task.positions}: the kernel is no power series of one angle. Use nk.RandomFeatures()"
        )
    if isinstance(kernel, PolynomialKernel):
        if kernel.degree > _HIGHEST:
            raise UnsuitableError(f"{kernel!r}: monomials are of degree {_HIGHEST} at most. Use nk.Nystrom()")
        return PolynomialExpansion(kernel, features)
    if isinstance(kernel, GammaExponential) and kernel.exponent == 2:
        return _gaussian(kernel, features, sample)
    if not task.has_network:
        raise UnsuitableError(
            f"{kernel!r} has no power series that is known here: nk.AdaptiveSampling takes nk.PolynomialKernel, the "
            "Gaussian nk.GammaExponential(gamma, 2.0), and kernels of one network that are functions of the angle. Use "
            "nk.Nystrom(), which needs nothing but values"
        )
    found = series_of(task, sample)
    if found is None:
        low, high = norm_range(sample)
        raise UnsuitableError(
            f"{kernel!r} is a function of the angle on rows of one norm alone; the norms of these go from {low:.3g} to "
            f"{high:.3g}. Put sklearn's Normalizer in front, or use nk.Nystrom()"
        )
    return AngleExpansion(tuple(folded(found[0], _SERIES).tolist()), features, found[1])


def _gaussian(kernel: GammaExponential, features: int, sample: Any) -> GaussianExpansion:
    """Choose the degree for the largest rows of the sample, as far as it may go."""
    largest = 2 * kernel.gamma * norm_range(sample)[1] ** 2
    mean = torch.tensor([min(largest, 1e9)], dtype=torch.float64)
    upper = torch.special.gammainc(torch.arange(2.0, _HIGHEST + 2, dtype=torch.float64), mean)  # P(Poisson > 1, 2, ...)
    degree = 1 + min(int((upper > _LEFT).sum()), _HIGHEST - 1)
    if float(upper[-1]) > _MOST:
        raise UnsuitableError(
            f"{kernel!r}: gamma |x|^2 goes up to {largest / 2:.3g}, where more than {_MOST:.0%} of the kernel lies in "
            f"degrees above {_HIGHEST}. Take a smaller gamma, scale or centre the rows, or use nk.Nystrom()"
        )
    return GaussianExpansion(kernel.gamma, features, degree)
