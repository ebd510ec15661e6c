"""What comes before all features: rows as dense ones of bounded width, split into directions and lengths, in blocks."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.engine.inputs import DenseRows, SparseRows
from neural_kernels.features.method import BuiltMap, Task, dense
from neural_kernels.runtime.numerics import safe_divide
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import OSNAP, derive_seed
from neural_kernels.sketches.blocks import over_blocks
from neural_kernels.sketches.hadamard import padded

WIDEST = 1 << 13  # columns of rows that are taken as they are


class Reduction(StoredModule):
    r"""Rows of at most max(8192, 2 n_components) columns; wider ones are sketched, at the cost of their non-zeros.

    A sketch to w columns changes cosines by about :math:`w^{-1/2}`, less than n_components random features do; it is
    given the length of its row, so that lengths stay exact.

    Parameters
    ----------
    task : Task

    Attributes
    ----------
    width : int
        Columns of the rows that come out.
    """

    sketch: OSNAP | None

    def __init__(self, task: Task) -> None:
        super().__init__()
        widest = max(WIDEST, 2 * padded(task.n_components))
        self.in_features, self.width = task.in_features, task.in_features
        self.sketch = None
        if not task.positions and task.in_features > widest:
            self.width, self.sketch = widest, OSNAP(task.in_features, widest, 4, derive_seed(task.seed, "reduction"))

    def forward(self, x: Any) -> Tensor:
        """Return dense rows, shape (n, width), or images as they are."""
        if self.sketch is None:
            return dense(x)
        before = DenseRows.of(x) if isinstance(x, Tensor) else SparseRows.of(x)
        rows = torch.as_tensor(self.sketch(x))
        after = DenseRows.of(rows)
        lengths = safe_divide(before.std * math.sqrt(self.in_features), after.std * math.sqrt(self.width))
        return rows * lengths[:, None].to(rows.dtype)

    def split(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Split into rows of norm 1, (n, *positions, width), and standard deviations sqrt(x.x / d), (n, *positions)."""
        parts = DenseRows.of(rows.movedim(1, -1))
        return parts.x * parts.inverse[..., None], parts.std * math.sqrt(self.width / self.in_features)


class ReducedMap(BuiltMap):
    """Columns of reduced rows, computed in blocks of rows.

    Parameters
    ----------
    reduction : Reduction
    working_width : int
        Columns of the temporaries by which the size of blocks is chosen.
    """

    def __init__(self, reduction: Reduction, working_width: int) -> None:
        super().__init__()
        self.reduction, self.working_width = reduction, working_width

    @abstractmethod
    def block(self, rows: Tensor, out: Tensor | None) -> Tensor:
        """Write features of reduced rows to `out`, or to new memory without it, or if the rows want gradients."""

    @override
    def forward(self, x: Any) -> Tensor:
        return self._blocks(x, None)

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        self._blocks(x, out)

    def _blocks(self, x: Any, out: Tensor | None) -> Tensor:
        return over_blocks(self.block, self.reduction(x), width=self.working_width, shape=(self.columns,), out=out)
