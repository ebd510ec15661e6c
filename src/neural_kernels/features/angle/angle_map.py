"""Features of kernels that are a function of the angle: degrees 0 and 1 as columns of their own, and a rest."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.angle.power_series import PowerSeries, zonal_series
from neural_kernels.features.method import Task
from neural_kernels.features.reduction import ReducedMap, Reduction
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import SRHT, derive_seed

_EQUAL = 1e-3  # relative difference of norms that count as one


def homogeneous(kernel: NetworkKernel, features: int) -> bool:
    """Whether k(s x, t y) = s t k(x, y) for vectors of so many features: compared at two norms."""
    one, two = (zonal_series(kernel, std, features) for std in (1.0, 2.0))
    scale = 1e-9 * max(one.total, 1e-300)
    return (
        abs(two.total / 4 - one.total) <= scale
        and float((two.coefficients / 4 - one.coefficients).abs().max()) <= scale
    )


def norm_range(x: Any) -> tuple[float, float]:
    """Return the least and the largest norm of rows, dense or CSR."""
    if isinstance(x, Tensor):
        norms = torch.linalg.vector_norm(x, dim=1, dtype=torch.float64)
    else:
        norms = torch.from_numpy(x.multiply(x).sum(1).A1 ** 0.5)
    return float(norms.min()), float(norms.max())


def share_one(low: float, high: float) -> bool:
    """Whether all norms between these count as one."""
    return high * (1 - _EQUAL) <= low and high > 0


def require_norm(std: Tensor, norm: float, features: int) -> None:
    """Refuse rows of another norm than a map was built for, both as sqrt(x.x / d) for d features.

    Raises
    ------
    ValueError
    """
    if bool(((std - norm).abs() > 2 * _EQUAL * norm).any()):
        expected, largest = (size * math.sqrt(features) for size in (norm, float(std.max())))
        raise ValueError(
            f"x: the map was built for rows of norm {expected:.4g}, got norms up to {largest:.4g}. Normalise them "
            "the same way."
        )


class Rest(StoredModule, ABC):
    """Features of all degrees from 2 on, for rows of norm 1.

    Attributes
    ----------
    columns : int
        How many features there are.
    working_width : int
        Columns of the largest temporary, by which the size of blocks of rows is chosen.
    """

    columns: int
    working_width: int

    @abstractmethod
    def forward(self, unit: Tensor, factor: Tensor, out: Tensor | None) -> Tensor:
        """Make features, each row times its factor.

        Parameters
        ----------
        unit : Tensor, shape (n, width)
            Rows of norm 1.
        factor : Tensor, shape (n,)
        out : Tensor, shape (n, columns), or None
            Where to; None: to new memory, as it must be where gradients pass.

        Returns
        -------
        Tensor, shape (n, columns)
        """


class AngleMap(ReducedMap):
    r"""The columns :math:`|x| [\sqrt{t_0}, \sqrt{t_1}\, \hat x, \psi(\hat x)]`.

    Parameters
    ----------
    task : Task
    reduction : Reduction
    norm : float or None
        That of all rows, x.x / d = norm^2; None where the kernel is homogeneous, and rows may have any.
    low : Tensor, shape (2,), float64
        t_0 and t_1, the coefficients of degrees 0 and 1.
    linear : int
        Columns of the linear part: sketched, if that is less than the rows have.
    rest : Rest
        psi, the features of all higher degrees.
    """

    low: Tensor
    compress: SRHT | None

    def __init__(
        self, task: Task, reduction: Reduction, norm: float | None, low: Tensor, linear: int, rest: Rest
    ) -> None:
        super().__init__(reduction, rest.working_width)
        self.norm, self.rest = norm, rest
        self.columns = 1 + linear + rest.columns
        self.compress = None
        if linear < reduction.width:
            self.compress = SRHT(reduction.width, linear, seed=derive_seed(task.seed, "linear")) if linear else None
        self.linear = linear
        self.register_buffer("low", low.clamp(min=0).sqrt().to(task.dtype))

    def rest_of(self, features: Tensor) -> Tensor:
        """Take the columns of psi, the last, out of all."""
        return features[:, self.columns - self.rest.columns :]

    def low_degrees(self, x: Any, y: Any) -> Tensor:
        """Compute the kernel of degrees 0 and 1, shape (n1, n2): that of the other columns if none were sketched."""
        (unit1, factor1), (unit2, factor2) = self._split(self.reduction(x)), self._split(self.reduction(y))
        low = self.low.to(unit1.dtype).square()
        return factor1[:, None] * factor2 * (low[0] + low[1] * (unit1 @ unit2.T))

    @override
    def block(self, rows: Tensor, out: Tensor | None) -> Tensor:
        unit, factor = self._split(rows)
        if rows.requires_grad:
            exact = [part * factor[:, None] for part in self._exact(unit)]
            return torch.cat([*exact, self.rest(unit, factor, None)], 1)
        out = rows.new_empty(len(rows), self.columns) if out is None else out
        start = 0
        for part in self._exact(unit):
            torch.mul(part, factor[:, None], out=out[:, start : start + part.shape[1]])
            start += part.shape[1]
        self.rest(unit, factor, out[:, start:])
        return out

    def _split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Split into rows of norm 1 and the factor of their features; zeros for a row of zeros.

        Raises
        ------
        ValueError
            Norms other than the one that the map was built for.
        """
        unit, std = self.reduction.split(rows)
        if self.norm is None:
            return unit, std.to(rows.dtype)
        require_norm(std, self.norm, self.reduction.in_features)
        return unit, torch.ones_like(std).to(rows.dtype)

    def _exact(self, unit: Tensor) -> list[Tensor]:
        """Make the columns of degrees 0 and 1, for rows of norm 1."""
        low = self.low.to(unit.dtype)
        constant = low[0].expand(len(unit), 1)
        if self.linear == 0:
            return [constant]
        return [constant, low[1] * (unit if self.compress is None else self.compress.sketch(unit))]


def series_of(task: Task, sample: Any) -> tuple[PowerSeries, float | None] | None:
    """Find the kernel as a function of the cosine, and the norm of rows for which it is one (None: any).

    None in place of both: it is no such function, or there are no data that would tell the norm.

    Raises
    ------
    UnsuitableError
        A layer or activation has no series; the kernel has no network.
    """
    if homogeneous(task.network, task.in_features):
        return zonal_series(task.network, 1.0, task.in_features), None
    if sample is None or not share_one(*norm_range(sample)):
        return None
    norm = sum(norm_range(sample)) / 2 / math.sqrt(task.in_features)
    return zonal_series(task.network, norm, task.in_features), norm
