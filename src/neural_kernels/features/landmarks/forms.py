"""A network's kernels as forms: linear combinations of what its layers make, before there are any data.

The layers build a graph. Its nodes are the kernel of the data, linear operations on a kernel (maps of positions,
multiples by row) and functions of kernels entry by entry (an activation's value and slope, products). Sums and
multiples make no nodes: they are coefficients. What a feature map needs is what is left, levels at which features are
made, and coefficients between them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Dual
from neural_kernels.algebra import PerExample, PositionMap, Representation
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.types import Shape


class Node(ABC):
    """A kernel that is more than a combination of others; compared by identity."""

    @property
    @abstractmethod
    def operands(self) -> tuple[Form, ...]:
        """The kernels that it is made of."""

    @property
    def positions(self) -> Shape:
        """Sizes of the axes of positions."""
        return self.operands[0].positions


@dataclass(frozen=True, eq=False)
class SourceNode(Node):
    """The kernel of the data."""

    shape: Shape

    @property
    @override
    def operands(self) -> tuple[Form, ...]:
        return ()

    @property
    @override
    def positions(self) -> Shape:
        return self.shape


@dataclass(frozen=True, eq=False)
class LinearNode(Node):
    """A linear operation on one kernel."""

    argument: Form

    @property
    @override
    def operands(self) -> tuple[Form, ...]:
        return (self.argument,)


@dataclass(frozen=True, eq=False)
class MappedNode(LinearNode):
    """A map of positions."""

    by: PositionMap

    @property
    @override
    def positions(self) -> Shape:
        return self.by.after


@dataclass(frozen=True, eq=False)
class RescaledNode(LinearNode):
    """D k D with a diagonal that the data decide."""

    factor: Deferred


@dataclass(frozen=True, eq=False)
class InflatedNode(LinearNode):
    """A kernel whose variances are larger by a factor, and nothing else: its features are those of the argument."""

    factor: float


@dataclass(frozen=True, eq=False)
class DecorrelatedNode(LinearNode):
    """A kernel that is 0 for different positions."""


class PointwiseNode(Node):
    """A function of kernels, entry by entry."""


@dataclass(frozen=True, eq=False)
class ActivatedNode(PointwiseNode):
    """What an activation makes of a kernel."""

    argument: Form
    dual: Dual

    @property
    @override
    def operands(self) -> tuple[Form, ...]:
        return (self.argument,)


class ValueNode(ActivatedNode):
    """The covariance of the activation's outputs."""


class SlopeNode(ActivatedNode):
    """The covariance of its derivatives."""


@dataclass(frozen=True, eq=False)
class ProductNode(PointwiseNode):
    """The product of two kernels."""

    first: Form
    second: Form

    @property
    @override
    def operands(self) -> tuple[Form, ...]:
        return self.first, self.second


@dataclass(frozen=True)
class Deferred(PerExample):
    """Numbers per example that wait for data: functions, one after the other, of the variances of a kernel."""

    form: Form | None = None
    functions: tuple[Callable[[Tensor], Tensor], ...] = ()

    @override
    def map(self, fn: Callable[[Tensor], Tensor]) -> Deferred:
        return replace(self, functions=(*self.functions, fn))

    def of(self, variance: Tensor) -> Tensor:
        """The numbers, where the kernel's variances are these."""
        for fn in self.functions:
            variance = fn(variance)
        return variance


@dataclass(frozen=True, eq=False)
class Form(Representation):
    """A kernel as sum_k c_k N_k + c over nodes N_k; compared by identity.

    Parameters
    ----------
    terms : tuple of (Node, float)
    constant : float
    shape : tuple of int
        Positions.
    """

    terms: tuple[tuple[Node, float], ...]
    constant: float
    shape: Shape

    @classmethod
    def of(cls, node: Node) -> Form:
        """The kernel of one node."""
        return cls(((node, 1.0),), 0.0, node.positions)

    @property
    @override
    def positions(self) -> Shape:
        return self.shape

    @override
    def __add__(self, other: Form | float) -> Form:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not isinstance(other, Form):
            return replace(self, constant=self.constant + other)
        terms = dict(self.terms)
        for node, factor in other.terms:
            terms[node] = terms.get(node, 0.0) + factor
        return Form(tuple(terms.items()), self.constant + other.constant, self.shape)

    @override
    def __mul__(self, other: Form | float) -> Form:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not isinstance(other, Form):
            terms = tuple((node, factor * other) for node, factor in self.terms) if other else ()
            return Form(terms, self.constant * other, self.shape)
        for constant, kernel in ((self, other), (other, self)):
            if not constant.terms:
                return kernel * constant.constant
        return Form.of(ProductNode(self, other))

    @override
    def zero(self) -> Form:
        return Form((), 0.0, self.shape)

    @override
    def activate(self, dual: Dual) -> tuple[Form, Form]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self.terms:  # the same unit for all examples
            return tuple(self.zero() + moment for moment in moments(dual, self.constant))  # pyright: ignore[reportReturnType]
        return Form.of(ValueNode(self, dual)), Form.of(SlopeNode(self, dual))

    @override
    def scale(self, factor: PerExample) -> Form:
        if not isinstance(factor, Deferred):
            raise UnsuitableError("networks on graphs have no landmarks layer by layer; use nk.Nystrom()")
        return Form.of(RescaledNode(self, factor)) if self.terms or self.constant else self

    @override
    def inflate(self, factor: float) -> Form:
        return Form.of(InflatedNode(self, factor)) if self.terms or self.constant else self

    @override
    def map(self, positions: PositionMap) -> Form:
        mapped = Form.of(MappedNode(self, positions))
        return mapped if self.terms or self.constant else mapped.zero()

    @override
    def decorrelate(self) -> Form:
        return Form.of(DecorrelatedNode(self)) if self.shape and (self.terms or self.constant) else self

    @property
    @override
    def variance(self) -> Deferred:
        return Deferred((), self)

    @override
    def position_gram(self) -> PerExample:
        raise UnsuitableError("attention has no landmarks layer by layer; use nk.Nystrom() or the exact kernel")


def moments(dual: Dual, variance: float) -> tuple[float, float]:
    """E[sigma(X)^2] and E[sigma'(X)^2] at one variance."""
    std = torch.tensor([variance], dtype=torch.float64).sqrt()
    return float(dual.std(std).square()), float(dual.slope_std(std).square())


def nodes_of(*forms: Form) -> Iterator[Node]:
    """All nodes that forms are made of, each once, what comes later in a network first."""
    found: set[Node] = set()
    todo = list(forms)
    while todo:
        form = todo.pop()
        for node, _ in form.terms:
            if node in found:
                continue
            found.add(node)
            yield node
            todo += node.operands
            if isinstance(node, RescaledNode) and node.factor.form is not None:
                todo.append(node.factor.form)
