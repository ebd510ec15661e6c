"""Closed-form duals against quadrature of their definition."""

import math

import numpy as np
import pytest
import torch
from test_duals_cases import (
    DELTAS,
    DEVIATIONS,
    EVERY,
    NARROW,
    PIECEWISE,
    SPREADS,
    WIDE,
    both_sides,
    by_quadrature,
    normal,
    panels,
    relative_errors,
)

from neural_kernels.activations.elu import ELU
from neural_kernels.activations.expectations.normal import BivariateNormal


@pytest.mark.parametrize("activation", [*PIECEWISE, *NARROW], ids=repr)
def test_definition(activation):
    spreads = SPREADS[:3] if activation in NARROW else [*SPREADS[:1], *SPREADS[2:], WIDE[1]]
    for s, t in spreads:
        for delta in DELTAS if (s, t) == (0.6, 1.7) else DELTAS[::3]:
            errors = relative_errors(activation, s, t, delta, by_quadrature(activation, s, t, delta))
            assert max(errors) < 1e-10, (s, t, delta, errors)


@pytest.mark.parametrize("largest", [2.0, 4.0, 10.0, 100.0])
def test_angular_rules_agree_where_they_change(largest):
    """The next finer rule gives the same kernel."""
    delta = torch.tensor(DELTAS, dtype=torch.float64)
    for ratio in (1e-3, 0.3, 1.0):
        below = normal(largest, ratio * largest, delta)
        finer = torch.tensor([ratio * largest, 101.0], dtype=torch.float64)[:, None]
        above = BivariateNormal(below.std1, finer, delta)
        for function in (ELU().dual, ELU().dual_slope):
            torch.testing.assert_close(function(above)[0], function(below), rtol=0, atol=3e-12 * max(1, largest**2))


@pytest.mark.slow
@pytest.mark.parametrize("activation", [*PIECEWISE, *NARROW], ids=repr)
def test_definition_everywhere(activation):
    for s, t in [*SPREADS, (3.0, 1.0), (4.0, 2.0)] + ([] if activation in NARROW else [*WIDE, (10.0, 30.0)]):
        for delta in DELTAS:
            errors = relative_errors(activation, s, t, delta, by_quadrature(activation, s, t, delta))
            assert max(errors) < 1e-10, (s, t, delta, errors)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_continuous_at_coincidence(activation):
    """At many standard deviations: where both variables meet a kink at once, rounding must not decide on which side."""
    std = torch.linspace(0.05, 1.5, 200, dtype=torch.float64)
    near = activation.dual(BivariateNormal(std, std, torch.full_like(std, 1e-14)))
    torch.testing.assert_close(activation.std(std).square(), near, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("activation", EVERY, ids=repr)
def test_zero_variance(activation):
    zero = torch.zeros((), dtype=torch.float64)
    at_zero = float(activation.fn(zero))
    for delta in (0.0, 0.4, 1.0, 2.0):
        point = normal(0.0, 0.0, delta)
        assert float(activation.dual(point)) == pytest.approx(at_zero**2, abs=1e-15)
        mean = float(activation.dual(normal(0.0, 1.0, delta)))
        assert mean == pytest.approx(at_zero * expectation(activation), abs=1e-12)
    assert float(activation.std(zero)) == pytest.approx(abs(at_zero), abs=1e-15)


def expectation(activation):
    x, weight = panels(both_sides(DEVIATIONS))
    y = activation.fn(torch.tensor(x)).numpy()
    return float(weight @ (np.exp(-x * x / 2) * y)) / math.sqrt(2 * math.pi)
