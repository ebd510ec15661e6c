"""The machine for kernels of vectors.

- `program`: what it runs.
- `machine`: one row of a tile through all operations.
- `rows`: all rows of a tile, from the inner products of dense or sparse data.
- `fill`: all tiles of a matrix, by several threads.
- `slopes`: the derivative by the angle in its place.
- `sums`: rows times coefficients, without a matrix.
"""
