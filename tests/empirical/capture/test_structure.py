"""Where tensors have their examples, and whether a recording is what was discovered."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from neural_kernels.empirical.capture.discover import discover
from neural_kernels.empirical.capture.structure import ExampleAxis, ModuleStructure
from neural_kernels.empirical.module.batches import read
from neural_kernels.empirical.module.model import Model


@pytest.mark.parametrize(
    ("two", "three", "axis"),
    [
        ((2, 5), (3, 5), 0),
        ((7, 2, 4), (7, 3, 4), 1),
        ((14, 4), (21, 4), 0),  # seven tokens of each, merged
        ((5, 4), (5, 4), None),  # the same for all examples
        ((2, 2), (3, 3), None),  # two axes
        ((4, 5), (5, 5), None),  # no multiple
        ((2, 5), (3, 5, 1), None),
    ],
)
def test_axis_of_examples(two: tuple[int, ...], three: tuple[int, ...], axis: int | None) -> None:
    expected = None if axis is None else ExampleAxis(axis)
    assert ExampleAxis.from_shapes(torch.Size(two), torch.Size(three)) == expected


def test_examples_first() -> None:
    x = torch.arange(24).view(2, 6, 2)
    cut = ExampleAxis(1).examples_first(x, 3)
    assert cut.shape == (3, 2, 2, 2)
    assert torch.equal(cut[1, 0], x[:, 2])
    for count in (4, 5):
        with pytest.raises(ValueError, match=f"6 rows for {count} examples"):
            ExampleAxis(1).examples_first(x, count)


def structure_of(module: nn.Module, x: torch.Tensor) -> ModuleStructure:
    model = Model.of(module, None, None)
    return discover(model, read(x, "x", model.place), layered=True)


def test_recordings_of_other_calls() -> None:
    x = torch.randn(3, 4)
    module = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    structure = structure_of(module, x)
    assert structure.matches(structure.recorder.record(x, 3))
    first, last = module[0], module[2]
    for parts in ([first], [last, first], [first, last, first]):
        module._modules = {str(i): part for i, part in enumerate(parts)}  # pyright: ignore[reportAttributeAccessIssue]
        assert not structure.matches(structure.recorder.record(x, 3))


def test_groups_with_factors() -> None:
    """Norms have none, and neither have parameters that two kinds of layers share."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.norm, self.head = nn.Embedding(4, 3), nn.LayerNorm(3), nn.Linear(3, 4, bias=False)
            self.head.weight = self.table.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(self.table(x).sum(1)))

    tied = structure_of(Tied(), torch.randint(4, (3, 2)))
    factors = {group.names: tied.has_factors(group) for group in tied.groups}
    assert factors == {("table.weight",): False, ("norm.weight", "norm.bias"): False}
    plain = structure_of(nn.Linear(2, 2), torch.randn(3, 2))
    assert [plain.has_factors(group) for group in plain.groups] == [True]
