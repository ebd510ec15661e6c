"""Normal numbers and rotations drawn by address."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from estimates import standardised
from neural_kernels.sketches.seeds import draw_normal, draw_rotation

DRAWN = [0.6903480845086372, 0.21603264639032896, -0.6873453652812812, 0.6097416401309995]  # never to change


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
