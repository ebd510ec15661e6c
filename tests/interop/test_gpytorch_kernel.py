"""Kernels in GPyTorch's and BoTorch's Gaussian processes: batches, parameters, and gradients by all that is learnt."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import WhiteKernel

import neural_kernels as nk

gpytorch = pytest.importorskip("gpytorch")

NET = nk.mlp(2, nk.Erf(), bias_var=0.1)
ACTIVATIONS = [
    nk.ReLU(),
    nk.Erf(),
    nk.GELU(),
    nk.Step(),
    nk.Tanh(),
    pytest.param(nk.HardTanh(), marks=pytest.mark.slow),
]
KERNELS = {
    "ntk": nk.NTK(NET),
    "nngp": nk.NNGP(nk.mlp(3)),
    "laplace": nk.Laplace(0.5),
    "gaussian": nk.GammaExponential(0.3, 2.0),
    "polynomial": nk.PolynomialKernel(2),
    "sum": 0.5 * nk.NTK(NET) + nk.Laplace(),
    "product": nk.NNGP(NET) * nk.GammaExponential(0.3, 2.0),
    "affine": 2 * nk.NTK(nk.mlp(1)) + 0.5,
}


@pytest.fixture(autouse=True)
def double():
    """Parameters are of torch's default precision, as all of GPyTorch's are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Process(gpytorch.models.ExactGP):
    def __init__(self, x, y, covariance):
        super().__init__(x, y, gpytorch.likelihoods.GaussianLikelihood())
        self.mean_module, self.covar_module = gpytorch.means.ZeroMean(), covariance

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


@pytest.mark.parametrize("columns", [3, 12])
@pytest.mark.parametrize("name", KERNELS)
def test_conversion_is_the_kernel(name, columns):
    kernel, x, z = KERNELS[name], rows(7, columns), rows(5, columns, seed=1)
    converted = nk.gpytorch_kernel(kernel)
    close = {"rtol": 1e-11, "atol": 1e-12}
    for covariance in (converted, copy.deepcopy(converted)):
        torch.testing.assert_close(covariance(x).to_dense(), kernel(x), **close)
        torch.testing.assert_close(covariance(z, x).to_dense(), kernel(z, x), **close)
        torch.testing.assert_close(covariance(x, diag=True), kernel.diag(x), **close)
        torch.testing.assert_close(covariance(x[:5], z, diag=True), kernel(x[:5], z).diagonal(), **close)
    with torch.no_grad():
        torch.testing.assert_close(converted(z, x).to_dense(), kernel(z, x), **close)


@pytest.mark.parametrize("columns", [3, 12])
@pytest.mark.parametrize("name", KERNELS)
def test_batches(name, columns):
    kernel, x, z = KERNELS[name], rows(2, 3, 6, columns), rows(3, 4, columns, seed=1)
    x[..., 5, :], x[..., 4, :] = x[..., 1, :], -x[..., 0, :]
    covariance = nk.gpytorch_kernel(kernel)
    expected = torch.stack([torch.stack([kernel(x[i, j], z[j]) for j in range(3)]) for i in range(2)])
    torch.testing.assert_close(covariance(x, z).to_dense(), expected, rtol=1e-11, atol=1e-12)
    expected = torch.stack([torch.stack([kernel(part) for part in parts]) for parts in x])
    torch.testing.assert_close(covariance(x).to_dense(), expected, rtol=1e-11, atol=1e-12)
    assert covariance(x, diag=True).shape == (2, 3, 6)
    torch.testing.assert_close(covariance(x, diag=True), expected.diagonal(dim1=-2, dim2=-1), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["ntk", "laplace", "polynomial"])
def test_batches_of_parameters(name):
    x = rows(2, 6, 3)
    covariance = nk.gpytorch_kernel(KERNELS[name], amplitude=torch.tensor([1.0, 2.0]), batch_shape=torch.Size([2]))
    for parameter in covariance.parameters():
        parameter.data += torch.tensor([0.0, 0.5])
    dense, diagonal = covariance(x).to_dense(), covariance(x, diag=True)
    for i in range(2):
        kernel = covariance[i].to_kernel()
        torch.testing.assert_close(dense[i], kernel(x[i]), rtol=1e-11, atol=1e-12)
        torch.testing.assert_close(diagonal[i], kernel.diag(x[i]), rtol=1e-11, atol=1e-12)


