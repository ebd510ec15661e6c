"""Random features corrected by the exact kernel at some rows of the data."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.features.angle.angle_map import AngleMap
from neural_kernels.features.method import BuiltMap, Task, dense

_FLOOR = 1e-7  # of the largest eigenvalue; smaller ones are rounding


class AnchoredMap(BuiltMap):
    r"""Features of the kernel's degrees from 2 on, near anchors S as by Nystroem's method, elsewhere random.

    With :math:`K_R = T - b_0 - b_1 c`, its leading eigenpairs (U, Lam) on S, :math:`B = U \Lambda^{-1/2}` and random
    features psi of K_R, the columns are :math:`z(x) = K_R(x, S) B` and :math:`\psi(x) - \psi(S)^T B z(x)`. They are
    unbiased, and exact on the span of z, where the random ones are left nothing to do.

    Parameters
    ----------
    task : Task
    features : AngleMap
        psi and the exact degrees, with `columns` fewer than the task has.
    anchors : Tensor, shape (s, in_features)
        Rows of the data; those of zeros are left out.
    columns : int
        How many z has: at most so many eigenpairs are kept.
    """

    anchors: Tensor
    whiten: Tensor
    correction: Tensor

    def __init__(self, task: Task, features: AngleMap, anchors: Tensor, columns: int) -> None:
        super().__init__()
        self.features, self.kernel = features, task.network
        self.columns = features.columns + columns
        anchors = anchors[torch.linalg.vector_norm(anchors, dim=1) > 0]
        with torch.no_grad():
            values, vectors = torch.linalg.eigh(self._rest(anchors, anchors).double())
            kept = min(columns, int((values > _FLOOR * values[-1]).sum())) if len(anchors) else 0
            whiten = torch.zeros(len(anchors), columns, dtype=torch.float64, device=anchors.device)
            whiten[:, :kept] = (vectors / values.clamp(min=0).sqrt()).flip(1)[:, :kept]
            correction = whiten.T @ features.rest_of(features(anchors)).double()
        self.register_buffer("anchors", anchors)
        self.register_buffer("whiten", whiten.to(task.dtype))
        self.register_buffer("correction", correction.to(task.dtype))

    @override
    def forward(self, x: Any) -> Tensor:
        """Features, shape (n, columns): constant, linear, z, the corrected random ones."""
        rows = dense(x)
        plain = self.features(rows)
        exact = plain[:, : self.features.columns - self.features.rest.columns]
        near = self._rest(rows, self.anchors.to(rows.dtype)) @ self.whiten.to(rows.dtype)
        random = torch.addmm(self.features.rest_of(plain), near, self.correction.to(rows.dtype), alpha=-1)
        return torch.cat([exact, near, random], 1)

    def _rest(self, x: Tensor, y: Tensor) -> Tensor:
        """Compute K_R, the exact kernel less its degrees 0 and 1."""
        return self.kernel(x, y) - self.features.low_degrees(x, y)
