"""Series and truncated powers against quadrature of the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_elementwise_cases import CURVED, KINKED, SMOOTH, pair

from neural_kernels.activations.expectations.hermite import derivative

NODES, WEIGHTS = np.polynomial.legendre.leggauss(14)
REACH = 9.5


def panels(centres: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre panels on [-9.5, 9.5], split and refined at the centres of each row, with the normal density."""
    offsets = np.geomspace(0.02 / max(scale, 1), 8, 12)
    offsets = np.concatenate([-offsets, [0], offsets])
    edges = [np.tile(np.linspace(-REACH, REACH, 14), (len(centres), 1)), (centres[:, :, None] + offsets)]
    e = np.sort(np.clip(np.concatenate([edges[0], edges[1].reshape(len(centres), -1)], 1), -REACH, REACH), 1)
    half = np.diff(e, axis=1)[:, :, None] / 2
    z = (e[:, :-1, None] + half * (1 + NODES)).reshape(len(centres), -1)
    w = (half * WEIGHTS).reshape(len(centres), -1)
    return z, w * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def evaluate(fn, x: np.ndarray) -> np.ndarray:
    return fn(torch.from_numpy(x)).detach().numpy()


def reference(fn, kinks, s: float, t: float, delta: float) -> float:
    """E[fn(X) fn(Y)] by quadrature over X and over Y given X, both split at the kinks."""
    sine, rho, kinks = math.sqrt(delta * (2 - delta)), 1 - delta, list(kinks) or [0.0]
    centres = [a / s for a in kinks]
    if abs(rho) > 1e-9:
        steps = (-7, -4, -2, 0, 2, 4, 7) if sine else (0,)
        centres += [a / t / rho + k * sine / abs(rho) for a in kinks for k in steps]
    z, w = (v[0] for v in panels(np.array([centres]), max(s, t)))
    z, w = z[w > 0], w[w > 0]
    if not sine:
        return float((w * evaluate(fn, s * z) * evaluate(fn, t * rho * z)).sum())
    inner = np.empty_like(z)
    for i in range(0, len(z), 512):
        mean = t * rho * z[i : i + 512]
        y, v = panels(np.stack([(a - mean) / (t * sine) for a in kinks], 1), t * sine)
        inner[i : i + 512] = (v * evaluate(fn, mean[:, None] + t * sine * y)).sum(1)
    return float((w * evaluate(fn, s * z) * inner).sum())


def worst(activation, stds, deltas) -> float:
    errors = [0.0]
    functions = (activation.fn, activation.dual), (lambda x: derivative(activation.fn, x), activation.dual_slope)
    for fn, dual in functions:
        size = {s: reference(fn, activation.kinks, s, s, 0) for pair_ in stds for s in pair_}
        for s, t in stds:
            scale = math.sqrt(size[s] * size[t])
            for delta in deltas:
                value = float(dual(pair(s, t, delta)))
                expected = reference(fn, activation.kinks, s, t, delta)
                errors.append(abs(value - expected) / scale if scale > 1e-200 else abs(value))
    return max(errors)


@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_against_quadrature(activation):
    assert worst(activation, [(1.0, 1.0), (0.3, 2.0)], [0.0, 1e-3, 0.7, 2.0]) < 1e-8


@pytest.mark.parametrize("activation", CURVED, ids=repr)
def test_curved_pieces_at_any_norm(activation):
    stds = [(0.01, 3.0), (0.7, 1.4), (100.0, 100.0)]
    assert worst(activation, stds, [0.0, 1e-3, 0.7, 1.99]) < 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("activation", SMOOTH + KINKED, ids=repr)
def test_against_quadrature_everywhere(activation):
    stds = [(0.01, 0.01), (0.01, 10.0), (0.1, 1.0), (1.0, 3.0), (10.0, 10.0)]
    assert worst(activation, stds, [0.0, 1e-9, 1e-3, 0.7, 1.0, 1.5, 1.999, 2.0]) < 1e-8
