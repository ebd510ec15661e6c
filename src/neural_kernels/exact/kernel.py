"""What a kernel is to everybody who uses one: a function of two batches, and its diagonal; kernels add and multiply."""

from __future__ import annotations

import math
import operator
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

_ROWS = 64  # of a callable's diagonal at a time: entries beside it are computed for nothing


class Kernel(ABC):
    r"""A positive semi-definite function of two examples.

    Sums and products of kernels are kernels, and so are their multiples by a number that is not negative and their
    sums with one: ``2 * nk.NTK(net) + nk.Laplace() * nk.NNGP(net) + 0.1``. Instances are frozen dataclasses, so that
    they can be compared, copied and searched over (``GridSearchCV(model, {"kernel": [nk.Laplace(), nk.NTK(net)]})``).
    """

    @abstractmethod
    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, shape (n1, n2), of the kind, device and precision of `x1`; None for `x2` means `x1`."""

    @abstractmethod
    def diag(self, x: Any) -> Any:
        """k(x, x) for every example, shape (n,)."""

    def bind(self, x2: Any) -> Callable[[Any], Any]:
        """The function ``x1 -> kernel(x1, x2)``, for one small batch after the other.

        What depends on `x2` alone is computed once, as far as the kernel can tell it apart; `x2` must not change.

        Examples
        --------
        >>> import numpy as np
        >>> import neural_kernels as nk
        >>> row_of = nk.NTK(nk.mlp(1)).bind(np.eye(2))
        >>> row_of(np.eye(2)[:1]).round(4)
        array([[0.5   , 0.0796]])
        """
        return lambda x1: self(x1, x2)

    @property
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return False

    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride]
        # scikit-learn's `pairwise_kernels` calls a function once a pair, and an instance of its own `Kernel` once for
        # all of them. `isinstance` asks an object for its class: the moment to enter ours there, with nothing imported.
        theirs = getattr(sys.modules.get("sklearn.gaussian_process.kernels"), "Kernel", None)
        if theirs is not None:
            theirs.register(Kernel)
        return type(self)

    @property
    def theta(self) -> Any:
        """Refused: what scikit-learn's Gaussian processes would optimise.

        Raises
        ------
        AttributeError
        """
        raise AttributeError(
            f"{self!r} has no hyperparameters, which scikit-learn's Gaussian processes optimise: pass "
            "nk.sklearn_kernel(kernel) in its place"
        )

    requires_vector_input = theta  # what they ask for first

    def __sklearn_clone__(self) -> Self:
        # Kernels do not change, and a copy of a module for every fold would be another module to whoever compares.
        return self

    def __add__(self, other: Any) -> Kernel:
        if _is_number(other):
            return AffineKernel(self, 1.0, float(other))
        return KernelSum(self, as_kernel(other)) if callable(other) else NotImplemented

    __radd__ = __add__

    def __mul__(self, other: Any) -> Kernel:
        if _is_number(other):
            return AffineKernel(self, float(other), 0.0)
        return KernelProduct(self, as_kernel(other)) if callable(other) else NotImplemented

    __rmul__ = __mul__


@dataclass(frozen=True)
class KernelSum(Kernel):
    """k1 + k2: the kernel of the sum of two independent functions."""

    first: Kernel
    second: Kernel

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return self.first.takes_sparse and self.second.takes_sparse

    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """Both Gram matrices, added."""
        first, second = _alike(self.first(x1, x2), self.second(x1, x2))
        return first + second

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        first, second = self.first.bind(x2), self.second.bind(x2)
        return lambda x1: operator.add(*_alike(first(x1), second(x1)))

    def diag(self, x: Any) -> Any:
        """Both diagonals, added."""
        first, second = _alike(self.first.diag(x), self.second.diag(x))
        return first + second


@dataclass(frozen=True)
class KernelProduct(Kernel):
    """k1 k2, entry by entry: the kernel of the product of two independent functions."""

    first: Kernel
    second: Kernel

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return self.first.takes_sparse and self.second.takes_sparse

    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """Both Gram matrices, multiplied entry by entry."""
        first, second = _alike(self.first(x1, x2), self.second(x1, x2))
        return first * second

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        first, second = self.first.bind(x2), self.second.bind(x2)
        return lambda x1: operator.mul(*_alike(first(x1), second(x1)))

    def diag(self, x: Any) -> Any:
        """Both diagonals, multiplied."""
        first, second = _alike(self.first.diag(x), self.second.diag(x))
        return first * second


@dataclass(frozen=True)
class AffineKernel(Kernel):
    """c k + b: the kernel of a function times sqrt(c), plus a constant of variance b.

    Parameters
    ----------
    kernel : Kernel
    scale, shift : float
        c and b, at least 0: with less the result would not be positive semi-definite.
    """

    kernel: Kernel
    scale: float
    shift: float

    def __post_init__(self) -> None:
        for name, value in (("multiplied by", self.scale), ("added to", self.shift)):
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"a kernel {name} {value!r}: expected a finite number, at least 0")

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return self.kernel.takes_sparse

    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, scaled and shifted."""
        return self._of(self.kernel(x1, x2))

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        bound = self.kernel.bind(x2)
        return lambda x1: self._of(bound(x1))

    def diag(self, x: Any) -> Any:
        """The diagonal, scaled and shifted."""
        return self._of(self.kernel.diag(x))

    def _of(self, values: Any) -> Any:
        scaled = self.scale * values
        return scaled + self.shift if self.shift else scaled


