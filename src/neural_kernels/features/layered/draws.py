"""Randomness by address: the n-th random step of a network is the same in every pass, whatever the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import derive_seed

_ENOUGH = 256  # columns of a step, whatever its share: fewer are hardly quicker
Make = Callable[[int, int], nn.Module]


class Draws(StoredModule):
    """Random modules by the number of the step that uses them: made in the first pass, the same in all later ones.

    Parameters
    ----------
    seed : int
    widths : mapping from int to int
        For steps whose columns appear in the result, how many do.
    width : int
        How many columns all other steps have, or a share of it.
    """

    def __init__(self, seed: int, widths: Mapping[int, int], width: int) -> None:
        super().__init__()
        self.seed, self.widths, self.width = seed, dict(widths), width
        self.steps = nn.ModuleList()


class Pass:
    """One pass over the network: it counts the steps. Passes in several threads do not see each other.

    Parameters
    ----------
    draws : Draws
    """

    def __init__(self, draws: Draws) -> None:
        self.draws = draws
        self._step = 0
        self._met: list[object] = []

    def take(self, make: Make, share: float = 1.0, least: float = 0.0) -> tuple[int, Any]:
        """Return the next step's number and its module, which the first pass makes.

        Parameters
        ----------
        make : callable
            ``make(seed, columns)``, the module.
        share : float
            Of the width, that which the step has if none of its columns appear in the result; 256 columns, or all there
            are, in any case.
        least : float
            The part of this share that the step has even if fewer of its columns stay in the result: what lies above it
            sees all of them.
        """
        draws, step = self.draws, self._step
        if step == len(draws.steps):
            inside = max(share * draws.width, min(draws.width, _ENOUGH))
            columns = max(draws.widths[step], int(least * inside)) if step in draws.widths else int(inside)
            draws.steps.append(make(derive_seed(draws.seed, "step", step), max(1, columns)))
        self._step += 1
        return step, draws.steps[step]

    def name(self, thing: object) -> int:
        """Return a number that is the thing's own in this pass, and the same in all others: it counts what it meets."""
        for number, other in enumerate(self._met):
            if other is thing:
                return number
        self._met.append(thing)
        return len(self._met) - 1
