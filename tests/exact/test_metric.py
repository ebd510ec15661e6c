"""A metric on the first layer is a fixed linear map of the data in front of the network."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.algebra import Metric
from neural_kernels.errors import ArchitectureError

RNG = np.random.default_rng(0)


def dense_net(metric=None, **options) -> nk.Sequential:
    return nk.Sequential(nk.Dense(metric=metric, **options), nk.ReLU(), nk.Dense(2.0, 0.1), nk.GELU(), nk.Dense())


def conv_net(metric=None, **options) -> nk.Sequential:
    return nk.Sequential(nk.Conv(3, bias_var=0.1, metric=metric, **options), nk.ReLU(), nk.Conv(3), nk.Flatten())


def psd(d: int, rank: int | None = None) -> np.ndarray:
    root = RNG.standard_normal((d, rank or d + 2))
    return root @ root.T / d


def root_of(matrix: np.ndarray) -> np.ndarray:
    return np.diag(np.sqrt(matrix)) if matrix.ndim == 1 else Metric(matrix).root


@pytest.mark.parametrize("kind", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("metric", [RNG.uniform(0, 2, 5), psd(5), psd(5, 2)], ids=["diagonal", "full", "rank 2"])
def test_the_kernel_is_that_of_mapped_vectors(metric, kind):
    x, z = RNG.standard_normal((6, 5)), RNG.standard_normal((4, 5))
    root = root_of(metric)
    measured, plain = kind(dense_net(metric)), kind(dense_net())
    np.testing.assert_allclose(measured(x, z), plain(x @ root, z @ root), rtol=1e-12)
    np.testing.assert_allclose(measured(x), plain(x @ root), rtol=1e-12)
    np.testing.assert_allclose(measured.diag(x), plain.diag(x @ root), rtol=1e-12)
    both = nk.kernels(dense_net(metric), x, z)
    np.testing.assert_array_equal(both[kind is nk.NTK], measured(x, z))


def test_the_input_kernel_is_the_form():
    metric, x, z = psd(4), RNG.standard_normal((3, 4)), RNG.standard_normal((2, 4))
    np.testing.assert_allclose(nk.NNGP(nk.Dense(metric=metric))(x, z), x @ metric @ z.T / 4, rtol=1e-12)


@pytest.mark.parametrize("metric", [RNG.uniform(0, 2, 5), psd(5)], ids=["diagonal", "full"])
def test_every_make_of_vectors(metric):
    x = sparse.random(8, 5, 0.5, random_state=0, format="csr").toarray()
    kernel = nk.NTK(dense_net(metric))
    expected = kernel(x)
    np.testing.assert_allclose(kernel(sparse.csr_matrix(x)), expected, rtol=0, atol=1e-9)
    assert kernel(x.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(kernel(x.astype(np.float32)), expected, rtol=1e-5)
    np.testing.assert_allclose(kernel(x[0]), expected[0, 0], rtol=1e-12)
    data, others = torch.tensor(x + 0.1, requires_grad=True), torch.tensor(x + 1)
    assert torch.autograd.gradcheck(lambda y: nk.NTK(dense_net(metric))(y, others), data)


def test_the_identity_changes_nothing_of_windows():
    x = RNG.standard_normal((3, 2, 6, 5))
    for options in ({}, {"padding": "valid", "stride": 2}, {"padding": "circular"}, {"dilation": 2, "padding": (1, 0)}):
        np.testing.assert_allclose(
            nk.NTK(conv_net(np.ones(18), **options))(x), nk.NTK(conv_net(**options))(x), rtol=1e-9
        )


@pytest.mark.parametrize("diagonal", [False, True])
def test_the_form_of_windows(diagonal):
    metric = RNG.uniform(0, 2, 18) if diagonal else psd(18)
    x = RNG.standard_normal((2, 2, 5, 5))
    found = nk.NNGP(nk.Sequential(nk.Conv(3, metric=metric), nk.Flatten()))(x)
    windows = torch.nn.functional.unfold(torch.from_numpy(x), 3, padding=1).numpy()  # (n, 18, places)
    full = np.diag(metric) if diagonal else metric
    np.testing.assert_allclose(found, np.einsum("iap,ab,jbp->ij", windows, full, windows) / 18 / 25, rtol=1e-12)


def test_dense_on_positions_measures_channels():
    metric, x = psd(3), RNG.standard_normal((2, 3, 7))
    net = lambda m=None: nk.Sequential(nk.Dense(metric=m), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())  # noqa: E731
    mapped = np.einsum("ab,nbp->nap", root_of(metric), x)
    np.testing.assert_allclose(nk.NTK(net(metric))(x), nk.NTK(net())(mapped), rtol=1e-12)
    adjacency = np.ones((2, 7, 7)) - np.eye(7)
    graphs, others = (nk.Graphs(y.transpose(0, 2, 1), adjacency) for y in (x, mapped))
    net = lambda m=None: nk.Sequential(nk.Dense(metric=m), nk.ReLU(), nk.GraphAggregate(), nk.GlobalAvgPool())  # noqa: E731
    np.testing.assert_allclose(nk.NTK(net(metric))(graphs), nk.NTK(net())(others), rtol=1e-12)


METHODS = [nk.Nystrom(), nk.RandomFeatures(), nk.PolynomialSketch(), None]


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("make", [np.asarray, sparse.csr_matrix], ids=["dense", "sparse"])
def test_features_are_those_of_mapped_vectors(method, make):
    metric = RNG.uniform(0, 2, 5)
    x = RNG.standard_normal((60, 5)) * (RNG.random((60, 5)) < 0.7)
    build = lambda net: nk.feature_map(net, n_components=32, method=method, seed=1)  # noqa: E731
    measured, plain = build(dense_net(metric)).fit(make(x)), build(dense_net()).fit(make(x * np.sqrt(metric)))
    assert measured.method_ == plain.method_
    np.testing.assert_allclose(measured(make(x)), plain(make(x * np.sqrt(metric))), rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(measured.kernel_error_, plain.kernel_error_, rtol=1e-4)
    weights = RNG.standard_normal((measured.columns, 2))
    np.testing.assert_allclose(measured.project(x, weights), measured(x)[:, : measured.columns] @ weights, atol=1e-9)


def test_features_are_those_of_mapped_windows():
    x = RNG.standard_normal((40, 2, 6, 6))
    net = conv_net(psd(18))
    phi = nk.feature_map(net, n_components=256).fit(x)
    without, through = net.split()
    seen = through(torch.from_numpy(x)).numpy()
    plain = nk.feature_map(without, n_components=256).fit(seen)
    assert isinstance(phi.method_, nk.LayerwiseLandmarks)
    np.testing.assert_allclose(phi.kernel_error_, plain.kernel_error_, rtol=1e-4)
    np.testing.assert_allclose(phi(x), plain(seen), rtol=1e-6, atol=1e-8)
    with pytest.raises(ValueError, match="18 numbers; 3 channels"):
        phi(RNG.standard_normal((2, 3, 6, 6)))


def test_flips_come_before_the_metric():
    metric, x = psd(18), RNG.standard_normal((4, 2, 5, 5))
    kernel = nk.FlipAverage(nk.NTK(conv_net(metric)))
    np.testing.assert_allclose(kernel(x), kernel(x, x[..., ::-1]), rtol=1e-9)
    phi = nk.feature_map(kernel=kernel, n_components=64).fit(x)
    np.testing.assert_allclose(phi(x), phi(x[..., ::-1].copy()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("net", [dense_net(psd(5)), dense_net(RNG.uniform(0, 2, 5))], ids=["full", "diagonal"])
def test_finite_networks_see_the_same(net):
    x = torch.from_numpy(RNG.standard_normal((3, 5)))
    plain, seen = net.split()
    torch.testing.assert_close(
        net.to_torch(5, 32).double()(x), plain.to_torch(5, 32).double()(seen(x)), rtol=1e-12, atol=1e-12
    )


def test_finite_convolutions_see_the_same():
    net = nk.Sequential(nk.Conv(3, metric=psd(18)), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
    x = torch.from_numpy(RNG.standard_normal((4, 2, 5, 5)))
    module = net.to_torch((2, 5, 5), 512, seed=0).double()
    found = nk.TraceNTK(module)(x)
    np.testing.assert_allclose(found, nk.NTK(net)(x), rtol=0.2)


def test_metrics_are_values(tmp_path):
    matrix = psd(5)
    one, two = dense_net(matrix), dense_net(matrix.copy())
    assert one == two
    assert hash(one) == hash(two)
    assert one != dense_net(matrix + np.eye(5))
    assert one != dense_net()
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one
    assert "Metric(5 x 5)" in repr(one)
    matrix[0, 0] = 100.0
    assert one == two
    x = RNG.standard_normal((4, 5))
    np.testing.assert_allclose(nk.NTK(one).to_disk(tmp_path / "gram.npy", x), nk.NTK(one)(x), rtol=1e-12)
    with pytest.raises(ValueError, match="network"):
        nk.NTK(dense_net()).to_disk(tmp_path / "gram.npy", x)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (np.ones((2, 3)), "shape .2, 3.: expected a matrix"),
        (np.ones((2, 2, 2)), "expected a matrix"),
        ([], "expected a matrix"),
        ([1.0, -1.0], "at least 0, got -1"),
        (np.array([[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), "positive semi-definite"),
        ([np.nan, 1.0], "NaN"),
        ("abc", "expected numbers"),
    ],
)
def test_bad_metrics(metric, message):
    with pytest.raises(ValueError, match=message):
        nk.Dense(metric=metric)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="5 features or channels; examples have the shape"):
        nk.NTK(dense_net(np.ones(5)))(np.ones((2, 4)))
    with pytest.raises(ArchitectureError, match="not the first layer"):
        nk.NTK(nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense(metric=np.ones(3))))
    with pytest.raises(ArchitectureError, match="not the first layer"):
        nk.NTK(nk.Residual(nk.Dense(metric=np.ones(3))))
    with pytest.raises(ValueError, match="1 to 3 axes"):
        nk.NTK(conv_net(np.ones(9)))(np.ones((2, 9)))
    with pytest.raises(ValueError, match=r"window of .* does not fit"):
        nk.NTK(conv_net(np.ones(18), padding="valid"))(np.ones((2, 2, 2, 5)))
    with pytest.raises(ValueError, match="got sparse rows"):
        nk.NTK(conv_net(np.ones(9)))(sparse.eye(9, format="csr"))
