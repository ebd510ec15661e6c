"""Closed-form duals against the textbook formulas in 60 digits."""

import mpmath as mp
import numpy as np
import pytest
import torch
from test_duals_cases import DELTAS, SPREADS, WIDE, normal, relative_errors

from neural_kernels.activations.base import Dual
from neural_kernels.activations.erf import Erf
from neural_kernels.activations.exponential import Exp, Gabor, Gaussian
from neural_kernels.activations.gelu import GELU
from neural_kernels.activations.normalized import NormalizedGaussian
from neural_kernels.activations.polynomial import Monomial
from neural_kernels.activations.rectified import RectifiedMonomial
from neural_kernels.activations.relu import ABReLU, Abs, LeakyReLU, ReLU
from neural_kernels.activations.trigonometric import RBF, Cos, Sin

# -- the textbook formulas (cancelling and overflowing as they do) in 60 digits, at every scale --


def _arc_cosine(a, b):
    a, b = mp.mpf(a), mp.mpf(b)

    def formula(p, q, k):
        theta = mp.acos(k / mp.sqrt(p * q)) if p * q else mp.pi / 2
        slope = (a * a + b * b) / 2 - (a - b) ** 2 * theta / (2 * mp.pi)
        return (a - b) ** 2 / (2 * mp.pi) * mp.sqrt(p * q - k * k) + k * slope, slope

    return formula


def _erf(p, q, k):
    scale = (1 + 2 * p) * (1 + 2 * q)
    return 2 / mp.pi * mp.asin(2 * k / mp.sqrt(scale)), 4 / mp.pi / mp.sqrt(scale - 4 * k * k)


def _gelu(p, q, k):
    e = (1 + p) * (1 + q)
    d = e - k * k
    a = mp.atan2(k, mp.sqrt(d))
    value = k / 4 + ((k * k + p * q * d) / (e * mp.sqrt(d)) + k * a) / (2 * mp.pi)
    return value, mp.mpf(1) / 4 + (a + k / mp.sqrt(d) * (1 / d + (1 - p * q) / e + 1)) / (2 * mp.pi)


def _sin(a, b, c):
    def formula(p, q, k):
        minus, plus = (mp.exp(-(mp.mpf(b) ** 2) * (p + q + sign * 2 * k) / 2) for sign in (-1, 1))
        turn = mp.cos(2 * c) * plus
        return mp.mpf(a) ** 2 * (minus - turn) / 2, mp.mpf(a * b) ** 2 * (minus + turn) / 2

    return formula


def _rbf(p, q, k):
    return mp.exp(-(p + q - 2 * k)), 2 * mp.exp(-(p + q - 2 * k))


def _exp(p, q, k):
    return (mp.exp((p + q + 2 * k) / 2),) * 2


def _gaussian(p, q, k):
    d = (1 + 2 * p) * (1 + 2 * q) - 4 * k * k
    return 1 / mp.sqrt(d), 4 * k / mp.sqrt(d) ** 3


def _gabor(p, q, k):
    spread = 4 * (p * q - k * k)
    d = 2 * (p + q) + spread + 1
    minus, plus = (mp.exp(-(p + q + spread + sign * 2 * k) / (2 * d)) for sign in (-1, 1))
    by_k = [
        a * ((8 * k + sign * 2) * d - 8 * k * (p + q + spread - sign * 2 * k)) / (2 * d * d)
        for a, sign in ((minus, 1), (plus, -1))
    ]
    value = (minus - plus) / (2 * mp.sqrt(d))
    return value, (by_k[0] - by_k[1]) / (2 * mp.sqrt(d)) + 2 * k * (minus - plus) / mp.sqrt(d) ** 3


def _monomial_value(n, p, q, k):
    total = mp.mpf(0)
    for power in range(n % 2, n + 1, 2):
        half = (n - power) // 2
        weight = mp.factorial(n) ** 2 / (mp.factorial(power) * mp.factorial(half) ** 2 * 2 ** (2 * half))
        total += weight * k**power * (p * q) ** half
    return total


def _monomial(n):
    return lambda p, q, k: (_monomial_value(n, p, q, k), n * n * _monomial_value(n - 1, p, q, k))


def _rectified_square(p, q, k):
    theta = mp.acos(k / mp.sqrt(p * q))
    sine, cosine, rest = mp.sin(theta), mp.cos(theta), mp.pi - theta
    value = p * q * (3 * sine * cosine + rest * (1 + 2 * cosine**2)) / (2 * mp.pi)
    return value, 4 * mp.sqrt(p * q) * (sine + rest * cosine) / (2 * mp.pi)


def _normalized(p, q, k):
    similarity = mp.exp(k / mp.sqrt(p * q) - 1)
    return mp.sqrt(p * q) * similarity, similarity


FORMULAS = [
    (ReLU(), _arc_cosine(0, 1)), (LeakyReLU(0.25), _arc_cosine(0.25, 1)), (Abs(), _arc_cosine(-1, 1)),
    (ABReLU(-0.5, 2.0), _arc_cosine(-0.5, 2)), (Erf(), _erf), (GELU(), _gelu), (Sin(), _sin(1, 1, 0)),
    (Sin(1.5, 0.5, 0.75), _sin(1.5, 0.5, 0.75)), (Cos(), _sin(1, 1, mp.pi / 2)), (RBF(), _rbf), (Exp(), _exp),
    (Gaussian(), _gaussian), (Gabor(), _gabor), (Monomial(3), _monomial(3)), (Monomial(6), _monomial(6)),
    (RectifiedMonomial(2), _rectified_square), (NormalizedGaussian(), _normalized),
]  # fmt: skip


@pytest.mark.parametrize(("dual", "formula"), FORMULAS, ids=lambda x: repr(x) if isinstance(x, Dual) else "")
def test_formula(dual, formula):
    for s, t in [*SPREADS, *WIDE, (10.0, 30.0), (99.0, 100.0)]:
        if isinstance(dual, Exp) and max(s, t) > 15:
            continue
        for delta in DELTAS:
            with mp.workdps(60):
                p, q, k = mp.mpf(s) ** 2, mp.mpf(t) ** 2, mp.mpf(s) * mp.mpf(t) * (1 - mp.mpf(delta))
                reference = formula(p, q, k)
            errors = relative_errors(dual, s, t, delta, reference)
            assert max(errors) < 1e-10, (s, t, delta, errors)


@pytest.mark.parametrize("activation", [Abs(), ReLU(), ABReLU(-0.5, 2.0), LeakyReLU()], ids=repr)
@pytest.mark.parametrize("delta", [1e-14, 1e-9, 1e-3, 0.999, 1.0, 1.3, 1.999, 2 - 1e-9, 2.0])
def test_arc_cosine_delta_is_relatively_accurate(activation, delta):
    with mp.workdps(60):
        k = 1 - mp.mpf(delta)
        value, slope = _arc_cosine(activation.a, activation.b)(mp.mpf(1), mp.mpf(1), k)
        square = (mp.mpf(activation.a) ** 2 + mp.mpf(activation.b) ** 2) / 2
        expected = float(1 - value / square), float(1 - slope / square)
    point = normal(3.0, 0.1, delta)
    for got, want in zip((activation.delta(point), activation.slope_delta(point)), expected, strict=True):
        assert float(got) == pytest.approx(want, rel=1e-13, abs=1e-30)
    narrow = normal(3.0, 0.1, float(np.float32(delta)), torch.float32)
    wide = activation.delta(narrow.to(torch.float64))
    torch.testing.assert_close(activation.delta(narrow).double(), wide, rtol=1e-5, atol=0)
