"""What random features are mixed by: complex TensorSRHT, sums over windows, signs of positions, directions, draws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from neural_kernels.algebra.maps import Matrix, Separable, Taps
from neural_kernels.features.directions import Directions, IndependentDirections
from neural_kernels.features.layered.mixing import CoupledProduct, PositionSigns, SignedSum, TensorProduct
from neural_kernels.sketches import TensorSRHT
from neural_kernels.sketches.seeds import draw_normal, draw_rotation

D = 12
DRAWN = [0.6903480845086372, 0.21603264639032896, -0.6873453652812812, 0.6097416401309995]  # never to change


def pair(cosine, seed=0, d=D):
    """Two rows of norm 1."""
    rows = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, 2)))[0].T
    return torch.from_numpy(np.stack([rows[0], cosine * rows[0] + math.sqrt(1 - cosine**2) * rows[1]]))


def units(n, d, seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)


def standardised(estimates, expected):
    """The largest mean error, in standard errors."""
    standard = estimates.std(0) / len(estimates) ** 0.5
    return float(((estimates.mean(0) - expected).abs() / (standard + 1e-12)).max())


def products(make, seeds):
    features = torch.stack([make(seed) for seed in range(seeds)])
    return features @ features.mT


# TensorSRHT with complex signs


@pytest.mark.parametrize("m", [1, 10, 33])
def test_complex_tensor_srht_is_unbiased(m):
    x, y = units(4, D), units(4, 5, seed=1)
    grams = products(lambda seed: TensorSRHT(D, 5, m, seed, complex_signs=True)(x, y), 200)
    assert standardised(grams, (x @ x.T) * (y @ y.T)) < 4.5


@pytest.mark.parametrize("complex_signs", [False, True])
def test_variance_falls_as_the_width(complex_signs):
    x, y = units(6, D), units(6, D, seed=1)
    exact = (x @ x.T) * (y @ y.T)
    few, many = (
        (products(lambda seed: TensorSRHT(D, D, m, seed, complex_signs)(x, y), 120) - exact).square().mean()  # noqa: B023
        for m in (32, 512)
    )
    assert float(few / many) == pytest.approx(16, rel=0.4)  # mean squares over 120 draws of heavy tails


@pytest.mark.parametrize("m", [128, pytest.param(201, marks=pytest.mark.slow)])
def test_complex_signs_lower_the_variance_of_rows_alike(m):
    """Behind widths of more than the rows': below, real signs gain as much by sampling without replacement."""
    x, y = pair(0.9, d=64), pair(0.9, seed=1, d=64)
    real, imaginary = (
        products(lambda seed: TensorSRHT(64, 64, m, seed, signs)(x, y), 200)[:, 0, 1].var()  # noqa: B023
        for signs in (False, True)
    )
    assert float(imaginary / real) < 0.75  # about 0.53, with a standard error of some 0.07


@pytest.mark.parametrize("m", [1, 7, 40])
@pytest.mark.parametrize("widths", [(12, 5), (1, 3), (16, 16)])
@pytest.mark.parametrize("complex_signs", [False, True])
def test_with_gradients_the_same_numbers(widths, m, complex_signs):
    sketch = TensorSRHT(*widths, m, 3, complex_signs)
    x, y = units(5, widths[0]), units(5, widths[1], seed=1)
    fast = sketch(x, y)
    assert fast.shape == (5, m)
    u, v = x.clone().requires_grad_(), y.clone().requires_grad_()
    for one, other in ((u, v), (u, y), (x, v)):
        torch.testing.assert_close(sketch(one, other).detach(), fast, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda a, b: sketch(a, b)[:, :6], (u[:2], v[:2]))


def test_complex_sketch_writes_to_memory_and_is_bilinear():
    sketch = TensorSRHT(D, 5, 21, 0, complex_signs=True)
    x, y = units(4, D), units(4, 5, seed=1)
    out = torch.full((4, 21), torch.nan, dtype=torch.float64)
    assert sketch(x, y, out=out) is out
    torch.testing.assert_close(out, sketch(x, y))
    torch.testing.assert_close(sketch(2 * x + x.flip(0), -3 * y), -6 * sketch(x, y) - 3 * sketch(x.flip(0), y))
    assert not torch.allclose(out, TensorSRHT(D, 5, 21, 1, complex_signs=True)(x, y))
    torch.testing.assert_close(sketch(x.float(), y.float()).double(), out, rtol=0, atol=1e-6)


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


