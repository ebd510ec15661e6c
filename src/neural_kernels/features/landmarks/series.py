"""An activation by its Hermite series, compiled: coefficients by the standard deviation, from a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.features.landmarks.pair_function import PairFunction
from neural_kernels.features.layered.coefficients import hermite_coefficients
from neural_kernels.runtime.jit import compiled
from neural_kernels.runtime.numerics import safe_divide

DEGREE = 39  # of the longest series
_BEHIND = 8  # degrees above it that tell of which parity the rest is
_BELOW, _ABOVE = 12, 6  # octaves of standard deviations below and above 1 that the tables of coefficients reach
_STEPS = 32  # entries of a table an octave
_GROUP = 4  # powers at a time
_HIGHEST = 1e38  # coefficient: of standard deviations far beyond reach
_SMALLEST = 1e-9  # coefficient: products of smaller ones would leave the range where arithmetic is quick
_TOGETHER = 512  # landmarks at a time
_LEFT = 3e-4, 3e-3  # of a variance of value and of slope, what a series may leave to its last two powers
_LARGEST = 10  # times as much, at the largest standard deviations for which the series serves
_PROBES = 0.5, 1.0, 2.0  # standard deviations at which it must not leave more


class SeriesFunction(PairFunction):
    """An activation by its Hermite series, with coefficients by the standard deviation from a table.

    Parameters
    ----------
    dual : Dual
    """

    def __init__(self, dual: Dual) -> None:
        *tables, largest = _tables(dual)
        self._value, self._slope = map(_Powers.of, tables)
        self.reach = 2.0**-_BELOW, largest

    @override
    def landmarks(self, std: Tensor) -> tuple[np.ndarray, ...]:
        """Give the coefficients, shapes (degrees, m)."""
        parts = (powers.at(std.numpy()) for powers in (self._value, self._slope))
        return tuple(np.ascontiguousarray(part.T) for part in parts)

    @override
    def fill(
        self,
        products: Tensor,
        std: Tensor,
        landmarks: tuple[np.ndarray, ...],
        weights: tuple[float, float],
        out: Tensor,
    ) -> None:
        rows = [
            powers.at(std.numpy()) * np.float32(w)
            for powers, w in zip((self._value, self._slope), weights, strict=True)
        ]
        scratch = np.empty((4, _TOGETHER), np.float32)
        even = self._value.even, self._slope.even
        _series(products.numpy(), std.numpy(), *rows, *landmarks, even, scratch, out.numpy())


@dataclass(frozen=True)
class _Powers:
    """Coefficients on the grid, even powers first, either kind up to the last that is not 0, in full groups.

    Parameters
    ----------
    table : ndarray, shape (grid, even + odd), float32
    even : int
    """

    table: np.ndarray
    even: int

    @classmethod
    def of(cls, table: np.ndarray) -> _Powers:
        """Sort the powers from 0 on of a table."""
        kinds = []
        table = np.where(np.abs(table) > _SMALLEST, table.clip(-_HIGHEST, _HIGHEST), 0)
        for kind in (table[:, ::2], table[:, 1::2]):
            count = int(np.flatnonzero(kind.any(0)).max(initial=-1)) + 1
            whole = -(-count // _GROUP) * _GROUP
            kinds.append(np.pad(kind[:, :count], ((0, 0), (0, whole - count))))
        return cls(np.concatenate(kinds, 1).astype(np.float32), kinds[0].shape[1])

    def at(self, std: np.ndarray) -> np.ndarray:
        """The coefficients at some standard deviations, shape (n, even + odd)."""
        octave = np.log2(np.clip(std.astype(np.float32), 2.0**-_BELOW, 2.0**_ABOVE))
        exact = (octave + np.float32(_BELOW)) * np.float32(_STEPS)
        place = np.minimum(exact.astype(np.int64), len(self.table) - 2)
        out = np.empty((len(place), self.table.shape[1]), np.float32)
        _interpolate(self.table, place, exact - place.astype(np.float32), out)
        return out


@cache
def has_short_series(dual: Dual) -> bool:
    """Whether the last two powers of the series have little of the variance at usual standard deviations."""
    with torch.inference_mode(False), torch.no_grad():
        std = torch.tensor(_PROBES, dtype=torch.float64)
        parts = hermite_coefficients(dual, std, DEGREE)
        wholes = dual.std(std).square(), dual.slope_std(std).square()
    return all(
        bool((1 - part.square().sum(1) / whole < left).all())
        for part, whole, left in zip(parts, wholes, _LEFT, strict=True)
    )


@cache
def _tables(dual: Dual) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients of value and slope on a grid of logarithms of the standard deviation, shape (grid, degree + 1).

    What lies above the degree is in the last two, by parity, so that variances are right; third comes the largest
    standard deviation at which it is little.
    """
    with torch.inference_mode(False), torch.no_grad():
        std = torch.exp2(torch.arange(-_BELOW * _STEPS, _ABOVE * _STEPS + 1, dtype=torch.float64) / _STEPS)
        parts = hermite_coefficients(dual, std, DEGREE + _BEHIND)
        wholes = dual.std(std).square(), dual.slope_std(std).square()
    degree = _degree(parts, wholes)
    tables, fine = [], torch.ones(len(std), dtype=torch.bool)
    for part, whole, bound in zip(parts, wholes, _LEFT, strict=True):
        squares = part.square()
        above = squares[:, degree + 1 :]
        left = (whole - squares[:, : degree + 1].sum(1)).clamp(min=0)
        other = left * safe_divide(above[:, ::2].sum(1), above.sum(1))  # of the parity of degree - 1
        last = part[:, : degree + 1].clone()
        for k, rest in ((degree - 1, other), (degree, left - other)):
            last[:, k] = torch.where(last[:, k] < 0, -1.0, 1.0) * (squares[:, k] + rest.clamp(min=0)).sqrt()
        tables.append(last.numpy())
        fine &= left <= _LARGEST * bound * whole
    right = fine.long().cumprod(0).sum()  # up to the first that is not
    return tables[0], tables[1], float(std[right - 1]) if right else 0.0


