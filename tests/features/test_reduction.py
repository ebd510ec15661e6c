"""Rows before all features: dense, of bounded width, split into directions and lengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

import neural_kernels as nk
from neural_kernels.exact import NTK
from neural_kernels.features.method import Task
from neural_kernels.features.reduction import Reduction

NET = nk.mlp(2, bias_var=0.1)


def task(features, positions=(), n_components=100):
    return Task(NTK(NET), n_components, features, 0, torch.float64, positions)


def test_lengths_of_wide_rows_stay_exact():
    wide = sparse.random(300, 20_000, 2.5e-3, format="csr", random_state=0)
    reduction = Reduction(task(20_000))
    rows = reduction(wide)
    assert rows.shape == (300, reduction.width) == (300, 8192)
    assert_allclose(torch.linalg.vector_norm(rows, dim=1).numpy() ** 2, wide.multiply(wide).sum(1).A1)
    unit, std = reduction.split(rows)
    assert_allclose(torch.linalg.vector_norm(unit, dim=1).numpy(), 1)
    assert_allclose(std.numpy() ** 2, wide.multiply(wide).sum(1).A1 / 20_000)
    assert_allclose((unit @ unit.T).numpy(), cosines(wide), atol=6 / 8192**0.5)


def cosines(rows):
    lengths = np.sqrt(rows.multiply(rows).sum(1).A1)
    return (rows @ rows.T).toarray() / lengths[:, None] / lengths


@pytest.mark.parametrize("make", [torch.from_numpy, sparse.csr_matrix])
def test_narrow_rows_stay_as_they_are(make):
    x = np.random.default_rng(0).normal(size=(5, 7)) * np.array([1e-30, 1.0, 1e30, 0.0, 2.0])[:, None]
    reduction = Reduction(task(7))
    rows = reduction(make(x))
    assert (reduction.width, reduction.sketch) == (7, None)
    assert_allclose(rows.numpy(), x, rtol=0)
    unit, std = reduction.split(rows)
    assert_allclose(torch.linalg.vector_norm(unit, dim=1).numpy(), [1, 1, 1, 0, 1])
    assert_allclose(std.numpy(), np.linalg.norm(x, axis=1) / 7**0.5)


def test_rows_are_sketched_from_the_widest_on():
    assert Reduction(task(8192)).sketch is None
    assert Reduction(task(8193)).width == 8192
    assert Reduction(task(20_000, n_components=8000)).width == 16_384
    assert Reduction(task(20_000, n_components=16_000)).sketch is None


def test_rows_of_zeros_stay_zeros():
    reduction = Reduction(task(20_000))
    for zeros in (torch.zeros(2, 20_000, dtype=torch.float64), sparse.csr_matrix((2, 20_000))):
        unit, std = reduction.split(reduction(zeros))
        assert not unit.any()
        assert not std.any()


def test_images_are_split_at_every_position():
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 5, 6)))
    reduction = Reduction(task(3, (5, 6)))
    unit, std = reduction.split(reduction(x))
    assert (unit.shape, std.shape) == ((4, 5, 6, 3), (4, 5, 6))
    torch.testing.assert_close((unit * std[..., None] * 3**0.5).movedim(-1, 1), x)
