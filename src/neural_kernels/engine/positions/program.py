"""Programs for kernels over positions: stages of operations on rows, and the memory they work in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Beside those that both machines have. In the order of a program: GAP makes rows of the data; EXCESS goes before a map,
# LOAD, GATHER and WEIGHTED add up rows, POOL adds up columns, TOTAL adds up all rows one after the other; WINDOW and
# POOLED are the correlations behind a map; ENTRIES and those with it leave correlations; FILL is noise.
GAP, LOAD, GATHER, WEIGHTED, WINDOW, POOLED, POOL = range(100, 107)
EXCESS, ENTRIES, ADD_ENTRIES, MULTIPLY_ENTRIES, MULTIPLY, SCALE, FILL, TOTAL = range(107, 115)

# Fields of an operation: its code; addresses of the target, of both operands and of the second target, each (start,
# stride, height); first vector; then what the tables of sums, windows and pools are, and the width of a pool's result.
# Sums and windows put tables into fields that they have no other use for: see `sum_rows` and `window`.
TARGET, FIRST, OTHER, SECOND, VECTOR, COUNT, ROWS, TABLE, WIDTH = 1, 4, 7, 10, 13, 14, 15, 16, 17
FIELDS = 18
STRIP = 256  # columns where positions are equal: right examples at a time


@dataclass(frozen=True)
class PositionProgram:
    """A program of stages and steps, as the loops over pairs of examples read it.

    Parameters
    ----------
    stages : int64 array, shape (stages, 8)
        For each stage its first operation and the one behind its last; how many rows and columns it has, and vectors;
        where its vectors begin in a line of `left` and of `right`; where the columns of its positions begin in
        `indices`.
    steps : int64 array, shape (steps, 2)
        Stage and position, in the order of computation.
    operations : int64 array, shape (operations, FIELDS)
        All stages' operations one after the other, with addresses in the working memory.
    numbers : array, shape (operations, 2)
        Two factors of each operation, in the working precision.
    indices : int64 array
        All tables of integers one after the other: offsets of rows, shifts, columns to gather.
    weights : array
        All tables of weights one after the other, in the working precision.
    outputs : int64 array, shape (kernels, 4)
        For each result the address of its rows (start, stride, height), and where the columns of its positions begin in
        `indices`.
    left, right : array
        What depends on one example alone: (n1, numbers), and (n2, numbers) or, for equal positions, (numbers, n2), in
        which one number of many right examples is a slice.
    all_pairs : bool
        Whether columns are positions, and a pair of examples takes all pairs of them; else columns are right examples,
        STRIP at a time, at the position of the row.
    memory : int
        Numbers of working memory for one worker. They begin as zeros, and those that no operation writes stay so:
        shifted rows read them as padding.
    constants : list of tuple
        (start, length, value) of working memory that holds one value from the beginning and is never written.
    """

    stages: npt.NDArray[np.int64]
    steps: npt.NDArray[np.int64]
    operations: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.floating]
    indices: npt.NDArray[np.int64]
    weights: npt.NDArray[np.floating]
    outputs: npt.NDArray[np.int64]
    left: npt.NDArray[np.floating]
    right: npt.NDArray[np.floating]
    all_pairs: bool
    memory: int
    constants: list[tuple[int, int, float]]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the loops read beside the examples, in the order in which they unpack it."""
        return self.stages, self.steps, self.operations, self.numbers, self.indices, self.weights, self.outputs

    def workspace(self) -> npt.NDArray[np.floating]:
        """Working memory for one worker, ready for any pair."""
        memory = np.zeros(self.memory, self.left.dtype)
        for start, length, value in self.constants:
            memory[start : start + length] = value
        return memory