def test_active_dims():
    x = rows(6, 5)
    covariance = nk.gpytorch_kernel(nk.NTK(NET), active_dims=(0, 3))
    torch.testing.assert_close(covariance(x).to_dense(), nk.NTK(NET)(x[:, [0, 3]]), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", [nk.NTK, nk.NNGP])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: type(a).__name__)
def test_gradients_by_parameters(kind, activation):
    x, weights = rows(5, 3), rows(5, 5, seed=2)
    x[4], x[3] = x[1], -x[0]
    covariance = nk.gpytorch_kernel(
        kind(nk.mlp(2, activation, bias_var=0.2)), amplitude=1.3, weight_scale=0.8, bias_scale=1.7
    )
    sum_at = lambda: (covariance(x).to_dense() * weights).sum()  # noqa: E731
    sum_at().backward()
    for parameter in covariance.parameters():
        found, at, values = parameter.grad.item(), parameter.item(), []
        for step in (1e-3, -1e-3, 2e-3, -2e-3):
            parameter.data.fill_(at + step)
            values.append(sum_at().item())
        parameter.data.fill_(at)
        expected = (8 * (values[0] - values[1]) - (values[2] - values[3])) / 12e-3
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_by_inputs(name):
    x, covariance = rows(2, 4, 3).requires_grad_(), nk.gpytorch_kernel(KERNELS[name])
    torch.autograd.gradcheck(lambda x: covariance(x, 0.5 * x + 1).to_dense(), x)
    torch.autograd.gradcheck(lambda x: covariance(x, diag=True), x)


@pytest.mark.parametrize("name", KERNELS)
def test_gradients_at_equal_rows(name):
    x = rows(6, 3)
    x[3], x[4], x[5] = x[0], -x[1], 0
    x.requires_grad_()
    (covariance := nk.gpytorch_kernel(KERNELS[name]))(x).to_dense().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in covariance.parameters() if p.requires_grad)


def sines():
    x = torch.linspace(-2, 2, 30)[:, None]
    return x, torch.sin(3 * x[:, 0] + 0.7) + 0.5 + 0.3 * rows(30)


@pytest.mark.parametrize("kernel", [nk.NNGP(NET), nk.Laplace()], ids=["network", "distance"])
def test_hyperparameters_as_in_scikit_learn(kernel):
    x, y = sines()
    fixed = {"weight_scale_bounds": "fixed"} if isinstance(kernel, nk.NNGP) else {}
    other = GaussianProcessRegressor(nk.sklearn_kernel(kernel, **fixed) + WhiteKernel(0.1), alpha=0).fit(x, y)
    covariance = nk.gpytorch_kernel(kernel)
    if fixed:
        covariance.raw_weight_scale.requires_grad_(False)
    model = Process(x, y, covariance).train()
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    free = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.LBFGS(free, max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def loss():
        optimiser.zero_grad()
        value = -likelihood(model(x), y)
        value.backward()
        return value

    start = loss().item()
    optimiser.step(loss)
    assert loss().item() < start - 0.1
    assert -30 * loss().item() == pytest.approx(other.log_marginal_likelihood_value_, abs=1e-3)
    learnt = {
        name: getattr(covariance, name).item()
        for name in ("amplitude", "bias_scale", "gamma")
        if hasattr(covariance, f"raw_{name}")
    }
    assert learnt == pytest.approx({name: getattr(other.kernel_.k1, name) for name in learnt}, rel=0.02)
    assert model.likelihood.noise.item() == pytest.approx(other.kernel_.k2.noise_level, rel=0.02)
    model.eval()
    torch.testing.assert_close(
        model(x[:4] + 0.1).mean.detach(), torch.from_numpy(other.predict(x[:4] + 0.1)), rtol=0.01, atol=0.01
    )


def test_marginal_likelihood_and_its_gradient():
    x, y = sines()
    model = Process(x, y, nk.gpytorch_kernel(nk.NTK(NET))).train()
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    value = lambda: likelihood(model(x), y)  # noqa: E731
    value().backward()
    for parameter in model.parameters():
        found, at, ends = parameter.grad.item(), parameter.data.clone(), []
        for step in (1e-4, -1e-4):
            parameter.data = at + step
            ends.append(value().item())
        parameter.data = at
        assert found == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-5, abs=1e-7)


