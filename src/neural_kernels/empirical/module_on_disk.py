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
from neural_kernels.runtime.digests import dtype_name, hash_data, hash_text
from neural_kernels.storage.fingerprint import describe
from neural_kernels.storage.kernel_task import KernelTask, MatrixSide

_SIDE = 1 << 11  # examples of a block: each block captures its gradients anew
_NUMBERS = 1 << 24  # of a block, at most


class ModuleTask(KernelTask):
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
        Examples that no kernel takes, or that are streamed: blocks need any of them at any time. A function that calls
        the module holds something whose value no text tells.
    """

    def __init__(self, kernel: Kernel, model: Model, options: list[Any], x1: Any, x2: Any, progress: bool) -> None:
        first = ModuleSide(x1, "x1", model)
        second = None if x2 is None or x2 is x1 else ModuleSide(x2, "x2", model)
        described = [str(model.module), dict(model.module.state_dict()), list(model.parameters)]
        identity = {"kernel": type(kernel).__name__, "module": hash_text(describe(described))}
        super().__init__(kernel, identity | {"options": hash_text(describe(options))}, first, second, progress)

    @override
    def side(self, entry: np.ndarray) -> int:
        """At most 2048 examples, and fewer where entries are large matrices."""
        return max(1, min(_SIDE, math.isqrt(_NUMBERS // entry.size)))


class ModuleSide(MatrixSide):
    """A structure of arrays in memory.

    Parameters
    ----------
    x : array, Tensor, tuple or mapping
        As for a call of the kernel.
    name : str
        What messages call it.
    model : Model
    """

    def __init__(self, x: Any, name: str, model: Model) -> None:
        source = read(x, name, model.place)
        if not isinstance(source, HeldExamples):
            raise TypeError(f"{name}: to_disk needs all examples in memory; got batches. Concatenate them.")
        self._source = source

    @property
    @override
    def count(self) -> int:
        return self._source.length

    @override
    def take(self, rows: slice) -> Any:
        return self._source.take(rows)

    @override
    def identity(self) -> dict[str, Any]:
        leaves = self._source.leaves()
        shapes, dtypes = [list(leaf.shape) for leaf in leaves], [dtype_name(leaf) for leaf in leaves]
        return {"shape": shapes, "dtype": dtypes, "data": [hash_data(leaf) for leaf in leaves]}
