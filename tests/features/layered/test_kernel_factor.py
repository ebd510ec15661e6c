"""Kernels by factors: every operation of the algebra means to phi phi^T what it means to entries."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import neural_kernels as nk
from estimates import standardised, units
from neural_kernels.activations import Dual
from neural_kernels.algebra import PerExample
from neural_kernels.features.layered.draws import Draws, Pass
from neural_kernels.features.layered.kernel_factor import ColumnBlock, KernelFactor
from neural_kernels.features.layered.nonlinearity import Nonlinearity, Strategy


class NothingLeft(Nonlinearity):
    """For activations whose degrees 0 and 1 are all there is."""

    def forward(self, unit: Tensor, std: Tensor, low: Tensor) -> tuple[None, None]:
        return None, None


class ExactAlone(Strategy):
    """No random columns."""

    least_value = least_product = 1.0

    def nonlinearity(self, dual: Dual, in_features: int, columns: int, seed: int) -> Nonlinearity:
        return NothingLeft()


def factor(x: Tensor, width=100, seed=0) -> KernelFactor:
    """x x^T."""
    block = ColumnBlock("data", x)
    return KernelFactor((block,), x.square().sum(-1), ExactAlone(), Pass(Draws(seed, {}, width)))


def gram(kernel: KernelFactor) -> Tensor:
    return kernel.phi @ kernel.phi.T


X = 2 * units(5, 4)
K = X @ X.T


def check(kernel: KernelFactor, expected: Tensor) -> None:
    """Entries, and the diagonal that is carried beside them."""
    torch.testing.assert_close(gram(kernel), expected)
    torch.testing.assert_close(kernel.diagonal, expected.diagonal())


def test_sums_multiples_and_constants():
    k = factor(X)
    check(3.0 * k + 0.5, 3 * K + 0.5)
    check(k + 2.0 * k, 3 * K)
    check(k + 1.0 + (k + 2.0), 2 * K + 3)
    assert not k.zero().blocks
    check(k.zero() + 1.5, torch.full_like(K, 1.5))


def test_what_kernels_have_in_common_is_held_once():
    k = factor(X)
    assert [block.weight for block in (k + 2.0 * k).blocks] == [3.0]
    assert (k + 1.0 + (k + 2.0)).phi.shape == (5, 5)
    assert (0.0 * k).blocks == ()


def test_products_are_exact_while_there_are_columns():
    k = factor(X)
    check(k * k, K * K)
    check((k + 1.0) * (k + 2.0), (K + 1) * (K + 2))
    check(k * (k.zero() + 2.0), 2 * K)


def test_products_are_sketched_without_bias():
    grams = torch.stack([gram(k * k) for k in (factor(X, 7, seed) for seed in range(300))])
    assert (factor(X, 7) * factor(X, 7)).phi.shape == (5, 7)
    assert standardised(grams, K * K) < 4.5


def test_scaling_is_by_row():
    rows = torch.arange(1.0, 6.0, dtype=torch.float64)
    sides = PerExample((rows,))
    k = factor(X)
    scaled = k.scale(sides)
    check(scaled, rows[:, None] * rows * K)
    assert len((scaled + k.scale(sides)).blocks) == 1
    assert len((scaled + k.scale(PerExample((2 * rows,)))).blocks) == 2


@pytest.mark.parametrize(
    ("dual", "a", "b"), [(nk.Polynomial((0.5, 2.0)), 0.5, 2.0), (nk.ABReLU(2.0, 2.0), 0.0, 2.0)], ids=repr
)
def test_degrees_0_and_1_of_activations_are_exact(dual, a, b):
    """Of a + b x, that is all there is."""
    value, slope = (factor(X) + 0.25).activate(dual)
    check(value, a**2 + b**2 * (K + 0.25))
    check(slope, torch.full_like(K, b**2))


def test_an_activation_of_the_kernel_0_is_a_constant():
    value, slope = factor(X).zero().activate(nk.Polynomial((0.5, 2.0)))
    check(value, torch.full_like(K, 0.25))
    check(slope, torch.full_like(K, 4.0))


def test_inflation_is_of_the_diagonal_alone_and_no_activation_takes_it():
    k = factor(X).inflate(1.5)
    torch.testing.assert_close(gram(k), K)
    torch.testing.assert_close(k.diagonal, 1.5 * K.diagonal())
    with pytest.raises(nk.UnsuitableError, match="Dropout"):
        (k + 1.0).activate(nk.Polynomial((0.5, 2.0)))


def test_decorrelation_keeps_equal_positions():
    x = units(12, 4).view(2, 6, 4)
    estimates = torch.stack([factor(x, 30, seed).decorrelate().phi.flatten(0, 1) for seed in range(300)])
    rows, same = x.flatten(0, 1), torch.eye(6, dtype=torch.float64).repeat(2, 2)
    assert standardised(estimates @ estimates.mT, rows @ rows.T * same) < 4.5
    assert factor(X).decorrelate().blocks[0].key == "data"  # without positions there is nothing to do
