"""Random features of every layer, against the exact kernels: one family of tests for all layers and activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.exact import resolve_kernel
from neural_kernels.features.method import Task, UnsuitableError
from neural_kernels.features.random_features import RandomFeatures
from usual import others_are_slow

SEEDS = 40
ACTIVATIONS = [
    nk.ReLU(),
    nk.LeakyReLU(0.2),
    nk.Abs(),
    nk.Erf(),
    nk.GELU(),
    nk.ELU(),
    nk.SELU(),
    nk.Sin(),
    nk.Cos(),
    nk.Gaussian(1.0, -0.5),
    nk.Sign(),
    nk.Step(),
    nk.Tanh(),
    nk.Sigmoid(),
    nk.Softplus(),
    nk.SiLU(),
    nk.HardTanh(),
    nk.Hermite(2),
    nk.Polynomial((0.3, 1.0, 0.2)),
]
DEEP = [
    nk.mlp(3),
    nk.mlp(2, nk.GELU(), bias_var=0.2),
    nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()),
    nk.Sequential(nk.Dense(), nk.Concat(nk.ReLU(), nk.Erf()), nk.Dense()),
    nk.Sequential(nk.Dense(), nk.Product(nk.Sequential(nk.ReLU(), nk.Dense()), nk.Sequential(nk.Erf(), nk.Dense()))),
    nk.Sequential(nk.Dense(bias_var=0.1), nk.LayerNorm(), nk.ReLU(), nk.Dense()),
]


def rows(seed=0):
    """Of RMS norms 0.3 to 3."""
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(6, 12)))
    return x / x.square().mean(1, keepdim=True).sqrt() * torch.linspace(0.3, 3, 6, dtype=torch.float64)[:, None]


def build(net, n_components, seed=0, kernel="ntk", dtype=torch.float64):
    return RandomFeatures().build(Task(resolve_kernel(net, kernel), n_components, 12, seed, dtype), None)


def grams(net, kernel, width):
    x = rows()
    features = (build(net, width, seed, kernel)(x) for seed in range(SEEDS))
    return torch.stack([z @ z.T for z in features])


def exact(net, kernel):
    return (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(rows())


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize(
    "activation", others_are_slow(ACTIVATIONS, (nk.ReLU(), nk.Erf(), nk.GELU(), nk.Sign(), nk.Hermite(2))), ids=repr
)
def test_one_hidden_layer_is_unbiased(activation, kernel):
    net = nk.Sequential(nk.Dense(bias_var=0.1), activation, nk.Dense(bias_var=0.1))
    products, expected = grams(net, kernel, 300), exact(net, kernel)
    size = expected.diagonal().sqrt()
    error = (products.mean(0) - expected) / (size[:, None] * size)
    spread = products.std(0) / SEEDS**0.5 / (size[:, None] * size)
    assert float((error.abs() / (spread + 3e-3)).max()) < 4.5


@pytest.mark.parametrize("net", [*DEEP[:2], *(pytest.param(net, marks=pytest.mark.slow) for net in DEEP[2:])], ids=repr)
def test_error_falls_as_the_root_of_the_width(net):
    expected = exact(net, "ntk")
    size = expected.diagonal().sqrt()
    few, many = (
        float(((grams(net, "ntk", width)[:12] - expected) / (size[:, None] * size)).square().mean().sqrt())
        for width in (300, 4800)
    )
    assert 2.4 < few / many < 6.5


def test_sparse_rows_precision_and_seeds():
    x, net = rows() * (rows(1) > 0), nk.mlp(2, bias_var=0.1)
    phi = build(net, 200)
    torch.testing.assert_close(phi(sparse.csr_matrix(x.numpy())), phi(x))
    single = build(net, 200, dtype=torch.float32)(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), phi(x), rtol=0, atol=1e-3)
    torch.testing.assert_close(build(net, 200)(x), phi(x), rtol=0, atol=0)
    assert not torch.allclose(build(net, 200, seed=1)(x), phi(x))
    again = build(net, 200, seed=1)
    again.load_state_dict(phi.state_dict(), strict=False)


def test_rows_do_not_see_each_other():
    x, phi = rows(), build(nk.mlp(2, nk.GELU()), 200)
    torch.testing.assert_close(torch.cat([phi(x[:2]), phi(x[2:])]), phi(x))


def test_zero_rows():
    assert not build(nk.mlp(2), 100)(torch.zeros(2, 12, dtype=torch.float64)).any()
    assert build(nk.mlp(2), 100)(torch.zeros(0, 12, dtype=torch.float64)).shape == (0, 100)


def test_refusals():
    with pytest.raises(UnsuitableError, match="kurtosis"):
        build(nk.mlp(1, nk.Exp()), 100)(3 * rows())
    with pytest.raises(UnsuitableError, match="no function"):
        build(nk.mlp(1, nk.NormalizedGaussian(1.0)), 100)
