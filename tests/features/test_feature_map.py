"""Feature maps as users hold them: kinds of arrays, checks, choice of method."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from neural_kernels.activations import Sigmoid
from neural_kernels.errors import ArchitectureError
from neural_kernels.exact import NTK
from neural_kernels.features import FeatureMap, Nystrom, RandomFeatures, ZonalFeatures, feature_map
from neural_kernels.layers import Dense, Sequential, mlp

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
    assert phi((10 * x).astype(int)).dtype == np.float64


def test_blocks_of_rows_do_not_matter(x):
    phi = feature_map(NET, n_components=8192, method=Nystrom()).fit(x)  # so many that blocks have 512 rows
    assert [block.stop - block.start for block in phi._blocks(600)] == [512, 512]
    expected = phi(x)
    assert_allclose(phi(np.vstack([x] * 20)), np.vstack([expected] * 20), rtol=1e-9, atol=1e-12)
    weights = np.random.default_rng(1).standard_normal((30, 2))
    projected = phi.project(np.vstack([x] * 20), weights)
    assert_allclose(projected, np.vstack([expected[:, :30] @ weights] * 20), rtol=1e-7, atol=1e-9)


def test_projection_is_the_product(x, phi):
    weights = np.random.default_rng(1).standard_normal((8, 3))
    assert_allclose(phi.project(x, weights), phi(x) @ weights, rtol=1e-9)
    assert_allclose(phi.project(sparse.csr_matrix(x), weights), phi(x) @ weights, rtol=1e-9)
    assert phi.project(x.astype(np.float32), weights).dtype == np.float64


def test_projections_of_float32_are_those_of_float64_weights_whatever_the_strip(monkeypatch):
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(size=(500, 3)).astype(np.float32), rng.normal(size=(20, 2))
    phi = feature_map(NET, n_components=20, method=Nystrom()).fit(rows)
    strips = phi.project(rows, weights)
    assert_allclose(strips, phi(rows).astype(np.float64) @ weights, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr("neural_kernels.features.map._STRIP", 1000)
    assert_allclose(strips, phi.project(rows, weights), rtol=1e-12, atol=1e-12)


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


@pytest.mark.filterwarnings("ignore:n_components")  # "auto" would have more rows
@pytest.mark.parametrize("n_components", [8, 100, "auto"])
@pytest.mark.parametrize("method", [None, Nystrom("rpcholesky")], ids=["uniform", "rpcholesky"])
def test_a_new_map_takes_tensors_of_landmarks(method, n_components):
    x = np.random.default_rng(0).standard_normal((60, 6))
    phi = feature_map(NET, n_components=n_components, method=method).fit(x)
    new = feature_map(NET, n_components=n_components, method=method, seed=5)
    new.load_state_dict(phi.state_dict())
    assert_array_equal(new(x), phi(x))
    assert new.n_components == phi.n_components
    assert_array_equal(pickle.loads(pickle.dumps(new))(x), phi(x))
    assert new.without_draws() is new
    with pytest.raises(RuntimeError, match=r"call fit\(x\) first"):
        _ = new.kernel_error_
    outer = torch.nn.Sequential(feature_map(NET, n_components=n_components, method=method))
    outer.load_state_dict(torch.nn.Sequential(phi).state_dict())
    assert_array_equal(outer(x), phi(x))


def test_a_new_map_says_which_tensors_it_cannot_take(x):
    drawn = feature_map(mlp(2), n_components=32, method=RandomFeatures())
    drawn(x)
    sparse_rows = feature_map(NET, n_components=8).fit(sparse.csr_matrix(x))
    for phi in (drawn, sparse_rows):
        new = feature_map(mlp(2), n_components=32, method=phi.method)
        with pytest.raises(ValueError, match=r"Build this map before: call it, or its fit\(x\)"):
            new.load_state_dict(phi.state_dict())
    built = feature_map(mlp(2), n_components=32, method=RandomFeatures(), seed=5)
    assert not np.array_equal(built(x), drawn(x))
    built.load_state_dict(drawn.state_dict())
    assert_array_equal(built(x), drawn(x))


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
        ({"net": "mlp"}, TypeError, "expected a description of a network"),
        ({"kernel": "rbf"}, ValueError, "kernel='rbf'"),
        ({"n_components": 0}, ValueError, "n_components=0"),
        ({"n_components": 2.0}, TypeError, "n_components=2.0"),
        ({"method": "nystrom"}, TypeError, "method='nystrom'"),
        ({"method": Nystrom}, TypeError, "method="),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": None}, TypeError, "seed=None"),
    ],
)
def test_bad_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        feature_map(**{"net": NET, **parameters})


def test_all_rows_as_landmarks_give_the_kernel(x):
    phi = feature_map(mlp(3), n_components=30, method=Nystrom()).fit(x)
    assert_allclose(phi(x) @ phi(x).T, NTK(mlp(3))(x), rtol=1e-9, atol=1e-11)


def off_diagonal_error(phi, net, rows):
    """Relative, in Frobenius's norm."""
    z, exact = phi(rows), NTK(net)(rows)
    off = ~np.eye(len(exact), dtype=bool)
    return np.linalg.norm((z @ z.T - exact)[off]) / np.linalg.norm(exact[off])


def test_kernel_error_needs_data(x):
    phi = feature_map(NET, n_components=64)
    with pytest.raises(RuntimeError, match=r"call fit\(x\) first"):
        _ = phi.kernel_error_
    phi(x)
    with pytest.raises(RuntimeError, match=r"call fit\(x\) first"):
        _ = phi.kernel_error_


