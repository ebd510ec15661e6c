"""Functions of a positive number in tables."""

import numpy as np
import torch

from neural_kernels.activations.expectations.octaves import HalfOctaves


def both(numbers: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.exp(-numbers), torch.atan(numbers) / numbers], dim=1)


def test_analytic_functions_to_rounding():
    like = torch.logspace(-3, 2, 20, dtype=torch.float64)
    table = HalfOctaves.of(both, like)
    numbers = np.geomspace(1e-3, 1e2, 500)
    expected = both(torch.from_numpy(numbers)).numpy()
    np.testing.assert_allclose(table(numbers), expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(table(numbers[7:8]), expected[7:8], rtol=0, atol=1e-14)


def test_nothing_beyond_the_tables():
    table = HalfOctaves.of(both, torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64))
    assert np.isfinite(table(np.array([0.71, 1.0, 2.0, 2.002]))).all()
    for number in (0.0, 0.4, 2.01, np.inf, np.nan):
        with np.errstate(all="ignore"):
            assert np.isnan(table(np.array([number]))).all()


def test_zeros_alone():
    assert HalfOctaves.of(both, torch.zeros(3, dtype=torch.float64))(np.array([0.9])).shape == (1, 2)
