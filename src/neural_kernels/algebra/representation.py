"""The algebra of kernels in which every layer states its recursion, and the one kernel that absorbs all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from neural_kernels.activations import Dual
    from neural_kernels.algebra.maps import PositionMap


@dataclass(frozen=True)
class PerExample:
    """Numbers per example for each side of a kernel: ``sides`` holds (n1, ...) and (n2, ...), or one if they agree.

    Behind the examples' axis may come the positions', or more.
    """

    sides: tuple[Tensor, ...]

    def map(self, fn: Callable[[Tensor], Tensor]) -> PerExample:
        """`fn` of every side."""
        return PerExample(tuple(fn(side) for side in self.sides))


class Representation(ABC):
    """A positive-definite kernel on a batch of examples, closed under what layers do to kernels.

    Layers know nothing else of a kernel. An implementation is a view of the network: entries of a Gram matrix
    (:class:`~neural_kernels.exact.gram.Gram`), later factors of it. Positions (pixels, tokens, nodes) are further
    axes behind the examples': the kernel is a number for every two units (x, p) and (y, q), and every operation means
    the same position by position. `map`, `decorrelate` and `position_gram` are about positions themselves.

    A sum or a product is taken from the left by the kernel that may be :class:`Nothing` (``pair.ntk * slope``).
    """

    @abstractmethod
    def __add__(self, other: Self | float) -> Self:
        """k1 + k2, or k + c with a constant c >= 0."""

    @abstractmethod
    def __mul__(self, other: Self | float) -> Self:
        """k1 * k2 entry by entry (Schur product), or c k with c >= 0."""

    def __rmul__(self, factor: float) -> Self:
        """C k."""
        return self * factor

    @abstractmethod
    def zero(self) -> Self:
        """The kernel that is 0 everywhere, on the same examples."""

    @abstractmethod
    def activate(self, dual: Dual) -> tuple[Self, Self]:
        """(kappa(k), slope(k))."""

    @abstractmethod
    def scale(self, factor: PerExample) -> Self:
        """D k D with D = diag(factor)."""

    @abstractmethod
    def inflate(self, factor: float) -> Self:
        """`factor` times k where both arguments are the same example and position, k elsewhere; factor >= 1."""

    @abstractmethod
    def map(self, positions: PositionMap) -> Self:
        """Sum of S_a k S_a^T over positions."""

    @abstractmethod
    def decorrelate(self) -> Self:
        """K where both positions are the same, 0 elsewhere."""

    @property
    @abstractmethod
    def positions(self) -> tuple[int, ...]:
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

    def __add__(self, other: Representation | float) -> Nothing:
        """Nothing."""
        return self

    def __mul__(self, other: Representation | float) -> Nothing:
        """Nothing."""
        return self

    def zero(self) -> Nothing:
        """Nothing."""
        return self

    def activate(self, dual: Dual) -> tuple[Nothing, Nothing]:
        """Nothing, twice."""
        return self, self

    def scale(self, factor: PerExample) -> Nothing:
        """Nothing."""
        return self

    def inflate(self, factor: float) -> Nothing:
        """Nothing."""
        return self

    def map(self, positions: PositionMap) -> Nothing:
        """Nothing."""
        return self

    def decorrelate(self) -> Nothing:
        """Nothing."""
        return self

    @property
    def positions(self) -> tuple[int, ...]:
        """Not defined."""
        raise TypeError("a kernel that is not computed has no positions")

    @property
    def variance(self) -> PerExample:
        """Not defined."""
        raise TypeError("a kernel that is not computed has no variance")

    def position_gram(self) -> PerExample:
        """Not defined."""
        raise TypeError("a kernel that is not computed has no entries")


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

    def replace(self, nngp: K, ntk: K | Nothing) -> KernelPair[K]:
        """After a layer that keeps the number of units."""
        return self.affine(nngp, ntk, self.width)

    def affine(self, nngp: K, ntk: K | Nothing, width: int | None) -> KernelPair[K]:
        """After a layer with `width` units; 0 at nodes that do not exist."""
        if self.graph is not None and nngp.positions:
            nngp, ntk = nngp.scale(self.graph.present), ntk.scale(self.graph.present)
        return KernelPair(nngp, ntk, width, self.graph)
