"""Feature maps as users hold them: kinds of arrays, checks, choice of method."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from neural_kernels.errors import ArchitectureError
from neural_kernels.features import FeatureMap, Nystrom, RandomFeatures, ZonalFeatures, feature_map
from neural_kernels.kernels import NTK
from neural_kernels.layers import Sequential, mlp

NET = mlp(2, bias_var=0.1)


@pytest.fixture
def x():
    return np.random.default_rng(0).standard_normal((30, 6))


@pytest.fixture
def phi(x) -> FeatureMap:
    return feature_map(NET, n_components=8, method=Nystrom()).fit(x)


def test_the_kind_of_array_is_kept(x, phi):
    pd = pytest.importorskip("pandas")
    expected = phi(x)
    assert expected.dtype == np.float64
    assert phi(x.astype(np.float32)).dtype == np.float32
    assert_allclose(phi(torch.from_numpy(x)).numpy(), expected)
    assert_allclose(phi(sparse.csr_matrix(x)), expected, rtol=1e-9, atol=1e-12)
    assert_allclose(phi(x[3]), expected[3], rtol=1e-9, atol=1e-12)
    frame = phi(pd.DataFrame(x, index=np.arange(30) + 7))
    assert frame.index[0] == 7
    assert_allclose(frame.to_numpy(), expected)
    assert phi(x[:0]).shape == (0, 8)
    assert phi((10 * x).astype(int)).dtype == np.float32


def test_blocks_of_rows_do_not_matter(x, phi, monkeypatch):
    expected = phi(x)
    monkeypatch.setattr("neural_kernels.features.map._BLOCK", 8)
    x = np.vstack([x] * 20)
    assert_allclose(phi(x), np.vstack([expected] * 20), rtol=1e-9, atol=1e-12)


def test_projection_is_the_product(x, phi):
    weights = np.random.default_rng(1).standard_normal((8, 3))
    assert_allclose(phi.project(x, weights), phi(x) @ weights, rtol=1e-9)
    assert_allclose(phi.project(sparse.csr_matrix(x), weights), phi(x) @ weights, rtol=1e-9)
    assert phi.project(x.astype(np.float32), weights).dtype == np.float64


def test_differentiable(x):
    phi = feature_map(NET, n_components=40, method=Nystrom()).fit(x)
    point = torch.from_numpy(x[:2] + 0.1).requires_grad_()
    assert phi(point).shape == (2, 40)
    assert phi(point[0]).shape == (40,)
    assert torch.autograd.gradcheck(lambda t: phi(t)[:, :5], (point,))


def test_a_module_with_buffers_only(x, phi):
    assert not list(phi.parameters())
    assert {"map.rows", "map.whitening"} == set(phi.state_dict())
    copy = pickle.loads(pickle.dumps(phi))
    assert_array_equal(copy(x), phi(x))
    buffer = io.BytesIO()
    torch.save(phi.state_dict(), buffer)
    other = feature_map(NET, n_components=8, method=Nystrom(), seed=5).fit(x)
    buffer.seek(0)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_array_equal(other(x), phi(x))
    csr = feature_map(NET, n_components=8, method=Nystrom()).fit(sparse.csr_matrix(x))
    assert {"map.data", "map.indices", "map.indptr", "map.whitening"} == set(csr.state_dict())


def test_choice_of_method(x):
    phi = feature_map(mlp(2), n_components=32)
    phi(x)
    assert not phi.method_.needs_data
    assert "no data" in phi.reason_
    phi = feature_map(mlp(2), n_components=32).fit(x)
    assert isinstance(phi.method_, Nystrom)
    assert "data" in phi.reason_
    phi = feature_map(NET, n_components=32)
    phi(x)
    assert phi.method_ == RandomFeatures()
    with pytest.raises(ValueError, match=r"call fit\(x\)"):
        feature_map(NET, n_components=32, method=Nystrom())(x)
    phi = feature_map(NET, n_components=32, method=Nystrom("rpcholesky")).fit(x)
    assert (phi.method_, phi.reason_) == (Nystrom("rpcholesky"), "as asked for")


def test_bad_input_is_refused(x, phi):
    with pytest.raises(ValueError, match="which the map was built"):
        phi(x[:, :4])
    with pytest.raises(ValueError, match="NaN"):
        phi(np.where(x > 1, np.nan, x))
    with pytest.raises(ValueError, match=r"got \(2, 3\)"):
        phi(x.reshape(30, 2, 3))
    with pytest.raises(ValueError, match="at least one row"):
        feature_map(NET).fit(x[:0])
    with pytest.raises(ValueError, match="positions"):
        feature_map(mlp(1), method=ZonalFeatures()).fit(x.reshape(10, 2, 3, 3))
    with pytest.raises(ArchitectureError):
        feature_map(Sequential(mlp(1).layers[1]))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"net": "mlp"}, TypeError, "net: expected a description"),
        ({"kernel": "rbf"}, ValueError, "kernel='rbf'"),
        ({"n_components": 0}, ValueError, "n_components=0"),
        ({"n_components": 2.0}, ValueError, "n_components=2.0"),
        ({"method": "nystrom"}, TypeError, "method='nystrom'"),
        ({"method": Nystrom}, TypeError, "method="),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": None}, ValueError, "seed=None"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        feature_map(**{"net": NET, **parameters})


def test_all_rows_as_landmarks_give_the_kernel(x):
    phi = feature_map(mlp(3), n_components=30, method=Nystrom()).fit(x)
    assert_allclose(phi(x) @ phi(x).T, NTK(mlp(3))(x), rtol=1e-9, atol=1e-11)
