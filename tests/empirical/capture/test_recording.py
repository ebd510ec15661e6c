"""One forward pass remembered: outputs as they are, what layers read and wrote, and gradients by the latter."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor, nn

from neural_kernels.empirical.capture.hooks import broadcasts_of, hooks_of
from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.module.model import Model


def recorder_of(module: nn.Module) -> Recorder:
    model = Model.of(module, None, None)
    return Recorder(model, hooks_of(module, model.parameters))


def mlp(inplace: bool = False) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace), nn.Linear(4, 2)).double()
    return module, torch.randn(5, 3, dtype=torch.float64)


@pytest.mark.parametrize("inplace", [False, True])
def test_what_is_read_and_written(inplace: bool) -> None:
    """Also where an activation writes over it: nothing is remembered that changed since."""
    module, x = mlp(inplace)
    recording = recorder_of(module).record(x, 5)
    hidden = module[0](x)
    torch.testing.assert_close(recording.outputs, module(x))
    for call, read, wrote in zip(recording.calls, (x, hidden.relu()), (hidden, module(x)), strict=True):
        assert call.intact()
        torch.testing.assert_close(call.read, read)
        torch.testing.assert_close(call.wrote, wrote)
        assert not call.read.requires_grad
    assert all(p.grad is None for p in module.parameters())


def test_results_that_are_written_over() -> None:
    """The second layer's result is no leaf, so that nothing but its count of changes tells: the pass runs again."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))
    x = torch.randn(5, 3)
    _, second, third = recorder_of(module).record(x, 5).calls
    torch.testing.assert_close(second.wrote, module[:3](x))
    torch.testing.assert_close(third.read, module[:4](x))


def test_gradients_of_each_output() -> None:
    """By what layers wrote, for all examples at once, and not by the parameters."""
    module, x = mlp()
    recording, columns = recorder_of(module).record(x, 5), torch.randn(2, 3, dtype=torch.float64)
    found = list(recording.gradients(columns))
    mask = (module[0](x) > 0).double()
    for column, (hidden, outputs) in zip(columns.T, found, strict=True):
        torch.testing.assert_close(outputs, column.expand(5, 2))
        torch.testing.assert_close(hidden, (column @ module[2].weight) * mask)
    with pytest.raises(RuntimeError, match="second time"):  # the last gives up what backward passes need
        recording.gradients_of(torch.ones(5, 2, dtype=torch.float64))


def test_outputs_that_depend_on_no_layer() -> None:
    module, x = mlp()
    model = Model.of(module, None, lambda module, batch: module(batch).detach())
    recording = Recorder(model, hooks_of(module, model.parameters)).record(x, 5)
    assert [gradient.any() for gradient in recording.gradients_of(torch.ones(5, 2))] == [False, False]


class Shifted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.shift = nn.Embedding(3, 2), nn.Parameter(torch.randn(2))

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.table(torch.arange(3)) * self.shift).flatten(1)


def test_copies_for_every_example() -> None:
    """Of what is the same for all: the results of a call, and a parameter without a layer."""
    module, x = Shifted(), torch.randn(4, 3, 2)
    plain = recorder_of(module)
    assert plain.record(x, 4).calls[0].wrote.shape == (3, 2)
    (broadcast,) = (way for way in broadcasts_of("shift", module.shift) if way.axes == 1)
    recording = Recorder(plain.model, plain.hooks, (broadcast,), frozenset([1])).record(x, 4)
    torch.testing.assert_close(recording.outputs, module(x))
    shift, table = recording.calls
    assert (shift.wrote.shape, table.wrote.shape) == ((4, 1, 2), (4, 3, 2))
    by_shift, by_table = recording.gradients_of(torch.ones(4, 6))
    torch.testing.assert_close(by_shift, module.table.weight.sum(0).expand(4, 1, 2))
    torch.testing.assert_close(by_table, module.shift.expand(4, 3, 2))


def test_copies_share_parameters() -> None:
    module, x = mlp()
    recorder = recorder_of(module)
    copy = recorder.copied()
    assert copy is not None
    assert copy.model.module is not module
    assert all(a is b for a, b in zip(copy.model.module.parameters(), module.parameters(), strict=True))
    mine, its = recorder.record(x, 5), copy.record(x, 5)
    assert torch.equal(mine.outputs, its.outputs)
    assert [call.site for call in mine.calls] == [call.site for call in its.calls]


def test_modules_without_copies() -> None:
    module, _ = mlp()
    module.lock = threading.Lock()  # pyright: ignore[reportAttributeAccessIssue]
    assert recorder_of(module).copied() is None