@pytest.mark.parametrize("method", [ZonalFeatures(), RandomFeatures()])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy, sparse.csr_matrix])
def test_kernel_error_is_that_of_the_rows(x, method, make):
    phi = feature_map(mlp(2), n_components=500, method=method).fit(make(x))
    assert isinstance(phi.kernel_error_, float)
    assert phi.kernel_error_ == pytest.approx(off_diagonal_error(phi, mlp(2), x), rel=1e-6)
    before = phi.kernel_error_
    assert phi.fit(10 * x[:20]).kernel_error_ != before


def test_kernel_error_is_measured_on_a_part_of_many_rows():
    x = np.random.default_rng(0).standard_normal((1000, 6))
    phi = feature_map(mlp(2), n_components=500, method=ZonalFeatures()).fit(x)
    assert phi.kernel_error_ == pytest.approx(off_diagonal_error(phi, mlp(2), x), rel=0.1)
    wide = feature_map(mlp(2), n_components=8000, method=ZonalFeatures()).fit(x)
    assert wide.kernel_error_ < 0.5 * phi.kernel_error_


BY_LANDMARKS = [
    Nystrom(),
    Nystrom("rpcholesky"),
]


@pytest.mark.parametrize("method", BY_LANDMARKS, ids=repr)
def test_landmarks_are_most_rows_and_not_those_held_out(method):
    x = np.random.default_rng(0).standard_normal((100, 6))
    phi = feature_map(NET, n_components=80, method=method).fit(x)
    assert len(phi.learned) == 80
    assert not {row.tobytes() for row in x[phi.learned]} & {row.tobytes() for row in phi._held_out.numpy()}


@pytest.mark.parametrize("method", BY_LANDMARKS, ids=repr)
def test_kernel_error_is_measured_on_rows_that_are_no_landmarks(method):
    """At the landmarks the kernel is exact, so that they would make the error look smaller."""
    x = np.random.default_rng(0).standard_normal((400, 6))
    phi = feature_map(NET, n_components=150, method=method).fit(x)
    landmarks = {row.tobytes() for row in phi.map.landmarks.numpy()}
    assert len(landmarks) == 150
    assert not landmarks & {row.tobytes() for row in phi._held_out.numpy()}
    others = np.array([row for row in x if row.tobytes() not in landmarks])
    assert phi.kernel_error_ == pytest.approx(off_diagonal_error(phi, NET, others), rel=0.15)


def test_kernel_error_is_measured_on_rows_that_are_no_anchors():
    x = np.random.default_rng(0).standard_normal((400, 6))
    phi = feature_map(mlp(2), n_components=150, method=ZonalFeatures(anchors=150)).fit(x)
    anchors = {row.tobytes() for row in phi.map.anchors.numpy()}
    assert not anchors & {row.tobytes() for row in phi._held_out.numpy()}


def test_kernel_error_without_enough_rows(x):
    assert feature_map(NET, n_components=30, method=Nystrom()).fit(x).kernel_error_ < 1e-6  # all rows are landmarks
    assert feature_map(NET, n_components=30, method=RandomFeatures()).fit(x[:1]).kernel_error_ == 0


@pytest.fixture(scope="module")
def wide():
    """300 sparse rows of 20,000 columns, alike in groups of ten."""
    rng = np.random.default_rng(0)
    words = [rng.choice(20_000, 80, replace=False) for _ in range(30)]
    rows = np.repeat(np.arange(300), 50)
    columns = np.concatenate([rng.choice(words[k // 10], 50, replace=False) for k in range(300)])
    return sparse.csr_matrix((rng.uniform(0.5, 2, 15_000), (rows, columns)), (300, 20_000))


@pytest.mark.parametrize("method", [ZonalFeatures(), RandomFeatures()])
def test_wide_sparse_rows(wide, method):
    net = mlp(2)
    phi = feature_map(net, n_components=1000, method=method)
    z = phi(wide)
    assert z.shape == (300, 1000)
    assert_allclose(phi(wide[:20].toarray()), z[:20], rtol=0, atol=1e-10 * abs(z).max())
    assert_allclose(phi(torch.from_numpy(wide[:20].toarray())).numpy(), z[:20], rtol=0, atol=1e-10 * abs(z).max())
    single = phi(wide.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, z, rtol=0, atol=2e-4 * abs(z).max())
    assert sum(buffer.numel() for buffer in phi.buffers()) < 1_000_000  # no matrix of 20,000 x 1000
    exact = NTK(net)(wide)
    size = np.sqrt(np.diag(exact))
    error = (z @ z.T - exact) / size[:, None] / size
    assert np.sqrt((error[~np.eye(300, dtype=bool)] ** 2).mean()) < 1.5 / 1000**0.5
    alike = np.kron(np.eye(30, dtype=bool), np.ones((10, 10), dtype=bool)) & ~np.eye(300, dtype=bool)
    assert np.sqrt((error[alike] ** 2).mean()) < 3 / 1000**0.5


@pytest.mark.parametrize("method", [ZonalFeatures(), RandomFeatures()])
def test_the_sketch_of_wide_rows_errs_less_with_more_columns(wide, method):
    off = [feature_map(mlp(1), n_components=width, method=method).fit(wide).kernel_error_ for width in (256, 4096)]
    assert 2.2 < off[0] / off[1] < 6


def test_units_that_are_zero_throughout(x):
    net = Sequential(Dense(weight_var=0.0), Sigmoid(), Dense())
    z = feature_map(net, n_components=100, method=RandomFeatures())(x)
    assert_allclose(z @ z.T, NTK(net)(x), rtol=1e-9)
