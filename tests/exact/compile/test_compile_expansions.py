"""Series of activations as vectors: both encodings are the dual, and hold no more than they must."""

from __future__ import annotations

import pytest
import torch

import neural_kernels as nk
from neural_kernels.activations import BivariateNormal, Dual
from neural_kernels.engine.codes import GROUP, POWERS, SERIES
from neural_kernels.engine.inputs import DenseRows
from neural_kernels.exact.compile.expansions import SeriesOperation, as_powers, as_series, unit_coefficients
from neural_kernels.exact.expressions.duals import Activated, Slope, Value
from neural_kernels.exact.gram import propagate


def node_of(kind: type[Value] | type[Slope], dual: Dual) -> Activated:
    x = DenseRows.of(torch.tensor([[0.5, 0.2], [1.0, -1.5], [0.0, 0.0]], dtype=torch.float64))
    return kind(dual, propagate(nk.Dense(), [x]).nngp.expression)


def evaluated(operation: SeriesOperation, rho: torch.Tensor) -> torch.Tensor:
    """1 - sum_j l_j r_j rho^j for all pairs of units."""
    even, odd = operation.counts
    degrees = range(even) if operation.code == SERIES else [*range(0, 2 * even, 2), *range(1, 2 * odd, 2)]
    terms = zip(degrees, operation.vectors, strict=True)
    return 1 - torch.stack([sides[0][:, None] * sides[-1][None] * rho**degree for degree, sides in terms]).sum(0)


@pytest.mark.parametrize("kind", [Value, Slope])
@pytest.mark.parametrize("dual", [nk.GELU(), nk.Erf(), nk.Sin(1.0, 1.0, 0.3)], ids=repr)
def test_both_encodings_are_the_dual(dual: Dual, kind: type[Value] | type[Slope]) -> None:
    node = node_of(kind, dual)
    unit = unit_coefficients(node, torch.float64, {})
    assert unit is not None
    series, powers = as_series(unit), as_powers(unit, torch.float64)
    assert (series.code, powers.code) == (SERIES, POWERS)
    std = node.argument.stds[0]
    filled = std > 0  # a unit that is always 0 has no correlation
    for delta in (0.0, 0.3, 1.0, 1.9):
        normal = BivariateNormal(std[:, None], std[None], torch.full((3, 3), delta, dtype=torch.float64))
        expected = (dual.delta if kind is Value else dual.slope_delta)(normal)
        for operation in (series, powers):
            ours = evaluated(operation, torch.tensor(1 - delta, dtype=torch.float64))
            torch.testing.assert_close(ours[filled][:, filled], expected[filled][:, filled], rtol=0, atol=1e-12)


def test_coefficients_have_norm_one() -> None:
    node = node_of(Value, nk.GELU())
    (unit,) = unit_coefficients(node, torch.float64, {}) or []
    assert unit.dtype == torch.float64
    torch.testing.assert_close(unit.square().sum(0), torch.tensor([1, 1, 0], dtype=torch.float64))


def test_value_and_slope_share_a_series() -> None:
    value = node_of(Value, nk.GELU())
    slope = Slope(value.dual, value.argument)
    cache = {}
    unit_coefficients(value, torch.float64, cache)
    (kept,) = cache.values()
    unit_coefficients(slope, torch.float64, cache)
    assert list(cache.values()) == [kept]


def test_powers_leave_out_what_vanishes() -> None:
    """An odd activation has no even degree at all; the others are filled up to whole groups."""
    node = node_of(Value, nk.Erf())
    unit = unit_coefficients(node, torch.float32, {})
    assert unit is not None
    even, odd = as_powers(unit, torch.float32).counts
    assert even == 0
    assert odd > 0
    assert odd % GROUP == 0
