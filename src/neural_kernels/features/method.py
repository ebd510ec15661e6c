"""What a feature map is made by: a method, described by its settings, builds a module for one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from neural_kernels.algebra import Layer


@dataclass(frozen=True)
class Task:
    """What is to be mapped.

    Parameters
    ----------
    net : Layer
    kernel : {"ntk", "nngp"}
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
    """

    net: Layer
    kernel: Literal["ntk", "nngp"]
    n_components: int
    in_features: int
    seed: int
    dtype: torch.dtype
    positions: tuple[int, ...] = ()


class Columns(nn.Module, ABC):
    """A built map, a module with buffers only.

    Attributes
    ----------
    columns : int
        Of the features; at most the task's `n_components`.
    learned : ndarray of int
        Rows of the sample that columns are made of, which no column of another row resembles.
    """

    columns: int
    learned: np.ndarray = np.empty(0, dtype=np.intp)

    @abstractmethod
    def forward(self, x: Any) -> Tensor:
        """Features, shape (n, columns), of dense rows or of a CSR matrix, shape (n, in_features)."""

    def fill(self, x: Any, out: Tensor) -> None:
        """Write the features to memory that is there."""
        out.copy_(self(x))


def dense(x: Any) -> Tensor:
    """Rows as a dense tensor, whether they came so or as CSR."""
    return x if isinstance(x, Tensor) else torch.from_numpy(x.toarray())


class Method(ABC):
    """A way to build features; concrete ones are frozen dataclasses of settings."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether `build` takes a sample of the data."""

    @abstractmethod
    def build(self, task: Task, sample: Any) -> Columns:
        """Return the map for rows of shape (n, in_features).

        Parameters
        ----------
        task : Task
        sample : Tensor or scipy.sparse.csr_matrix, shape (n, in_features), or None
            What `fit` was given; None where a map is used without.

        Returns
        -------
        Columns

        Raises
        ------
        UnsuitableError
            The method cannot represent this kernel; the message says which can.
        """


class UnsuitableError(ValueError):
    """A method cannot represent the kernel it was asked for."""
