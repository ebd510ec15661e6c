"""Kinks off the origin for the tables of duals: which of them meet in a pair of cells, and what they make there.

The formulas are derived in `engine.meetings`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neural_kernels.activations.expectations.hermite import Function
from neural_kernels.activations.expectations.pieces import jumps_at

_FARTHEST = 40.0  # standard deviations
_ORDERS = 5  # of derivatives whose jumps matter
_REACH = 0.5  # by how much the logarithm of a ratio of norms may miss that of the kinks
_WINDOW = 4.0  # the wider, the smoother the rest, and the larger
_FAR = 7.0  # standard deviations, where the density is 1e-11


@dataclass(frozen=True)
class Bend:
    """A kink off the origin, seen from the side that it is on.

    Parameters
    ----------
    side : int
        1 or -1.
    place : float
        Positive.
    jumps : tuple of float
        Of the first five derivatives of fn(side * x).
    leads : bool
        Whether it meets others as the first of two: not where another has the same meetings on the other side.
    """

    side: int
    place: float
    jumps: tuple[float, ...]
    leads: bool = True

    def numbers(self, std: Tensor) -> Tensor:
        """Place and jumps in standard deviations, shape (6, n)."""
        place = torch.where(std > 0, self.place / torch.where(std > 0, std, 1), _FARTHEST).clamp(max=_FARTHEST)
        return torch.stack([place, *(jump * std ** (k + 1) for k, jump in enumerate(self.jumps))])


Meeting = tuple[int, int]  # numbers of two bends


def bends(fn: Function, kinks: Iterable[float]) -> tuple[Bend, ...] | None:
    """The kinks off the origin; None where the function itself jumps there."""
    found = []
    for a in filter(None, kinks):
        side = -1 if a < 0 else 1
        jump, *jumps = jumps_at(fn, a, _ORDERS)
        if jump:
            return None
        found.append(Bend(side, abs(a), tuple(side**k * own for k, own in enumerate(jumps))))
    return _halved(found)


def _halved(found: list[Bend]) -> tuple[Bend, ...]:
    """Let those of an even or odd function meet on one side alone, each meeting counting twice."""
    places = {(bend.side, bend.place): bend.jumps for bend in found}
    for sign in (1, -1):
        mirrored = {(-side, place): [sign * jump for jump in jumps] for (side, place), jumps in places.items()}
        if places.keys() == mirrored.keys() and all(np.allclose(places[key], mirrored[key]) for key in places):
            return tuple(
                Bend(bend.side, bend.place, tuple(math.sqrt(2) * jump for jump in bend.jumps), bend.side > 0)
                for bend in found
            )
    return tuple(found)


def meetings(all_bends: Sequence[Bend], first: tuple[float, float], second: tuple[float, float]) -> tuple[Meeting, ...]:
    """Pairs of kinks that meet, or nearly so, for norms between two numbers each, and not too far out."""
    least, most = math.log(first[0] / second[1]) - _REACH, math.log(first[1] / second[0]) + _REACH
    numbered = list(enumerate(all_bends))
    return tuple(
        (i, j)
        for (i, one), (j, other) in itertools.product(numbered, numbered)
        if one.leads
        and least < math.log(one.place / other.place) < most
        and max(one.place / first[1], other.place / second[1]) < _FAR
    )


def window_of(std1: float, std2: float) -> float:
    """The width of the window for norms of this size."""
    return _WINDOW / math.sqrt(std1 * std2)


def met(
    one: Bend, other: Bend, std1: Tensor, std2: Tensor, delta: Tensor, opposite: Tensor, window: float
) -> tuple[Tensor, Tensor]:
    """What two kinks make of E[fn(X) fn(Y)] and of E[fn'(X) fn'(Y)], shape (n1, n2, k).

    Parameters
    ----------
    one, other : Bend
    std1, std2 : Tensor, shape (n1,) and (n2,)
        Positive.
    delta, opposite : Tensor, shape (k,)
        One minus and one plus the correlation.
    window : float
    """
    from neural_kernels.engine.meetings import meeting_on_grid

    turned = one.side != other.side
    value, change = torch.zeros(2, len(std1), len(std2), len(delta), dtype=torch.float64)
    arrays = (part.numpy() for part in (one.numbers(std1), other.numbers(std2), opposite if turned else delta))
    meeting_on_grid(*arrays, window, value.numpy(), change.numpy())
    slope = (change if turned else -change) / (std1[:, None, None] * std2[:, None])
    return value, slope
