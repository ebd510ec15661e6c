"""Programs for kernels with positions: stages of operations on rows, and the memory they work in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# Beside those of the row machine.
GAP, LOAD, GATHER, WEIGHTED, WINDOW, POOLED, POOL = range(100, 107)
EXCESS, ENTRIES, ADD_ENTRIES, MULTIPLY_ENTRIES, MULTIPLY, SCALE, FILL, TOTAL = range(107, 115)

# An operation: code; target, a, b and second target, each (start, stride, height); first vector; counts and tables.
TARGET, FIRST, OTHER, SECOND, VECTOR, COUNT, ROWS, TABLE, WIDTH = 1, 4, 7, 10, 13, 14, 15, 16, 17
FIELDS = 18
STRIP = 256  # columns where positions are equal: right examples at a time


@dataclass(frozen=True)
class PositionProgram:
    """What the loops over pairs read.

    Parameters
    ----------
    stages : int64 array, shape (stages, 8)
        First and last operation, rows, columns, vectors, where the vectors lie on the left and on the right, where the
        columns of the rows' own positions are listed.
    steps : int64 array, shape (steps, 2)
        Stage and position, in the order of computation.
    operations : int64 array, shape (operations, FIELDS)
    numbers : array, shape (operations, 2)
        Of the working precision.
    indices, weights : int64 array and array
        Tables of taps: rows, shifts, columns, weights.
    outputs : int64 array, shape (kernels, 4)
        Start, stride and height of the results' rows, and where their columns are listed.
    left, right : array
        What depends on one example alone; (n1, numbers), and (n2, numbers) or, for equal positions, (numbers, n2).
    every : bool
        All pairs of positions, or equal ones.
    memory : int
        Numbers of working memory for one worker.
    constants : list of tuple
        (start, length, value) of memory that never changes.
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
        """What the loops read beside the examples."""
        return self.stages, self.steps, self.operations, self.numbers, self.indices, self.weights, self.outputs

    def workspace(self) -> npt.NDArray[np.floating]:
        """Memory for one worker."""
        memory = np.zeros(self.memory, self.left.dtype)
        for start, length, value in self.constants:
            memory[start : start + length] = value
        return memory