# Sums over windows, and signs of positions


def windows():
    """Three taps along the first axis, with nothing beyond the borders, two along the second; weights of means."""
    first = torch.tensor([[-1, 0, 1], [0, 1, 2], [1, 2, -1]])
    second = torch.tensor([[0, 1, 2, 3], [1, 2, 3, -1]])
    return Separable((Taps(first, 3**-0.5, 3), Taps(second, 2**-0.5, 4)))


def pools():
    """Taps and a matrix."""
    matrix = torch.from_numpy(np.random.default_rng(3).uniform(size=(2, 4)))
    return Separable((Taps(torch.tensor([[-1, 0, 1], [0, 1, 2]]), 0.5**0.5, 3), Matrix(matrix)))


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


def test_signed_sums_with_gradients():
    phi, positions = units(24, 5).view(2, 3, 4, 5), windows()
    mix = SignedSum(5, 6, 9, 0)
    torch.testing.assert_close(mix(phi.clone().requires_grad_(), positions).detach(), mix(phi, positions))
    assert torch.autograd.gradcheck(lambda t: mix(t, positions).flatten()[::7], (phi[:1].clone().requires_grad_(),))


@pytest.mark.parametrize("columns", [6, 8, 30])
def test_position_signs_keep_equal_positions_and_no_others(columns):
    phi = units(12, 5).view(2, 6, 5)
    signed = [PositionSigns(5, (6,), columns, seed)(phi) for seed in range(400)]
    features = torch.stack(signed).flatten(1, 2)
    same = torch.eye(6, dtype=torch.float64).repeat(2, 2)
    rows = phi.flatten(0, 1)
    assert standardised(features @ features.mT, rows @ rows.T * same) < 4.5


# Directions


@pytest.mark.parametrize("d", [1, 5, 16, 33, 64])
def test_blocks_are_rotations(d):
    """Of unit rows, u has the norm sqrt(D) in each block, and products are kept."""
    x, directions = units(7, d), Directions(d, 3 * max(16, 1 << (d - 1).bit_length()), 0)
    u = directions(x).view(7, 3, directions.dimension)
    torch.testing.assert_close(u.square().sum(-1), torch.full((7, 3), float(directions.dimension)).double())
    torch.testing.assert_close(u[:, 0] @ u[:, 0].T, directions.dimension * x @ x.T)
    assert not torch.allclose(u[:, 0], u[:, 1])


@pytest.mark.parametrize("d", [65, 128, 300])
def test_blocks_of_hadamard_transforms_are_rotations_as_well(d):
    directions = Directions(d, 2 * (1 << (d - 1).bit_length()), 0)
    x = units(5, d)
    u = directions(x).view(5, 2, -1)
    for block in u.unbind(1):
        torch.testing.assert_close(block @ block.T, directions.dimension * x @ x.T)


@pytest.mark.parametrize("d", [3, 64, 70])
@pytest.mark.parametrize("kind", [Directions, IndependentDirections])
@pytest.mark.parametrize("normal", [False, True])
def test_directions_are_isotropic(kind, normal, d):
    """Normal ones have normal moments; others have one length, and the fourth moment of the sphere."""
    x, seeds = pair(0.6, d=max(d, 3)), 100
    u = torch.stack([kind(d, 128, seed, normal)(x) for seed in range(seeds)])
    size = kind(d, 1, 0).dimension
    fourth = 3.0 if normal else 3.0 * size / (size + 2)
    for mean, expected in (
        (u[..., 0, :].mean(-1), 0.0),
        ((u[:, 0] * u[:, 1]).mean(-1), 0.6),
        (u[:, 0].square().mean(-1), 1.0),
        (u[:, 0].pow(4).mean(-1), fourth),
        ((u[:, 0].square() * u[:, 1].square()).mean(-1), fourth / 3 * (1 + 2 * 0.36)),
    ):
        assert standardised(mean, expected) < 4.5 or float((mean - expected).abs().max()) < 1e-9


