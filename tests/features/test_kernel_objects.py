"""Kernel objects in feature maps: of networks, sums and products, other kernels, a user's own function."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.gaussian_process.kernels import RBF

import neural_kernels as nk

NET = nk.mlp(2, bias_var=0.1)
X = np.random.default_rng(0).standard_normal((30, 6))
SEEN: list[type] = []


def cubic(a, b):
    """A function of NumPy arrays or tensors that notes what it gets."""
    SEEN.append(type(a))
    return (1 + a @ b.T / 6) ** 3


SCALED = 2 * nk.NTK(NET) + 0.5
SUM = nk.Laplace(0.5) + nk.NTK(NET)
PRODUCT = nk.Laplace(0.1) * nk.NNGP(NET)
KERNELS = {
    "Laplace": nk.Laplace(1.0),
    "Gaussian": nk.GammaExponential(0.1, 2.0),
    "polynomial": nk.PolynomialKernel(3),
    "scaled": SCALED,
    "sum": SUM,
    "product": PRODUCT,
    "scikit-learn's": RBF(2.0),
    "function": cubic,
    "function in a sum": cubic + SUM,
}


@pytest.mark.parametrize("method", [None, nk.ZonalFeatures(), nk.RandomFeatures(), nk.PolynomialSketch(), nk.Nystrom()])
@pytest.mark.parametrize("name", ["ntk", "nngp"])
def test_the_kernel_of_a_network_is_the_network_and_a_name(name, method):
    net = nk.mlp(2)
    kernel = {"ntk": nk.NTK, "nngp": nk.NNGP}[name](net, memory_budget=1, progress=True)
    for data in (X, torch.from_numpy(X).float()):
        maps = nk.feature_map(net, name, 40, method, 3), nk.feature_map(None, kernel, 40, method, 3)
        first, second = (torch.as_tensor(phi.fit(data)(data)) for phi in maps)
        assert torch.equal(first, second)
        assert (maps[0].method_, maps[0].reason_) == (maps[1].method_, maps[1].reason_)


@pytest.mark.parametrize("landmarks", ["uniform", "rpcholesky"])
@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_all_rows_as_landmarks_give_the_kernel(kernel, landmarks):
    phi = nk.feature_map(kernel=kernel, n_components=30, method=nk.Nystrom(landmarks)).fit(X)
    expected = kernel(X, X)
    assert_allclose(phi(X) @ phi(X).T, expected, rtol=1e-9, atol=1e-11 * np.abs(expected).max())
    weights = np.random.default_rng(1).standard_normal((30, 2))
    assert_allclose(phi.project(X, weights), phi(X) @ weights, rtol=1e-7, atol=1e-7)
    assert phi.kernel_error_ < 1e-6


@pytest.mark.parametrize("kernel", [SUM, RBF(2.0), cubic], ids=["sum", "scikit-learn's", "function"])
def test_rpcholesky_takes_landmarks_from_many_rows(kernel):
    phi = nk.feature_map(kernel=kernel, n_components=12, method=nk.Nystrom("rpcholesky")).fit(X)
    left = kernel(X, X) - phi(X) @ phi(X).T
    assert len(set(phi.learned)) == 12
    assert_allclose(left[phi.learned], 0, atol=1e-9)
    assert np.linalg.eigvalsh(left).min() > -1e-9


def test_landmarks_are_chosen_where_only_values_are_known():
    phi = nk.feature_map(kernel=SUM, n_components=8).fit(X)
    assert phi.method_ == nk.Nystrom()
    assert "values" in phi.reason_
    with pytest.raises(ValueError, match=r"call fit\(x\)"):
        nk.feature_map(kernel=SUM, n_components=8)(X)


@pytest.mark.parametrize(
    "method", [nk.ZonalFeatures(), nk.ZonalFeatures(5), nk.RandomFeatures(), nk.PolynomialSketch()]
)
def test_methods_that_need_layers_refuse_other_kernels(method):
    for kernel in (SUM, nk.Laplace(), SCALED, cubic):
        with pytest.raises(nk.UnsuitableError, match=r"not the kernel of one network.*nk\.Nystrom\(\)"):
            nk.feature_map(kernel=kernel, n_components=16, method=method).fit(X)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"net": NET, "kernel": nk.NTK(NET)}, TypeError, "complete without the network"),
        ({"net": NET, "kernel": nk.Laplace()}, TypeError, "complete without the network"),
        ({}, TypeError, "got no network"),
        ({"kernel": "nngp"}, TypeError, "got no network"),
        ({"net": nk.Laplace()}, TypeError, r"goes to kernel="),
        ({"kernel": "precomputed"}, ValueError, "kernel='precomputed'"),
        ({"kernel": nk.NTK}, TypeError, r"write NTK\(\.\.\.\)"),
        ({"kernel": 3}, TypeError, "kernel=3"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        nk.feature_map(**arguments)


def test_maps_are_pickled_copied_and_restored():
    phi = nk.feature_map(kernel=cubic + SUM, n_components=8).fit(X)
    expected = phi(X)
    for other in (pickle.loads(pickle.dumps(phi)), copy.deepcopy(phi), phi.to("cpu")):
        assert_array_equal(other(X), expected)
        assert other.kernel_error_ == phi.kernel_error_
    buffer = io.BytesIO()
    torch.save(phi.state_dict(), buffer)
    buffer.seek(0)
    other = nk.feature_map(kernel=cubic + SUM, n_components=8, seed=5).fit(X)
    assert not np.array_equal(other(X), expected)
    other.load_state_dict(torch.load(buffer, weights_only=True))
    assert_array_equal(other(X), expected)
    assert not list(phi.parameters())


def test_a_function_gets_the_arrays_of_the_data():
    for data, kind in ((X, np.ndarray), (X.tolist(), np.ndarray), (torch.from_numpy(X), torch.Tensor)):
        SEEN.clear()
        phi = nk.feature_map(kernel=cubic, n_components=12, method=nk.Nystrom("rpcholesky")).fit(data)
        phi(data)
        assert phi.kernel_error_ >= 0
        assert set(SEEN) == {kind}


def test_precision_is_that_of_the_data():
    for kernel in (SUM, cubic, lambda a, b: (1 + a @ b.T / 6).astype(np.float64)):
        narrow = nk.feature_map(kernel=kernel, n_components=30).fit(X.astype(np.float32))(X.astype(np.float32))
        assert narrow.dtype == np.float32
        assert_allclose(narrow @ narrow.T, kernel(X, X), rtol=1e-3, atol=1e-4)


def test_what_a_function_keeps_is_not_written_to():
    gram = np.exp(-np.square(X[:, None] - X).sum(-1))
    before = gram.copy()
    phi = nk.feature_map(kernel=lambda a, b: gram[: len(a), : len(b)], n_components=30).fit(X)
    phi(X)
    assert_array_equal(gram, before)


def test_gradients_pass_sums_of_kernels():
    phi = nk.feature_map(kernel=SUM, n_components=30).fit(X)
    point = torch.from_numpy(X[:2] + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda t: phi(t)[:, :5], (point,))


def test_sparse_rows():
    rows = sparse.csr_matrix(X * (X > 0.5))
    kernel = 2 * nk.NTK(NET) * nk.NNGP(NET) + nk.Laplace() * nk.PolynomialKernel(2)
    phi = nk.feature_map(kernel=kernel, n_components=30).fit(rows)
    assert_allclose(phi(rows) @ phi(rows).T, kernel(rows), rtol=1e-9, atol=1e-10)
    assert_allclose(kernel(rows), kernel(rows.toarray()), rtol=1e-12)


def test_images():
    images = np.random.default_rng(0).standard_normal((12, 2, 4, 4))
    net = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Flatten(), nk.Dense())
    kernel = nk.NTK(net) + nk.NNGP(net)
    phi = nk.feature_map(kernel=kernel, n_components=12).fit(images)
    assert_allclose(phi(images) @ phi(images).T, kernel(images), rtol=1e-9)
    own = nk.feature_map(kernel=lambda a, b: np.einsum("icpq,jcpq->ij", a, b), n_components=12).fit(images)
    assert own(images).shape == (12, 12)
    positions = nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Conv(3))
    with pytest.raises(ValueError, match="takes vectors"):
        nk.feature_map(kernel=nk.Laplace(), n_components=5, method=nk.Nystrom()).fit(images)
    for refused in (nk.NTK(positions), 2 * nk.NTK(positions) + 1):
        with pytest.raises(nk.UnsuitableError, match="one number each"):
            nk.feature_map(kernel=refused, n_components=5, method=nk.Nystrom()).fit(images)


def test_empirical_kernels():
    module = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.Tanh(), torch.nn.Linear(20, 2)).double()
    for kernel in (nk.PseudoNTK(module), nk.TraceNTK(module) + nk.Laplace(0.5)):
        phi = nk.feature_map(kernel=kernel, n_components=30).fit(X)
        assert_allclose(phi(X) @ phi(X).T, kernel(X), rtol=1e-8)
    with pytest.raises(nk.UnsuitableError, match="PseudoNTK"):
        nk.feature_map(kernel=nk.EmpiricalNTK(module), n_components=5).fit(X)


def test_graphs_are_refused():
    graphs = nk.Graphs(np.ones((2, 3, 4)), np.ones((2, 3, 3)))
    for kernel in (nk.Laplace(), SUM):
        with pytest.raises(nk.UnsuitableError, match="graphs"):
            nk.feature_map(kernel=kernel, n_components=2).fit(graphs)
