"""Columns of monomials: both ways to compute them against the formula."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from neural_kernels.engine.inputs import DenseRows, SparseRows
from neural_kernels.features.monomials.monomials import Monomials, unit_rows

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 6)) * (RNG.random((9, 6)) < 0.6)
X[4] = 0
FACTORS = np.array([[6, 6, 6], [0, 6, 6], [2, 2, 6], [1, 5, 6], [0, 0, 0], [1, 3, 4], [0, 2, 5]])
SCALES = np.linspace(1, 3, 7)
USUAL = (X != 0).sum(0)
WEIGHTS = torch.from_numpy(RNG.random((9, 4)))


def monomials(dtype=torch.float64):
    return Monomials(6, FACTORS, SCALES, USUAL, dtype)


def by_hand():
    """Sorted like the columns, by what is multiplied."""
    unit = unit_rows(DenseRows.of(torch.from_numpy(X))).numpy()
    extended = np.concatenate([unit, np.ones((9, 1))], 1)
    values = SCALES * extended[:, FACTORS].prod(2)
    found = {tuple(sorted(each)): k for k, each in enumerate(FACTORS.tolist())}
    order = [found[tuple(sorted(each[:3]))] for each in monomials().factors.tolist()]
    return values[:, order]


def filled(x, dtype=np.float64):
    rows = DenseRows.of(torch.from_numpy(x)) if isinstance(x, np.ndarray) else SparseRows.of(x)
    out = np.full((x.shape[0], 7), np.nan, dtype=dtype)
    monomials(torch.from_numpy(out).dtype).fill(unit_rows(rows), out)
    return out


def test_products():
    unit = unit_rows(DenseRows.of(torch.from_numpy(X)))
    assert np.allclose(monomials()(unit), by_hand(), rtol=1e-14)
    assert np.allclose(filled(X), by_hand(), rtol=1e-14)
    assert np.allclose(filled(sparse.csr_matrix(X)), by_hand(), rtol=1e-14)
    assert np.allclose(filled(X.astype(np.float32), np.float32), by_hand(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_columns_of_a_degree_have_a_norm_of_one_at_most(kind):
    unit, values, degrees = unit_rows(DenseRows.of(torch.from_numpy(X))), by_hand(), monomials().degrees.numpy()
    expected = np.empty_like(values)
    for p in range(4):
        part = values[:, degrees == p]
        norms = np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1)
        expected[:, degrees == p] = part / norms * WEIGHTS.numpy()[:, p, None]
    out = np.empty((9, 7))
    rows = DenseRows.of(torch.from_numpy(X)) if kind is np.asarray else SparseRows.of(kind(X))
    monomials().fill_capped(unit_rows(rows), WEIGHTS, out)
    assert np.allclose(out, expected, rtol=1e-13)
    assert np.allclose(monomials().capped(unit, WEIGHTS), expected, rtol=1e-13)
    assert not np.allclose(expected, values * WEIGHTS.numpy()[:, degrees])


def test_the_rarest_coordinate_leads():
    starts = monomials().factors[:, :3].numpy()
    degrees = monomials().degrees.numpy()
    for row, degree in zip(starts, degrees, strict=True):
        counts = USUAL[row[:degree]]
        assert (np.diff(counts) >= 0).all()


def test_no_columns():
    empty = Monomials(6, np.empty((0, 3), dtype=int), np.empty(0), USUAL, torch.float64)
    out = np.empty((9, 0))
    empty.fill_capped(unit_rows(DenseRows.of(torch.from_numpy(X))), WEIGHTS, out)
    assert empty(torch.from_numpy(X)).shape == (9, 0)
