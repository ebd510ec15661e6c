"""Which monomials are kept: drawn by their squares first, then by their ridge leverage scores in the data's kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.features.monomials.candidates import draw, included, orders
from neural_kernels.features.monomials.monomials import Monomials

_POOL = 8  # candidates drawn for every column
_DRAWS = 64  # of one degree at least: with few, a rare degree would miss rows altogether
_PER_DIMENSION = 16  # columns for every dimension of the regularised kernel
_FLOOR = 1e-6  # of the trace: the least ridge
_BLOCK = 1 << 12  # candidates at a time
_DENSE = 1 << 26  # numbers of rows made dense for a product


class Sample:
    """Rows of the data, and the kernel of each degree on them.

    Parameters
    ----------
    unit : scipy.sparse.csr_matrix, shape (n, d), float64
        Rows of norm 1, or of zeros.
    squares : ndarray, shape (n, q + 1)
        c_p(x)^2.
    """

    def __init__(self, unit: Any, squares: np.ndarray) -> None:
        self.unit, self.squares = unit, squares
        rows = torch.from_numpy(unit.toarray()) if unit.shape[0] * unit.shape[1] <= _DENSE else None
        cosines = torch.from_numpy((unit @ unit.T).toarray()) if rows is None else rows @ rows.T
        roots = torch.from_numpy(np.sqrt(squares))
        self.parts: list[Tensor] = []
        power = torch.ones_like(cosines)
        for p in range(squares.shape[1]):
            self.parts.append(roots[:, p, None] * roots[:, p] * power)
            power = power * cosines

    def regularised(self, ridge: float | None, columns: int) -> Tensor:
        """K + l I: l a share of the trace, or the least for which there are enough columns for the dimension."""
        kernel = torch.stack(self.parts).sum(0)
        trace = float(kernel.trace())
        share = _sufficient(torch.linalg.eigvalsh(kernel) / trace, columns) if ridge is None else ridge
        return kernel + share * trace * torch.eye(len(kernel), dtype=kernel.dtype)

    def dimensions(self, inverse: Tensor) -> np.ndarray:
        """Divide the statistical dimension by degrees: tr (K + l)^-1 K_p."""
        return np.array([max(0.0, float((inverse * part).sum())) for part in self.parts])


def _sufficient(values: Tensor, columns: int) -> float:
    """Find the least ridge with a statistical dimension of columns / 16, for eigenvalues of sum 1, by bisection."""
    low, high = _FLOOR, 1.0
    for _ in range(50):
        middle = (low * high) ** 0.5
        dimension = float((values.clamp(min=0) / (values.clamp(min=0) + middle)).sum())
        low, high = (middle, high) if dimension > columns / _PER_DIMENSION else (low, middle)
    return high


def select(
    sample: Sample, columns: int, ridge: float | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Choose monomials for a kernel, and their scales.

    Parameters
    ----------
    sample : Sample
    columns : int
        At most so many are chosen.
    ridge : float or None
        As for `Sample.regularised`.
    rng : numpy.random.Generator

    Returns
    -------
    factors : ndarray, shape (m, q), int
        As for `Monomials`.
    scales : ndarray, shape (m,)
    """
    regularised = sample.regularised(ridge, columns)
    root = torch.linalg.cholesky(regularised)
    eye = torch.eye(len(root), dtype=root.dtype)
    whitening = torch.linalg.solve_triangular(root, eye, upper=False)
    dimensions = sample.dimensions(whitening.T @ whitening)
    counts = np.ceil(_POOL * columns * dimensions / max(dimensions.sum(), 1e-300)).astype(int)
    counts = np.where(counts > 0, np.maximum(counts, _DRAWS), 0)
    found = []
    for degree in np.flatnonzero(counts).tolist():
        pool = draw(sample.unit, sample.squares[:, degree], counts[degree], degree, rng)
        weights, scores = _weighted(sample, pool, counts[degree], whitening)
        width = sample.squares.shape[1] - 1 - degree
        found.append((np.pad(pool, ((0, 0), (0, width)), constant_values=sample.unit.shape[1]), weights, scores))
    factors, weights, scores = (np.concatenate(parts) for parts in zip(*found, strict=True))
    kept, probabilities = _systematic(scores, columns, rng)
    return factors[kept], np.sqrt(weights[kept] / probabilities)


def _weighted(sample: Sample, pool: np.ndarray, count: int, whitening: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Compute the weights of candidates of one degree, and their leverage with these."""
    degree, (n, features) = pool.shape[1], sample.unit.shape
    squares, usual = sample.squares[:, degree], np.zeros(features)
    mass = float(squares.sum() if degree == 0 else squares[np.diff(sample.unit.indptr) > 0].sum())
    weights, scores, every = np.zeros(len(pool)), np.zeros(len(pool)), orders(pool)
    for start in range(0, len(pool), _BLOCK):
        part = slice(start, start + _BLOCK)
        monomials = Monomials(features, pool[part], np.ones(len(pool[part])), usual, torch.float64)
        columns = np.empty((n, len(pool[part])))
        monomials.fill((sample.unit.indptr, sample.unit.indices, sample.unit.data), columns)
        columns *= np.sqrt(squares)[:, None]
        probability = every[part] * np.square(columns).sum(0) / mass
        drawn = included(probability, count)
        weights[part] = np.divide(every[part], drawn, out=np.zeros(len(drawn)), where=drawn > 0)
        white = whitening.float() @ torch.from_numpy(columns).float()
        scores[part] = weights[part] * white.square().sum(0).double().numpy()
    return weights, scores


def _systematic(scores: np.ndarray, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Keep so many by probabilities in proportion to scores, at most 1: who is kept, and their probabilities.

    One random start, then even steps along the sum of probabilities: neighbours, which are alike, share their kept.
    """
    positive = np.flatnonzero(scores > 0)
    if len(positive) <= size:
        return positive, np.ones(len(positive))
    share, sure = scores[positive], np.zeros(len(positive), dtype=bool)
    while True:
        probability = np.where(sure, 1.0, share * (size - sure.sum()) / share[~sure].sum())
        more = probability > 1
        if not more.any():
            break
        sure |= more
    steps = rng.random() + np.arange(size)
    ends = np.cumsum(probability)
    kept = np.unique(np.clip(np.searchsorted(ends, steps * (ends[-1] / size), side="right"), 0, len(ends) - 1))
    return positive[kept], probability[kept]
