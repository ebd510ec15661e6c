"""The algebra of kernels in which every layer states its recursion, and the one kernel that absorbs all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra.maps import PositionMap
from neural_kernels.runtime.types import Shape


class DualKernel(Protocol):
    """What `Representation.activate` takes: a map of kernels, kappa(X, Y) = E[sigma(X) sigma(Y)], and its slope.

    The arguments are pairs of jointly normal variables, as standard deviations and one minus the correlation;
    :class:`~neural_kernels.activations.Dual` is the class that has all of it.
    """

    def dual(self, normal: Any) -> Tensor:
        """Return E[sigma(X) sigma(Y)]."""
        ...

    def dual_slope(self, normal: Any) -> Tensor:
        """Return E[sigma'(X) sigma'(Y)]."""
        ...

    def std(self, std: Tensor) -> Tensor:
        """Return sqrt(E[sigma(X)^2]) for X of the given standard deviations."""
        ...

    def slope_std(self, std: Tensor) -> Tensor:
        """Return sqrt(E[sigma'(X)^2])."""
        ...

    def delta(self, normal: Any) -> Tensor:
        """Return one minus the correlation of sigma(X) and sigma(Y)."""
        ...

    def slope_delta(self, normal: Any) -> Tensor:
        """Return one minus the correlation of sigma'(X) and sigma'(Y)."""
        ...


@dataclass(frozen=True)
class PerExample:
    """Numbers per example for each side of a kernel: ``sides`` holds (n1, ...) and (n2, ...), or one if they agree.

    Behind the examples' axis may come the positions', or more.
    """

    sides: tuple[Tensor, ...]

    def map(self, fn: Callable[[Tensor], Tensor]) -> PerExample:
        """Apply ``fn`` to every side."""
        return PerExample(tuple(fn(side) for side in self.sides))


class Representation(ABC):
    """A positive-definite kernel on a batch of examples, closed under what layers do to kernels.

    Layers know nothing else of a kernel. An implementation is a view of the network: entries of a Gram matrix, factors
    of it, or a power series of it. Positions (pixels, tokens, nodes) are further
    axes behind the examples': the kernel is a number for every two units (x, p) and (y, q), and every operation means
    the same position by position. `map`, `decorrelate` and `position_gram` are about positions themselves.

    A sum or a product is taken from the left by the kernel that may be :class:`Nothing` (``pair.ntk * slope``).
    """

    @abstractmethod
    def __add__(self, other: Self | float) -> Self:
        """Return k1 + k2, or k + c with a constant c >= 0."""

    @abstractmethod
    def __mul__(self, other: Self | float) -> Self:
        """Return k1 * k2 entry by entry (Schur product), or c k with c >= 0."""

    def __rmul__(self, factor: float) -> Self:
        """Return the multiple ``factor`` k."""
        return self * factor

    @abstractmethod
    def zero(self) -> Self:
        """Return the kernel that is 0 everywhere, on the same examples."""

    @abstractmethod
    def activate(self, dual: DualKernel) -> tuple[Self, Self]:
        """Return (kappa(k), slope(k)), the covariance of the activations and that of their derivatives."""

    @abstractmethod
    def scale(self, factor: PerExample) -> Self:
        """Return D k D with D = diag(factor)."""

    @abstractmethod
    def inflate(self, factor: float) -> Self:
        """Return ``factor`` k where both arguments are the same example and position, k elsewhere; factor >= 1."""

    @abstractmethod
    def map(self, positions: PositionMap) -> Self:
        """Return the sum of S_a k S_a^T over the matrices S_a of a map of positions."""

    @abstractmethod
    def decorrelate(self) -> Self:
        """Return k where both positions are the same, 0 elsewhere."""

    @property
    @abstractmethod
    def positions(self) -> Shape:
        """Sizes of the axes of positions; () for vectors."""

    @property
    @abstractmethod
    def variance(self) -> PerExample:
        """The kernel of every unit with itself, shapes (n, *positions)."""

    @abstractmethod
    def position_gram(self) -> PerExample:
        """The kernel between the positions of each example, shapes (n, P, P)."""


class Nothing(Representation):
    """A kernel nobody asked for: every operation returns it, so that an NNGP-only pass costs no NTK."""

    @override
    def __add__(self, other: Representation | float) -> Nothing:
        return self

    @override
    def __mul__(self, other: Representation | float) -> Nothing:
        return self

    @override
    def zero(self) -> Nothing:
        return self

    @override
    def activate(self, dual: DualKernel) -> tuple[Nothing, Nothing]:
        return self, self

    @override
    def scale(self, factor: PerExample) -> Nothing:
        return self

    @override
    def inflate(self, factor: float) -> Nothing:
        return self

    @override
    def map(self, positions: PositionMap) -> Nothing:
        return self

    @override
    def decorrelate(self) -> Nothing:
        return self

    @property
    @override
    def positions(self) -> Shape:
        raise TypeError("a kernel that is not computed has no positions")

    @property
    @override
    def variance(self) -> PerExample:
        raise TypeError("a kernel that is not computed has no variance")

    @override
    def position_gram(self) -> PerExample:
        raise TypeError("a kernel that is not computed has no entries")


# The one type variable of layers: a recursion returns kernels of the representation that it was given.
K = TypeVar("K", bound=Representation)


@dataclass(frozen=True)
class Graph:
    """Adjacency matrices of examples whose positions are nodes, and which of the nodes exist.

    Parameters
    ----------
    adjacency : PerExample
        Shapes (n, nodes, nodes).
    present : PerExample
        Shapes (n, nodes): 1 for a node that exists, 0 for padding.
    """

    adjacency: PerExample
    present: PerExample


@dataclass(frozen=True)
class KernelPair(Generic[K]):
    """The NNGP kernel and the NTK between two layers.

    Parameters
    ----------
    nngp : Representation
        Covariance of the units.
    ntk : Representation
        The neural tangent kernel, or :class:`Nothing`.
    width : int or None
        Number of units of the finite network where the description tells it (the input's features, a `Dense` with a
        `width`); only the standard parametrisation and a concatenated positional embedding ask.
    graph : Graph or None
        Where positions are the nodes of a graph.
    """

    nngp: K
    ntk: K | Nothing
    width: int | None = None
    graph: Graph | None = None

    def after(self, nngp: K, ntk: K | Nothing, *, width: int | Literal["kept"] | None = "kept") -> KernelPair[K]:
        """Give the pair behind a layer, with both kernels set to 0 at nodes that do not exist.

        Graphs of a batch are padded to one number of nodes. A layer need not know that: what it makes of the padding (a
        bias, an activation of 0) is cleared here, so that pools and aggregation downstream see zeros there.

        Parameters
        ----------
        nngp, ntk : Representation
            The layer's kernels; an NTK that is :class:`Nothing` stays so.
        width : int, None or "kept"
            Number of units of the finite network behind the layer, None where the description does not tell it; by
            default the number before the layer.
        """
        if self.graph is not None and nngp.positions:
            nngp, ntk = nngp.scale(self.graph.present), ntk.scale(self.graph.present)
        return KernelPair(nngp, ntk, self.width if width == "kept" else width, self.graph)
