"""Programs for kernels of vectors: operations on registers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from neural_kernels.engine import kinks, tables
from neural_kernels.engine.codes import TABLE, WAVES

# A row of a program's table: code, target, second target, operand, second operand, first vector, two counts of vectors.
FIELDS = 8
_STRIP = 1024  # columns at a time: a dozen registers of float32 stay within the first two levels of cache
_LONG_STRIP = 4096  # with tables, which are contracted once for a row and strip, and are no matter of memory


@dataclass(frozen=True)
class VectorProgram:
    """Operations on registers, each holding one minus the correlation for a strip of one row's columns.

    Parameters
    ----------
    table : int64 array, shape (operations, FIELDS)
        Operations in the order of computation.
    numbers : array, shape (operations, 2)
        Two factors of each operation, in the working precision.
    left, right : array, shape (vectors, n1) and (vectors, n2)
        What depends on one example alone, by row and by column of the matrix: standard deviations, shares of sums,
        coefficients of series.
    outputs, stds : int array, shape (kernels,)
        Register of each kernel's correlations, vector of its standard deviations.
    constants : dict
        Values of the registers that never change.
    registers : int
        Number of registers; INPUT and OPPOSITE hold one minus and one plus the inputs' correlations.
    integers, floats : array, shape (numbers,)
        Of tables of activations, cells of the norms and where the coefficients are, and the coefficients; of
        activations with kinks, the quadrants and their products, and Mills' series.
    """

    table: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.floating]
    left: npt.NDArray[np.floating]
    right: npt.NDArray[np.floating]
    outputs: npt.NDArray[np.int64]
    stds: npt.NDArray[np.int64]
    constants: dict[int, float]
    registers: int
    integers: npt.NDArray[np.int64]
    floats: npt.NDArray[np.floating]

    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the machine reads, in the order in which it unpacks it."""
        return self.table, self.numbers, self.left, self.right, self.outputs, self.stds, self.integers, self.floats

    @property
    def strip(self) -> int:
        """Columns at a time."""
        return _LONG_STRIP if (self.table[:, 0] == TABLE).any() else _STRIP

    @property
    def rounds_near_rows(self) -> bool:
        """Whether it knows one minus the correlation of nearly equal rows to rounding of 1 alone."""
        return bool((self.table[:, 0] == WAVES).any())

    def memory(self) -> npt.NDArray[np.floating]:
        """Registers for one worker, spare ones behind them; torch aligns them to cache lines."""
        spare = 1 + max(tables.SCRATCH, kinks.SCRATCH) if len(self.floats) else 2
        registers = torch.from_numpy(self.left).new_zeros((self.registers + spare, self.strip)).numpy()
        for register, value in self.constants.items():
            registers[register] = value
        return registers
