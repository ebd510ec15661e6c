"""Gradients that passes write piece by piece, output by output, in either form, against autograd."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from neural_kernels.empirical.capture.discover import discover
from neural_kernels.empirical.capture.structure import ModuleStructure, ParameterGroup
from neural_kernels.empirical.factored.accumulate import (
    BlockGradients,
    BlockPass,
    OuterPassGradients,
    WholePassGradients,
)
from neural_kernels.empirical.factored.gradients import OuterGradients, WholeGradients
from neural_kernels.empirical.module.batches import read
from neural_kernels.empirical.module.model import Model

N = 6


class Layers(nn.Module):
    """A linear map that is used twice, a convolution, and six outputs, more than a convolution forms at once."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.tied, self.head = nn.Conv1d(1, 2, 2), nn.Linear(4, 4), nn.Linear(8, 6)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.tanh(self.conv(x[:, None]))
        return self.head(self.tied(torch.tanh(self.tied(z))).flatten(1))


@pytest.fixture(scope="module")
def setting() -> tuple[nn.Module, Tensor, ModuleStructure]:
    torch.manual_seed(0)
    module, x = Layers().double(), torch.randn(N, 5, dtype=torch.float64)
    model = Model.of(module, None, None)
    return module, x, discover(model, read(x, "x", model.place), layered=True)


def truth(module: nn.Module, x: Tensor, group: ParameterGroup, columns: Tensor) -> Tensor:
    """Inner products of a group's gradients, (n, k, n, k): the same in whatever order their entries lie."""
    own = [module.get_parameter(name) for name in group.names]
    rows = []
    for example in x:
        for column in columns.T:
            parts = torch.autograd.grad(module(example[None])[0] @ column, own)
            rows.append(torch.cat([part.flatten() for part in parts]))
    return torch.stack(rows) @ torch.stack(rows).T


@pytest.mark.parametrize("cuts", [[0, 6], [0, 1, 6], [0, 2, 4, 6]])
@pytest.mark.parametrize("k", [1, 3, 6])
@pytest.mark.parametrize("form", [WholePassGradients, OuterPassGradients])
def test_passes_fill_a_block(form: Any, k: int, cuts: list[int], setting: Any) -> None:
    """In any order, for every group: of a layer used twice too."""
    module, x, structure = setting
    columns, block = torch.randn(6, k, dtype=torch.float64), BlockGradients()
    for start, stop in reversed(list(pairwise(cuts))):
        recording = structure.recorder.record(x[start:stop], stop - start)
        one = BlockPass(recording, slice(start, stop), N, k)
        writers = [form(group.used(structure.calls), group, one, block) for group in structure.groups]
        for column, gradients in enumerate(recording.gradients(columns)):
            for writer in writers:
                writer.add(column, gradients)
    assert {name for group in structure.groups for name in group.names} == set(dict(module.named_parameters()))
    for group in structure.groups:
        made = block[group]
        assert isinstance(made, WholeGradients if form is WholePassGradients else OuterGradients)
        entries = torch.zeros(N * k, N * k, dtype=torch.float64)
        made.add_gram(made, entries)
        torch.testing.assert_close(entries, truth(module, x, group, columns), rtol=1e-10, atol=1e-10)


def test_memory_is_made_once(setting: Any) -> None:
    """By the pass that comes first; the others get the same."""
    group, block = setting[2].groups[0], BlockGradients()
    first = block.of(group, lambda: WholeGradients(torch.zeros(1, 1, 1)))
    assert block.of(group, lambda: WholeGradients(torch.ones(1, 1, 1))) is first
    assert block[group] is first


def test_positions_of_all_calls_follow_each_other(setting: Any) -> None:
    """The factors of a layer used twice have the positions of both uses."""
    module, x, structure = setting
    (group,) = (group for group in structure.groups if "tied.weight" in group.names)
    recording, block = structure.recorder.record(x, N), BlockGradients()
    writer = OuterPassGradients(group.used(structure.calls), group, BlockPass(recording, slice(0, N), N, 1), block)
    (gradients,) = recording.gradients(torch.ones(6, 1, dtype=torch.float64))
    writer.add(0, gradients)
    factors = block[group].factors  # pyright: ignore[reportAttributeAccessIssue]
    assert factors.gradients.shape == (N, 4, 1, 4)
    z = torch.tanh(module.conv(x[:, None]))
    read = torch.cat([z, torch.tanh(module.tied(z))], 1).detach()
    torch.testing.assert_close(factors.inputs.values[..., :4], read)