def test_independent_directions_have_one_length():
    matrix = IndependentDirections(30, 200, 0).matrix
    torch.testing.assert_close(torch.linalg.vector_norm(matrix, dim=0), torch.full((200,), 30**0.5).double())
    normal = IndependentDirections(30, 200, 0, normal=True).matrix
    torch.testing.assert_close(normal / torch.linalg.vector_norm(normal, dim=0), matrix / 30**0.5)


@pytest.mark.parametrize("d", [10, 100])
@pytest.mark.parametrize("normal", [False, True])
def test_directions_by_blocks_and_with_gradients(normal, d):
    directions, x = Directions(d, 150, 0, normal), units(4, d)
    u = directions(x)
    assert u.shape == (4, 150)
    torch.testing.assert_close(torch.cat([part.clone() for _, part in directions.blocks(x)], 1), u)
    torch.testing.assert_close(directions(x.clone().requires_grad_()).detach(), u)
    torch.testing.assert_close(directions(x.float()).double(), u, rtol=0, atol=1e-5)
    torch.testing.assert_close(Directions(d, 40, 0, normal)(x), u[:, :40])  # the first of more
    assert torch.autograd.gradcheck(lambda t: directions(t)[:, ::20], (x[:1].clone().requires_grad_(),))


# Draws


def test_normal_numbers_have_normal_moments():
    z = draw_normal(200_000, 0, "moments")
    assert z.dtype == torch.float64
    for power, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96), (6, 15, 10_170)):
        assert abs(float(z.pow(power).mean()) - expected) < 4.5 * (variance / len(z)) ** 0.5
    assert abs(float((z[1:] * z[:-1]).mean())) < 4.5 / len(z) ** 0.5
    for level, share in ((1.0, 0.158655), (2.0, 0.0227501), (3.0, 0.00134990)):
        for tail in (z > level, z < -level):
            assert abs(float(tail.double().mean()) - share) < 4.5 * (share / len(z)) ** 0.5


def test_normal_numbers_are_drawn_by_address():
    z = draw_normal(5, 3, "a", 1)
    torch.testing.assert_close(draw_normal(5, 3, "a", 1), z, rtol=0, atol=0)
    torch.testing.assert_close(draw_normal(9, 3, "a", 1)[:5], z, rtol=0, atol=0)
    for seed, *path in ((4, "a", 1), (3, "a", 2), (3, "b", 1), (3, "a"), (3, "a", "1")):
        assert not torch.isclose(draw_normal(5, seed, *path), z).any()
    assert draw_normal(0, 3, "a").shape == (0,)


def test_normal_numbers_never_change():
    np.testing.assert_allclose(draw_normal(4, 3, "a", 1), DRAWN, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_rotations_are_orthogonal_and_uniform(size):
    drawn = torch.stack([draw_rotation(size, seed, "r") for seed in range(600)])
    torch.testing.assert_close(drawn @ drawn.mT, torch.eye(size, dtype=torch.float64).expand_as(drawn))
    assert standardised(drawn, 0.0) < 4.5
    if size > 1:
        assert standardised(drawn.square(), 1 / size) < 4.5
        assert standardised(drawn[:, 0, 0].pow(4), 3 / (size * (size + 2))) < 4.5
        assert standardised(drawn.diagonal(dim1=1, dim2=2).sum(1).square(), 1.0) < 4.5  # E[tr^2] of Haar's measure
    signs = torch.linalg.det(drawn)
    assert abs(float(signs.mean())) < 4.5 / 600**0.5


def test_rotations_are_drawn_by_address():
    torch.testing.assert_close(draw_rotation(8, 1, "r", 0), draw_rotation(8, 1, "r", 0), rtol=0, atol=0)
    assert not torch.isclose(draw_rotation(8, 1, "r", 1), draw_rotation(8, 1, "r", 0)).all()
