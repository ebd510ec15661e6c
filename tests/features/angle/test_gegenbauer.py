"""Expansions in Gegenbauer polynomials, and the activation that has a kernel as its dual."""

from __future__ import annotations

import math

import pytest
import torch

import neural_kernels as nk
from neural_kernels.features.angle.gegenbauer import HIGHEST, activation_table, gegenbauer_coefficients
from neural_kernels.features.angle.power_series import zonal_series


@pytest.mark.parametrize("dimension", [3, 16, 1024])
def test_gegenbauer_coefficients(dimension):
    """The sum at 1 stays, and c^2 = (1 - 1/D) P_2 + 1/D."""
    coefficients = zonal_series(nk.NTK(nk.mlp(2)), 1.0, 2).coefficients
    b = gegenbauer_coefficients(coefficients, dimension)
    assert float(b.sum()) == pytest.approx(float(coefficients.sum()), rel=1e-12)
    assert (b >= 0).all()
    square = torch.zeros(5, dtype=torch.float64)
    square[2] = 1
    expected = [1 / dimension, 0, 1 - 1 / dimension, 0, 0]
    torch.testing.assert_close(gegenbauer_coefficients(square, dimension), torch.tensor(expected, dtype=torch.float64))


def test_table_has_the_kernel_as_its_dual():
    """E[sigma(t)^2] over a coordinate of the sphere is the sum of b_2, b_3, ..."""
    dimension = 24
    b = gegenbauer_coefficients(zonal_series(nk.NTK(nk.mlp(1)), 1.0, 2).coefficients, dimension)
    table, reach = activation_table(b, dimension)
    t = torch.linspace(-reach, reach, len(table), dtype=torch.float64) / math.sqrt(dimension)
    weight = (1 - t * t).clamp(min=0) ** ((dimension - 3) / 2)
    mean = float((weight * table.square()).sum() / weight.sum())
    assert mean == pytest.approx(float(b[2 : HIGHEST + 1].sum()), rel=1e-6)
    assert abs(float((weight * table).sum() / weight.sum())) < 1e-8
