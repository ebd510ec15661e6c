"""What is found out about a module: groups of parameters, broadcasts, and what verification turns down."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from empirical_modules import CASES, FORWARD, build
from neural_kernels.empirical.capture.discover import discover
from neural_kernels.empirical.capture.structure import ModuleStructure
from neural_kernels.empirical.module.batches import read
from neural_kernels.empirical.module.model import Model


def found(module: nn.Module, x: Any, layered: bool = True, forward: Any = None) -> ModuleStructure:
    model = Model.of(module.eval(), None, forward)
    return discover(model, read(x, "x", model.place), layered)


def groups(structure: ModuleStructure) -> dict[tuple[str, ...], tuple[int, ...]]:
    return {group.names: group.calls for group in structure.groups}


class Tied(nn.Module):
    """One layer twice, and another whose weight is its."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(self.second(torch.tanh(self.first(torch.tanh(self.first(x)))))))


def test_layers_used_twice_and_tied_parameters() -> None:
    """A parameter belongs to all calls that use it; weight and bias are one group if they share these."""
    structure = found(Tied(), torch.randn(3, 4))
    assert groups(structure) == {("first.weight",): (0, 1, 2), ("first.bias",): (0, 1), ("second.bias",): (2,),
                                 ("head.weight", "head.bias"): (3,)}  # fmt: skip
    assert [group.count for group in structure.groups] == [16, 4, 4, 10]
    assert structure.unexplained == []
    assert structure.outputs == 2
    assert structure.copyable


def test_weight_and_bias_part_where_positions_are_many() -> None:
    structure = found(nn.Linear(4, 3), torch.randn(3, 5, 4))
    assert groups(structure) == {("weight",): (0,), ("bias",): (0,)}
    (call,) = structure.calls
    assert call is not None
    assert call.size == (5, 4, 3)
    assert structure.outputs == 15


class Outside(nn.Module):
    """The weight of a layer is used without the layer too."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(F.linear(self.inside(x), self.inside.weight)))


class Rescaled(nn.Linear):
    """Torch's layer with a change that no rule knows."""

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, self.weight.square(), self.bias)


def hooked() -> nn.Module:
    """A hook of the user writes the weight into what the layer wrote."""
    module = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 2))
    module[0].register_forward_hook(lambda layer, args, wrote: wrote * layer.weight.sum())
    return module


@pytest.mark.parametrize(
    ("make", "unexplained"),
    [
        (Outside, ["inside.weight", "inside.bias"]),
        (lambda: nn.Sequential(Rescaled(4, 4), nn.Linear(4, 2)), ["0.weight"]),
        (hooked, ["0.weight"]),
    ],
)
def test_what_fails_verification_is_left_to_autograd(make: Any, unexplained: list[str]) -> None:
    """And nothing else is: the other layers of the module keep their rules."""
    structure = found(make().double(), torch.randn(3, 4, dtype=torch.float64))
    assert structure.unexplained == unexplained
    names = {name for group in structure.groups for name in group.names}
    assert names == set(dict(structure.recorder.model.parameters)) - set(unexplained)


class Broadcast(nn.Module):
    """Parameters without a layer: a scale, and a token before all others."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.start = nn.Parameter(torch.rand(4) + 1), nn.Parameter(torch.randn(1, 1, 4))
        self.head = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.tanh(torch.cat([self.start.expand(len(x), 1, -1), x * self.scale], 1))).sum(1)


def test_parameters_that_are_broadcast() -> None:
    structure = found(Broadcast(), torch.randn(3, 5, 4))
    assert {way.name: way.axes for way in structure.recorder.broadcasts} == {"scale": 1, "start": -1}
    assert structure.unexplained == []


def test_what_is_the_same_for_all_examples() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(5, 4), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.tanh(x + self.table(torch.arange(5)))).sum(1)

    structure = found(Positions(), torch.randn(3, 5, 4))
    assert structure.recorder.shared == {0}
    assert structure.unexplained == []


def test_without_layers_nothing_is_explained() -> None:
    structure = found(Tied(), torch.randn(3, 4), layered=False)
    assert structure.groups == structure.calls == []
    assert structure.unexplained == list(structure.recorder.model.parameters)


def test_one_example_is_enough() -> None:
    assert groups(found(Tied(), torch.randn(1, 4))) == groups(found(Tied(), torch.randn(3, 4)))


# Parameters of the cases that no rule explains, by the beginnings of their names: of layers without a rule, of products
# that are no layer, and of a layer whose rows mix tokens and examples.
UNEXPLAINED = {
    "lstm": {"lstm"},
    "one-dimensional": {"2", "3"},
    "weight norm": {"0", "2"},
    "lora": {"0", "2"},
    "sequence first": {"merged"},
    "to_torch, positions": {"0"},
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_explained(name: str) -> None:
    """A rule that is wrong costs time alone, which no other test sees."""
    module, x = build(name)
    structure = found(module, x, forward=FORWARD.get(name))
    assert {name.split(".")[0] for name in structure.unexplained} == UNEXPLAINED.get(name, set())


@pytest.mark.parametrize(
    "forward",
    [
        lambda module, x: module(x - x.mean(0)),
        lambda module, x: module(x) + module(x.flip(0)),
        lambda module, x: module(x) * len(x),
    ],
)
def test_examples_that_depend_on_each_other(forward: Any) -> None:
    with pytest.raises(ValueError, match="depend on the other examples"):
        found(nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2)), torch.randn(3, 4), forward=forward)


def test_equal_examples_that_depend_on_each_other() -> None:
    """Their outputs are the same in any batch, but the gradients of one lead to the other."""

    def forward(module: Any, x: Tensor) -> Tensor:
        return module[1](module[0](x).mean(0)[None].expand(len(x), 3))

    with pytest.raises(ValueError, match="depend on the other examples"):
        found(nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2)), torch.ones(3, 4), forward=forward)


def test_outputs_that_are_not_finite() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        found(nn.Linear(4, 2), torch.full((3, 4), torch.nan))


class Changed(nn.Module):
    """A copy of it computes something else."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(4, 2), scale

    def __deepcopy__(self, memo: Any) -> Changed:
        return Changed(2.0)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.linear(x)


def test_copies_that_compute_something_else() -> None:
    assert found(nn.Linear(4, 2), torch.randn(3, 4)).copyable
    assert not found(Changed(), torch.randn(3, 4)).copyable
