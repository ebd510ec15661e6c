"""Where features are made: nodes of the graph of forms, grouped by the basis that they share, in their order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from neural_kernels.features.landmarks.forms import (
    ActivatedNode,
    DecorrelatedNode,
    Form,
    InflatedNode,
    LinearNode,
    MappedNode,
    Node,
    ProductNode,
    RescaledNode,
    SlopeNode,
    nodes_of,
)
from neural_kernels.features.landmarks.windows import WindowTable
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Shape


@dataclass(eq=False)
class Level:
    """Nodes that share a basis: the NNGP kernel and the NTK at one level of a network.

    Parameters
    ----------
    nodes : list of Node
        Of one kind, with the same positions.
    inputs : tuple of Form
        What they are made of, as far as other levels have it.
    sources : tuple of Level
        Whose features the inputs are forms of.
    readers : list of Level
        Those that read this one.
    outside : dict from Form to Form
        What of a product's operands other levels have: all but slopes of this level.
    """

    nodes: list[Node]
    inputs: tuple[Form, ...] = ()
    sources: tuple[Level, ...] = ()
    readers: list[Level] = field(default_factory=list)
    outside: dict[Form, Form] = field(default_factory=dict)

    @property
    def positions(self) -> Shape:
        """Sizes of the axes of positions."""
        return self.nodes[0].positions

    @cached_property
    def windows(self) -> WindowTable | None:
        """The windows of a map of several matrices."""
        node = self.nodes[0]
        return WindowTable.of(node.by) if isinstance(node, MappedNode) else None

    @cached_property
    def takes_ones(self) -> bool:
        """Whether constants of what it reads are features: linear operations change them as they do all others."""
        return isinstance(self.nodes[0], LinearNode) and any(constant(form) for form in self.inputs)


class Levels:
    """All levels that a kernel goes through.

    Parameters
    ----------
    root : Form
        The kernel.

    Attributes
    ----------
    order : list of Level
        Every level behind those that it reads.
    leading : set of Node
        Those that some activation further on sees as the kernel of its units, by which errors enter through a cusp.

    Raises
    ------
    UnsuitableError
        Kernels that features at levels cannot follow.
    """

    def __init__(self, root: Form) -> None:
        self.root = root
        nodes = list(nodes_of(root))
        self.leading = set(nodes_of(*(node.argument for node in nodes if isinstance(node, ActivatedNode))))
        _require_equal_positions(root)
        own = [node for node in nodes if not isinstance(node, (InflatedNode, DecorrelatedNode))]
        order = self._ordered(own, merged=True) or self._ordered(own, merged=False)
        assert order is not None, "a network's kernels depend on earlier ones alone"
        self.order = order

    def _ordered(self, nodes: list[Node], merged: bool) -> list[Level] | None:
        """Group the nodes and sort the groups; None if they wait for each other."""
        levels = [Level(group) for group in _groups(nodes, merged)]
        self.of = {node: level for level in levels for node in level.nodes}
        for level in levels:
            level.inputs = tuple(dict.fromkeys(self._inputs(level)))
            read = (self.of[node] for form in level.inputs for node in terms(form))
            level.sources = tuple(dict.fromkeys(read))
            for source in level.sources:
                source.readers.append(level)
        order: list[Level] = []
        ready = [level for level in levels if not level.sources]
        while ready:
            level = ready.pop()
            order.append(level)
            ready += [
                reader
                for reader in dict.fromkeys(level.readers)
                if reader not in ready + order and all(source in order for source in reader.sources)
            ]
        return order if len(order) == len(levels) else None

    def _inputs(self, level: Level) -> Iterable[Form]:
        for node in level.nodes:
            for form in node.operands:
                if isinstance(node, ProductNode):
                    form = level.outside.setdefault(form, _outside(form, level))
                if form.terms or form.constant:
                    yield form

    @cached_property
    def read(self) -> set[Node]:
        """The nodes that other levels, or the result, are made of."""
        forms = [self.root, *(form for level in self.order for form in level.inputs)]
        return {node for form in forms for node in terms(form)}

    @cached_property
    def last(self) -> tuple[Level, ...]:
        """The levels whose features make the result."""
        return tuple(dict.fromkeys(self.of[node] for node in terms(self.root)))


def terms(form: Form) -> dict[Node, float]:
    """The nodes with features that a form is a combination of, and their coefficients."""
    return _resolved(form)[0]


def constant(form: Form) -> float:
    """What a form adds to its nodes with features."""
    return _resolved(form)[1]


def _resolved(form: Form) -> tuple[dict[Node, float], float]:
    found: dict[Node, float] = {}
    total = form.constant
    for node, factor in form.terms:
        if isinstance(node, (InflatedNode, DecorrelatedNode)):
            inner, more = _resolved(node.argument)
            total += factor * more
        else:
            inner = {node: 1.0}
        for each, weight in inner.items():
            found[each] = found.get(each, 0.0) + factor * weight
    return found, total


def _outside(form: Form, level: Level) -> Form:
    """What of a product's operand other levels have, all but slopes; the form itself if it has none."""
    kept = tuple((node, factor) for node, factor in form.terms if node not in level.nodes)
    return form if len(kept) == len(form.terms) else Form(kept, form.constant, form.shape)


def _groups(nodes: list[Node], merged: bool) -> list[list[Node]]:
    """Divide nodes into those that share a basis.

    Maps and multiples by row share it if they are the same one; functions entry by entry if they are of the same
    kernel, as is a product with its slope; with `merged` also products with a common operand.
    """
    leader: dict[object, object] = {}

    def find(key: object) -> object:
        while leader.setdefault(key, key) is not key:
            key = leader[key]
        return key

    for node in nodes:
        for key in _shared(node, merged):
            leader[find(key)] = find(node)
    groups: dict[object, list[Node]] = {}
    for node in nodes:
        groups.setdefault(find(node), []).append(node)
    return list(groups.values())


def _shared(node: Node, merged: bool) -> Iterable[object]:
    """What a node has in common with the others of its level."""
    if isinstance(node, MappedNode):
        yield node.by
    elif isinstance(node, RescaledNode):
        yield node.factor
    elif isinstance(node, ActivatedNode):
        yield node.argument
    elif isinstance(node, ProductNode):
        for form in node.operands:
            yield from (inner for inner, _ in form.terms if isinstance(inner, SlopeNode))
            if merged:
                yield "operand", form


def _require_equal_positions(root: Form) -> None:
    """Refuse kernels without correlation between positions, unless nothing asks for it: only Flatten follows."""
    todo, seen = [(root, False)], set()
    while todo:
        form, pairs = todo.pop()
        for node, _ in form.terms:
            if (node, pairs) in seen:
                continue
            seen.add((node, pairs))
            if isinstance(node, DecorrelatedNode) and pairs:
                raise UnsuitableError(
                    "filters of every position's own, with a pool behind them, have no landmarks that serve all "
                    "positions. Put nk.Flatten() in level of the pool, or use nk.Nystrom() or nk.RandomFeatures()"
                )
            among = bool(node.positions) and pairs
            if isinstance(node, MappedNode):
                among = among or node.by.mixing
            todo += [(operand, among) for operand in node.operands]
