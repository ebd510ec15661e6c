"""SRHT with complex signs, as two real halves."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches.checked_rows import Rows, dense
from neural_kernels.sketches.hadamard import padded, transform_signed
from neural_kernels.sketches.seeds import draw_bits, draw_order, draw_signs


class ComplexSRHT(StoredModule):
    """P H D x with D of entries 1, -1, i and -i: the real parts of some rows, and their imaginary parts.

    Parameters
    ----------
    in_features : int
    count : int
        Of complex rows.
    seed : int
    """

    signs: Tensor
    rows: Tensor

    def __init__(self, in_features: int, count: int, seed: int) -> None:
        super().__init__()
        self.in_features, self.count, self.padded_width = in_features, count, padded(in_features)
        whole, rest = divmod(count, self.padded_width)
        blocks = whole + (rest > 0)
        sample = draw_order(self.padded_width, seed, "sample")[:rest].sort().values
        rows = torch.cat([torch.arange(whole * self.padded_width), whole * self.padded_width + sample])
        size = blocks * in_features
        imaginary = torch.from_numpy((draw_bits(size, seed, "parts") & 1).astype("int8"))
        signs = draw_signs(size, seed, "signs")
        halves = torch.stack([signs * (1 - imaginary), signs * imaginary]).view(2, blocks, in_features)
        self.register_buffer("signs", halves)
        self.register_buffer("rows", rows[draw_order(count, seed, "shuffle")].to(torch.int32))

    @property
    def working_width(self) -> int:
        """Columns of all transforms together, real and imaginary: the largest temporary."""
        return self.signs.shape[0] * self.signs.shape[1] * self.padded_width

    def transformed(self, rows: Rows) -> Float[Tensor, "n 2 width"]:
        """H D x, all rows of H: real parts, imaginary parts."""
        x = dense(rows)
        return transform_signed(x, self.signs.flatten(0, 1).to(x.dtype)).unflatten(1, (2, -1)).flatten(2)
