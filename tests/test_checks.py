"""Parameters are checked in one wording, whatever has them; NumPy's numbers are numbers."""

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.checks import (
    require_choice,
    require_finite,
    require_integer,
    require_number,
    require_positive,
)
from neural_kernels.sketches import CountSketch, PolySketch, TensorSketch


class Owner:
    """An object whose class names the parameters' owner."""


@pytest.mark.parametrize(
    ("check", "error", "message"),
    [
        (lambda: require_finite("f", a=np.inf), ValueError, r"f\(a=inf\): expected a finite number$"),
        (lambda: require_finite(Owner(), a=True), TypeError, r"Owner\(a=True\): expected a finite number, got bool$"),
        (lambda: require_positive("f", a=1, b=0.0), ValueError, r"f\(b=0.0\): expected a positive finite number$"),
        (lambda: require_number("f", a=-1e-9), ValueError, r"f\(a=-1e-09\): expected a finite number, at least 0$"),
        (lambda: require_number("f", 0.0, 1.0, a=1), ValueError, r"f\(a=1\): expected a number in \[0, 1\)$"),
        (lambda: require_number("f", a="2"), TypeError, r"f\(a='2'\): expected .*, got str$"),
        (lambda: require_number("f", a=np.nan), ValueError, r"f\(a=nan\)"),
        (lambda: require_integer("f", a=0), ValueError, r"f\(a=0\): expected a positive integer$"),
        (lambda: require_integer("f", 0, a=-1), ValueError, r"f\(a=-1\): expected an integer, at least 0$"),
        (lambda: require_integer("f", a=2.0), TypeError, r"f\(a=2.0\): expected a positive integer, got float$"),
        (lambda: require_integer("f", a=True), TypeError, r"f\(a=True\): .*, got bool$"),
        (lambda: require_choice("f", ("x", "y"), a="z"), ValueError, r"f\(a='z'\): expected one of 'x', 'y'$"),
    ],
)
def test_what_is_refused(check, error, message):
    with pytest.raises(error, match=message):
        check()


def test_what_passes():
    require_finite("f", a=-1, b=np.float32(0.5))
    require_positive("f", a=np.float64(1e-300))
    require_number("f", 0.0, 1.0, a=0, b=np.float32(0.99))
    require_integer("f", a=1, b=np.int64(3), c=np.uint8(2))
    require_choice("f", ("x", "y"), a="y")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (lambda: nk.Dense(width=np.int64(3)), nk.Dense(width=3)),
        (lambda: nk.Conv(np.int64(3), (np.int32(1), 2), np.int64(1)), nk.Conv(3, (1, 2), 1)),
        (lambda: nk.Conv(3, padding=((np.int64(1), 0), np.int64(2))), nk.Conv(3, padding=((1, 0), 2))),
        (lambda: nk.AvgPool(np.int64(2)), nk.AvgPool(2)),
        (lambda: nk.Monomial(np.int64(3)), nk.Monomial(3)),
        (lambda: nk.RectifiedMonomial(np.int64(2)), nk.RectifiedMonomial(2)),
        (lambda: nk.Hermite(np.int64(2)), nk.Hermite(2)),
        (lambda: nk.Positions("concat", channels=np.int64(4)), nk.Positions("concat", channels=4)),
        (lambda: nk.mlp(np.int64(2)), nk.mlp(2)),
        (lambda: nk.cnn(np.uint8(2)), nk.cnn(2)),
        (lambda: nk.myrtle(np.int64(5)), nk.myrtle(5)),
        (lambda: nk.resnet((np.int64(1), np.int16(1))), nk.resnet((1, 1))),
        (lambda: nk.LocalConv(np.int64(3)), nk.LocalConv(3)),
        (lambda: nk.ConvTranspose(np.int64(3), np.int64(2)), nk.ConvTranspose(3, 2)),
        (lambda: nk.SumPool((np.int64(2), 3), np.int64(2)), nk.SumPool((2, 3), 2)),
        (lambda: nk.Resize((np.int64(4), np.int64(5))), nk.Resize((4, 5))),
        (lambda: nk.PolynomialSketch(degree=np.int64(3)), nk.PolynomialSketch(degree=3)),
        (lambda: nk.ZonalFeatures(anchors=np.int64(3)), nk.ZonalFeatures(anchors=3)),
    ],
)
def test_numpy_integers_are_integers(given, expected):
    assert given() == expected
    assert repr(given()) == repr(expected)


def test_numpy_integers_are_sizes():
    module = nk.Dense().to_torch(np.int64(4), np.int64(8), np.int64(3))
    assert [tuple(p.shape) for p in module.parameters()] == [(3, 4), (3,)]
    assert CountSketch(np.int64(6), np.int32(4)).n_components == 4
    assert nk.feature_map(nk.mlp(1), n_components=np.int64(8), seed=np.int64(3)).n_components == 8
    assert TensorSketch(np.int64(6), np.int64(8), np.int64(2))(np.ones((2, 6))).shape == (2, 8)
    assert PolySketch(np.int64(6), np.int64(8), np.int64(2))(np.ones((2, 6))).shape == (2, 8)
    gradients = nk.GradientFeatures(torch.nn.Linear(6, 1), n_components=np.int64(8))
    assert gradients(np.ones((2, 6), np.float32)).shape == (2, 8)


@pytest.mark.parametrize("budget", ["1GB", float("nan"), 0, -1, True, [1]], ids=repr)
@pytest.mark.parametrize(
    "make",
    [
        lambda budget: nk.NTK(nk.mlp(1), memory_budget=budget),
        lambda budget: nk.NNGP(nk.mlp(1), memory_budget=budget),
        lambda budget: nk.PseudoNTK(torch.nn.Linear(2, 1), memory_budget=budget),
        lambda budget: nk.NeuralKernelRegressor(memory_budget=budget).fit(np.eye(3), np.arange(3.0)),
        lambda budget: nk.NeuralFeatureRegressor(memory_budget=budget).fit(np.eye(3), np.arange(3.0)),
    ],
    ids=["NTK", "NNGP", "PseudoNTK", "kernel regressor", "feature regressor"],
)
def test_budgets_are_numbers_of_bytes(make, budget):
    with pytest.raises(ValueError, match=r"memory_budget=.*: expected a positive number of bytes, or None"):
        make(budget)


@pytest.mark.parametrize("budget", [10**9, 1e9, np.int64(10**9), np.float32(1e9), float("inf")], ids=repr)
def test_budgets_of_any_kind_of_number(budget, tmp_path):
    kernel = nk.NTK(nk.mlp(1), memory_budget=budget)
    np.testing.assert_array_equal(kernel(np.eye(3)), nk.NTK(nk.mlp(1))(np.eye(3)))
    np.testing.assert_allclose(kernel.to_disk(tmp_path / "k.npy", np.eye(3)), kernel(np.eye(3)))
