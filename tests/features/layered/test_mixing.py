"""What random features are mixed by: products, sums over windows, signs of positions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from estimates import pair, products, standardised, units
from neural_kernels.algebra import Matrix, Separable, Taps
from neural_kernels.features.layered.mixing import CoupledProduct, PositionSigns, SignedSum, TensorProduct

D = 12


def test_tensor_products_are_exact_where_there_is_room():
    a, b = units(6, 3).view(2, 3, 3), units(6, 4, seed=1).view(2, 3, 4)
    product = TensorProduct(3, 4, 12, 0)(a, b)
    assert product.shape == (2, 3, 12)
    expected = (a.flatten(0, 1) @ a.flatten(0, 1).T) * (b.flatten(0, 1) @ b.flatten(0, 1).T)
    torch.testing.assert_close(product.flatten(0, 1) @ product.flatten(0, 1).T, expected)
    grams = products(lambda seed: TensorProduct(3, 4, 11, seed)(a, b).flatten(0, 1), 300)
    assert standardised(grams, expected) < 4.5


@pytest.mark.parametrize("columns", [7, 16])
def test_coupled_products(columns):
    """Unbiased, at most of the variance that is stated, with b cut off, positions and gradients."""
    a, normal = pair(0.8), torch.from_numpy(np.random.default_rng(1).normal(size=(300, 16, D)))
    b = (normal @ pair(0.6).T).sign().mT / 4
    grams = products(lambda seed: CoupledProduct(D, columns, seed)(a, b[seed]), 300)
    one, other = 0.8**2, (2 / math.pi * math.asin(0.6)) ** 2
    assert standardised(grams, (a @ a.T) * torch.tensor([[1.0, other**0.5], [other**0.5, 1.0]])) < 4.5
    assert float(grams[:, 0, 1].var()) < 1.3 * (1 + 2 * one - one * other) / columns
    product, stacked = CoupledProduct(D, columns, 0), (a.view(2, 1, D), b[0].view(2, 1, 16))
    torch.testing.assert_close(product(*stacked), product(a, b[0])[:, None])
    assert torch.autograd.gradcheck(product, (a.clone().requires_grad_(), b[0].clone().requires_grad_()))


def windows():
    """Three taps along the first axis, with nothing beyond the borders, two along the second; weights of means."""
    first = torch.tensor([[-1, 0, 1], [0, 1, 2], [1, 2, -1]])
    second = torch.tensor([[0, 1, 2, 3], [1, 2, 3, -1]])
    return Separable((Taps(first, 3**-0.5, 3), Taps(second, 2**-0.5, 4)))


def pools():
    """Taps and a matrix."""
    matrix = torch.from_numpy(np.random.default_rng(3).uniform(size=(2, 4)))
    return Separable((Taps(torch.tensor([[-1, 0, 1], [0, 1, 2]]), 0.5**0.5, 3), Matrix(matrix)))


def circular():
    """Taps that read positions twice, further apart than one step."""
    return Separable((Taps(torch.tensor([[2, 0, 1], [1, 1, -1], [0, 2, 0], [-1, -1, 2]]), 0.5, 3), windows().axes[1]))


def concatenated(phi, positions):
    return torch.cat([part.movedim(1, -1) for part in positions.spread(phi.movedim(-1, 1), 0)], -1)


@pytest.mark.parametrize("columns", [4, 9, 40])
@pytest.mark.parametrize("positions", [windows(), pools()], ids=["windows", "pools"])
def test_signed_sums_stand_for_the_concatenation(positions, columns):
    """All products, of any two examples at any two positions."""
    phi = units(24, 5).view(2, 3, 4, 5)
    rows = concatenated(phi, positions).flatten(0, -2)
    make = lambda seed: SignedSum(5, positions.count, columns, seed)(phi, positions).flatten(0, -2)  # noqa: E731
    assert make(0).shape == (2 * math.prod(positions.after), columns)
    assert standardised(products(make, 300), rows @ rows.T) < 5  # the largest of up to 300


def test_signed_sums_err_as_independent_sketches_do():
    phi, positions = units(24, 50).view(2, 3, 4, 50), windows()
    rows = concatenated(phi, positions).flatten(0, -2)
    norms = torch.linalg.vector_norm(rows, dim=1)
    error = products(lambda seed: SignedSum(50, 6, 64, seed)(phi, positions).flatten(0, -2), 100) - rows @ rows.T
    off = ~torch.eye(len(rows), dtype=torch.bool)
    mean_square = (error / (norms[:, None] * norms)).square()[:, off].mean()
    assert float(mean_square) < 1.3 / 64


def test_turns_make_taps_that_are_alike_err_no_more():
    """In an image of one colour all taps are the same vector, whose mixed columns have fourth moments."""
    phi, positions = units(1, 50).expand(24, 50).reshape(2, 3, 4, 50), windows()
    rows = concatenated(phi, positions).flatten(0, -2)
    norms = torch.linalg.vector_norm(rows, dim=1)
    error = products(lambda seed: SignedSum(50, 6, 64, seed)(phi, positions).flatten(0, -2), 100) - rows @ rows.T
    assert float((error / (norms[:, None] * norms)).square().mean()) < 1.6 / 64  # 2.8 / 64 without turns


@pytest.mark.parametrize("positions", [windows(), circular()], ids=["windows", "circular"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_signed_sums_with_gradients(positions, dtype):
    """What is compiled equals what torch makes, which has gradients."""
    phi, mix = units(24, 5).view(2, 3, 4, 5).to(dtype), SignedSum(5, positions.count, 9, 0)
    assert mix(phi, positions).dtype == dtype
    torch.testing.assert_close(mix(phi.clone().requires_grad_(), positions).detach(), mix(phi, positions))
    if dtype == torch.float64:
        assert torch.autograd.gradcheck(lambda t: mix(t, positions).flatten()[::7], (phi[:1].clone().requires_grad_(),))


@pytest.mark.parametrize("columns", [6, 8, 30])
def test_position_signs_keep_equal_positions_and_no_others(columns):
    phi = units(12, 5).view(2, 6, 5)
    signed = [PositionSigns(5, (6,), columns, seed)(phi) for seed in range(400)]
    features = torch.stack(signed).flatten(1, 2)
    same = torch.eye(6, dtype=torch.float64).repeat(2, 2)
    rows = phi.flatten(0, 1)
    assert standardised(features @ features.mT, rows @ rows.T * same) < 4.5
