"""From features at levels to those of whole examples."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.features.landmarks.ending import Ending
from neural_kernels.features.landmarks.fitting import Fitting, top
from neural_kernels.features.landmarks.levels import Levels, terms
from neural_kernels.features.landmarks.pointwise import Landmarks, take
from neural_kernels.features.landmarks.residual import RandomColumns
from neural_kernels.features.landmarks.run import Run
from neural_kernels.runtime.plain_state import StoredModule

_JITTER = {torch.float32: 1e-8, torch.float64: 1e-15}  # of the trace


class Readout(StoredModule, ABC):
    """Columns of whole examples, which times a matrix are the features.

    Attributes
    ----------
    matrix : Tensor, shape (raw columns, columns)
    """

    matrix: Tensor

    @abstractmethod
    def forward(self, run: Run, levels: Levels, ending: Ending | None) -> Tensor:
        """The raw columns, shape (n, raw columns)."""


class PooledReadout(Readout):
    """Kernels with landmarks at every position, added up; whitened, they are the features of the last activation.

    Parameters
    ----------
    landmarks : Landmarks
    random : RandomColumns or None
    matrix : Tensor
    """

    def __init__(self, landmarks: Landmarks, random: RandomColumns | None, matrix: Tensor) -> None:
        super().__init__()
        self.landmarks, self.random = landmarks, random
        self.register_buffer("matrix", matrix)

    @classmethod
    def fit(cls, fitting: Fitting, ending: Ending, columns: int, residual: int, count: int) -> PooledReadout:
        r"""Take landmarks, `count` or one a column, and random columns less what landmarks say of them.

        With the kernels F of the landmarks, :math:`R R^T = F` and random columns psi, the features are
        :math:`f(x) R^{-T}` and :math:`\psi(x) - f(x) F^{-1} \psi(Z)`.
        """
        kept = columns - residual
        landmarks, kernels, rows = take(fitting, ending.level, max(count, kept), ending.weights)
        total = sum(ending.weights[node] * kernel for node, kernel in kernels.items())
        assert isinstance(total, Tensor)
        dtype = fitting.run.x.dtype
        white = whiten(total, _JITTER[dtype]) if len(total) <= kept else _main_directions(total, kept, _JITTER[dtype])
        if not residual:
            return cls(landmarks, None, white.to(dtype).contiguous())
        random = RandomColumns(fitting, ending.level, ending.weights, residual)
        own = white @ (white.T @ random.of(rows.to(dtype)).double())
        beside = torch.cat([torch.zeros(residual, white.shape[1]), torch.eye(residual)], 1)
        matrix = torch.cat([torch.cat([white, -own], 1), beside])
        return cls(landmarks, random, matrix.to(dtype).contiguous())

    @override
    def forward(self, run: Run, levels: Levels, ending: Ending | None) -> Tensor:
        assert ending is not None
        shares = ending.shares.to(run.x)
        sums = _sums(self.landmarks, run, ending, shares)
        if self.random is None:
            return sums
        columns = run.columns(ending.level)
        flat = columns.reshape(len(columns), len(shares), columns.shape[-1])
        return torch.cat([sums, self.random.pooled(flat, shares)], 1)


class LevelReadout(Readout):
    """The features of the last levels as they are, each in the root of its metric.

    Parameters
    ----------
    matrix : Tensor
    """

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    @classmethod
    def fit(cls, fitting: Fitting, columns: int) -> LevelReadout:
        """Take the root of the metric, of its main directions over the sample where they are too many."""
        run = fitting.run
        weights = terms(run.levels.root)
        blocks = [
            torch.zeros_like(fitting.metrics[level.nodes[0]])
            + sum(weights[node] * fitting.metrics[node] for node in level.nodes if node in weights)
            for level in run.levels.last
        ]
        values, vectors = top(torch.block_diag(*blocks))
        kept = values > 1e-14 * values[0]
        root = vectors[:, kept] * values[kept].sqrt()
        if root.shape[1] > columns:
            rows = torch.cat([run.features(level) for level in run.levels.last], 1).double() @ root
            root = root @ top(rows.T @ rows)[1][:, :columns]
        return cls(root.to(run.x.dtype).contiguous())

    @override
    def forward(self, run: Run, levels: Levels, ending: Ending | None) -> Tensor:
        return torch.cat([run.features(level) for level in levels.last], 1)


def whiten(gram: Tensor, jitter: float) -> Tensor:
    """R^-T of a kernel R R^T between landmarks, with a share of its trace on its diagonal."""
    amount = float(jitter * gram.diagonal().sum())
    gram = (gram + gram.T) / 2
    gram.diagonal().add_(amount if amount > 0 else 1.0)
    root = torch.linalg.cholesky(gram)
    return torch.linalg.solve_triangular(root, torch.eye(len(root), dtype=gram.dtype), upper=False).T


def _main_directions(gram: Tensor, count: int, least: float) -> Tensor:
    """U L^(-1/2) for the largest eigenvalues L of a kernel between landmarks, those above a share of the trace."""
    values, vectors = top(gram)
    kept = max(1, int((values[:count] > least * values.sum()).sum()))
    return vectors[:, :kept] / values[:kept].clamp(min=torch.finfo(values.dtype).tiny).sqrt()


def _sums(landmarks: Landmarks, run: Run, ending: Ending, shares: Tensor) -> Tensor:
    """Kernels with the landmarks, added up over positions, shape (n, m)."""
    if not run.plain:
        values = torch.cat([values for _, values in landmarks.tiles(run, ending.level)])
        return torch.einsum("p,npm->nm", shares, values.reshape(len(run.x), len(shares), -1))
    total = run.x.new_zeros(len(run.x), landmarks.count)
    for tile, values in landmarks.tiles(run, ending.level):
        _add_up(values, tile.start, shares, total)
    return total


def _add_up(values: Tensor, start: int, shares: Tensor, total: Tensor) -> None:
    """Add rows, of which the first is number `start` of all units, to the examples that they belong to."""
    count, row = len(shares), 0
    while row < len(values):
        example, position = divmod(start + row, count)
        whole = (len(values) - row) // count
        if position == 0 and whole > 1:
            block = values[row : row + whole * count].reshape(whole, count, -1)
            total[example : example + whole] += torch.matmul(shares, block)
            row += whole * count
            continue
        stop = min(len(values), row + count - position)
        total[example].addmv_(values[row:stop].T, shares[position : position + stop - row])
        row = stop
