"""Rows from anywhere, block by block: what models read that is larger than memory.

- `base`: a block, and what gives blocks, once or again and again
- `arrays`: slices of arrays, of memory maps in particular
- `iterables`: blocks that a user makes: generators, lists, loaders of torch
- `choice`: which of these an argument of `fit` or `predict` is
"""

from neural_kernels.sources.base import Block, RowSource
from neural_kernels.sources.choice import as_source

__all__ = ["Block", "RowSource", "as_source"]
