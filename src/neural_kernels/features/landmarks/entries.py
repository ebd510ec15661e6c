"""Functions of kernels entry by entry, by their own formulas: the reference, the differentiable path, that of a GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor

from neural_kernels.activations import BivariateNormal, Dual
from neural_kernels.features.landmarks.forms import ActivatedNode, Form, Node, ProductNode, SlopeNode, ValueNode
from neural_kernels.features.landmarks.levels import Level
from neural_kernels.runtime.numerics import safe_divide


class Entries:
    """The kernels of a level between some units and others.

    Parameters
    ----------
    level : Level
    products : mapping from Form to Tensor
        The level's inputs, shape (rows, m).
    stds : mapping from Form to pair of Tensor
        Standard deviations of what activations see, shapes (rows,) and (m,).
    """

    def __init__(
        self, level: Level, products: Mapping[Form, Tensor], stds: Mapping[Form, tuple[Tensor, Tensor]]
    ) -> None:
        self._place, self._products, self._stds = level, products, stds
        self._normals: dict[Form, BivariateNormal] = {}

    def total(self, weights: Mapping[Node, float]) -> Tensor:
        """The sum of some of the level's kernels, times their weights."""
        parts = (weight * self.of(node) for node, weight in weights.items())
        return sum(parts, start=next(parts))

    def of(self, node: Node) -> Tensor:
        """One of them."""
        if isinstance(node, ProductNode):
            return self._operand(node.first) * self._operand(node.second)
        assert isinstance(node, ActivatedNode)
        normal = self._normal(node.argument)
        return node.dual.dual_slope(normal) if isinstance(node, SlopeNode) else node.dual.dual(normal)

    def _operand(self, form: Form) -> Tensor:
        parts = [factor * self.of(node) for node, factor in form.terms if node in self._place.nodes]
        outside = self._place.outside[form]
        if outside in self._products:
            parts.append(self._products[outside])
        return sum(parts[1:], start=parts[0])

    def _normal(self, form: Form) -> BivariateNormal:
        if form not in self._normals:
            left, right = self._stds[form]
            correlation = safe_divide(safe_divide(self._products[form], right), left[:, None])
            self._normals[form] = BivariateNormal(left[:, None], right, (1 - correlation).clamp(0, 2))
        return self._normals[form]


class Recipe(NamedTuple):
    """The usual level: one activation, its value, and its slope times one kernel.

    Parameters
    ----------
    dual : Dual
    value, slope : float
        What both are multiplied by in the sum.
    inputs : tuple of Form
        The kernel that the activation sees, and the one that the slope multiplies, if any.
    """

    dual: Dual
    value: float
    slope: float
    inputs: tuple[Form, ...]

    @classmethod
    def of(cls, level: Level, weights: Mapping[Node, float]) -> Recipe | None:
        """The recipe of a level; None for any other."""
        value = slope = 0.0
        seen = [node for node in level.nodes if isinstance(node, ActivatedNode)]
        arguments = {node.argument for node in seen}
        multiplied: list[Form] = []
        for node, weight in weights.items():
            if isinstance(node, ValueNode):
                value = weight
            elif isinstance(node, ProductNode) and (pair := _slope_and_other(level, node)):
                slope = weight * pair[0]
                multiplied.append(pair[1])
            else:
                return None
        if len(arguments) != 1 or len(multiplied) > 1:
            return None
        return cls(seen[0].dual, value, slope, (seen[0].argument, *multiplied))


def _slope_and_other(level: Level, node: ProductNode) -> tuple[float, Form] | None:
    """The factor of a slope alone, and the other operand, which has no slope of the level in it."""
    for first, second in ((node.first, node.second), (node.second, node.first)):
        alone = len(first.terms) == 1 and not first.constant and first.terms[0][0] in level.nodes
        if alone and isinstance(first.terms[0][0], SlopeNode) and level.outside[second] is second:
            return first.terms[0][1], second
    return None
