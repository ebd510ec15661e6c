"""Activations known by their function: properties, checks and the paths that save time."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from scipy import special
from test_elementwise_cases import KINKED, SMOOTH, pair
from torch import Tensor

import neural_kernels as nk
import neural_kernels.activations as act
from neural_kernels.activations.expectations import interpolation as _interpolation
from neural_kernels.activations.expectations.hermite import hermite_series, series_delta, series_dual
from neural_kernels.activations.expectations.interpolation import Interpolation
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.pieces import Pieces
from neural_kernels.activations.expectations.quadrant import quadrant_probability
from plain_path import is_compiled, plain_kernels


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        (act.Tanh(), torch.tanh), (act.Sigmoid(), torch.sigmoid), (act.Softplus(), F.softplus), (act.SiLU(), F.silu),
        (act.Mish(), F.mish), (act.LogSigmoid(), F.logsigmoid), (act.Tanhshrink(), F.tanhshrink),
        (act.GELUTanh(), lambda x: F.gelu(x, approximate="tanh")), (act.Softsign(), F.softsign),
        (act.HardTanh(), F.hardtanh), (act.HardSigmoid(), F.hardsigmoid), (act.HardSwish(), F.hardswish),
        (act.ReLU6(), F.relu6), (act.SoftShrink(0.3), lambda x: F.softshrink(x, 0.3)),
        (act.HardShrink(0.3), lambda x: F.hardshrink(x, 0.3)), (act.CELU(2.0), lambda x: F.celu(x, 2.0)),
    ],
)  # fmt: skip
def test_functions_are_those_of_torch(activation, function):
    x = torch.linspace(-30, 30, 1001, dtype=torch.float64)
    torch.testing.assert_close(activation.fn(x), function(x), rtol=1e-12, atol=3e-9)


def grid() -> BivariateNormal:
    x = torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    std = x.norm(dim=1)
    unit = x / std[:, None]
    return BivariateNormal(std[:, None], std[None, :], ((unit[:, None] - unit[None]) ** 2).sum(-1) / 2)


@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_matrices_are_positive_semidefinite(activation):
    for matrix in (activation.dual(grid()), activation.dual_slope(grid())):
        assert torch.linalg.eigvalsh(matrix).min() > -1e-8 * matrix.diagonal().max()


@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_slope_is_the_derivative_of_the_dual(activation):
    if isinstance(activation, act.HardShrink):
        pytest.skip("the jumps add to the derivative")
    h = 1e-4
    rise = activation.dual(pair(0.8, 1.3, 0.4 - h)) - activation.dual(pair(0.8, 1.3, 0.4 + h))
    slope = activation.dual_slope(pair(0.8, 1.3, 0.4))
    torch.testing.assert_close(rise / (2 * h * 0.8 * 1.3), slope, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_float32_gradients_and_zero(activation):
    narrow, wide = activation.dual(pair(0.8, 1.3, 0.4, torch.float32)), activation.dual(pair(0.8, 1.3, 0.4))
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(narrow.double(), wide, rtol=1e-6, atol=1e-7)
    leaves = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (1.0, 1.0, 0.0)]
    normal = BivariateNormal(*leaves)
    (activation.dual(normal) + activation.dual_slope(normal) + activation.delta(normal)).sum().backward()
    assert all(bool(leaf.grad.isfinite().all()) for leaf in leaves if leaf.grad is not None)
    zero = torch.zeros(1, dtype=torch.float64)
    torch.testing.assert_close(activation.std(zero), activation.fn(zero).abs(), rtol=1e-12, atol=1e-14)


def test_delta_does_not_cancel():
    x = pair(1.0, 1.0, 1e-13)
    ratio = act.Tanh().dual_slope(pair(1.0, 1.0, 0.0)) / act.Tanh().dual(pair(1.0, 1.0, 0.0))
    torch.testing.assert_close(act.Tanh().delta(x), 1e-13 * ratio, rtol=1e-6, atol=0)
    assert act.Tanh().delta(pair(1.0, 1.0, 0.0)).item() == 0


def test_elementwise_agrees_with_the_named():
    normal = pair(0.7, 1.4, 0.3)
    torch.testing.assert_close(act.Elementwise(torch.tanh).dual(normal), act.Tanh().dual(normal), rtol=1e-13, atol=0)
    relu = act.Elementwise(torch.relu, kinks=(0.0,))
    torch.testing.assert_close(relu.dual(normal), act.ReLU().dual(normal), rtol=1e-12, atol=0)
    torch.testing.assert_close(relu.dual_slope(normal), act.ReLU().dual_slope(normal), rtol=1e-12, atol=0)


def test_elementwise_is_a_value():
    one, two = act.Elementwise(torch.tanh), act.Elementwise(torch.tanh)
    assert one == two
    assert hash(one) == hash(two)
    assert one != act.Elementwise(torch.tanh, kinks=(0.0,))
    assert pickle.loads(pickle.dumps(one)) == one
    assert one.kinks == ()


def _shrink(x: Tensor) -> Tensor:
    return x[..., :1]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: act.Elementwise(3), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda: act.Elementwise(lambda x: 1.0), TypeError),  # pyright: ignore[reportArgumentType]
        (lambda: act.Elementwise(_shrink), ValueError),
        (lambda: act.Elementwise(torch.log), ValueError),
        (lambda: act.Elementwise(torch.relu, kinks=(math.nan,)), ValueError),
        (lambda: act.SoftShrink(-1.0), ValueError),
        (lambda: act.HardShrink(math.inf), ValueError),
        (lambda: act.CELU(0.0), ValueError),
        (lambda: act.RBF(0.0), ValueError),
    ],
)
def test_bad_parameters(make, error):
    with pytest.raises(error):
        make()


def test_no_second_derivative():
    with pytest.raises(ValueError, match=r"hardsigmoid.* no second derivative .*not implemented.*torch.clamp"):
        act.Elementwise(F.hardsigmoid, kinks=(-3.0, 3.0))

    class Failing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx, *grad_outputs: Tensor) -> Tensor:
            raise RuntimeError("another reason")

    with pytest.raises(RuntimeError, match="another reason"):
        act.Elementwise(Failing.apply, kinks=(0.0,))


def test_a_series_that_is_too_short_says_so():
    function = act.Elementwise(lambda x: torch.clamp(torch.tanh(x), min=0.5), kinks=(math.atanh(0.5),))
    normal = pair(10.0, 10.0, 0.3)
    normal.delta.requires_grad_()
    with pytest.warns(UserWarning, match="accurate to about 6e-05 of its size only"):
        function.dual_slope(normal)


def test_jumps_are_found_once(monkeypatch):
    calls = []
    find = Pieces.of
    monkeypatch.setattr(Pieces, "of", lambda *arguments: calls.append(arguments) or find(*arguments))
    activation = act.ReLU6()
    activation.dual(pair(1.0, 1.0, 0.5))
    activation.dual_slope(pair(2.0, 1.0, 0.5))
    assert len(calls) == 1


def _many() -> BivariateNormal:
    std = torch.cat([torch.zeros(2), torch.linspace(0.9, 1.1, 300), torch.full((3,), 1.5)]).double()
    return BivariateNormal(std, std.flip(0), torch.linspace(0, 2, len(std), dtype=torch.float64))


@pytest.mark.parametrize(
    ("fn", "advice"),
    [
        (np.tanh, r"such as torch\.tanh"),
        (lambda x: np.exp(x) + 1, r"such as torch\.tanh"),
        (special.erf, r"such as torch\.erf"),
        (math.sin, r"such as torch\.sin"),
        (np.vectorize(math.cos), "torch function"),
    ],
    ids=["np.tanh", "lambda", "scipy", "math", "vectorized"],
)
def test_functions_of_other_libraries_are_refused_when_given(fn: Any, advice: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TypeError, match=r"expected a function of a torch tensor(?:.|\n)*" + advice):
            act.Elementwise(fn)


@pytest.mark.parametrize("activation", [act.Tanh(), act.Mish(), act.Elementwise(F.elu, kinks=(0.0,))], ids=repr)
def test_interpolation_in_the_standard_deviation(activation, monkeypatch):
    normal = _many()
    functions, norms = (activation.dual, activation.dual_slope), ()
    if not activation.kinks:
        functions, norms = (
            (*functions, activation.delta, activation.slope_delta),
            (activation.std, activation.slope_std),
        )
    assert len(Interpolation(normal.std1).nodes) < 100
    fast = [f(normal) for f in functions] + [f(normal.std1) for f in norms]
    monkeypatch.setattr(_interpolation, "_MANY", 100000)
    some = slice(None, None, 25)  # where every standard deviation is integrated, a few of them do
    normal = BivariateNormal(normal.std1[some], normal.std2[some], normal.delta[some])
    assert len(Interpolation(normal.std1).nodes) == len(normal.std1.unique())
    slow = [f(normal) for f in functions] + [f(normal.std1) for f in norms]
    tolerance = 1e-8 if activation.kinks else 1e-12
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a[some], b, rtol=tolerance, atol=tolerance)


def test_series_in_double_precision():
    std = torch.linspace(0.5, 1.5, 300, dtype=torch.float64)
    for activation in SMOOTH:
        series = activation.series(std, 1e-15)
        assert series is not None
        for rows, norm in ((series.value, activation.std(std)), (series.slope, activation.slope_std(std))):
            torch.testing.assert_close(rows.norm(dim=1), norm, rtol=1e-13, atol=0)


@pytest.mark.parametrize("activation", [act.Tanh(), act.SiLU()], ids=repr)
def test_compiled_network_in_double_precision(activation):
    """By short series for small norms, by tables for large ones."""
    net, x = nk.mlp(2, activation), np.random.default_rng(0).standard_normal((300, 20))
    for scale, tolerance in ((0.4, 1e-13), (1.2, 1e-9)):
        assert is_compiled(net, scale * x)
        fast, slow = nk.NTK(net)(scale * x), plain_kernels(net, scale * x)[1]
        assert np.abs(fast - slow).max() <= tolerance * np.abs(slow).max()


def test_hermite_series():
    std = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    series = hermite_series(torch.exp, std, 1e-14)
    assert series is not None
    expected = torch.exp(std * std / 2) * std**3 / math.sqrt(6)
    torch.testing.assert_close(series.value[:, 3], expected, rtol=1e-12, atol=1e-15)
    rho = torch.tensor(0.3, dtype=torch.float64)
    dual = series_dual(series.value[:, None], series.value[None], (1 - rho).expand(3, 3))
    exact = torch.exp((std[:, None] ** 2 + std**2) / 2 + rho * std[:, None] * std)
    torch.testing.assert_close(dual, exact, rtol=1e-13, atol=0)
    assert series_delta(series.value, series.value, torch.zeros(3, dtype=torch.float64)).abs().max() == 0
    assert hermite_series(torch.tanh, 10 + std, 1e-9) is None


def test_quadrant_probability_at_the_origin():
    delta = torch.tensor([0.0, 1e-9, 0.01, 0.5, 1.0, 1.6, 1.99, 2.0], dtype=torch.float64)
    zero = torch.zeros_like(delta)
    expected = 0.5 - torch.atan2(delta.sqrt(), (2 - delta).sqrt()) / math.pi
    torch.testing.assert_close(quadrant_probability(zero, zero, delta), expected, rtol=1e-14, atol=1e-16)
