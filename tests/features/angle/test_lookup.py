"""Functions by a table: interpolation, ends, factors of rows, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_kernels.features.angle.lookup import as_cells, lookup

REACH, CELLS = 2.0, 64
GRID = torch.linspace(-REACH, REACH, CELLS + 1, dtype=torch.float64)
VALUES = torch.sin(3 * GRID) + GRID
EDGE = 2e-6 * CELLS  # of a cell, by which the compiled look-up stays away from the end


def interpolated(u, factor):
    return factor[:, None].numpy() * np.interp(u.numpy(), GRID.numpy(), VALUES.numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_between_points_and_constant_outside(dtype):
    u = torch.linspace(-3, 3, 4 * 97, dtype=torch.float64).view(4, 97)
    factor = torch.tensor([1.0, -2.0, 0.0, 0.5], dtype=torch.float64)
    out = torch.full((4, 97), torch.nan, dtype=dtype)
    assert lookup(u.to(dtype), as_cells(VALUES).to(dtype), REACH, factor.to(dtype), out) is out
    np.testing.assert_allclose(
        out.numpy(), interpolated(u, factor), atol=EDGE + (1e-4 if dtype == torch.float32 else 0)
    )


def test_points_of_the_table_have_its_values():
    out = torch.empty(1, CELLS + 1, dtype=torch.float64)
    lookup(GRID[None], as_cells(VALUES), REACH, torch.ones(1, dtype=torch.float64), out)
    torch.testing.assert_close(out[0], VALUES, rtol=0, atol=EDGE)


def test_gradients_are_those_of_the_interpolation():
    u = torch.tensor([[-2.5, -0.7, 0.011, 1.3, 2.5]], dtype=torch.float64, requires_grad=True)
    factor = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    cells = as_cells(VALUES)
    result = lookup(u, cells, REACH, factor, torch.empty(1, 5, dtype=torch.float64))
    np.testing.assert_allclose(result.detach().numpy(), interpolated(u.detach(), factor.detach()), atol=1e-12)
    by_u, by_factor = torch.autograd.grad(result.sum(), (u, factor))
    cell = ((u.detach() + REACH) * CELLS / (2 * REACH)).floor().long().clamp(0, CELLS - 1)
    expected = 3 * cells[cell[0], 1] * CELLS / (2 * REACH)
    expected[[0, -1]] = 0
    torch.testing.assert_close(by_u[0], expected)
    torch.testing.assert_close(by_factor, result.detach().sum()[None] / 3)