def test_priors():
    covariance = nk.gpytorch_kernel(nk.NTK(NET), amplitude=2.0)
    covariance.register_prior("amplitude_prior", gpytorch.priors.GammaPrior(2.0, 1.0), "amplitude")
    ((_, _, prior, closure, _),) = covariance.named_priors()
    assert closure(covariance).item() == pytest.approx(2.0)
    assert prior.log_prob(closure(covariance)).isfinite()


def test_learnt_kernel():
    x = rows(6, 3)
    covariance = nk.gpytorch_kernel(nk.NTK(NET), amplitude=2.0, weight_scale=0.7, bias_scale=3.0)
    torch.testing.assert_close(covariance(x).to_dense(), covariance.to_kernel()(x), rtol=1e-12, atol=1e-12)
    names = [name for name, _ in nk.gpytorch_kernel(nk.NTK(nk.mlp(2))).named_parameters()]
    assert names == ["raw_amplitude", "raw_weight_scale"]


def test_float32():
    x = rows(6, 3).float()
    assert nk.gpytorch_kernel(nk.NTK(NET)).float()(x).to_dense().dtype == torch.float32
    assert nk.gpytorch_kernel(nk.Laplace()).float()(x, diag=True).dtype == torch.float32


def test_algebra_with_their_kernels():
    x, plain, theirs = rows(6, 3), nk.NTK(NET), gpytorch.kernels.RBFKernel()
    both = nk.gpytorch_kernel(plain) * theirs + nk.gpytorch_kernel(nk.Laplace())
    expected = plain(x) * theirs(x).to_dense() + nk.Laplace()(x)
    torch.testing.assert_close(both(x).to_dense(), expected, rtol=1e-12, atol=1e-12)
    assert nk.gpytorch_kernel(theirs) is theirs


def test_refusals(monkeypatch):
    with pytest.raises(TypeError, match="expected a kernel"):
        nk.gpytorch_kernel("rbf")
    blind = nk.gpytorch_kernel(lambda a, b: (a @ b.T).detach())
    with pytest.raises(TypeError, match="no gradients"):
        blind(rows(3, 2).requires_grad_()).to_dense()
    monkeypatch.delitem(sys.modules, "neural_kernels.interop.covariances")
    monkeypatch.setitem(sys.modules, "gpytorch.kernels", None)
    monkeypatch.setitem(sys.modules, "gpytorch", None)
    with pytest.raises(ModuleNotFoundError, match=r"neural-kernels\[gp\]"):
        nk.gpytorch_kernel(nk.Laplace())


def test_bayesian_optimisation():
    pytest.importorskip("botorch")
    from botorch.acquisition import LogExpectedImprovement
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.optim import optimize_acqf

    target = lambda x: -(x - 0.3).square().sum(-1, keepdim=True)  # noqa: E731
    torch.manual_seed(0)
    x = torch.rand(6, 2)
    best, bounds = target(x).max(), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    for _ in range(3):
        y = target(x)
        model = SingleTaskGP(x, y, covar_module=nk.gpytorch_kernel(nk.NNGP(NET)))
        fit_gpytorch_mll(gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model))
        found, _ = optimize_acqf(LogExpectedImprovement(model, y.max()), bounds, 1, num_restarts=2, raw_samples=16)
        x = torch.cat([x, found])
    assert x.shape == (9, 2)
    assert target(x).max() > best
