"""One layer of random features for a network of any depth, where its kernel is a function of the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neural_kernels.features.directions import Directions
from neural_kernels.features.gegenbauer import activation_table, gegenbauer_coefficients
from neural_kernels.features.lookup import as_cells, lookup
from neural_kernels.features.method import Columns, Method, Task, UnsuitableError
from neural_kernels.features.reduction import Reduction
from neural_kernels.features.series import Series, zonal_series
from neural_kernels.layer import Layer
from neural_kernels.sketches import SRHT, derive_seed
from neural_kernels.sketches._blocks import over_blocks

_LINEAR = 0.6  # the most of all columns that the linear part takes
_EQUAL = 1e-3  # relative difference of norms that count as one


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
    above 60, whose share of the diagonal `ZonalMap.truncation` reports; off the diagonal they are little.

    References
    ----------
    The addition theorem: Mueller, "Spherical Harmonics", 1966. Random features of the NTK: Zandieh et al. 2021,
    arXiv:2106.07880. Directions by Hadamard transforms: Yu et al. 2016, arXiv:1610.09072.
    """

    anchors: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.anchors, bool) or not isinstance(self.anchors, int) or self.anchors < 0:
            raise ValueError(f"anchors={self.anchors!r}: expected an integer, at least 0")

    @property
    def needs_data(self) -> bool:
        """For anchors."""
        return self.anchors > 0

    def build(self, task: Task, sample: Any) -> Columns:
        """See `Method`."""
        if task.positions:
            raise UnsuitableError(
                f"x has positions {task.positions}: the kernel is no function of one angle. Use nk.RandomFeatures()"
            )
        norm = None if homogeneous(task.net, task.kernel, task.in_features) else _common_norm(task, sample)
        series = zonal_series(task.net, task.kernel, 1.0 if norm is None else norm, task.in_features)
        oblivious = ZonalMap(task, series, norm, task.n_components - self._nystrom_columns(task))
        if not self.anchors:
            return oblivious
        from neural_kernels.features.anchored import AnchoredMap, choose_anchors

        return AnchoredMap(task, oblivious, choose_anchors(sample, self.anchors, task), self._nystrom_columns(task))

    def _nystrom_columns(self, task: Task) -> int:
        return min(self.anchors, task.n_components // 16, 256)


def homogeneous(net: Layer, kernel: str, features: int) -> bool:
    """Whether k(s x, t y) = s t k(x, y), seen at two norms."""
    one, two = (zonal_series(net, kernel, std, features) for std in (1.0, 2.0))
    scale = 1e-9 * max(one.total, 1e-300)
    return (
        abs(two.total / 4 - one.total) <= scale
        and float((two.coefficients / 4 - one.coefficients).abs().max()) <= scale
    )


def suits(net: Layer, rows_of_one_norm: bool, kernel: str = "ntk", features: int = 1) -> bool:
    """Whether the kernel is a function of the angle, for rows of one norm or of any."""
    try:
        return homogeneous(net, kernel, features) or rows_of_one_norm
    except UnsuitableError:
        return False


def _common_norm(task: Task, sample: Any) -> float:
    """The norm x.x / d = norm^2 that all rows share."""
    advice = (
        f"{task.net!r}: its kernel depends on norms (a bias, or an activation that is not homogeneous), so that "
        "ZonalFeatures serve rows of one norm only"
    )
    if sample is None:
        raise UnsuitableError(
            f"{advice}: call fit with such rows (sklearn's Normalizer makes them), or use nk.Nystrom()"
        )
    norms = _norms(sample)
    low, high = float(norms.min()), float(norms.max())
    if not high * (1 - _EQUAL) <= low or high == 0:
        raise UnsuitableError(
            f"{advice}; the norms of these go from {low:.3g} to {high:.3g}. Put sklearn's Normalizer in front, or use "
            "nk.Nystrom()"
        )
    return float(norms.double().mean()) / math.sqrt(task.in_features)


def _norms(x: Any) -> Tensor:
    if isinstance(x, Tensor):
        return torch.linalg.vector_norm(x, dim=1)
    return torch.from_numpy(x.multiply(x).sum(1).A1 ** 0.5)


class ZonalMap(Columns):
    """The features that need no data.

    Parameters
    ----------
    task : Task
    series : Series
        The kernel of rows with x.x / d = norm^2, or 1.
    norm : float or None
        Of all rows; None where the kernel is homogeneous.
    columns : int
        Of the result.

    Attributes
    ----------
    truncation : float
        The share of the diagonal that features of degrees up to 60 leave out.
    """

    cells: Tensor
    low: Tensor
    compress: SRHT | None

    def __init__(self, task: Task, series: Series, norm: float | None, columns: int) -> None:
        super().__init__()
        if columns < 4:
            raise UnsuitableError(f"n_components={columns}: ZonalFeatures need at least 4")
        self.in_features, self.columns, self.norm = task.in_features, columns, norm
        self.reduction = Reduction(task)
        width = self.reduction.width
        linear = min(width, int(_LINEAR * columns))
        self.random = columns - 1 - linear
        self.directions = Directions(width, self.random, derive_seed(task.seed, "zonal"))
        b = gegenbauer_coefficients(series.coefficients, self.directions.dimension)
        table, self.reach = activation_table(b, self.directions.dimension)
        self.truncation = max(0.0, 1 - float(b[:61].sum()) / series.total) if series.total else 0.0
        self.compress = None
        if linear < width:
            self.compress = SRHT(width, linear, seed=derive_seed(task.seed, "linear"))
        self.register_buffer("cells", as_cells(table).to(task.dtype))
        self.register_buffer("low", b[:2].clamp(min=0).sqrt().to(task.dtype))

    def forward(self, x: Any) -> Tensor:
        """Features, shape (n, columns)."""
        return self._blocks(x, None)

    def fill(self, x: Any, out: Tensor) -> None:
        """Straight to that memory."""
        self._blocks(x, out)

    def _blocks(self, x: Any, out: Tensor | None) -> Tensor:
        return over_blocks(
            self._map, self.reduction(x), width=2 * self.directions.dimension, shape=(self.columns,), out=out
        )

    def rest(self, x: Tensor) -> Tensor:
        """The random columns alone, shape (n, random)."""
        return self.rest_of(self(x))

    def rest_of(self, features: Tensor) -> Tensor:
        """The random columns among all."""
        return features[:, self.columns - self.random :]

    def low_degrees(self, x: Tensor, y: Tensor) -> Tensor:
        """The exact kernel's degrees 0 and 1, shape (n1, n2)."""
        (unit1, factor1), (unit2, factor2) = self._split(self.reduction(x)), self._split(self.reduction(y))
        low = self.low.to(x.dtype).square()
        return factor1[:, None] * factor2 * (low[0] + low[1] * (unit1 @ unit2.T))

    def _map(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        unit, factor = self._split(x)
        if out is None:
            return torch.cat([part * factor[:, None] for part in self._exact(unit)] + self._random(unit, factor), 1)
        start = 0
        for part in self._exact(unit):
            torch.mul(part, factor[:, None], out=out[:, start : start + part.shape[1]])
            start += part.shape[1]
        self._random(unit, factor, out[:, start:])
        return out

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of norm 1, and the factor of their features; zeros for a row of zeros."""
        unit, std = self.reduction.split(x)
        if self.norm is None:
            return unit, std.to(x.dtype)
        if bool(((std - self.norm).abs() > 2 * _EQUAL * self.norm).any()):
            expected, largest = (norm * math.sqrt(self.in_features) for norm in (self.norm, float(std.max())))
            raise ValueError(
                f"x: the map was built for rows of norm {expected:.4g}, got norms up to {largest:.4g}. Normalise them "
                "the same way."
            )
        return unit, torch.ones_like(std).to(x.dtype)

    def _exact(self, unit: Tensor) -> list[Tensor]:
        """Degrees 0 and 1."""
        linear = unit if self.compress is None else self.compress(unit)
        low = self.low.to(unit.dtype)
        return [low[0].expand(len(unit), 1), low[1] * linear]

    def _random(self, unit: Tensor, factor: Tensor, out: Tensor | None = None) -> list[Tensor]:
        """All higher degrees, a block of orthogonal directions at a time."""
        cells, parts = self.cells.to(unit.dtype), []
        factor = factor / math.sqrt(max(self.random, 1))
        for columns, u in self.directions.blocks(unit):
            target = torch.empty_like(u) if out is None else out[:, columns]
            parts.append(lookup(u, cells, self.reach, factor, target))
        return parts
