"""How far apart an ensemble of trained networks has to be, and how noisy the targets: by what it misses left out."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

from neural_kernels.runtime.types import Array
from neural_kernels.solvers.posterior import product
from neural_kernels.solvers.protocol import RidgeSystem

_ROWS = 2048  # examples that are left out in turn: enough for two numbers
_BLOCK = 256
_RATIOS = np.linspace(-16, 8, 49)  # logarithms of noise over amplitude, each measured on the examples themselves


def ensemble_variances(
    system: RidgeSystem, train: np.ndarray, centred: Array, ridge: float, scatter: Array
) -> tuple[Array, Array]:
    r"""Amplitude a of the initial networks and noise variance s of the targets, (o,) each, that suit residuals best.

    Left out, example i is missed by

    .. math:: r_i \sim N(0, a\, p_i + s\, q_i), \qquad p_i = \frac{(C K C)_{ii}}{C_{ii}^2}, \quad
       q_i = \frac{(C W^{-1} C)_{ii}}{C_{ii}^2}, \qquad C = (\Theta + \lambda W^{-1})^{-1},

    if the function is of the process that initial networks are drawn from, with the NNGP kernel K, and :math:`\Theta`,
    the NTK, has learned it: what trained networks are apart, and what the noise of the others' targets and the
    example's own add. Their product of densities is maximised; given s / a, a is a mean.

    Parameters
    ----------
    system : RidgeSystem
        Of :math:`\Theta`.
    train : ndarray of shape (m, m)
        K.
    centred : ndarray of shape (m, o)
        Targets.
    ridge : float
    scatter : ndarray of shape (o,)
        Of merged copies, which show the noise by itself.

    Notes
    -----
    For up to 2,048 examples, evenly spaced: 4 m^2 operations each, and the space of 256 of them.
    """
    rows = np.unique(np.linspace(0, len(centred) - 1, min(_ROWS, len(centred))).astype(np.intp))
    dual = system.solve(centred, ridge)
    weights = np.square(system.root)
    parts = []
    for start in range(0, len(rows), _BLOCK):
        chosen = rows[start : start + _BLOCK]
        units = np.zeros((len(weights), len(chosen)))
        units[chosen, np.arange(len(chosen))] = 1
        columns = system.solve(units, ridge)
        square = columns[chosen, np.arange(len(chosen))] ** 2
        spread = np.einsum("ij,ij->j", columns, product(train, columns))
        noise = np.einsum("ij,ij->j", columns / weights[:, None], columns)
        parts.append(np.column_stack([spread / square, noise / square, dual[chosen] ** 2 / square[:, None]]))
    found = np.concatenate(parts)
    share = len(rows) / len(centred)
    copies = share * max(weights.sum() - len(weights), 0.0)
    columns = zip(found[:, 2:].T, share * scatter, strict=True)
    pairs = [_likeliest(squares, found[:, 0], found[:, 1], copies, lost) for squares, lost in columns]
    return np.array([a for a, _ in pairs]), np.array([s for _, s in pairs])


def _likeliest(squares: Array, spread: Array, noise: Array, copies: float, scatter: float) -> tuple[float, float]:
    """Of one output: a and s."""
    if not squares.any() and scatter == 0:
        return 0.0, 0.0
    unit = spread.mean() / noise.mean() if spread.any() else 1.0

    def amplitude(ratio: float) -> float:
        return (np.sum(squares / (spread + ratio * noise)) + scatter / ratio) / (len(squares) + copies)

    def lost(log_ratio: float) -> float:
        ratio = unit * np.exp(log_ratio)
        volume = np.log(spread + ratio * noise).sum() + copies * np.log(ratio)
        return (len(squares) + copies) * np.log(amplitude(ratio)) + volume

    best = _RATIOS[int(np.argmin([lost(value) for value in _RATIOS]))]
    step = _RATIOS[1] - _RATIOS[0]
    refined = minimize_scalar(lost, bounds=(best - step, best + step), method="bounded")
    ratio = unit * float(np.exp(refined.x))
    return float(amplitude(ratio)), float(ratio * amplitude(ratio))
