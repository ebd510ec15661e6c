"""What a feature map is made by: a method, described by its settings, builds a module for one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from neural_kernels.layer import Layer


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
        Columns of the input.
    seed : int
        All that is random depends on it alone.
    dtype : torch.dtype
        Of the module's buffers: that of the first batch.
    """

    net: Layer
    kernel: Literal["ntk", "nngp"]
    n_components: int
    in_features: int
    seed: int
    dtype: torch.dtype


class Method(ABC):
    """A way to build features; concrete ones are frozen dataclasses of settings."""

    @property
    @abstractmethod
    def needs_data(self) -> bool:
        """Whether `build` takes a sample of the data."""

    @abstractmethod
    def build(self, task: Task, sample: Any) -> nn.Module:
        """Return a module with buffers only, from rows, shape (n, in_features), to features, shape (n, n_components).

        Parameters
        ----------
        task : Task
        sample : Tensor or scipy.sparse.csr_matrix, shape (n, in_features), or None
            What `fit` was given; None where a map is used without.

        Returns
        -------
        torch.nn.Module
            Takes dense rows, or a CSR matrix; blocks of rows come from the caller.

        Raises
        ------
        UnsuitableError
            The method cannot represent this kernel; the message says which can.
        """


class UnsuitableError(ValueError):
    """A method cannot represent the kernel it was asked for."""
