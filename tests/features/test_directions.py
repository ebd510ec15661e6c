"""Random directions: rotations in blocks, isotropic, the same with gradients."""

from __future__ import annotations

import pytest
import torch

from estimates import pair, standardised, units
from neural_kernels.features.directions import Directions, IndependentDirections


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
