r"""One activation whose random features have a given zonal kernel, by the addition theorem of Gegenbauer polynomials.

Let :math:`P_k` be the Gegenbauer polynomial of the sphere in D dimensions with :math:`P_k(1) = 1`, and :math:`p_k` the
same, orthonormal for :math:`t = w \cdot x` with w uniform on the sphere. Then
:math:`E_w[p_j(w \cdot x) p_k(w \cdot y)] = \delta_{jk} P_k(x \cdot y)`, so that of a kernel
:math:`T = \sum_k b_k P_k` the features are :math:`\sigma(t) = \sum_k e_k \sqrt{b_k}\, p_k(t)`, with any signs e_k.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

HIGHEST = 60  # degree of the activation: higher ones live where no direction falls
_REACH = 8.0  # standard deviations of t; beyond lies 1e-15 of the directions
_CELLS = 1 << 13


def gegenbauer_coefficients(coefficients: Tensor, dimension: int) -> Tensor:
    """Expand sum_j a_j c^j in the P_k: b_0, b_1, ..., by Horner's rule in that basis, where nothing cancels.

    Parameters
    ----------
    coefficients : Tensor, shape (J + 1,), float64
        a_j, none negative.
    dimension : int
        D, at least 3.
    """
    k = torch.arange(len(coefficients), dtype=torch.float64)
    up = (k + dimension - 2) / (2 * k + dimension - 2)
    down = k / (2 * k + dimension - 2)
    total = torch.zeros_like(coefficients)
    for coefficient in coefficients.flip(0):
        product = torch.zeros_like(total)
        product[1:] += (up * total)[:-1]
        product[:-1] += (down * total)[1:]
        product[0] += coefficient
        total = product
    return total


def activation_table(b: Tensor, dimension: int) -> tuple[Tensor, float]:
    r"""Tabulate sigma, without its degrees 0 and 1, at evenly spaced :math:`u = \sqrt D\, t`.

    The signs :math:`e_k = (-1)^{\lfloor k / 2 \rfloor}` keep the variance of the features near its least: with equal
    signs sigma would grow without bound beyond the bulk of t.

    Parameters
    ----------
    b : Tensor, shape (K + 1,), float64
        Coefficients of the kernel; of b_0 and b_1 no use is made.
    dimension : int
        D.

    Returns
    -------
    table : Tensor, shape (cells + 1,), float64
    reach : float
        The table goes from u = -reach to reach. Outside, sigma takes the value at the end.
    """
    reach = min(_REACH, math.sqrt(dimension))
    t = torch.linspace(-reach, reach, _CELLS + 1, dtype=torch.float64) / math.sqrt(dimension)
    before, current = torch.ones_like(t), math.sqrt(dimension) * t
    total, step = torch.zeros_like(t), _step(0, dimension)
    for k in range(2, min(len(b) - 1, HIGHEST) + 1):
        next_step = _step(k - 1, dimension)
        before, current, step = current, (t * current - step * before) / next_step, next_step
        total += (-1) ** (k // 2) * math.sqrt(max(float(b[k]), 0.0)) * current
    return total, reach


def _step(k: int, dimension: int) -> float:
    """Return step_k of the recurrence t p_k = step_k p_{k+1} + step_{k-1} p_{k-1}."""
    return math.sqrt((k + 1) * (k + dimension - 2) / ((2 * k + dimension) * (2 * k + dimension - 2)))
