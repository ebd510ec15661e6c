"""Landmarks: what Nystrom features must satisfy, and how landmarks are drawn."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from neural_kernels.exact import NNGP, NTK
from neural_kernels.features import FeatureMap, Nystrom, feature_map
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)
LANDMARKS = ["uniform", "rpcholesky"]


def rows(n=60, d=5, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def clusters():
    """One large cluster and forty small ones."""
    rng = np.random.default_rng(0)
    centres = 4 * rng.standard_normal((41, 20))
    label = np.append(np.zeros(720, int), np.arange(400) % 40 + 1)
    return centres[label] + 0.1 * rng.standard_normal((len(label), 20))


def nystrom(x, m, landmarks="uniform", net=NET, kernel="ntk", seed=0) -> FeatureMap:
    return feature_map(net, kernel, m, Nystrom(landmarks), seed).fit(x)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_exact_when_all_rows_are_landmarks(landmarks, kernel):
    x = rows()
    phi = nystrom(x, 60, landmarks, kernel=kernel)(x)
    exact = (NTK if kernel == "ntk" else NNGP)(NET)(x)
    assert_allclose(phi @ phi.T, exact, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_never_above_the_kernel_and_exact_at_landmarks(landmarks):
    x, exact = rows(), NTK(NET)(rows())
    features = nystrom(x, 12, landmarks)
    phi = features(x)
    left = exact - phi @ phi.T
    assert np.linalg.eigvalsh(left).min() > -1e-11
    known = features.map.landmarks.numpy()  # pyright: ignore
    at = [int(np.flatnonzero((x == row).all(axis=1))[0]) for row in known]
    assert len(set(at)) == 12
    assert_allclose(left[at], 0, atol=1e-11)


@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_float32_agrees_with_float64(landmarks):
    x = np.vstack([rows(40), rows(40) + 1e-4])  # hardly conditioned
    wide = nystrom(x, 80, landmarks)(x)
    narrow = nystrom(x.astype(np.float32), 80, landmarks)(x.astype(np.float32))
    assert narrow.dtype == np.float32
    assert_allclose(narrow @ narrow.T, wide @ wide.T, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_order_copies_precision_and_sparsity_of_the_sample_do_not_matter(landmarks):
    x = rows() * (rows(seed=1) > 0.3).astype(float)
    phi = nystrom(x, 12, landmarks)(x)
    order = np.random.default_rng(2).permutation(60)
    for other in (x[order], np.vstack([x, x[:30], x[:30]]), sparse.csr_matrix(x), torch.from_numpy(x)):
        assert_allclose(nystrom(other, 12, landmarks)(x), phi, atol=1e-9)
    assert_allclose(nystrom(x, 12, landmarks)(sparse.csr_matrix(x)), phi, atol=1e-9)
    assert_allclose(nystrom(sparse.csr_matrix(x), 12, landmarks)(sparse.csr_matrix(x)), phi, atol=1e-9)
    if landmarks == "uniform":
        assert_allclose(nystrom(x.astype(np.float32), 12)(x), phi, rtol=1e-3, atol=1e-3)


def test_seeds_decide():
    x = rows()
    assert_array_equal(nystrom(x, 12, seed=3)(x), nystrom(x, 12, seed=3)(x))
    assert not np.array_equal(nystrom(x, 12, seed=3)(x), nystrom(x, 12, seed=4)(x))


@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_fewer_distinct_rows_than_columns(landmarks):
    x = np.vstack([rows(5)] * 4)
    features = nystrom(x, 12, landmarks)
    phi = features(x)
    assert phi.shape == (20, 12)
    assert features.columns == 5
    assert_array_equal(phi[:, 5:], 0)
    assert_allclose(phi @ phi.T, NTK(NET)(x), rtol=1e-10)


@pytest.mark.parametrize("landmarks", LANDMARKS)
def test_rows_of_zeros(landmarks):
    x = rows()
    x[::3] = 0
    phi = nystrom(x, 12, landmarks, net=mlp(2))(x)
    assert_array_equal(phi[::3], 0)
    assert (np.abs(phi[1::3]).sum(axis=1) > 0).all()
    assert_array_equal(nystrom(0 * x, 12, landmarks, net=mlp(2))(0 * x), 0)
    empty = sparse.csr_matrix((4, 5))
    assert_array_equal(nystrom(x, 12, landmarks, net=mlp(2))(empty), np.zeros((4, 12)))


def test_rpcholesky_stops_at_the_rank():
    from neural_kernels.layers import Dense, Sequential

    x = rows(50, 3)
    features = nystrom(x, 20, "rpcholesky", net=Sequential(Dense()))
    assert features.columns == 3
    assert_allclose(features(x) @ features(x).T, NTK(Sequential(Dense()))(x), atol=1e-10)


def test_rpcholesky_beats_uniform_on_clusters():
    x = clusters()
    exact = np.trace(NTK(mlp(2))(x))
    left = {
        name: np.mean([exact - np.square(nystrom(x, 41, name, mlp(2), seed=seed)(x)).sum() for seed in range(5)])
        for name in LANDMARKS
    }
    assert left["rpcholesky"] < 0.5 * left["uniform"]


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="landmarks='best'"):
        Nystrom("best")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"call fit\(x\)"):
        feature_map(NET, n_components=5, method=Nystrom())(rows())


def test_the_kernel_made_ready_follows_the_landmarks():
    x, new = np.random.default_rng(0).normal(size=(2, 30, 3))
    made = feature_map(NET, n_components=8, method=Nystrom(), seed=0).fit(x)
    before, size = made(new), len(pickle.dumps(made))
    assert_allclose(made(new[:1]), before[:1], rtol=1e-12)
    assert len(pickle.dumps(made)) == size  # without what was made ready
    assert_allclose(copy.deepcopy(made)(new), before, rtol=1e-12)
    with torch.no_grad():
        made.map.rows.mul_(2.0)
    fresh = copy.deepcopy(made)
    assert_allclose(made(new), fresh(new), rtol=1e-12)
    assert not np.allclose(made(new), before)
