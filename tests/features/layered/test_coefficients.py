"""Hermite coefficients of activations, against adaptive quadrature and the duals; what of them is exact."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.polynomial.hermite_e import hermeval
from scipy.integrate import quad

import neural_kernels as nk
from neural_kernels.features.layered.coefficients import LowDegrees, hermite_coefficients, low_degrees
from neural_kernels.features.method import UnsuitableError

STDS = 0.0, 1e-3, 0.3, 1.0, 3.0
DEGREE = 7
SERIES = 1e-9**0.5  # of the whole: series are cut where the squares of what is left out are 1e-9
SMOOTH = [nk.GELU(), nk.Erf(), nk.Tanh(), nk.Sigmoid(), nk.SiLU(), nk.Sin(), nk.Polynomial((0.3, 1.0, 0.2))]
KINKED = [nk.ReLU(), nk.LeakyReLU(0.2), nk.Abs(), nk.HardTanh(), nk.ELU(), nk.SELU(), nk.Step(), nk.Sign()]


def expectation(f, kinks, degree):
    """E[f(z) he_j(z)] / sqrt(j!) for j up to the degree, by adaptive quadrature."""
    inside = sorted(kink for kink in kinks if abs(kink) < 12)
    ends = [-12.0, *inside, 12.0]
    result = []
    for j in range(degree + 1):
        basis = [0.0] * j + [1 / math.sqrt(math.factorial(j) * 2 * math.pi)]
        parts = [
            quad(lambda z: f(z) * hermeval(z, basis) * math.exp(-z * z / 2), a, b, epsabs=1e-13, limit=200)[0]  # noqa: B023
            for a, b in itertools.pairwise(ends)
        ]
        result.append(sum(parts))
    return np.array(result)


def scalar(fn):
    """Of a number, in double precision."""
    return lambda z: float(fn(torch.tensor(z, dtype=torch.float64)))


@pytest.mark.parametrize("std", STDS)
@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_coefficients_are_integrals(activation, std):
    value, slope = hermite_coefficients(activation, torch.tensor([std], dtype=torch.float64), DEGREE)
    assert value.dtype == slope.dtype == torch.float64
    fn = scalar(activation.fn)
    places = [kink / std for kink in activation.kinks] if std else []
    expected = expectation(lambda z: fn(std * z), places, DEGREE)
    largest = float(np.abs(expected).max())
    cut = SERIES * float(activation.std(torch.tensor(std, dtype=torch.float64)))
    np.testing.assert_allclose(value[0], expected, rtol=1e-9, atol=cut + 1e-10 * max(1.0, largest))
    np.testing.assert_allclose(value[0, np.abs(expected).argmax()], expected[np.abs(expected).argmax()], rtol=1e-8)


@pytest.mark.parametrize("std", STDS[1:])
@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_slopes_are_integrals_of_differences(activation, std):
    """Of the derivative where there is one: jumps do not count."""
    _, slope = hermite_coefficients(activation, torch.tensor([std], dtype=torch.float64), 4)
    fn, step = scalar(activation.fn), 1e-5

    def derivative(u):
        inside = all(abs(u - kink) > 2 * step for kink in activation.kinks)
        return (fn(u + step) - fn(u - step)) / (2 * step) if inside else 0.0

    near = [kink + side * 2 * step for kink in activation.kinks for side in (-1, 1)]
    expected = expectation(lambda z: derivative(std * z), [u / std for u in near], 4)
    left_out = 4 * step * len(activation.kinks) / std  # around kinks, times a density of at most 0.4 and a slope
    np.testing.assert_allclose(slope[0], expected, rtol=1e-5, atol=SERIES + 2 * left_out)


@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_squares_sum_to_the_variance(activation):
    std = torch.tensor([0.3, 1.0, 3.0], dtype=torch.float64)
    value, slope = hermite_coefficients(activation, std, 120)
    for coefficients, total in ((value, activation.std(std)), (slope, activation.slope_std(std))):
        share = coefficients.square().cumsum(1) / total.square().clamp(min=1e-300)[:, None]
        share = share[total > 1e-12]
        assert bool((share <= 1 + 1e-9).all())
        # A jump leaves out J^-1/2 of the whole, a kink J^-3/2, all others less.
        assert bool((share[:, -1] > 0.9).all())
        assert bool((1 - share[:, 120] <= 0.75 * (1 - share[:, 30]) + 1e-9).all())


@pytest.mark.parametrize("activation", [nk.GELU(), nk.Erf(), nk.Sin(), nk.Sigmoid(), nk.Polynomial((0.3, 1.0, 0.2))])
def test_squares_of_smooth_ones_sum_to_the_variance_exactly(activation):
    std = torch.tensor([1e-3, 0.1, 0.5], dtype=torch.float64)
    value, slope = hermite_coefficients(activation, std, 60)
    torch.testing.assert_close(value.square().sum(1), activation.std(std).square(), rtol=1e-7, atol=0)
    torch.testing.assert_close(slope.square().sum(1), activation.slope_std(std).square(), rtol=1e-7, atol=0)


@pytest.mark.parametrize("activation", [nk.GELU(), nk.HardTanh(), nk.ReLU(), nk.Tanh()], ids=repr)
def test_the_dual_is_the_power_series(activation):
    std = torch.tensor([0.4, 1.5], dtype=torch.float64)
    value, slope = hermite_coefficients(activation, std, 150)
    rho = torch.tensor(0.7, dtype=torch.float64)
    powers = rho ** torch.arange(151)
    normal = nk.BivariateNormal(std[0], std[1], 1 - rho)
    torch.testing.assert_close((value[0] * value[1] * powers).sum(), activation.dual(normal), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        (slope[0] * slope[1] * powers).sum(), activation.dual_slope(normal), rtol=1e-9, atol=1e-12
    )


def test_relu_in_closed_form():
    value, slope = hermite_coefficients(nk.ReLU(), torch.tensor([2.0], dtype=torch.float64), 4)
    root = math.sqrt(2 * math.pi)
    np.testing.assert_allclose(
        value[0], [2 / root, 1, 2 / (root * math.sqrt(2)), 0, -2 / (root * math.sqrt(24))], atol=1e-13
    )
    np.testing.assert_allclose(slope[0], [0.5, 1 / root, 0, -1 / (root * math.sqrt(6)), 0], atol=1e-13)


def test_shapes():
    std = torch.rand(2, 3, 4)
    for activation in (nk.ReLU(), nk.HardTanh(), nk.GELU()):
        value, slope = hermite_coefficients(activation, std, 5)
        assert value.shape == slope.shape == (2, 3, 4, 6)
        one, _ = hermite_coefficients(activation, std[1, 2, 3], 5)
        torch.testing.assert_close(one, value[1, 2, 3])


@pytest.mark.parametrize("shape", [(0,), (0, 3, 4)])
def test_no_rows(shape):
    for activation in (nk.ReLU(), nk.HardTanh(), nk.GELU()):
        assert hermite_coefficients(activation, torch.empty(shape), 5)[0].shape == (*shape, 6)


def test_many_rows_go_in_chunks():
    std = torch.linspace(0, 3, 50)
    expected = hermite_coefficients(nk.HardTanh(), std, 5)
    for one, other in zip(hermite_coefficients(nk.HardTanh(), std, 5, temporary=1), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-14)


FLAGS = {  # mean, linear, slope, whether continuous (where neither is 0 throughout), homogeneous
    nk.ReLU(): (True, True, True, True, True),
    nk.LeakyReLU(0.2): (True, True, True, True, True),
    nk.Abs(): (True, False, False, None, True),
    nk.ABReLU(0.7, 0.7): (False, True, True, True, True),
    nk.Erf(): (False, True, True, True, False),
    nk.GELU(): (True, True, True, True, False),
    nk.ELU(): (True, True, True, True, False),
    nk.HardTanh(): (False, True, True, True, False),
    nk.Sin(): (False, True, True, True, False),
    nk.Cos(): (True, False, False, None, False),
    nk.Hermite(2): (True, False, False, None, False),
    nk.Sign(): (False, True, False, False, False),
    nk.Step(): (True, True, False, False, False),
}


@pytest.mark.parametrize("activation", FLAGS, ids=repr)
def test_low_degrees(activation):
    low = LowDegrees.of(activation)
    mean, linear, slope, continuous, homogeneous = FLAGS[activation]
    assert (low.mean, low.linear, low.slope, low.homogeneous) == (mean, linear, slope, homogeneous)
    assert continuous is None or low.continuous == continuous


@pytest.mark.parametrize("activation", [nk.Tanh(), nk.HardTanh(), nk.ELU(), nk.ReLU()], ids=repr)
def test_mean_slope_is_the_linear_coefficient(activation):
    """Stein's lemma: E[sigma'(s z)] = E[sigma(s z) z] / s for continuous functions, at 0 the derivative there."""
    mean, linear, slope = low_degrees(activation, torch.tensor([0.0, 1e-3, 0.5, 3.0]))
    torch.testing.assert_close(linear, slope, rtol=1e-6, atol=0)
    assert float(mean[0]) == pytest.approx(0, abs=1e-15)


class WithoutSeries(nk.NormalizedGaussian):
    """A kernel that neither a function nor a series is known of."""

    def series(self, std, tolerance):
        """None."""


def test_what_has_no_function_is_refused():
    with pytest.raises(UnsuitableError, match="no function"):
        hermite_coefficients(WithoutSeries(), torch.ones(1), 3)
    value, _ = hermite_coefficients(nk.NormalizedGaussian(0.5), torch.ones(1), 3)
    np.testing.assert_allclose(value[0] ** 2, math.exp(-0.5) * np.array([1, 0.5, 0.125, 0.125 / 6]), rtol=1e-12)
