"""Rows from anywhere, block by block: what models read that is larger than memory.

- `base`: a block, and what gives blocks, once or again and again
- `arrays`: slices of arrays, of memory maps in particular
- `iterables`: blocks that a user makes: generators, lists, loaders of torch
- `request`: which columns are wanted, and in blocks of what size
- `paths`, `files`: files of one kind, found and read one after the other
- `arrow_columns`, `arrow`: tables of Arrow; Parquet, Feather and CSV
- `npz`, `svmlight`: arrays in archives, sparse rows as text
- `read`: all of these by one function, for users
- `choice`: which source an argument of `fit` or `predict` is
"""

from neural_kernels.sources.base import Block, RowSource
from neural_kernels.sources.choice import as_source
from neural_kernels.sources.read import is_readable, read_blocks

__all__ = ["Block", "RowSource", "as_source", "is_readable", "read_blocks"]
