"""Errors of features: of the Gram matrix, raw and centred, and of predictions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy import sparse

from neural_kernels.exact import NTK, Laplace
from neural_kernels.features import FeatureMap, Nystrom, RandomFeatures, feature_map
from neural_kernels.features.fidelity import GramErrors, centred
from neural_kernels.layers import cnn, mlp

NET = mlp(2, bias_var=0.1)


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).standard_normal((300, 6))


@pytest.fixture(scope="module")
def phi(rows) -> FeatureMap:
    return feature_map(NET, n_components=60).fit(rows[:200])


def test_rows_of_the_centred_matrix_sum_to_zero_off_the_diagonal(rows):
    gram = torch.from_numpy(NTK(NET)(rows[:20]))
    result = centred(gram)
    assert_allclose(result.diagonal(), 0)
    assert_allclose(result.sum(dim=0), 0, atol=1e-12)
    assert_allclose(centred(result), result, atol=1e-12)  # a projection
    assert_allclose(centred(gram + 3 + torch.diag(torch.arange(20.0))), result, atol=1e-12)


def test_a_constant_hides_the_raw_error_and_not_the_centred_one(rows):
    phi = torch.from_numpy(rows[:50])
    exact = phi @ phi.T + 1e3
    errors = GramErrors.of(exact, torch.hstack([1.1 * phi, torch.full((50, 1), 1e3**0.5)]))
    assert errors.raw < 1e-3
    assert errors.centred == pytest.approx(0.21)


def test_few_rows_have_no_centred_error():
    for n in (1, 2, 3):
        assert GramErrors.of(torch.ones(n, n), torch.zeros(n, 1)).centred == 0


def test_the_map_measures_both(rows, phi):
    held_out = phi._held_out
    errors = GramErrors.of(torch.as_tensor(NTK(NET)(held_out)), torch.as_tensor(phi(held_out)))
    assert (phi.kernel_error_, phi.centred_kernel_error_) == (errors.raw, errors.centred)
    assert phi.kernel_error_ < phi.centred_kernel_error_ < 1
    with pytest.raises(RuntimeError, match=r"call fit\(x\) first"):
        _ = feature_map(NET, n_components=8).centred_kernel_error_


def ridge_predictions(kernel, x, y, x_test, alpha):
    gram, mean = kernel(x, x), y.mean(axis=0)
    ridge = alpha * np.diag(NTK(NET)(x)).mean()
    return kernel(x_test, x) @ np.linalg.solve(gram + ridge * np.eye(len(x)), y - mean)


@pytest.mark.parametrize("outputs", [1, 3])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, sparse.csr_matrix])
def test_prediction_error_is_that_of_two_ridge_regressions(rows, phi, outputs, make):
    x, x_test = rows[:200], rows[200:]
    y = np.random.default_rng(1).standard_normal((200, outputs)) + 5
    exact = ridge_predictions(NTK(NET), x, y, x_test, 0.1)
    found = ridge_predictions(lambda a, b: phi(a) @ phi(b).T, x, y, x_test, 0.1)
    expected = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    targets = y[:, 0] if outputs == 1 else y
    assert 0.01 < expected < 1
    assert phi.prediction_error(make(x), targets, make(x_test), alpha=0.1) == pytest.approx(expected, rel=1e-6)


def test_prediction_error_falls_with_columns_and_with_the_ridge(rows):
    x, x_test, y = rows[:200], rows[200:], np.sin(3 * rows[:200, 0])
    few, many = (feature_map(NET, n_components=m, method=RandomFeatures()).fit(x) for m in (256, 4096))
    assert many.prediction_error(x, y, x_test) < 0.6 * few.prediction_error(x, y, x_test)
    assert many.prediction_error(x, y, x_test, alpha=1.0) < many.prediction_error(x, y, x_test, alpha=1e-4)
    every = feature_map(NET, n_components=200, method=Nystrom()).fit(x)
    assert every.prediction_error(x, y, x_test) < 1e-6


def test_prediction_error_of_images_and_kernel_objects(rows):
    images = np.random.default_rng(0).standard_normal((12, 2, 4, 4))
    phi = feature_map(cnn(1), n_components=64).fit(images[:8])
    assert 0 < phi.prediction_error(images[:8], np.arange(8), images[8:]) < 2
    phi = feature_map(kernel=Laplace(0.1), n_components=100).fit(rows)
    assert 0 < phi.prediction_error(rows[:100], rows[:100, 0], rows[100:]) < 1


@pytest.mark.parametrize("alpha", [0, -1.0, np.nan, np.inf])
def test_prediction_error_refuses_ridges(rows, phi, alpha):
    with pytest.raises(ValueError, match=r"alpha=.*expected a positive"):
        phi.prediction_error(rows[:9], np.arange(9), rows[9:12], alpha=alpha)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.arange(8), r"expected shape \(9,\)"),
        (np.ones((9, 2, 2)), r"expected shape \(9,\)"),
        (list("abcdefghi"), "of labels take 1"),
        ([np.nan] * 9, "NaN or infinity"),
    ],
)
def test_prediction_error_refuses_targets(rows, phi, y, message):
    with pytest.raises(ValueError, match=message):
        phi.prediction_error(rows[:9], y, rows[9:12])


def test_prediction_error_refuses_other_rows(rows, phi):
    with pytest.raises(ValueError, match="shape"):
        phi.prediction_error(rows[:9], np.arange(9), rows[:, :3])
