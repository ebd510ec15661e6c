"""Random modules by the number of their step."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neural_kernels.features.layered.draws import Draws, Pass


class Drawn(nn.Module):
    """It says what it was made of."""

    def __init__(self, seed: int, columns: int) -> None:
        super().__init__()
        self.seed, self.columns = seed, columns


def test_later_passes_meet_the_modules_of_the_first():
    draws = Draws(3, {}, 10)
    first, second = Pass(draws), Pass(draws)
    made = [first.take(Drawn) for _ in range(3)]
    assert [step for step, _ in made] == [0, 1, 2]
    assert [second.take(Drawn) for _ in range(3)] == made
    assert len({module.seed for _, module in made}) == 3
    assert second.take(Drawn)[0] == 3  # one more than the first had


def test_passes_may_take_turns():
    draws = Draws(3, {}, 10)
    first, second = Pass(draws), Pass(draws)
    assert first.take(Drawn) == second.take(Drawn)
    assert second.take(Drawn) == first.take(Drawn)


@pytest.mark.parametrize("seed", [3, 4])
def test_seeds_come_from_the_seed_and_the_step(seed):
    seeds = [[Pass(Draws(s, {}, 10)).take(Drawn)[1].seed for _ in range(2)] for s in (seed, seed + 10)]
    assert seeds[0][0] == seeds[0][1] != seeds[1][0]


def test_columns():
    """Those of the result, at least a share of the width for steps inside, and never none."""
    step = Pass(Draws(0, {0: 7, 1: 7, 2: 0}, 40))
    assert step.take(Drawn)[1].columns == 7
    assert step.take(Drawn, least=0.5)[1].columns == 20
    assert step.take(Drawn)[1].columns == 1
    assert step.take(Drawn)[1].columns == 40  # does not appear in the result


def test_shares_are_of_what_lies_inside_and_leave_enough():
    wide, narrow = (Pass(Draws(0, {0: 7, 1: 7}, width)) for width in (4000, 400))
    for step, inside in ((wide, 1000), (narrow, 256)):
        assert step.take(Drawn, share=0.25)[1].columns == 7
        assert step.take(Drawn, share=0.25, least=0.5)[1].columns == inside // 2
        assert step.take(Drawn, share=0.25)[1].columns == inside
    assert Pass(Draws(0, {}, 40)).take(Drawn, share=0.25)[1].columns == 40


def test_names_are_of_things_not_of_values():
    one, other = torch.ones(2), torch.ones(2)
    names = Pass(Draws(0, {}, 1))
    assert [names.name(thing) for thing in (one, other, one)] == [0, 1, 0]
