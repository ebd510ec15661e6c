"""Sketches that add every coordinate, with a sign, to a few of the output's."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_integer
from neural_kernels.runtime.boundary import CSRRows
from neural_kernels.sketches.checked_rows import Rows
from neural_kernels.sketches.seeds import draw_buckets
from neural_kernels.sketches.sketch import Sketch, empty


class HashingSketch(Sketch):
    """Adds every coordinate to one bucket in each of s blocks of the output."""

    buckets: Tensor
    signs: Tensor

    def __init__(self, in_features: int, n_components: int, nonzeros: int, seed: int):
        super().__init__(in_features, n_components, seed)
        require_integer(self, nonzeros=nonzeros)
        if nonzeros > n_components:
            raise ValueError(
                f"{type(self).__name__}: nonzeros={nonzeros} entries need as many components, got n_components="
                f"{n_components}; lower the one or raise the other"
            )
        in_features, n_components, seed = self.sizes
        self.nonzeros = nonzeros = int(nonzeros)
        edges = [t * n_components // nonzeros for t in range(nonzeros + 1)]
        tables = [draw_buckets(in_features, edges[t + 1] - edges[t], seed, "hash", t) for t in range(nonzeros)]
        self.register_buffer("buckets", torch.stack([b + edge for (b, _), edge in zip(tables, edges, strict=False)], 1))
        self.register_buffer("signs", torch.stack([signs for _, signs in tables], 1))

    @property
    @override
    def working_width(self) -> int:
        return self.n_components

    @override
    def sketch(self, rows: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        """Compiled on the CPU; by `index_add` on other devices, and for gradients."""
        scale = self.nonzeros**-0.5
        if isinstance(rows, Tensor) and (rows.device.type != "cpu" or rows.requires_grad):
            result = rows.new_zeros(len(rows), self.n_components)
            for buckets, signs in zip(self.buckets.unbind(1), self.signs.unbind(1), strict=True):
                result = result.index_add(1, buckets, rows * signs, alpha=scale)
            return result if out is None else out.copy_(result)
        from neural_kernels.sketches.loops import hash_dense, hash_sparse

        out = empty(rows, self.n_components) if out is None else out
        table = self.buckets.numpy(), self.signs.numpy(), scale, out.numpy()
        if isinstance(rows, CSRRows):
            hash_sparse(rows.indptr, rows.indices, rows.data, *table)
        else:
            hash_dense(rows.numpy(), *table)
        return out
