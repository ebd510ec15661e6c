"""What holds for every dual: types, symmetry, gradients, series."""

import math

import pytest
import torch
from test_duals_cases import (
    EVERY,
    KERNELS,
    jumps,
    normal,
)

from neural_kernels.activations.elu import ELU, SELU
from neural_kernels.activations.erf import Erf
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.exponential import Exp, Gabor, Gaussian
from neural_kernels.activations.gelu import GELU
from neural_kernels.activations.normalized import NormalizedGaussian
from neural_kernels.activations.polynomial import Hermite, Identity, Monomial, Polynomial
from neural_kernels.activations.rectified import RectifiedMonomial, Sign, Step
from neural_kernels.activations.relu import ABReLU, Abs, ArcCosine, LeakyReLU, ReLU
from neural_kernels.activations.trigonometric import RBF, Cos, Sin

# -- what holds for every dual --


def grid(dual, dtype=torch.float64, largest=3.0) -> BivariateNormal:
    largest = 1.0 if isinstance(dual, Exp | Gaussian) else largest
    spread = torch.tensor([1e-3, 0.1, 0.5, 1.0, largest], dtype=dtype)
    delta = torch.tensor([0.0, 1e-6, 1e-2, 0.5, 1.0, 1.5, 1.99, 2.0], dtype=dtype)
    return BivariateNormal(spread[:, None, None], spread[:, None], delta)


@pytest.mark.parametrize("dual", KERNELS, ids=repr)
def test_shapes_dtypes_and_correlations(dual):
    for dtype in (torch.float32, torch.float64):
        point = grid(dual, dtype)
        for function in (dual.dual, dual.dual_slope, dual.delta, dual.slope_delta):
            result = function(point)
            assert result.shape == (5, 5, 8)
            assert result.dtype == dtype
            assert result.isfinite().all()
        for function in (dual.std, dual.slope_std):
            assert function(point.std1[:, 0, 0]).shape == (5,)
            assert function(point.std1[:, 0, 0]).dtype == dtype
    for value, std, delta in ((dual.dual, dual.std, dual.delta), (dual.dual_slope, dual.slope_std, dual.slope_delta)):
        scale = std(point.std1) * std(point.std2)
        error = (value(point) - scale * (1 - delta(point))).abs()
        assert (error <= 1e-12 * scale).all()


