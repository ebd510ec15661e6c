"""One layer of random features for a network of any depth, where its kernel is a function of the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_integer
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.features.angle.angle_map import AngleMap, Rest, homogeneous, norm_range, series_of
from neural_kernels.features.angle.gegenbauer import activation_table, gegenbauer_coefficients
from neural_kernels.features.angle.lookup import as_cells, lookup
from neural_kernels.features.angle.power_series import PowerSeries
from neural_kernels.features.directions import Directions
from neural_kernels.features.distinct import distinct
from neural_kernels.features.method import BuiltMap, Method, Task, UnsuitableError, dense
from neural_kernels.features.reduction import Reduction
from neural_kernels.sketches import derive_seed

_LINEAR = 0.6  # the most of all columns that the linear part takes


@dataclass(frozen=True)
class ZonalFeatures(Method):
    r"""Random features of the composed kernel, one layer whatever the depth.

    Where a kernel is :math:`|x| |y| T(\cos\theta)` (homogeneous activations, no bias) or the rows share one norm (any
    activation, any bias), :math:`T = \sum_k b_k P_k` in Gegenbauer polynomials with :math:`b_k \ge 0`, and

    .. math:: \phi(x) = |x| \left[\sqrt{b_0},\ \sqrt{b_1}\, \hat x,\ \sigma(w_i \cdot \hat x) / \sqrt m\right]_{i \le m}

    with orthogonal directions w_i, and one function sigma, tabulated, whose dual is the rest of T.

    Parameters
    ----------
    anchors : int
        Rows of the data given to `fit`. Their part of the kernel is represented as by Nystroem's method, and random
        features represent what is left: fewer columns for the same error on data like these. 0: the map knows no data.

    Notes
    -----
    Costs three Hadamard transforms for every d columns, O(n_components log d) a row at any depth. Degrees 0 and 1 are
    exact while they take less than 0.6 of the columns; else the linear part is sketched. Unbiased up to the degrees
    above 60, whose share of the diagonal the map's `rest.truncation` reports; off the diagonal they are little.

    References
    ----------
    The addition theorem: Mueller, "Spherical Harmonics", 1966. Random features of the NTK: Zandieh et al. 2021,
    arXiv:2106.07880. Directions by Hadamard transforms: Yu et al. 2016, arXiv:1610.09072.
    """

    anchors: int = 0

    def __post_init__(self) -> None:
        require_integer(self, 0, anchors=self.anchors)
        object.__setattr__(self, "anchors", int(self.anchors))

    @property
    @override
    def needs_data(self) -> bool:
        return self.anchors > 0

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        if task.positions:
            raise UnsuitableError(
                f"x has positions {task.positions}: the kernel is no function of one angle. Use nk.RandomFeatures()"
            )
        found = series_of(task, sample)
        if found is None:
            raise UnsuitableError(_advice(task, sample))
        oblivious = zonal_map(task, *found, task.n_components - self._nystrom_columns(task))
        if not self.anchors:
            return oblivious
        from neural_kernels.features.angle.anchored import AnchoredMap

        chosen = distinct(sample, task.seed)[: self.anchors]
        anchors = dense(sample[chosen]).detach().to("cpu", task.dtype)
        features = AnchoredMap(task, oblivious, anchors, self._nystrom_columns(task))
        features.learned = chosen
        return features

    def _nystrom_columns(self, task: Task) -> int:
        return min(self.anchors, task.n_components // 16, 256)


def suits(kernel: NetworkKernel, features: int) -> bool:
    """Whether the kernel is a function of the angle, for rows of any norm and so many features."""
    try:
        return homogeneous(kernel, features)
    except UnsuitableError:
        return False


def _advice(task: Task, sample: Any) -> str:
    """Say why the kernel is no function of the angle on these data, and what to do."""
    problem = (
        f"{task.network.net!r}: its kernel depends on norms (a bias, or an activation that is not homogeneous), so "
        "that ZonalFeatures serve rows of one norm only"
    )
    if sample is None:
        return f"{problem}: call fit with such rows (sklearn's Normalizer makes them), or use nk.Nystrom()"
    low, high = norm_range(sample)
    return (
        f"{problem}; the norms of these go from {low:.3g} to {high:.3g}. Put sklearn's Normalizer in front, or use "
        "nk.Nystrom()"
    )


def zonal_map(task: Task, series: PowerSeries, norm: float | None, columns: int) -> AngleMap:
    """Build the features that need no data: degrees 0 and 1, and one activation for all others."""
    if columns < 4:
        raise UnsuitableError(f"n_components={columns}: ZonalFeatures need at least 4")
    reduction = Reduction(task)
    linear = min(reduction.width, int(_LINEAR * columns))
    rest = TabulatedRest(task, series, reduction.width, columns - 1 - linear)
    return AngleMap(task, reduction, norm, rest.coefficients[:2], linear, rest)


class TabulatedRest(Rest):
    """One activation of random directions, from a table.

    Parameters
    ----------
    task : Task
    series : PowerSeries
        The kernel of rows of norm 1.
    in_features, columns : int
        Of the rows, and of the features.

    Attributes
    ----------
    truncation : float
        The share of the diagonal that features of degrees up to 60 leave out.
    coefficients : Tensor, float64
        Those of the kernel in Gegenbauer polynomials.
    """

    cells: Tensor

    def __init__(self, task: Task, series: PowerSeries, in_features: int, columns: int) -> None:
        super().__init__()
        self.columns = columns
        self.directions = Directions(in_features, columns, derive_seed(task.seed, "zonal"))
        self.working_width = self.directions.dimension
        self.coefficients = b = gegenbauer_coefficients(series.coefficients, self.directions.dimension)
        table, self.reach = activation_table(b, self.directions.dimension)
        self.truncation = max(0.0, 1 - float(b[:61].sum()) / series.total) if series.total else 0.0
        self.register_buffer("cells", as_cells(table).to(task.dtype))

    @override
    def forward(self, unit: Tensor, factor: Tensor, out: Tensor | None) -> Tensor:
        cells, parts = self.cells.to(unit.dtype), []
        factor = factor / math.sqrt(max(self.columns, 1))
        for columns, u in self.directions.blocks(unit):
            target = torch.empty_like(u) if out is None else out[:, columns]
            parts.append(lookup(u, cells, self.reach, factor, target))
        return torch.cat(parts, 1) if out is None else out
