"""Parameters that the closed-form activations refuse."""

import math

import pytest

from neural_kernels.activations.elu import ELU
from neural_kernels.activations.erf import Erf
from neural_kernels.activations.exponential import Exp, Gaussian
from neural_kernels.activations.normalized import NormalizedGaussian
from neural_kernels.activations.polynomial import Hermite, Monomial, Polynomial
from neural_kernels.activations.rectified import RectifiedMonomial
from neural_kernels.activations.relu import ABReLU, LeakyReLU
from neural_kernels.activations.trigonometric import RBF, Cos, Sin


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", None, True, 1j])
@pytest.mark.parametrize("make", [LeakyReLU, lambda v: ABReLU(1.0, v), lambda v: ABReLU(v, 1.0), Erf, ELU, Sin,
                                  lambda v: Cos(1.0, v), RBF, Exp, Gaussian, NormalizedGaussian, Monomial, Hermite,
                                  RectifiedMonomial, Polynomial, lambda v: Polynomial([1.0, v])])  # fmt: skip
def test_bad_parameters(make, value):
    with pytest.raises((TypeError, ValueError), match=r"=.*: expected"):
        make(value)


@pytest.mark.parametrize("make", [Monomial, Hermite, RectifiedMonomial, RBF, NormalizedGaussian])
def test_negative_parameters(make):
    with pytest.raises(ValueError, match=r"=-1\): expected"):
        make(-1)


def test_polynomial_needs_a_coefficient():
    with pytest.raises(ValueError, match="at least one"):
        Polynomial([])
    assert Polynomial([1, 2]) == Polynomial((1.0, 2.0))
