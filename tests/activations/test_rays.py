"""Functions with kinks, integrated along rays."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from test_elementwise_cases import CURVED, pair

import neural_kernels as nk
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.rays import line_products, ray_products

NEAR = torch.linspace(0, 1, 13, dtype=torch.float64) ** 3


def cases(p: float) -> BivariateNormal:
    """Norms that are equal, near, and far apart; correlations of all sizes, and both ends."""
    std1, std2 = p * torch.tensor([1.0, 1.1, 0.5]).double(), p * torch.tensor([1.1, 0.3, 0.505, 1e-3]).double()
    delta = torch.cat([NEAR, (2 - NEAR).flip(0)])
    return BivariateNormal(*(part.expand(3, 4, 26) for part in (std1[:, None, None], std2[:, None], delta)))


CLOSED = [(nk.HardTanh(), 0.5), (nk.HardTanh(), 30.0), (nk.HardShrink(0.5), 3.0), (nk.ReLU6(), 1000.0)]


@pytest.mark.parametrize(("activation", "p"), [*CLOSED, (nk.HardSwish(), 8.0)], ids=repr)
def test_equal_to_closed_forms(activation, p):
    normal = cases(p)
    found = ray_products(activation.fn, activation.kinks, normal)
    parts = (activation.dual, activation.std), (activation.dual_slope, activation.slope_std)
    for result, (dual, std) in zip(found, parts, strict=True):
        size = std(torch.tensor([p]).double()) ** 2
        assert float(((result - dual(normal)) / size).abs().max()) < 1e-8
    value, slope = line_products(activation.fn, activation.kinks, normal.std1[..., 0], normal.std2[..., 0])
    torch.testing.assert_close(value, activation.dual(normal)[..., 0], rtol=1e-9, atol=1e-9 * float(value.max()))
    torch.testing.assert_close(slope, activation.dual_slope(normal)[..., 0], rtol=1e-9, atol=1e-9 * float(slope.max()))


@pytest.mark.parametrize("activation", CURVED, ids=repr)
def test_series_of_the_gradient_agree(activation):
    normal = pair(0.8, 1.1, 0.3)
    with_gradient = pair(0.8, 1.1, 0.3)
    with_gradient.delta.requires_grad_()
    for dual in (activation.dual, activation.dual_slope):
        torch.testing.assert_close(dual(normal), dual(with_gradient).detach(), rtol=1e-7, atol=0)


def test_the_standard_deviations_have_gradients():
    std = torch.tensor([0.3, 2.0], dtype=torch.float64, requires_grad=True)
    for of in (CURVED[0].std, CURVED[0].slope_std):
        assert torch.autograd.gradcheck(of, std)


def test_gradients_at_zero_are_finite_and_no_rows_are_none():
    std = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(CURVED[1].std(std).sum(), std)
    assert bool(gradient.isfinite().all())
    none = torch.zeros(0, dtype=torch.float64)
    for found in (CURVED[0].std(none), CURVED[0].dual(BivariateNormal(none, none, none))):
        assert found.shape == (0,)


def test_a_variable_that_is_always_zero():
    value = CURVED[1].dual(pair(0.0, 2.0, 1.0))
    assert float(value) == pytest.approx(0.0, abs=1e-14)
    half = CURVED[0]
    still = half.dual(pair(0.0, 0.0, 1.0))
    assert float(still) == pytest.approx(0.25)
    torch.testing.assert_close(half.dual(pair(0.0, 2.0, 1.0)) ** 2, _mean(half, 2.0) ** 2 * still)


def _mean(activation: nk.Activation, std: float) -> torch.Tensor:
    x, weight = np.polynomial.legendre.leggauss(400)
    z = torch.from_numpy(9 * x)
    edges = torch.tensor([-9.0, activation.kinks[0] / std, 9.0]).double()
    total = torch.zeros(1).double()
    for low, high in itertools.pairwise(edges):
        y = low + (high - low) * (1 + z / 9) / 2
        density = torch.exp(-y * y / 2) / (2 * torch.pi) ** 0.5
        total += ((high - low) / 2 * torch.from_numpy(weight) * density * activation.fn(std * y)).sum()
    return total


def test_a_kernel_of_mixed_norms_in_one_batch(rng):
    x = rng.standard_normal((24, 6)) * np.geomspace(1e-3, 1e3, 24)[:, None]
    kernel = nk.NTK(nk.mlp(2, CURVED[0]))
    k = kernel(x)
    assert np.allclose(k, k.T, rtol=1e-12)
    assert np.linalg.eigvalsh(k / np.sqrt(np.outer(np.diag(k), np.diag(k)))).min() > -2e-8
    assert np.allclose(kernel(x, x[:3]), k[:, :3], rtol=1e-9)
    assert np.allclose(kernel(x.astype(np.float32)), k, rtol=1e-5)


def test_pieces_that_vary_too_fast_say_so():
    fast = nk.Elementwise(lambda x: torch.where(x > 1, torch.sin(30 * x), x), kinks=(1.0,))
    with pytest.warns(UserWarning, match="its pieces vary too fast for standard deviations up to 4"):
        fast.dual(pair(3.0, 3.0, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast.dual(pair(0.1, 0.05, 0.5))  # which do not reach them
