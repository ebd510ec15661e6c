"""Random features of zonal kernels, against the exact kernels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.exact import resolve_kernel
from neural_kernels.features.method import Task, UnsuitableError
from neural_kernels.features.zonal_features import ZonalFeatures, homogeneous, suits
from usual import others_are_slow


def build(net, n_components, features, seed=0, kernel="ntk", sample=None, dtype=torch.float64, anchors=0):
    return ZonalFeatures(anchors).build(Task(resolve_kernel(net, kernel), n_components, features, seed, dtype), sample)


def rows(n, d, seed=0, unit=False):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True) * d**0.5 if unit else x


def kernel_of(net, kernel, x):
    return (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(x)


def gram(z):
    return z @ z.T


def off_diagonal(matrix):
    return matrix[~torch.eye(len(matrix), dtype=torch.bool)]


CASES = [  # and whether rows are of norm one
    (nk.mlp(1), False),
    (nk.mlp(3), False),
    (nk.mlp(2, nk.LeakyReLU(0.2)), False),
    (nk.mlp(2, bias_var=0.2), True),
    (nk.mlp(2, nk.GELU(), bias_var=0.1), True),
    (nk.mlp(1, nk.Erf()), True),
    (nk.mlp(2, nk.ELU()), True),
    (nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()), False),
    (nk.Sequential(nk.Dense(), nk.Concat(nk.ReLU(), nk.Abs()), nk.Dense()), False),
]


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("case", others_are_slow(CASES, [CASES[0], CASES[3], CASES[7]]), ids=lambda value: repr(value))
def test_unbiased(case, kernel):
    """The mean over seeds approaches the exact kernel, off the diagonal, as the standard error says."""
    net, unit = case
    x = rows(6, 20, unit=unit)
    products = torch.stack([(lambda z: z @ z.T)(build(net, 300, 20, seed, kernel, sample=x)(x)) for seed in range(60)])
    error = off_diagonal(products.mean(0) - kernel_of(net, kernel, x))
    spread = off_diagonal(products.std(0)) / 60**0.5
    scale = float(kernel_of(net, kernel, x).diagonal().mean())
    assert float((error.abs() / (spread + 2e-3 * scale)).max()) < 4.5


def test_error_falls_as_the_root_of_the_width():
    net, x = nk.mlp(2), rows(40, 30)
    exact = kernel_of(net, "ntk", x)
    errors = []
    for width in (400, 6400):
        squares = [
            off_diagonal((lambda z: z @ z.T)(build(net, width, 30, seed)(x)) - exact).square().mean()
            for seed in range(8)
        ]
        errors.append(float(torch.stack(squares).mean().sqrt()))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.25)


def test_anchors_help_near_the_data():
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(5, 40))
    x = torch.from_numpy(centres[rng.integers(0, 5, 300)] + 0.3 * rng.normal(size=(300, 40)))
    net, held_out = nk.mlp(2), x[200:]
    exact = kernel_of(net, "ntk", held_out)

    def error(anchors):
        z = build(net, 1000, 40, 0, sample=x[:200], anchors=anchors)(held_out)
        return float(torch.linalg.matrix_norm(z @ z.T - exact) / torch.linalg.matrix_norm(exact))

    assert error(150) < 0.7 * error(0)


@pytest.mark.parametrize("anchors", [0, 50])
def test_anchored_maps_stay_unbiased(anchors):
    net, x = nk.mlp(1), rows(6, 12, seed=1)
    sample = rows(80, 12, seed=2)
    maps = [build(net, 200, 12, seed, sample=sample, anchors=anchors) for seed in range(60)]
    products = torch.stack([gram(phi(x)) for phi in maps])
    error = off_diagonal(products.mean(0) - kernel_of(net, "ntk", x))
    spread = off_diagonal(products.std(0)) / 60**0.5
    assert float((error.abs() / (spread + 2e-3 * float(kernel_of(net, "ntk", x).diagonal().mean()))).max()) < 4.5


def test_homogeneity():
    assert homogeneous(nk.NTK(nk.mlp(3)), 5)
    assert homogeneous(nk.NNGP(nk.mlp(2, nk.LeakyReLU(0.1))), 5)
    assert not homogeneous(nk.NTK(nk.mlp(2, bias_var=0.1)), 5)
    assert not homogeneous(nk.NTK(nk.mlp(2, nk.GELU())), 5)
    assert suits(nk.NTK(nk.mlp(2)), 5)
    assert not suits(nk.NTK(nk.mlp(2, nk.Erf())), 5)


def test_scale_and_zero_rows():
    phi, x = build(nk.mlp(2), 100, 10), rows(4, 10)
    torch.testing.assert_close(phi(1e6 * x), 1e6 * phi(x))
    assert not phi(torch.zeros(2, 10, dtype=torch.float64)).any()
    assert phi(x[:0]).shape == (0, 100)
    small = phi(1e-150 * x)
    assert small.isfinite().all()
    torch.testing.assert_close(1e150 * small, phi(x))


def test_sparse_rows_float32_and_seeds():
    x = rows(30, 50) * (rows(30, 50, seed=3) > 0.5)
    phi = build(nk.mlp(3), 200, 50)
    torch.testing.assert_close(phi(sparse.csr_matrix(x.numpy())), phi(x))
    single = build(nk.mlp(3), 200, 50, dtype=torch.float32)(x.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), phi(x), rtol=0, atol=2e-4)
    torch.testing.assert_close(build(nk.mlp(3), 200, 50)(x), phi(x), rtol=0, atol=0)
    assert not torch.allclose(build(nk.mlp(3), 200, 50, seed=1)(x), phi(x))


def test_few_columns_compress_the_linear_part():
    phi, x = build(nk.mlp(1), 64, 200), rows(5, 200)
    assert phi(x).shape == (5, 64)
    with pytest.raises(UnsuitableError, match="at least 4"):
        build(nk.mlp(1), 3, 200)


def test_gradients():
    phi, x = build(nk.mlp(2), 60, 8), rows(3, 8).requires_grad_()
    torch.testing.assert_close(phi(x).detach(), phi(x.detach()))
    (gradient,) = torch.autograd.grad(phi(x).square().sum(), x)
    step = 1e-6 * rows(3, 8, seed=5)
    change = (phi(x.detach() + step).square().sum() - phi(x.detach() - step).square().sum()) / 2
    assert float((gradient * step).sum()) == pytest.approx(float(change), rel=1e-2)


def test_refusals():
    x = rows(5, 6)
    with pytest.raises(UnsuitableError, match="Normalizer"):
        build(nk.mlp(2, nk.Erf()), 50, 6, sample=x)
    with pytest.raises(UnsuitableError, match="call fit"):
        build(nk.mlp(2, bias_var=0.1), 50, 6)
    phi = build(nk.mlp(2, nk.Erf()), 50, 6, sample=rows(5, 6, unit=True))
    with pytest.raises(ValueError, match="norm"):
        phi(x)
    with pytest.raises(ValueError, match="anchors"):
        ZonalFeatures(-1)
