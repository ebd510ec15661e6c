"""How a power series is divided: coefficients, columns, the error that is predicted."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.features.angle.degree_plan import planned
from neural_kernels.features.angle.power_series import DEGREE, PowerSeries, zonal_series

COSINES = np.array([0.0, 0.25, 0.5, 0.75])
RELU = zonal_series(nk.NTK(nk.mlp(2)), 1.0, 12)


def series(*coefficients):
    padded = torch.zeros(DEGREE + 1, dtype=torch.float64)
    padded[: len(coefficients)] = torch.tensor(coefficients, dtype=torch.float64)
    return PowerSeries(padded, float(padded.sum()))


@pytest.mark.parametrize("degree", [2, 5, 16])
@pytest.mark.parametrize("columns", [10, 300, 4096])
def test_columns_are_used_and_no_more(degree, columns):
    plan = planned(RELU, degree, COSINES, 12, columns)
    used = 1 + plan.linear + sum(plan.widths.values())
    assert 0.9 * columns - degree <= used <= columns
    assert plan.linear <= 12
    assert set(plan.widths) == set(range(2, degree + 1))
    assert len(plan.coefficients) == degree + 1


def test_a_polynomial_is_kept_and_takes_columns_for_its_own_degrees_alone():
    plan = planned(series(0.5, 1.0, 0.0, 2.0), 5, COSINES, 6, 500)
    np.testing.assert_allclose(plan.coefficients, [0.5, 1.0, 0.0, 2.0, 0.0, 0.0])
    assert plan.truncation == 0
    assert plan.linear == 6
    assert plan.widths == {2: 0, 3: 500 - 7, 4: 0, 5: 0}
    assert planned(series(0.5, 1.0), 2, COSINES, 6, 500).error == pytest.approx(0, abs=1e-12)


def test_what_lies_above_the_degree_goes_to_the_last_two_by_parity():
    plan = planned(series(0.0, 0.0, 1.0, 1.0, 0.5, 0.25, 0.5, 0.25), 3, COSINES, 6, 500)
    np.testing.assert_allclose(plan.coefficients, [0.0, 0.0, 2.0, 1.5])


@pytest.mark.parametrize("degree", [2, 8])
def test_little_of_the_diagonal_is_left_out(degree):
    plan = planned(RELU, degree, COSINES, 12, 1000)
    assert 0 <= plan.truncation <= 0.03 + 1e-9
    assert plan.coefficients.sum() == pytest.approx((1 - plan.truncation) * RELU.total)


def test_the_error_falls_as_the_root_of_the_columns_and_with_the_degree():
    """As long as columns decide; then a higher degree has less bias."""
    smooth = series(0.1, 0.3, 0.6)
    few, many = (planned(smooth, 2, COSINES, 6, columns).error for columns in (100, 6400))
    assert few / many == pytest.approx(8, rel=0.1)
    errors = [planned(RELU, degree, COSINES, 12, 10**6).error for degree in (2, 4, 8)]
    assert errors[0] > 1.5 * errors[1] > 1.5 * errors[2]