@dataclass(frozen=True)
class CallableKernel(Kernel):
    """A function of the user's as a kernel.

    Parameters
    ----------
    function : callable
        ``function(x1, x2)``, the Gram matrix (n1, n2) of two batches: a function, or an object such as those of
        ``sklearn.gaussian_process.kernels``, whose own `diag` is then used.
    """

    function: Callable[..., Any]

    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """A copy of what the function returns; refused unless it has the shape of a Gram matrix."""
        other = x1 if x2 is None else x2
        # Kernels of scikit-learn add white noise to the Gram matrix of one batch, which only the call with one is.
        alone = x2 is None and hasattr(self.function, "diag")
        gram = self.function(x1) if alone else self.function(x1, other)
        expected = len_of(x1), len_of(other)
        if np.shape(gram) != expected:
            raise ValueError(
                f"{self.function!r} gave an array of shape {np.shape(gram)}; expected the Gram matrix of both batches, "
                f"shape {expected}"
            )
        return _copy(gram)

    def diag(self, x: Any) -> Any:
        """By the function's own `diag`, or from small Gram matrices."""
        if hasattr(self.function, "diag"):
            return _copy(self.function.diag(x))  # pyright: ignore[reportFunctionMemberAccess]
        parts = [x[start : start + _ROWS] for start in range(0, len_of(x), _ROWS)]
        diagonals = [self(part).diagonal() for part in parts] or [np.empty(0)]
        return torch.cat(diagonals) if isinstance(diagonals[0], Tensor) else np.concatenate(diagonals)


def as_kernel(value: Any) -> Kernel:
    """A kernel object from what stands for one: itself, or any callable of two batches.

    Raises
    ------
    TypeError
        For anything else.
    """
    if isinstance(value, Kernel):
        return value
    if isinstance(value, type) or not callable(value):
        hint = f" (write {value.__name__}(...) with its arguments)" if isinstance(value, type) else ""
        raise TypeError(
            f"kernel={value!r}{hint}: expected a kernel such as nk.NTK(net) or nk.Laplace(), a sum or product of "
            "kernels, or a function of two batches that returns their Gram matrix"
        )
    return CallableKernel(value)


def len_of(x: Any) -> int:
    """The number of examples of a batch, sparse ones included."""
    return x.shape[0] if hasattr(x, "shape") else len(x)


def _alike(first: Any, second: Any) -> tuple[Any, Any]:
    """Two results of equal shape: entries that are matrices over outputs would be broadcast against numbers."""
    if tuple(first.shape) != tuple(second.shape):
        raise ValueError(
            f"kernels with results of shapes {tuple(first.shape)} and {tuple(second.shape)} neither add nor multiply. "
            "In place of nk.EmpiricalNTK, whose entries are matrices over outputs, take nk.TraceNTK or nk.PseudoNTK."
        )
    return first, second


def _copy(values: Any) -> Any:
    """Memory of the caller's own, who may write to it; the user's function may give out what it keeps."""
    return values.clone() if isinstance(values, Tensor) else np.array(values)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)
