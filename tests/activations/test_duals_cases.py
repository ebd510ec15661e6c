"""Closed-form duals to test, and the quadrature of their definition."""

import math

import numpy as np
import torch

from neural_kernels.activations.base import Dual
from neural_kernels.activations.elu import ELU, SELU
from neural_kernels.activations.erf import Erf
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.exponential import Exp, Gabor, Gaussian
from neural_kernels.activations.gelu import GELU
from neural_kernels.activations.normalized import NormalizedGaussian
from neural_kernels.activations.polynomial import Hermite, Identity, Monomial, Polynomial
from neural_kernels.activations.rectified import RectifiedMonomial, Sign, Step
from neural_kernels.activations.relu import ABReLU, Abs, LeakyReLU, ReLU
from neural_kernels.activations.trigonometric import RBF, Cos, Sin

DELTAS = [2.0, 1.999, 1.5, 1.0, 0.7, 1e-3, 1e-9, 0.0]
SPREADS = [(1.0, 1.0), (1e-3, 1e-3), (0.6, 1.7), (1e-3, 2.0)]
WIDE = [(100.0, 100.0), (100.0, 0.3)]
PIECEWISE = [
    ReLU(), LeakyReLU(), Abs(), ABReLU(-0.5, 2.0), ABReLU(0.0, 0.0), GELU(), Erf(1.3, 0.7, 0.4), ELU(),
    ELU(0.3), SELU(), Monomial(0), Monomial(1), Monomial(4), Monomial(5), Polynomial([2.0]),
    Polynomial([0.5, -1.0, 0.0, 0.25]), Hermite(0), Hermite(1), Hermite(4), RectifiedMonomial(0), RectifiedMonomial(1),
    RectifiedMonomial(2), RectifiedMonomial(5), Sign(), Step(), Identity(),
]  # fmt: skip
NARROW = [
    Sin(), Sin(1.2, 0.8, 0.6), Cos(), Cos(0.7, 1.1, -0.3), RBF(), RBF(0.3), Gaussian(), Gaussian(0.5, -0.2), Gabor(),
]  # fmt: skip
EVERY = [*PIECEWISE, *NARROW, Exp(), Exp(0.5, -0.7), Gaussian(1.0, 0.02)]
KERNELS = [*EVERY, NormalizedGaussian(), NormalizedGaussian(2.5)]
JUMPS = (Sign, Step)


def normal(s, t, delta, dtype=torch.float64) -> BivariateNormal:
    return BivariateNormal(*(torch.as_tensor(value, dtype=dtype) for value in (s, t, delta)))


def jumps(activation) -> bool:
    return isinstance(activation, JUMPS) or activation == RectifiedMonomial(0)


# -- the definition, by composite Gauss-Legendre rules whose panels end at every scale of the integrand --

_FEATURES = np.array([0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 11, 16, 32])
DEVIATIONS = np.array([0.3, 0.7, 1.2, 2, 3, 4, 5.5, 7, 9, 12])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(18)


def panels(breaks):
    """Nodes and weights on the panels between sorted breaks, along the last axis."""
    breaks = np.sort(breaks, axis=-1)
    half, middle = np.diff(breaks) / 2, (breaks[..., 1:] + breaks[..., :-1]) / 2
    shape = (*breaks.shape[:-1], -1)
    return (middle[..., None] + half[..., None] * _NODES).reshape(shape), (half[..., None] * _WEIGHTS).reshape(shape)


def both_sides(values):
    return np.concatenate([-values, [0.0], values])


def _function_and_slope(activation, x):
    x = torch.tensor(x, requires_grad=True)
    y = activation.fn(x)
    (slope,) = torch.autograd.grad(y.sum(), x, allow_unused=True) if y.requires_grad else (None,)
    return y.detach().numpy(), np.zeros(x.shape) if slope is None else slope.numpy()


def by_quadrature(activation, s, t, delta):
    """(E[f(X) f(Y)], E[f'(X) f'(Y)]) with Y given X integrated first."""
    rho, rest = 1 - delta, t * math.sqrt(delta * (2 - delta))
    outer = [_FEATURES, s * DEVIATIONS]
    if rho and rest:
        outer += [abs(s / rho / t) * _FEATURES, abs(s / rho / t) * rest * DEVIATIONS]
    x, weight = panels(both_sides(np.concatenate(outer)).clip(-12 * s, 12 * s))
    keep = weight > 0
    x, weight = x[keep], weight[keep]
    weight = weight * np.exp(-((x / s) ** 2) / 2) / (s * math.sqrt(2 * math.pi))
    mean = rho * t / s * x
    if rest:
        lower, upper = mean - 12 * rest, mean + 12 * rest
        fixed = np.broadcast_to(both_sides(_FEATURES), (len(x), 2 * len(_FEATURES) + 1))
        moving = mean[:, None] + rest * both_sides(DEVIATIONS)
        y, inner = panels(np.concatenate([fixed, moving], axis=1).clip(lower[:, None], upper[:, None]))
        inner = inner * np.exp(-(((y - mean[:, None]) / rest) ** 2) / 2) / (rest * math.sqrt(2 * math.pi))
    else:
        y, inner = mean[:, None], np.ones((len(x), 1))
    at_x, at_y = _function_and_slope(activation, x), _function_and_slope(activation, y)
    return [float(weight @ (fx * (inner * fy).sum(1))) for fx, fy in zip(at_x, at_y, strict=True)]


def relative_errors(dual: Dual, s, t, delta, reference):
    """Errors of value and slope relative to the standard deviations of the two functions."""
    point = normal(s, t, delta)
    errors = []
    for function, std, expected in (
        (dual.dual, dual.std, reference[0]), (dual.dual_slope, dual.slope_std, reference[1])
    ):  # fmt: skip
        scale = float(std(point.std1) * std(point.std2))
        error = abs(float(function(point)) - float(expected))
        errors.append(error / scale if scale else error)
    return errors