def _degree(parts: tuple[Tensor, Tensor], wholes: tuple[Tensor, Tensor]) -> int:
    """The least degree that leaves next to nothing at a standard deviation of 1.4."""
    usual = _BELOW * _STEPS + _STEPS // 2
    for degree in range(3, DEGREE):
        left = (
            float(1 - part[usual, : degree + 1].square().sum() / whole[usual])
            for part, whole in zip(parts, wholes, strict=True)
        )
        if all(amount < bound for amount, bound in zip(left, _LEFT, strict=True)):
            return degree
    return DEGREE


@compiled
def _interpolate(table, place, share, out):
    for i in range(place.size):
        low, high = table[place[i]], table[place[i] + 1]
        f = share[i]
        for k in range(out.shape[1]):
            out[i, k] = low[k] + f * (high[k] - low[k])


@compiled
def _series(products, std, value, slope, others_value, others_slope, even, scratch, out):
    """A few landmarks at a time, so that their coefficients stay in the first cache."""
    one, zero = np.float32(1), np.float32(0)
    n, m = out.shape
    both = products.shape[1] > m
    for first in range(0, m, _TOGETHER):
        last = min(first + _TOGETHER, m)
        x, y, odd = scratch[0, : last - first], scratch[1, : last - first], scratch[2, : last - first]
        factor = scratch[3, : last - first]
        for i in range(n):
            s = std[i]
            inverse = one / s if s > zero else zero
            given, total = products[i, first:last], out[i, first:last]
            for j in range(x.size):
                c = min(max(given[j] * inverse, -one), one)
                x[j] = c
                y[j] = c * c
            _powers(x, y, value[i], others_value, first, even[0], odd, total)
            if both:
                _powers(x, y, slope[i], others_slope, first, even[1], odd, factor)
                other = products[i, m + first : m + last]
                for j in range(x.size):
                    total[j] += factor[j] * other[j]


@compiled
def _powers(x, y, row, others, first, even, odd, total):
    """sum_k a_k b_k x^k, with y = x^2, where the even powers come first."""
    _horner(y, row, others, first, 0, even, total)
    if row.size > even:
        _horner(y, row, others, first, even, row.size, odd)
        for j in range(x.size):
            total[j] += x[j] * odd[j]


@compiled
def _horner(y, row, others, first, start, stop, total):
    """sum_k a_k b_k y^(k - start), four powers at a time; there is a multiple of four."""
    n = y.size
    for j in range(n):
        total[j] = np.float32(0)
    for k in range(stop - _GROUP, start - 1, -_GROUP):
        a, b, c, d = row[k], row[k + 1], row[k + 2], row[k + 3]
        p, q = others[k, first : first + n], others[k + 1, first : first + n]
        r, s = others[k + 2, first : first + n], others[k + 3, first : first + n]
        for j in range(n):
            t = y[j]
            total[j] = (((total[j] * t + d * s[j]) * t + c * r[j]) * t + b * q[j]) * t + a * p[j]
