"""Sketched polynomials against the exact kernels, of the whole network and layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.exact import resolve_kernel
from neural_kernels.features.method import Task, UnsuitableError

SEEDS = 24
ANY_NORM = [
    nk.ReLU(),
    nk.GELU(),
    nk.ELU(),
    nk.Sigmoid(),
    nk.Softplus(),
    nk.SiLU(),
    nk.Hermite(2),
    nk.Polynomial((0.3, 1.0, 0.2)),
    nk.RectifiedMonomial(2),
    nk.NormalizedGaussian(1.0),
]
NEAR_ONE = [nk.Erf(), nk.Tanh(), nk.Sin(), nk.Cos(), nk.Exp(), nk.Gaussian(1.0, -0.5), nk.Sign(), nk.HardTanh()]


def rows(norms=(0.3, 3.0), seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 12)))
    return x / x.square().mean(1, keepdim=True).sqrt() * torch.linspace(*norms, 6, dtype=torch.float64)[:, None]


def some(activations):
    """All of them, the third and further ones in slow tests."""
    return [*activations[:2], *(pytest.param(activation, marks=pytest.mark.slow) for activation in activations[2:])]


def error(net, x, width, kernel="ntk", seeds=SEEDS, degree="auto"):
    """Of the Gram matrix with unit diagonal: root mean square, mean over seeds and its standard error."""
    exact = (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(x)
    size = exact.diagonal().sqrt()
    method = nk.PolynomialSketch(degree)
    maps = (method.build(Task(resolve_kernel(net, kernel), width, 12, seed, x.dtype), None) for seed in range(seeds))
    errors = torch.stack([(z @ z.T - exact) / (size[:, None] * size) for z in (phi(x) for phi in maps)])
    return float(errors.square().mean().sqrt()), errors.mean(0), errors.std(0) / seeds**0.5


@pytest.mark.parametrize("activation", some(ANY_NORM), ids=repr)
def test_one_hidden_layer_at_any_norm(activation):
    net = nk.Sequential(nk.Dense(bias_var=0.1), activation, nk.Dense(bias_var=0.1))
    _, mean, spread = error(net, rows(), 400)
    assert float((mean.abs() / (spread + 6e-3)).max()) < 4.5


@pytest.mark.parametrize("activation", some(NEAR_ONE), ids=repr)
def test_one_hidden_layer_at_norms_near_one(activation):
    net = nk.Sequential(nk.Dense(bias_var=0.1), activation, nk.Dense(bias_var=0.1))
    _, mean, spread = error(net, rows((0.5, 1.0)), 400)
    assert float((mean.abs() / (spread + 6e-3)).max()) < 4.5


@pytest.mark.parametrize(
    "net",
    [
        nk.mlp(3),
        nk.mlp(2, nk.GELU(), bias_var=0.2),
        nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()),
        nk.Sequential(nk.Dense(bias_var=0.1), nk.LayerNorm(), nk.ReLU(), nk.Dense()),
    ],
    ids=repr,
)
def test_error_falls_as_the_root_of_the_width(net):
    few, many = (error(net, rows(), width, seeds=8)[0] for width in (300, 4800))
    assert 2.0 < few / many < 7.5


def test_images():
    net = nk.Sequential(nk.Conv(3, bias_var=0.1), nk.GELU(), nk.GlobalAvgPool(), nk.Dense())
    x = np.random.default_rng(0).standard_normal((4, 2, 5, 5))
    exact = nk.NTK(net)(x)
    maps = [nk.feature_map(net, n_components=600, method=nk.PolynomialSketch(), seed=seed)(x) for seed in range(8)]
    mean = np.mean([z @ z.T for z in maps], 0)
    np.testing.assert_allclose(mean, exact, atol=0.02 * exact.max())


@pytest.mark.parametrize(
    ("activation", "advice"),
    [(nk.Exp(), "too noisy"), (nk.Sin(), "too noisy"), (nk.HardTanh(), "above degree 16")],
    ids=repr,
)
def test_what_it_cannot_represent_is_refused(activation, advice):
    with pytest.raises(UnsuitableError, match=rf"{advice}.*Scale the inputs down"):
        error(nk.mlp(1, activation), rows(), 200, seeds=1)


@pytest.mark.parametrize("degree", [3, 6])
def test_the_diagonal_lacks_what_is_left_out(degree):
    """The rest of the tail keeps it, and opposite rows."""
    x = torch.cat([rows(), -rows()])
    phi = nk.feature_map(nk.mlp(2), n_components=600, method=nk.PolynomialSketch(degree)).fit(x)
    left_out = phi.map.rest.truncation
    assert 0.02 < left_out <= 0.03
    _, mean, spread = error(nk.mlp(2), x, 600, degree=degree)
    both = torch.cat([mean.diagonal() + left_out, mean[:6, 6:].diagonal()])  # left out of opposite rows: 2e-4
    noise = torch.cat([spread.diagonal(), spread[:6, 6:].diagonal()])
    assert float((both.abs() / (noise + 2e-3)).max()) < 4.5


def test_no_degree_of_a_polynomial_is_left_out():
    net = nk.mlp(1, nk.Polynomial((1.0, 0.1, 0.1)))
    x = rows((1.0, 1.0))
    phi = nk.feature_map(net, n_components=600, method=nk.PolynomialSketch(4)).fit(x)
    assert phi.map.rest.truncation < 1e-9


def test_more_columns_take_a_higher_degree_and_data_choose_it():
    x = np.random.default_rng(0).standard_normal((300, 50))
    alike = np.abs(x)

    def degree(n_components, data):
        phi = nk.feature_map(nk.mlp(3), n_components=n_components, method=nk.PolynomialSketch()).fit(data)
        return max(phi.map.rest.powers.widths)

    assert degree(4096, alike) > degree(256, alike)
    assert degree(1024, alike) > degree(1024, x)


def test_rows_of_one_norm_need_no_layers():
    x = np.random.default_rng(0).standard_normal((60, 12))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    net = nk.mlp(3, nk.Erf(), bias_var=0.1)
    phi = nk.feature_map(net, n_components=4096, method=nk.PolynomialSketch()).fit(x)
    assert type(phi.map).__name__ == "AngleMap"
    assert phi.kernel_error_ < 0.01
    with pytest.raises(ValueError, match="Normalise"):
        phi(2 * x)


def test_float32_sparse_and_gradients():
    from scipy import sparse

    net, x = nk.mlp(2, nk.GELU(), bias_var=0.1), rows((0.5, 1.5))
    phi = nk.feature_map(net, n_components=200, method=nk.PolynomialSketch())
    single = nk.feature_map(net, n_components=200, method=nk.PolynomialSketch())(x.float())
    torch.testing.assert_close(single.double(), phi(x), rtol=0, atol=1e-3)
    csr = phi(sparse.csr_matrix(x.numpy()))
    np.testing.assert_allclose(csr, phi(x).numpy(), rtol=1e-9, atol=1e-12)
    small = nk.feature_map(net, n_components=24, method=nk.PolynomialSketch(3))
    point = x[:2].clone().requires_grad_()
    torch.testing.assert_close(small(point).detach(), small(x[:2]))
    assert torch.autograd.gradcheck(lambda t: small(t)[:, ::4], (point,), eps=1e-5, atol=1e-5)


@pytest.mark.parametrize("degree", [1, 2.0, True, "high"])
def test_bad_degrees_are_refused(degree):
    with pytest.raises(ValueError, match="degree="):
        nk.PolynomialSketch(degree)


def test_dropout_at_the_end_adds_to_the_diagonal_alone():
    """It is in the total of the series, but belongs to no degree."""
    x = np.abs(np.random.default_rng(0).standard_normal((100, 20)))
    plain, dropped = (
        nk.feature_map(nk.Sequential(nk.Dense(), nk.ReLU(), *rate, nk.Dense()), method=nk.PolynomialSketch()).fit(x)
        for rate in ((), (nk.Dropout(0.8),))
    )
    assert plain.kernel_error_ < 0.02
    assert dropped.kernel_error_ < 1.5 * plain.kernel_error_


@pytest.mark.parametrize("method", [nk.ZonalFeatures(), nk.PolynomialSketch()], ids=repr)
def test_kernels_that_overflow_are_refused(method):
    x = 10 * np.random.default_rng(0).standard_normal((50, 20))
    with pytest.raises(UnsuitableError):
        nk.feature_map(nk.mlp(2, nk.Exp()), n_components=64, method=method).fit(x)
