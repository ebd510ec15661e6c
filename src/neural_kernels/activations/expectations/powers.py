"""Hermite coefficients of polynomials, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def power_coefficients(coefficients: Sequence[float], std: Tensor) -> list[Tensor]:
    """Return ``r_l(s) = sum_i a_(l+2i) (l+2i)! / (2^i i! sqrt(l!)) s^(l+2i)``, by Horner's rule in s^2."""
    square, result, power = std * std, [], torch.ones_like(std)
    for degree in range(len(coefficients)):
        total = torch.zeros_like(std)
        for j in reversed(range(degree, len(coefficients), 2)):
            total = total * square + coefficients[j] * _monomial_weight(j, degree)
        result.append(total * power)
        power = power * std
    return result or [torch.zeros_like(std)]


def _monomial_weight(power: int, degree: int) -> float:
    """Return power! / (2^i i! sqrt(degree!)), the coefficient of x^power on the orthonormal Hermite polynomial."""
    i = (power - degree) // 2
    return math.factorial(power) / (2**i * math.factorial(i)) / math.sqrt(math.factorial(degree))
