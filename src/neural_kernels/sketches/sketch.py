"""What every sketch of one input shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_integer
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches.blocks import over_blocks
from neural_kernels.sketches.checked_rows import Rows, dress, read, read_out


class Sketch(StoredModule, ABC):
    """A random map of rows, drawn once from a seed and held in buffers of small integers.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Width m of the result.
    seed : int
        The map depends on it and on the sizes, and on nothing else.
    """

    def __init__(self, in_features: int, n_components: int, seed: int):
        super().__init__()
        require_integer(self, in_features=in_features, n_components=n_components)
        if isinstance(seed, bool) or not isinstance(seed, Integral):
            name, kind = type(self).__name__, type(seed).__name__
            raise TypeError(f"{name}(seed={seed!r}): expected an integer seed, got {kind}")
        self.in_features, self.n_components, self.seed = int(in_features), int(n_components), int(seed)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Width of the rows, of the result, and the seed: Python's integers, with which nothing overflows."""
        return self.in_features, self.n_components, self.seed

    def forward(self, x: Any, out: Any = None) -> Any:
        """Return the sketch of every row, shape (n, m), in the input's make and precision.

        Parameters
        ----------
        x : array or sparse matrix, shape (n, d)
            NumPy, torch, SciPy sparse or CSR of torch, pandas, polars, lists. float32 is kept, half precision becomes
            float32, all else float64. Checked for NaN and infinity, in one pass over its entries. CSR and its sketch
            are on the CPU. Reverse-mode derivatives with respect to a dense tensor are those of the map.
        out : Tensor or ndarray of shape (n, m), optional
            Memory for the result, of x's precision, which is returned: fresh memory can cost as much as the sketch.

        Raises
        ------
        TypeError, ValueError
            For another width, device or layout, numbers that are not real, NaN or infinity, or unfit `out`.
        """
        rows = read(x, "x", self.in_features, self.device)
        target = read_out(out, rows, self.n_components)
        width, shape = self.working_width, (self.n_components,)
        result = over_blocks(self.sketch, rows, width=width, shape=shape, out=target)
        return dress(result, x) if out is None else out

    @property
    def device(self) -> torch.device | None:
        """Where the buffers are, and rows have to be; None, which is anywhere, for a sketch without buffers."""
        return next((buffer.device for buffer in self.buffers()), None)

    @property
    @abstractmethod
    def working_width(self) -> int:
        """Columns of the largest temporary of `sketch`, by which the size of blocks of rows is chosen."""

    @abstractmethod
    def sketch(self, rows: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        """Sketch checked rows, all at once, on the caller's thread."""

    @override
    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, n_components={self.n_components}, seed={self.seed}"


def empty(rows: Rows, width: int) -> Tensor:
    """New memory of that width for as many rows, of their precision and where they are; its content is arbitrary."""
    return torch.empty(rows.shape[0], width, dtype=rows.dtype, device=rows.device)


def require_degree(owner: object, degree: object) -> None:
    """Raise unless the degree is a positive integer; for 0, which needs no sketch, say what does instead."""
    if isinstance(degree, Integral) and degree == 0:
        raise ValueError(
            f"{type(owner).__name__}(degree=0): expected a positive integer. The power 0 is the constant 1: append a "
            "column of ones, which is exact."
        )
    require_integer(owner, degree=degree)
