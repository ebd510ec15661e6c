"""Features by sketched polynomials: of the whole kernel where it is a function of the angle, else layer by layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from numbers import Integral
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.features.allotment import Part, allot
from neural_kernels.features.angle.angle_map import AngleMap, Rest, series_of
from neural_kernels.features.angle.degree_plan import DegreePlan, planned
from neural_kernels.features.angle.power_series import PowerSeries
from neural_kernels.features.angle.powers import Powers, variance
from neural_kernels.features.layered.coefficients import hermite_coefficients
from neural_kernels.features.layered.layered_map import LayeredMap
from neural_kernels.features.layered.nonlinearity import Nonlinearity, Strategy
from neural_kernels.features.method import BuiltMap, Method, Task, UnsuitableError
from neural_kernels.features.reduction import Reduction
from neural_kernels.runtime.numerics import safe_sqrt
from neural_kernels.sketches import derive_seed

_DEGREES = range(2, 17)  # among which "auto" chooses
_COSINES = 0.0, 0.25, 0.5, 0.75  # of rows where there are no data
_NEARLY = 1.05  # of the least error: what a lower degree may have
_PAIRS = 256  # rows of the data whose cosines are looked at
_LEFT = {0.5: 0.02, 1.0: 0.02, 3.0: 0.1}  # by standard deviation: of a variance, what "auto" leaves to the last two
_LARGE = 2  # times the usual blocks of rows, since the products are many
_EXACT = 1e-7  # of a variance: the accuracy of coefficients
_MOST = 0.2  # of a variance that can be left to them
_NOISE = 5.0  # by which the errors of high powers may exceed those of one product, at the same width


@dataclass(frozen=True)
class PolynomialSketch(Method):
    r"""Sketched polynomials (`PolySketch`): NTKSketch, for any activation and inputs of any norm.

    Where the kernel is a function of the cosine c of two rows (homogeneous activations without biases, or rows of one
    norm), it is one power series :math:`T(c) = \sum_p a_p c^p` with :math:`a_p \ge 0` whatever the depth, and

    .. math:: \phi(x) = |x| \left[\sqrt{a_0},\ \sqrt{a_1}\, \hat x,\ \sqrt{a_p}\, U_p(\hat x)\right]_{2 \le p \le q}

    with sketches U_p of the p-th tensor power. Else every activation is one, with its Hermite coefficients at the
    standard deviation of each row and position, :math:`c_p(s)\, U_p(\phi / |\phi|)`, and so is its slope; products with
    the NTK are sketched (`TensorSRHT`).

    Parameters
    ----------
    degree : int or "auto"
        q. "auto": the least with an error within 5 % of the best, as predicted for the columns there are on the cosines
        of data given to `fit`, or without data on cosines between 0 and 0.75; layer by layer, the least that leaves out
        2 % of the variance of an activation and of its slope at standard deviation 1, and 10 % at 3. At most 16.

    Notes
    -----
    Degrees 0 and 1 are exact. Columns go to degrees by their share of the error. Degrees above q are added to q and
    q - 1, the even ones to the even one, which errs by :math:`\sum_{p > q} a_p (|c|^q - |c|^p)` at most, 0 at c = 0, 1
    and -1. In the first case the highest degrees of all are left out instead, as far as they have no more than 3 % of
    the diagonal together (`rest.truncation` of the map): only rows that are nearly the same feel them, and to add them
    to q would harm all others. Costs about 2 q Hadamard transforms of the rows' width, there at any depth.

    References
    ----------
    Zandieh et al. 2021, arXiv:2104.00415; Han et al. 2022, arXiv:2209.04121, whose coefficients are those of standard
    deviation 1, rescaled, which diverges at others.
    """

    degree: int | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.degree != "auto" and (
            isinstance(self.degree, bool) or not isinstance(self.degree, Integral) or self.degree < 2
        ):
            raise ValueError(f'degree={self.degree!r}: expected an integer, at least 2, or "auto"')
        if self.degree != "auto":
            object.__setattr__(self, "degree", int(self.degree))

    @property
    @override
    def needs_data(self) -> bool:
        return False

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        try:
            found = None if task.positions else series_of(task, sample)
        except UnsuitableError:
            found = None
        if found is None:
            return LayeredMap(task, PolynomialStrategy(self.degree), sample)
        return _angle_map(task, *found, self.degree, sample)


def _angle_map(task: Task, series: PowerSeries, norm: float | None, degree: int | str, sample: Any) -> AngleMap:
    """Build the map of one polynomial for the whole kernel, of the degree asked for or the least that is near best."""
    reduction = Reduction(task)
    cosines = np.array(_COSINES) if sample is None else _cosines(reduction, sample)
    degrees = _DEGREES if degree == "auto" else (int(degree),)
    plans = [planned(series, q, cosines, reduction.width, task.n_components) for q in degrees]
    least = min(plan.error for plan in plans)
    plan = next(plan for plan in plans if plan.error <= _NEARLY * least)
    rest = PowersRest(task, plan, reduction.width)
    return AngleMap(task, reduction, norm, torch.from_numpy(plan.coefficients[:2]), plan.linear, rest)


def _cosines(reduction: Reduction, sample: Any) -> np.ndarray:
    """Compute the cosines of pairs of rows, of some that stand for all; as without data where there are no pairs."""
    some = sample[np.unique(np.linspace(0, sample.shape[0] - 1, _PAIRS).astype(np.intp))]
    rows = reduction(some.cpu() if isinstance(some, Tensor) else some)
    unit = reduction.split(rows)[0].double()
    if len(unit) < 2:
        return np.array(_COSINES)
    return (unit @ unit.T)[tuple(torch.triu_indices(len(unit), len(unit), 1))].clamp(-1, 1).numpy()


class PowersRest(Rest):
    """Sketched powers of rows of norm 1, with their coefficients.

    Parameters
    ----------
    task : Task
    plan : DegreePlan
    in_features : int
        Columns of the rows.

    Attributes
    ----------
    truncation : float
        The share of the diagonal that is left out.
    """

    def __init__(self, task: Task, plan: DegreePlan, in_features: int) -> None:
        super().__init__()
        self.powers = Powers(in_features, plan.widths, derive_seed(task.seed, "polynomial"))
        self.roots = {p: math.sqrt(plan.coefficients[p]) for p in self.powers.widths}
        self.columns, self.truncation = sum(self.powers.widths.values()), plan.truncation
        self.working_width = max(1, self.powers.working_width // _LARGE)

    @override
    def forward(self, unit: Tensor, factor: Tensor, out: Tensor | None) -> Tensor:
        parts = [(self.roots[p] * factor[:, None], power) for p, power in self.powers(unit).items()]
        if out is None:
            return torch.cat([unit[:, :0], *(scale * power for scale, power in parts)], 1)
        start = 0
        for scale, power in parts:
            torch.mul(scale, power, out=out[:, start : start + power.shape[1]])
            start += power.shape[1]
        return out


@dataclass(frozen=True)
class PolynomialStrategy(Strategy):
    """Sketched Hermite series of the nonlinear part of an activation.

    Parameters
    ----------
    degree : int or "auto"
    """

    least_value: ClassVar[float] = 1 / 8  # less than random features take: powers cost more
    least_product: ClassVar[float] = 1 / 4

    degree: int | Literal["auto"]

    @override
    def nonlinearity(self, dual: Dual, in_features: int, columns: int, seed: int) -> Nonlinearity:
        return PolynomialNonlinearity(dual, self.degree, in_features, columns, seed)


@cache
def sufficient_degree(dual: Dual) -> int:
    """Return the least degree that leaves out little of an activation's variance and of its slope's, at most 16."""
    std = torch.tensor(list(_LEFT), dtype=torch.float64)
    most = torch.tensor(list(_LEFT.values()), dtype=torch.float64)
    with torch.inference_mode(False), torch.no_grad():
        needed = [_DEGREES[0]]
        squares = dual.std(std).square(), dual.slope_std(std).square()
        for part, whole in zip(hermite_coefficients(dual, std, _DEGREES[-1]), squares, strict=True):
            left = whole[:, None] - part.square().cumsum(1)
            needed.append(int((left > (most * whole)[:, None]).sum(1).max()))
    return min(max(needed), _DEGREES[-1])


class PolynomialNonlinearity(Nonlinearity):
    """Sketched powers with coefficients of each row's own standard deviation.

    Parameters
    ----------
    dual : Dual
    degree : int or "auto"
    in_features, columns, seed : int
    """

    def __init__(self, dual: Dual, degree: int | str, in_features: int, columns: int, seed: int) -> None:
        super().__init__()
        self.dual, self.columns = dual, columns
        self.degree = sufficient_degree(dual) if degree == "auto" else int(degree)
        one = torch.ones(1, dtype=torch.float64)
        powers = range(2, self.degree + 1)
        coefficients = (part[0].square() for part in hermite_coefficients(dual, one, self.degree))
        shares = [[float(part[p]) for p in powers] for part in coefficients]
        self.of_value, of_slope = (
            dict(zip(powers, allot([Part(share) for share in each], columns), strict=True)) for each in shares
        )
        self.powers = Powers(in_features, {p: max(self.of_value[p], of_slope[p]) for p in powers}, seed)
        coincident = (variance(p, np.ones(1), 1)[1][0] for p in powers)
        self.noise = torch.tensor([0.0, 0.0, *map(math.sqrt, coincident)], dtype=torch.float64)

    @override
    def forward(self, unit: Tensor, std: Tensor, low: Tensor) -> tuple[Tensor | None, Tensor | None]:
        value, slope = self._coefficients(std)
        powers = self.powers(unit)
        first = [
            value[:, p : p + 1].to(unit.dtype) * part[:, :few] * math.sqrt(part.shape[1] / few)
            for p, part in powers.items()
            if (few := self.of_value[p])
        ]
        second = [slope[:, p : p + 1].to(unit.dtype) * part for p, part in ({1: unit} | powers).items()]
        return torch.cat(first, 1) if first else None, torch.cat(second, 1)

    def _coefficients(self, std: Tensor) -> tuple[Tensor, Tensor]:
        """Return signed coefficients of value and slope, what lies above the degree in the last two, by parity."""
        wide = std.to(torch.float64)
        same, opposite = (BivariateNormal(wide, wide, torch.full_like(wide, delta)) for delta in (0.0, 2.0))
        parts = hermite_coefficients(self.dual, wide, self.degree)
        duals = self.dual.dual, self.dual.dual_slope
        return tuple(  # pyright: ignore[reportReturnType]
            self._with_tail(part, dual(same), dual(opposite)) for part, dual in zip(parts, duals, strict=True)
        )

    def _with_tail(self, part: Tensor, same: Tensor, opposite: Tensor) -> Tensor:
        squares, ends = part.square(), []
        for last in (self.degree - 1, self.degree):
            whole = (same + opposite if last % 2 == 0 else same - opposite) / 2
            left = whole - squares[:, last % 2 :: 2].sum(1)
            left = torch.where(left > _EXACT * same, left, 0)
            problem = f"more than {_MOST:.0%} of its variance lies above degree {self.degree}"
            self._require(left <= _MOST * same, problem)
            ends.append(torch.where(part[:, last] < 0, -1.0, 1.0) * safe_sqrt(squares[:, last] + left))
        part = torch.cat([part[:, :-2], torch.stack(ends, 1)], 1)
        noise = part.square() @ self.noise.to(part)
        self._require(noise <= _NOISE * same, "its variance lies in high degrees, whose sketches are too noisy")
        return part

    def _require(self, fine: Tensor, problem: str) -> None:
        """Refuse, with advice, where a condition on some row fails."""
        if not bool(fine.all()):
            raise UnsuitableError(
                f"{self.dual!r}: at the largest inputs {problem}. Scale the inputs down, or use nk.RandomFeatures() or "
                "nk.Nystrom()"
            )
