"""The machine for kernels over positions.

- `program`: what it runs.
- `entries`, `sums`, `windows`: its operations, each a loop over one row.
- `loop`: all steps of a program for one pair of examples, or for one example and many.
- `blocks`: all pairs of a matrix, by several threads.
"""
