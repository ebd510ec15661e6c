"""Sums of kernels' rows times coefficients, without a matrix."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk
from compiler_models import expressions
from neural_kernels.engine.inputs import DenseRows
from neural_kernels.engine.vectors.sums import row_sums
from neural_kernels.exact.compile.vectors import compile_vectors


@pytest.mark.parametrize("net", [nk.mlp(2, bias_var=0.1), nk.mlp(1, nk.Tanh()), nk.mlp(1, nk.HardTanh())], ids=repr)
@pytest.mark.parametrize(("rows", "columns", "outputs"), [(70, 1030, 3), (1, 1, 1)])
def test_equal_to_a_product_of_matrices(net, rows, columns, outputs, rng):
    x, z = rng.standard_normal((rows, 6)), rng.standard_normal((columns, 6))
    z[: columns // 2] = x[0]
    coefficients = rng.standard_normal((columns, outputs))
    left, right = (DenseRows.of(torch.from_numpy(part)) for part in (x, z))
    programs = [compile_vectors([kernel], torch.float64) for kernel in expressions(net, left, right)]
    found = row_sums([program for program in programs if program is not None], left, right, coefficients)
    for result, kernel in zip(found, (nk.NNGP(net), nk.NTK(net)), strict=True):
        np.testing.assert_allclose(result, kernel(x, z) @ coefficients, rtol=1e-9, atol=1e-9 * columns)
