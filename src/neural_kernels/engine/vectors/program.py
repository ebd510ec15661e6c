"""Programs for kernels of vectors: operations on registers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

# A row of a program's table: code, target, second target, operand, second operand, first vector, two counts of vectors.
FIELDS = 8
STRIP = 1024  # columns at a time: a dozen registers of float32 stay within the first two levels of cache


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
    """

    table: npt.NDArray[np.int64]
    numbers: npt.NDArray[np.floating]
    left: npt.NDArray[np.floating]
    right: npt.NDArray[np.floating]
    outputs: npt.NDArray[np.int64]
    stds: npt.NDArray[np.int64]
    constants: dict[int, float]
    registers: int

    def arrays(self) -> tuple[np.ndarray, ...]:
        """What the machine reads, in the order in which it unpacks it."""
        return self.table, self.numbers, self.left, self.right, self.outputs, self.stds

    def memory(self) -> npt.NDArray[np.floating]:
        """Registers for one worker, two spare ones behind them (-2 and -1); torch aligns them to cache lines."""
        registers = torch.from_numpy(self.left).new_zeros((self.registers + 2, STRIP)).numpy()
        for register, value in self.constants.items():
            registers[register] = value
        return registers
