"""Probabilities of quadrants by series: against the differentiable formula, in the tails, and in every shape."""

from __future__ import annotations

import math

import pytest
import torch

from neural_kernels.activations.expectations.quadrant import quadrant_formula, quadrant_probability
from neural_kernels.engine.quadrants import SMALL

THRESHOLDS = torch.tensor(
    [0.0, 1e-9, 1e-3, 0.1, 0.7, 1.3, SMALL - 1e-9, SMALL, SMALL + 1e-9, 3.0, 5.0, 9.0, 39.0, 41.0, 1e3],
    dtype=torch.float64,
)
DELTAS = torch.tensor(
    [0.0, 1e-16, 1e-12, 1e-8, 1e-5, 1e-3, 0.03, 0.3, 0.9, 1.0, 1.2, 1.9, 1.999, 2 - 1e-8, 2.0], dtype=torch.float64
)


def test_series_and_formula_agree():
    h, k = THRESHOLDS[:, None, None], THRESHOLDS[:, None]
    expected = quadrant_formula(*torch.broadcast_tensors(h, k, DELTAS))
    torch.testing.assert_close(quadrant_probability(h, k, DELTAS), expected, rtol=0, atol=2e-14)


def test_coincident_variables():
    tail = torch.erfc(THRESHOLDS / math.sqrt(2)) / 2
    still = torch.zeros_like(tail)
    torch.testing.assert_close(quadrant_probability(THRESHOLDS, THRESHOLDS, still), tail, rtol=1e-11, atol=2e-15)
    beyond = quadrant_probability(THRESHOLDS[:, None], THRESHOLDS, torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(beyond, torch.minimum(tail[:, None], tail), rtol=1e-11, atol=2e-15)


@pytest.mark.parametrize(
    ("h", "k", "delta", "expected"),  # integrals over one variable in 30 digits
    [
        (8.227241516113281, 6.309573650360107, 0.14439448714256287, 9.031481884897769e-17),
        (5.0, 1.0, 0.3, 2.8661276019788665e-07),
        (8.0, 1.0, 0.3, 6.220960574066691e-16),
        (6.0, 0.1, 0.05, 9.86587645037698e-10),
        (6.0, 6.0, 0.8, 5.676047620546631e-16),
        (12.0, 12.0, 0.1, 9.916262898297131e-36),
    ],
)
def test_tails(h, k, delta, expected):
    """Right relative to the roots of both tails, which is what duals of shrinkages are measured by."""
    value = quadrant_probability(*(torch.tensor([x], dtype=torch.float64) for x in (h, k, delta)))
    assert abs(float(value) - expected) < 1e-12 * math.exp(-(h * h + k * k) / 4)


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        ((), (), ()),
        ((0, 1), (3,), (0, 3)),
        ((4, 1), (3,), (4, 3)),
        ((4, 1), (1, 600), (4, 600)),
        ((5,), (5,), (5,)),
        ((4, 1, 2, 1), (3, 1, 5), (4, 3, 2, 5)),
        ((4, 1, 6), (3, 6), (4, 3, 6)),
        ((1,), (1,), (7, 2)),
    ],
    ids=str,
)
def test_every_shape(first, second, third):
    generator = torch.Generator().manual_seed(0)
    h, k, delta = (torch.rand(shape, generator=generator, dtype=torch.float64) for shape in (first, second, third))
    expected = quadrant_formula(*torch.broadcast_tensors(4 * h, 3 * k, 2 * delta))
    value = quadrant_probability(4 * h, 3 * k, 2 * delta)
    assert value.shape == third
    torch.testing.assert_close(value, expected, rtol=0, atol=2e-14)


def test_gradients_are_those_of_the_formula():
    h, k, delta = (torch.tensor([x], dtype=torch.float64, requires_grad=True) for x in (0.5, 1.2, 0.4))
    assert torch.autograd.gradcheck(quadrant_probability, (h, k, delta))
