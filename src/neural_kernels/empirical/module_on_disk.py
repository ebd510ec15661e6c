"""Kernels of modules as matrices on disk: what identifies such a matrix, and how a block of it is computed.

A kernel and examples in memory go in; `storage.matrix.fill_file` asks the task for blocks.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from typing_extensions import override

from neural_kernels.empirical.module.batches import HeldExamples, read
from neural_kernels.empirical.module.model import Model
from neural_kernels.exact.kernel import Kernel
from neural_kernels.storage.fingerprint import describe, dtype_name, hash_data, hash_text
from neural_kernels.storage.matrix import Task

_SIDE = 1 << 11  # examples of a block: each block captures its gradients anew
_NUMBERS = 1 << 24  # of a block, at most


class ModuleTask(Task):
    """The kernel of a module at its present parameters; without `x2` a symmetric matrix.

    Parameters
    ----------
    kernel : Kernel
        Computes a block from the examples of its rows and columns; shows no progress of its own.
    model : Model
        What it is the kernel of: the numbers in it identify the matrix.
    options : list
        All else that entries depend on.
    x1, x2 : as for a call of the kernel, but not in batches
    progress : bool

    Raises
    ------
    TypeError, ValueError
        Examples that no kernel takes, or that are streamed: blocks need any of them at any time.
    """

    def __init__(self, kernel: Kernel, model: Model, options: list[Any], x1: Any, x2: Any, progress: bool) -> None:
        self._kernel, self._model, self._options, self.progress = kernel, model, options, progress
        self.symmetric = x2 is None or x2 is x1
        self._first = self._held(x1, "x1")
        self._second = self._first if self.symmetric else self._held(x2, "x2")

    def _held(self, x: Any, name: str) -> HeldExamples:
        source = read(x, name, self._model.place)
        if not isinstance(source, HeldExamples):
            raise TypeError(f"{name}: to_disk needs all examples in memory; got batches. Concatenate them.")
        return source

    @property
    @override
    def shape(self) -> tuple[int, int]:
        return self._first.length, self._second.length

    @override
    def identity(self) -> dict[str, Any]:
        """The module by its structure and the numbers in it, the examples by their bytes.

        Raises
        ------
        TypeError
            A function that calls the module holds something whose value no text tells.
        """
        from neural_kernels import __version__

        module = self._model.module
        described = [str(module), dict(module.state_dict()), list(self._model.parameters)]
        kind = type(self._kernel).__name__
        identity = {"library": __version__, "kernel": kind, "module": hash_text(describe(described))}
        identity["options"] = hash_text(describe(self._options))
        second = None if self.symmetric else self._second
        return identity | _identify("x1", self._first) | _identify("x2", second)

    @override
    def values(self, rows: slice, columns: slice) -> np.ndarray:
        """The entries of these rows and columns, by a call of the kernel on their examples alone."""
        mine = self._first.take(rows)
        if self.symmetric and rows == columns:
            result = self._kernel(mine)
        else:
            result = self._kernel(mine, self._second.take(columns))
        return result.detach().cpu().numpy()

    @override
    def side(self, entry: np.ndarray) -> int:
        """At most 2048 examples, and fewer where entries are large matrices."""
        return max(1, min(_SIDE, math.isqrt(_NUMBERS // entry.size)))


def _identify(name: str, source: HeldExamples | None) -> dict[str, Any]:
    leaves = [] if source is None else source.leaves()
    return {
        f"{name}: shape": [list(leaf.shape) for leaf in leaves],
        f"{name}: dtype": [dtype_name(leaf) for leaf in leaves],
        f"{name}: data": [hash_data(leaf) for leaf in leaves],
    }
