r"""Gradients of kernels of networks on vectors, by differences of the compiled kernel.

Derivatives by the angle and by the norm of x,

.. math:: \nabla f(x) = \frac{1}{|x|} \sum_i a_i \Bigl[ \hat x \frac{\partial k}{\partial \log |x|}
          - (\hat z_i - \rho_i \hat x) \frac{\partial k}{\partial \delta} \Bigr], \qquad \delta = 1 - \rho,

take four times the entries of the kernel, or, where they grow with the norm as those of networks without biases, three
times, half of them if the support is x itself; and a product of matrices for each output.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.engine.inputs import DenseRows
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.exact.arrays import read_pair
from neural_kernels.exact.evaluate import evaluate
from neural_kernels.exact.gradients.autograd import as_rows
from neural_kernels.exact.network import NetworkKernel

_STEP = 2e-5  # relative, of norms
_FACTORS = (0.3, 7.0, 1e3)  # of norms, by which a network without biases is told
_ENTRIES = 2**25  # of a kernel at a time


def by_compiled_kernel(kernel: NetworkKernel, x: Any, support: Any, coefficients: np.ndarray) -> np.ndarray | None:
    """As `gradients`, on the CPU; None where the kernel of vectors has no program."""
    rows = as_rows(x)
    first, second = read_pair(rows, rows if support is x else as_rows(support))
    net, through = kernel.net.split()
    plain = replace(kernel, net=net, progress=False, memory_budget=None)
    left = first.seen(through).rows
    right = left if second is first else second.seen(through).rows
    if left.std.ndim > 1 or not (isinstance(left, DenseRows) and isinstance(right, DenseRows)):
        return None
    z, result = _unit(right), np.empty((len(left), coefficients.shape[1], left.features))
    step = max(1, _ENTRIES // len(right))
    room = np.empty((min(step, len(left)), len(right)))  # fresh memory costs more than what is written to it
    for start in range(0, len(left), step):
        rows = slice(start, start + step)
        part = left if step >= len(left) else DenseRows(left.std[rows], left.inverse[rows], left.x[rows])
        entries = room[: len(part)]
        if not _fill_slopes(plain, part, right, entries):
            return None
        for c, a in enumerate(coefficients.T):
            np.matmul(entries, a[:, None] * z, out=result[rows, c])
        radial = _radial(plain, part, right, coefficients, entries)
        if radial is None:
            return None
        _assemble(result[rows], radial, part)
    return result if through is None else _pulled_back(through, first.data, result)


def _program(kernel: NetworkKernel, sides: list[DenseRows]) -> VectorProgram | None:
    """The compiled kernel; None where there is none that differences can be taken of."""
    from neural_kernels.exact.compile.vectors import compile_vectors

    program = compile_vectors([kernel.expression(sides)], torch.float64)
    return None if program is None or program.rounds_near_rows else program


def _fill_slopes(kernel: NetworkKernel, left: DenseRows, right: DenseRows, slopes: np.ndarray) -> bool:
    """Derivatives by one minus the cosine, (n, m); False where the kernel has no program."""
    from neural_kernels.engine.vectors.slopes import fill_slopes

    program = _program(kernel, _sides(left, right))
    if program is not None:
        fill_slopes(program, left, right, slopes)
    return program is not None


def _radial(
    kernel: NetworkKernel, left: DenseRows, right: DenseRows, coefficients: np.ndarray, room: np.ndarray
) -> np.ndarray | None:
    """Derivatives of f by the logarithm of the norm, (n, o); f itself, if it grows with the norm."""
    from neural_kernels.engine.vectors.sums import row_sums

    if _homogeneous(kernel, left):
        evaluate([kernel.expression(_sides(left, right))], left, right, [torch.from_numpy(room)])
        return room @ coefficients
    scaled = ([replace(left, std=left.std * factor), right] for factor in (1 + _STEP, 1 - _STEP))
    programs = [program for program in (_program(kernel, sides) for sides in scaled) if program is not None]
    if len(programs) < 2:
        return None
    upper, lower = row_sums(programs, left, right, coefficients)
    return (upper - lower) / (2 * _STEP)


def _homogeneous(kernel: NetworkKernel, rows: DenseRows) -> bool:
    """Whether standard deviations of outputs are proportional to those of inputs, wherever the latter may be."""
    own = kernel.expression([rows]).stds[0]
    scaled = (kernel.expression([replace(rows, std=rows.std * factor)]).stds[0] / factor for factor in _FACTORS)
    return all(bool(torch.isclose(std, own, rtol=1e-13, atol=0).all()) for std in scaled)


def _sides(left: DenseRows, right: DenseRows) -> list[DenseRows]:
    return [left] if left is right else [left, right]


def _unit(rows: DenseRows) -> np.ndarray:
    return rows.unit(slice(None), torch.float64).numpy()


def _assemble(result: np.ndarray, radial: np.ndarray, left: DenseRows) -> None:
    r"""Gradients, (n, o, d), in place of the sums :math:`\sum_i a_i \hat z_i \partial k / \partial \delta`."""
    x, length = _unit(left), (left.std * left.features**0.5).numpy()
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)[:, None]
    for c in range(result.shape[1]):
        towards = result[:, c]
        along = radial[:, c] + np.einsum("nd,nd->n", towards, x)
        result[:, c] = (along[:, None] * x - towards) * inverse


def _pulled_back(through: Any, x: Tensor, result: np.ndarray) -> np.ndarray:
    """Gradients by what was mapped, as those by the data."""
    backward = torch.func.vjp(through, x)[1]
    parts = [backward(torch.from_numpy(np.ascontiguousarray(result[:, c])))[0] for c in range(result.shape[1])]
    return torch.stack(parts, 1).numpy()
