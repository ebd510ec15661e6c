"""Kernels of inputs seen through a metric."""

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.algebra import Metric

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((6, 4)), RNG.standard_normal((5, 4))
METRICS = [np.array([0.0, 1.0, 2.0, 0.5]), np.cov(RNG.standard_normal((4, 9)))]


@pytest.mark.parametrize("metric", METRICS, ids=["diagonal", "full"])
@pytest.mark.parametrize(
    "kernel", [nk.Laplace(), nk.NTK(nk.mlp(2, bias_var=0.1)), nk.PolynomialKernel(2) + 0.1], ids=["L", "NTK", "sum"]
)
def test_mapped_inputs(kernel, metric):
    root = Metric(metric).root
    seen = lambda x: x * root if root.ndim == 1 else x @ root  # noqa: E731
    measured = nk.MetricKernel(kernel, metric)
    np.testing.assert_allclose(measured(X, Z), kernel(seen(X), seen(Z)), rtol=1e-12)
    np.testing.assert_allclose(measured(X), kernel(seen(X)), rtol=1e-12)
    np.testing.assert_array_equal(measured(X), measured(X).T)
    np.testing.assert_allclose(measured.diag(X), kernel.diag(seen(X)), rtol=1e-12)
    assert measured(X[0], Z[0]) == pytest.approx(float(measured(X, Z)[0, 0]))


@pytest.mark.parametrize("metric", METRICS, ids=["diagonal", "full"])
def test_makes_of_arrays(metric):
    kernel = nk.MetricKernel(nk.NTK(nk.mlp(2, bias_var=0.1)), metric)
    expected, gram = kernel(X, Z), kernel(torch.from_numpy(X), torch.from_numpy(Z))
    assert isinstance(gram, torch.Tensor)
    np.testing.assert_allclose(gram, expected, rtol=1e-12)
    assert kernel(X.astype(np.float32), Z.astype(np.float32)).dtype == np.float32
    np.testing.assert_allclose(kernel(sparse.csr_matrix(X), sparse.csr_matrix(Z)), expected, rtol=1e-9)
    x = torch.tensor(X, requires_grad=True)
    assert torch.autograd.gradcheck(lambda rows: kernel(rows, torch.from_numpy(Z)), x)


def test_a_metric_of_the_first_layer_is_the_same():
    metric = METRICS[1]
    net = lambda m: nk.Sequential(nk.Dense(metric=m), nk.ReLU(), nk.Dense())  # noqa: E731
    np.testing.assert_allclose(nk.MetricKernel(nk.NTK(net(None)), metric)(X, Z), nk.NTK(net(metric))(X, Z), rtol=1e-12)


def test_it_compares_and_shows_itself_shortly():
    kernel = nk.MetricKernel(nk.Laplace(), METRICS[0])
    assert kernel == nk.MetricKernel(nk.Laplace(), list(METRICS[0]))
    assert hash(kernel) == hash(nk.MetricKernel(nk.Laplace(), list(METRICS[0])))
    assert repr(kernel).endswith("metric=Metric(4))")


def test_what_does_not_fit_is_refused():
    with pytest.raises(TypeError, match="expected a kernel"):
        nk.MetricKernel("ntk", [1.0])  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="expected a metric"):
        nk.MetricKernel(nk.Laplace(), None)
    with pytest.raises(ValueError, match="at least 0"):
        nk.MetricKernel(nk.Laplace(), [1.0, -1.0])
    with pytest.raises(ValueError, match="3 features"):
        nk.MetricKernel(nk.Laplace(), np.ones(3))(X)
