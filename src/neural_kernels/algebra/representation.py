"""The algebra of kernels in which every layer states its recursion, and the one kernel that absorbs all others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from torch import Tensor

if TYPE_CHECKING:
    from neural_kernels.activations import Dual


@dataclass(frozen=True)
class PerExample:
    """One number per example for each side of a kernel: ``sides`` holds (n1,) and (n2,), or (n,) once if they agree."""

    sides: tuple[Tensor, ...]

    def map(self, fn: Callable[[Tensor], Tensor]) -> PerExample:
        """`fn` of every side."""
        return PerExample(tuple(fn(side) for side in self.sides))


class Representation(ABC):
    """A positive-definite kernel on a batch of examples, closed under what layers do to kernels.

    Layers know nothing else of a kernel. An implementation is a view of the network: entries of a Gram matrix
    (:class:`~neural_kernels.kernels.gram.Gram`), later factors of it. Positions (pixels, tokens) enter as further axes
    behind the examples' and three more operations on them, ``map`` (K -> sum_a S_a K S_a^T), ``position_gram`` and
    ``decorrelate``; the operations below keep their meaning position by position.

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
        """`factor` times k where both arguments are the same example, k elsewhere; factor >= 1."""

    @property
    @abstractmethod
    def variance(self) -> PerExample:
        """k(x, x)."""


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

    @property
    def variance(self) -> PerExample:
        """Not defined."""
        raise TypeError("a kernel that is not computed has no variance")


K = TypeVar("K", bound=Representation)


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
        `width`); only the standard parametrisation asks.
    """

    nngp: K
    ntk: K | Nothing
    width: int | None = None

    def replace(self, nngp: K, ntk: K | Nothing) -> KernelPair[K]:
        """The kernels exchanged, all else kept."""
        return KernelPair(nngp, ntk, self.width)
