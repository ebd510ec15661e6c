"""Sampled monomials as a method: the spectral guarantee, widths, seeds, all makes of rows."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits

import neural_kernels as nk

NET = nk.mlp(2)
METHOD = nk.AdaptiveSampling()


def digits(n=300):
    x = load_digits().data[:n]
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def clusters(n=300):
    """Rows around five sparse centres."""
    rng = np.random.default_rng(0)
    centres = rng.random((5, 60)) * (rng.random((5, 60)) < 0.3)
    x = centres[rng.integers(0, 5, n)] + 0.3 * rng.random((n, 60)) * (rng.random((n, 60)) < 0.2)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def table(n=300):
    """One category of each of eight columns, as ones."""
    rng = np.random.default_rng(1)
    x = np.concatenate([np.eye(k)[np.minimum(rng.geometric(0.4, n) - 1, k - 1)] for k in range(2, 10)], 1)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


DATA = {"digits": digits(), "clusters": clusters(), "table": table()}
KERNELS = {
    "polynomial": nk.PolynomialKernel(4, 0.5),
    "gaussian": nk.GammaExponential(1.0, 2.0),
    "ntk": nk.NTK(NET),
    "gelu": nk.NNGP(nk.mlp(1, nk.GELU(), bias_var=0.1)),
}


def features(kernel, x, columns, seed=0, method=METHOD):
    return nk.feature_map(kernel=kernel, n_components=columns, method=method, seed=seed).fit(x)


def distance(exact, z, share):
    """The least eps with (1 - eps)(K + l) <= Z Z^T + l <= (1 + eps)(K + l), l a share of the trace."""
    ridge = share * np.trace(exact) * np.eye(len(exact))
    root = np.linalg.inv(np.linalg.cholesky(exact + ridge))
    return np.abs(np.linalg.eigvalsh(root @ (z @ z.T + ridge) @ root.T) - 1).max()


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("kind", KERNELS)
def test_spectral_guarantee(kind, name):
    """With 16 columns and more for every dimension, an error as of normal features of so many: 2 / 4 + 1 / 16."""
    x, kernel = DATA[name], KERNELS[kind]
    exact, share = kernel(x), 0.01
    values = np.linalg.eigvalsh(exact).clip(0)
    dimension = (values / (values + share * values.sum())).sum()
    for seed in range(4):
        z = features(kernel, x, int(16 * dimension), seed, nk.AdaptiveSampling(share))(x)
        assert distance(exact, z, share) < 2 / 4 + 1 / 16


@pytest.mark.parametrize("kind", ["polynomial", "ntk"])
def test_error_falls_with_width(kind):
    kernel, x = KERNELS[kind], DATA["digits"]
    exact = kernel(x)
    errors = [
        np.mean([distance(exact, features(kernel, x, m, seed)(x), 0.003) for seed in range(4)]) for m in (128, 2048)
    ]
    assert errors[1] < errors[0] / 2.5


@pytest.mark.parametrize("name", ["clusters", "table"])
def test_nearer_than_a_sketch_where_the_dimension_is_low(name):
    x, exact = DATA[name], KERNELS["ntk"](DATA[name])
    adaptive, sketch = (
        np.mean([distance(exact, features(KERNELS["ntk"], x, 256, seed, method)(x), 0.01) for seed in range(4)])
        for method in (METHOD, nk.PolynomialSketch())
    )
    assert adaptive < 0.8 * sketch


def test_exact_where_all_monomials_fit():
    x = np.random.default_rng(0).random((40, 3))
    kernel = nk.PolynomialKernel(2)
    phi = features(kernel, x, 4096)
    assert phi.columns == 1 + 3 + 6
    assert np.allclose(phi(x) @ phi(x).T, kernel(x), rtol=1e-10)
    assert not phi(x)[:, 10:].any()


@pytest.mark.parametrize(("kind", "most"), [("polynomial", 0.06), ("ntk", 0.02)])
def test_new_rows(kind, most):
    """Rows that `fit` has not seen have the errors of those that it has."""
    x = digits(1200)
    phi = features(KERNELS[kind], x[:800], 2048)

    def error(rows):
        exact, z = KERNELS[kind](rows), phi(rows)
        return np.linalg.norm(z @ z.T - exact) / np.linalg.norm(exact)

    assert error(x[800:]) < min(most, 1.25 * error(x[:800]))
    assert 0.75 < phi.kernel_error_ / error(x[800:]) < 1.25


@pytest.mark.parametrize("kind", KERNELS)
def test_sparse_rows_are_as_dense_ones(kind):
    x = DATA["table"]
    dense = features(KERNELS[kind], x, 200)
    csr = features(KERNELS[kind], sparse.csr_matrix(x), 200)
    assert np.allclose(dense(x), csr(sparse.csr_matrix(x)), rtol=1e-12, atol=1e-14)
    assert np.allclose(dense(x), dense(sparse.csr_matrix(x)), rtol=1e-12, atol=1e-14)


def test_any_batch_and_thread_gives_the_same():
    x, phi = DATA["digits"], features(KERNELS["ntk"], DATA["digits"], 128)
    whole = phi(x)
    assert np.array_equal(whole, np.concatenate([phi(x[:1]), phi(x[1:97]), phi(x[97:])]))
    assert np.array_equal(whole[5], phi(x[5]))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert np.array_equal(whole, phi(x))
    finally:
        torch.set_num_threads(threads)


def test_seeds_copies_and_order():
    x, kernel = DATA["digits"], KERNELS["ntk"]
    first = features(kernel, x, 64)(x)
    assert np.array_equal(first, features(kernel, x, 64)(x))
    assert not np.array_equal(first, features(kernel, x, 64, seed=1)(x))
    twice = np.concatenate([x[::-1], x])
    assert np.allclose(first, features(kernel, twice, 64)(x), rtol=1e-9)


def test_pickles_and_copies():
    x, phi = DATA["digits"], features(KERNELS["gaussian"], DATA["digits"], 64)
    for other in (pickle.loads(pickle.dumps(phi)), copy.deepcopy(phi)):
        assert np.array_equal(other(x), phi(x))


def test_torch_gradients_are_those_of_the_same_features():
    x = torch.from_numpy(np.random.default_rng(0).random((6, 4)))
    for kind in ("polynomial", "gaussian", "ntk"):
        phi = features(KERNELS[kind], x, 32)
        want = x.clone().requires_grad_()
        assert torch.allclose(phi(want), phi(x), rtol=1e-12)
        assert torch.autograd.gradcheck(phi, want)


def test_precisions():
    x = DATA["digits"]
    single = features(KERNELS["ntk"], x.astype(np.float32), 128)(x.astype(np.float32))
    assert single.dtype == np.float32
    assert np.allclose(single, features(KERNELS["ntk"], x, 128)(x), atol=1e-5)


@pytest.mark.parametrize("kind", ["polynomial", "gaussian", "ntk"])
def test_rows_of_zeros_and_few_rows(kind):
    kernel = KERNELS[kind]
    for x in (np.zeros((3, 4)), np.eye(4)[:1], np.concatenate([np.zeros((1, 4)), np.eye(4)])):
        phi = features(kernel, x, 64)
        for rows in (x, sparse.csr_matrix(x)):
            z = phi(rows)
            assert np.isfinite(z).all()
            # Of the NTK, 3 % lie in degrees that are left out.
            assert np.allclose((z**2).sum(1), kernel.diag(x), rtol=0.031)


@pytest.mark.parametrize("scale", [1e-150, 1e-12, 1e12, 1e100])
def test_scales(scale):
    """Of a homogeneous kernel. The order of rows, and so the draw, is that of a hash of their values."""
    x = DATA["clusters"]
    phi = features(KERNELS["ntk"], scale * x, 512)
    assert distance(KERNELS["ntk"](x), phi(scale * x) / scale, 0.01) < 0.4
    assert np.allclose(phi(scale * x) / scale, phi(x), rtol=1e-12)


def test_coordinates_that_fit_has_not_seen_are_left_out():
    x = np.zeros((50, 6))
    x[:, :4] = np.random.default_rng(0).random((50, 4))
    phi = features(nk.PolynomialKernel(2, 0.0), x, 64)
    assert not phi(np.eye(6)[4:]).any()


@pytest.mark.parametrize(
    ("ridge", "error"), [(0.0, ValueError), (-1.0, ValueError), (float("nan"), ValueError), ("a", TypeError)], ids=str
)
def test_bad_ridges(ridge, error):
    with pytest.raises(error, match="ridge"):
        nk.AdaptiveSampling(ridge)


def test_needs_data():
    with pytest.raises(ValueError, match="call fit"):
        nk.feature_map(NET, n_components=8, method=METHOD)(DATA["digits"])


def test_huge_rows_are_refused():
    with pytest.raises(OverflowError, match="Scale them down"):
        features(nk.PolynomialKernel(3), 1e150 * DATA["digits"], 8)


@pytest.mark.parametrize("kind", ["gaussian", "ntk"])
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_estimators_take_it(make, kind):
    y, x = load_digits().target, make(digits(None))
    model = nk.NeuralFeatureClassifier(kernel=KERNELS[kind], n_components=512, method=METHOD, random_state=0)
    assert model.fit(x[:900], y[:900]).score(x[900:], y[900:]) > 0.93
    assert model.map_.kernel_error_ < 0.1
