"""What a feature map is made by: a method, described by its settings, builds a module for one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.exact import Kernel
from neural_kernels.exact.network import NetworkKernel
from neural_kernels.runtime.plain_state import PlainState, StoredModule


@dataclass(frozen=True)
class Task(PlainState):
    """What is to be mapped: a kernel, and the shape, precision and make of the data.

    Parameters
    ----------
    kernel : Kernel
        What the features approximate.
    n_components : int
        Columns of the result.
    in_features : int
        Columns of the input, or its channels.
    seed : int
        All that is random depends on it alone.
    dtype : torch.dtype
        Of the module's buffers: that of the first batch.
    positions : tuple of int
        Sizes of the axes behind the channels; () for vectors.
    numpy : bool
        Whether the data came as NumPy arrays (or as what becomes one), which a user's own function then gets.
    """

    kernel: Kernel
    n_components: int
    in_features: int
    seed: int
    dtype: torch.dtype
    positions: tuple[int, ...] = ()
    numpy: bool = False

    @property
    def has_network(self) -> bool:
        """Whether the kernel is that of one network, so that a method may look at the layers."""
        return isinstance(self.kernel, NetworkKernel)

    @property
    def network(self) -> NetworkKernel:
        """The kernel, for methods that look at its layers.

        Raises
        ------
        UnsuitableError
            The kernel is none of a network.
        """
        if not isinstance(self.kernel, NetworkKernel):
            raise UnsuitableError(
                f"{self.kernel!r} is not the kernel of one network, nk.NTK(net) or nk.NNGP(net), into whose layers "
                "this method looks. Use nk.Nystrom(), which needs nothing but its values"
            )
        return self.kernel

    @property
    def values(self) -> KernelValues:
        """The kernel as a function of tensors."""
        return KernelValues(self.kernel, self.numpy)


@dataclass(frozen=True)
class KernelValues:
    """Values of a kernel as tensors, for rows as a built map holds them: tensors or CSR matrices.

    Parameters
    ----------
    kernel : Kernel
    numpy : bool
        Give the kernel NumPy arrays in place of tensors, which share their memory: a user's own function sees the kind
        of array that the data came as. Tensors that want gradients, or lie on a GPU, stay tensors.
    """

    kernel: Kernel
    numpy: bool

    def __call__(self, x1: Any, x2: Any = None) -> Tensor:
        """The Gram matrix, shape (n1, n2)."""
        if not self.numpy or any(_must_stay(x) for x in (x1, x2)):
            return torch.as_tensor(self.kernel(x1, x2))
        return torch.as_tensor(self.kernel(_as_numpy(x1), _as_numpy(x2)))

    def bind(self, x2: Any) -> Callable[[Any], Tensor]:
        """The values with rows that stay, for one small batch after the other."""
        bound = self.kernel.bind(_as_numpy(x2) if self.numpy and not _must_stay(x2) else x2)

        def values(x1: Any) -> Tensor:
            if self.numpy and (_must_stay(x1) or _must_stay(x2)):
                return self(x1, x2)
            return torch.as_tensor(bound(_as_numpy(x1) if self.numpy else x1))

        return values

    def diag(self, x: Any) -> Tensor:
        """k(x, x), shape (n,).

        Raises
        ------
        UnsuitableError
            The kernel is not one number for every two examples.
        """
        plain = self.numpy and not _must_stay(x)
        diagonal = torch.as_tensor(self.kernel.diag(_as_numpy(x) if plain else x))
        if diagonal.shape != (x.shape[0],):
            raise UnsuitableError(
                f"{self.kernel!r} gives numbers of shape {tuple(diagonal.shape[1:])} for an example of shape "
                f"{tuple(x.shape[1:])}; features are of whole examples, with one number each. Add "
                "nk.Flatten() or nk.GlobalAvgPool() to a network on images; make vectors of images for a kernel of "
                "vectors; take nk.TraceNTK or nk.PseudoNTK in place of nk.EmpiricalNTK"
            )
        return diagonal


def _must_stay(x: Any) -> bool:
    """Whether a tensor has no NumPy array of the same memory."""
    return isinstance(x, Tensor) and (x.requires_grad or x.device.type != "cpu")


def _as_numpy(x: Any) -> Any:
    return x.numpy() if isinstance(x, Tensor) else x


class BuiltMap(StoredModule, ABC):
    """A built map, a module with buffers only.

    Attributes
    ----------
    columns : int
        Of the features; at most the task's `n_components`.
    learned : ndarray of int
        Rows of the sample that columns are made of. What a model says of them says nothing of others: each has a column
        nearly of its own.
    """

    columns: int
    learned: np.ndarray = np.empty(0, dtype=np.intp)

    @abstractmethod
    def forward(self, x: Any) -> Tensor:
        """Compute features, shape (n, columns), of dense rows or of a CSR matrix, shape (n, in_features)."""

    def fill(self, x: Any, out: Tensor) -> None:
        """Write the features to memory that is there."""
        out.copy_(self(x))

    def accepts(self, shape: tuple[int, ...], built_for: tuple[int, ...]) -> bool:
        """Say whether examples of a shape can be mapped by what was built for another."""
        return shape == built_for

    def readout(self, weights: Tensor) -> tuple[Callable[[Any], Tensor], Tensor]:
        """Say how a linear model on the features is computed best: ``features @ weights = columns(x) @ matrix``.

        Parameters
        ----------
        weights : Tensor, shape (columns, o)

        Returns
        -------
        columns : callable
            Of rows as for `forward`: the map itself, unless it is a product of which the last factor is better
            multiplied by the weights.
        matrix : Tensor, shape (m, o)
        """
        return self, weights


def dense(x: Any) -> Tensor:
    """Return rows as a dense tensor, whether they came so or as CSR."""
    return x if isinstance(x, Tensor) else torch.from_numpy(x.toarray())


class Method(ABC):
    """A way to build features; concrete ones are frozen dataclasses of settings."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether `build` takes a sample of the data."""

    @property
    def nested(self) -> bool:
        """Whether the first m columns of a map are the map of m columns, for the same sample and seed."""
        return False

    def used_columns(self, n_components: int, rows: int) -> int:
        """How many columns at most are not 0, of `n_components`, for a map that has seen so many rows."""
        return n_components

    @abstractmethod
    def build(self, task: Task, sample: Any) -> BuiltMap:
        """Return the map for rows of shape (n, in_features).

        Parameters
        ----------
        task : Task
        sample : Tensor or scipy.sparse.csr_matrix, shape (n, in_features), or None
            What `fit` was given; None where a map is used without.

        Returns
        -------
        BuiltMap

        Raises
        ------
        UnsuitableError
            The method cannot represent this kernel; the message says which can.
        """


class UnsuitableError(ValueError):
    """A method cannot represent the kernel it was asked for."""