@pytest.mark.parametrize("dual", KERNELS, ids=repr)
def test_float32(dual):
    narrow = grid(dual, torch.float32, largest=100.0)
    wide = narrow.to(torch.float64)
    for function, std in ((dual.dual, dual.std), (dual.dual_slope, dual.slope_std)):
        error = (function(narrow).double() - function(wide)).abs()
        assert (error <= 1e-5 * std(wide.std1) * std(wide.std2)).all()
    for function in (dual.delta, dual.slope_delta):
        torch.testing.assert_close(function(narrow).double(), function(wide), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dual", [d for d in KERNELS if not jumps(d)], ids=repr)
def test_slope_is_the_derivative(dual):
    point = grid(dual)
    cov = point.cov[..., :].clone().requires_grad_()
    product = point.std1 * point.std2
    value = dual.dual(BivariateNormal(point.std1, point.std2, 1 - cov / product))
    (gradient,) = torch.autograd.grad(value.sum(), cov)
    inner = (point.delta > 0) & (point.delta < 2)
    scale = dual.slope_std(point.std1) * dual.slope_std(point.std2)
    assert ((gradient - dual.dual_slope(point)).abs() <= 1e-8 * scale.clamp(min=1e-300))[..., inner].all()


@pytest.mark.parametrize("dual", KERNELS, ids=repr)
def test_positive_semi_definite(dual):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(24, 3, generator=generator, dtype=torch.float64) / (4 if isinstance(dual, Exp | Gaussian) else 1)
    x = torch.cat([x, -x[:4], x[4:8] * 2, x[8:12] + 1e-8])
    std = x.norm(dim=1)
    unit = x / std[:, None]
    delta = ((unit[:, None] - unit).square().sum(-1) / 2).clamp(0, 2)
    point = BivariateNormal(std[:, None], std, delta)
    for function in (dual.dual, dual.dual_slope):
        kernel = function(point)
        assert (kernel - kernel.T).abs().max() <= 1e-14 * kernel.abs().max()
        spectrum = torch.linalg.eigvalsh(kernel)
        assert spectrum[0] >= -1e-12 * spectrum[-1].clamp(min=1e-300)


@pytest.mark.parametrize("dual", KERNELS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite(dual, dtype):
    std1 = torch.tensor([0.0, 1e-3, 1.0], dtype=dtype)[:, None, None].requires_grad_()
    std2 = torch.tensor([0.0, 0.5, 1.0], dtype=dtype)[:, None].requires_grad_()
    delta = torch.tensor([0.0, 1e-12, 0.5, 1.0, 1.5, 2.0], dtype=dtype).requires_grad_()
    point = BivariateNormal(std1, std2, delta)
    for function in (dual.dual, dual.dual_slope, dual.delta, dual.slope_delta):
        result = function(point)
        assert result.isfinite().all()
        if result.requires_grad:
            gradients = torch.autograd.grad(result.sum(), (std1, std2, delta), allow_unused=True)
            assert all(g.isfinite().all() for g in gradients if g is not None), function
    for function in (dual.std, dual.slope_std):
        result = function(std1)
        if result.requires_grad:
            (gradient,) = torch.autograd.grad(result.sum(), std1)
            assert gradient.isfinite().all()


@pytest.mark.parametrize("dual", [*(d for d in EVERY if not jumps(d)), NormalizedGaussian()], ids=repr)
def test_gradient_at_coincidence(dual):
    """The kernel of a point with itself must have the derivative with respect to delta that its neighbours have."""
    gradients = []
    for delta in (0.0, 1e-7):
        delta = torch.tensor(delta, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(
            dual.dual(BivariateNormal(torch.tensor(0.8), torch.tensor(0.8), delta)), delta
        )
        gradients.append(float(gradient))
    assert gradients[0] == pytest.approx(gradients[1], rel=2e-3, abs=1e-12)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_odd_and_kinks(activation):
    x = torch.linspace(0.1, 5, 50, dtype=torch.float64)
    assert activation.odd == torch.allclose(activation.fn(-x), -activation.fn(x), atol=1e-12)
    kinked = ArcCosine, ELU, SELU, Sign, Step, RectifiedMonomial
    linear = isinstance(activation, ArcCosine) and activation.a == activation.b
    assert activation.kinks == ((0.0,) if isinstance(activation, kinked) and not linear else ())
    assert hash(activation) == hash(type(activation)(**vars(activation)))


FINITE = [Monomial(0), Monomial(5), Hermite(4), Polynomial([1, 2, 0, -3]), Identity()]
FINITE = [*FINITE, *(NormalizedGaussian(gamma) for gamma in (1e-3, 1.0, 30.0))]


@pytest.mark.parametrize("dual", FINITE, ids=repr)
def test_finite_series(dual):
    std = torch.tensor([0.0, 0.3, 1.0, 2.0], dtype=torch.float64)
    series = dual.series(std, 1e-13)
    for delta in (0.0, 0.3, 1.0, 1.7, 2.0):
        point = BivariateNormal(std[:, None], std, torch.full((4, 4), delta, dtype=torch.float64))
        for rows, function, norm in (
            (series.value, dual.dual, dual.std), (series.slope, dual.dual_slope, dual.slope_std)
        ):  # fmt: skip
            powers = (1 - delta) ** torch.arange(rows.shape[1], dtype=torch.float64)
            error = ((rows * powers) @ rows.T - function(point)).abs()
            assert (error <= 1e-12 * norm(std)[:, None] * norm(std) + 1e-300).all()


def test_functions_are_those_of_torch():
    x, F = torch.linspace(-4, 4, 81, dtype=torch.float64), torch.nn.functional
    for activation, expected in [
        (ReLU(), F.relu(x)), (LeakyReLU(0.2), F.leaky_relu(x, 0.2)), (Abs(), x.abs()), (GELU(), F.gelu(x)),
        (ELU(0.7), F.elu(x, 0.7)), (SELU(), F.selu(x)), (Sign(), x.sign()), (Step(), (x > 0).double()),
        (Erf(2.0, 0.5, 1.0), 2 * torch.erf(x / 2) + 1), (Sin(2.0, 0.5, 1.0), 2 * torch.sin(x / 2 + 1)),
        (Cos(2.0, 0.5, 1.0), 2 * torch.cos(x / 2 + 1)), (Exp(2.0, 0.5), 2 * torch.exp(x / 2)),
        (Gaussian(2.0, -0.5), 2 * torch.exp(-x * x / 2)), (Gabor(), torch.exp(-x * x) * torch.sin(x)),
        (Monomial(3), x**3), (RectifiedMonomial(3), F.relu(x) ** 3), (Polynomial([1, 2, 3]), 1 + 2 * x + 3 * x * x),
        (Hermite(3), (x**3 - 3 * x) / math.sqrt(6)), (Identity(), x), (ABReLU(3.0, 2.0), 3 * x - F.relu(x)),
        (RBF(0.5), math.sqrt(2) * torch.sin(x + math.pi / 4)),
    ]:  # fmt: skip
        torch.testing.assert_close(activation.fn(x), expected, rtol=1e-13, atol=1e-14)


def test_gaussian_without_second_moment():
    with pytest.raises(ValueError, match="second moment"):
        Gaussian(1.0, 0.3).dual(normal(1.0, 0.5, 0.2))


def test_identity_passes_everything():
    marker = object()
    assert Identity().propagate(marker) is marker  # pyright: ignore[reportArgumentType]
    assert Identity().check(marker) is marker  # pyright: ignore[reportArgumentType]


def test_exp_correlation_survives_overflow():
    point = normal(100.0, 100.0, 1e-4)
    assert float(Exp().delta(point)) == pytest.approx(-math.expm1(-1.0), rel=1e-12)
