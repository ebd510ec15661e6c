"""What sketches refuse, and what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from test_sketches import CASES

from neural_kernels.sketches import OSNAP, CountSketch, PolySketch, TensorSketch, TensorSRHT, hadamard


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def test_bad_sizes(case):
    for sizes in ((0, 4), (4, 0), (4, -1)):
        with pytest.raises(ValueError, match="expected a positive integer"):
            case[0](*sizes)
    with pytest.raises(TypeError, match="expected a positive integer"):
        case[0](4, 2.5)
    with pytest.raises(TypeError, match="integer seed"):
        case[0](4, 4, seed=None)


@pytest.mark.parametrize("make", [TensorSketch, PolySketch])
def test_bad_degrees(make):
    with pytest.raises(ValueError, match="column of ones"):
        make(4, 4, 0)
    with pytest.raises(ValueError, match="positive"):
        make(4, 4, -1)
    with pytest.raises(TypeError, match="positive"):
        make(4, 4, 1.5)


def test_bad_inputs(case):
    sketch = case[0](4, 8)
    with pytest.raises(ValueError, match=r"shape \(4,\), for which the sketch was built; got \(3,\)"):
        sketch(np.ones((2, 3)))
    with pytest.raises(ValueError, match="shape"):
        sketch(np.ones(4))
    with pytest.raises(TypeError, match="real numbers"):
        sketch(np.ones((2, 4), complex))
    with pytest.raises(TypeError, match="real numbers"):
        sketch(np.array([["a"] * 4]))
    with pytest.raises(TypeError, match="real numbers"):
        sketch(torch.ones(2, 4, dtype=torch.complex64))
    with pytest.raises(TypeError, match="layout"):
        sketch(torch.eye(4).to_sparse())
    for bad in (np.nan, np.inf):
        x = np.eye(4)
        x[1, 2] = bad
        for make in (np.asarray, sparse.csr_matrix, torch.from_numpy):
            with pytest.raises(ValueError, match=r"1 of .* NaN or infinite"):
                sketch(make(x))
    assert np.isfinite(CountSketch(2, 3)(np.full((2, 2), 2e38, np.float32))).any()  # a sum that overflows is no fault
    for out, error in (
        (np.empty((2, 7)), ValueError),
        (np.empty((2, 8), "f4"), TypeError),
        (np.empty((8, 2)).T, ValueError),
    ):
        with pytest.raises(error, match="out: expected"):
            sketch(np.ones((2, 4)), out=out)
    with pytest.raises(ValueError, match="requires gradients"):
        sketch(torch.ones(2, 4, requires_grad=True), out=torch.empty(2, 8))


def test_csr_that_points_outside_is_refused():
    x = sparse.csr_matrix(np.eye(3))
    x.indices[1] = 7
    with pytest.raises(ValueError, match="column indices 0 to 7"):
        CountSketch(3, 4)(x)


def test_what_else_is_refused():
    with pytest.raises(ValueError, match="nonzeros=4"):
        OSNAP(5, 3)
    with pytest.raises(ValueError, match=r"2\^k columns; got 3"):
        hadamard(np.ones((2, 3)))
    sketch = TensorSRHT(3, 4, 8)
    with pytest.raises(TypeError, match="convert"):
        sketch(np.ones((2, 3)), np.ones((2, 4), np.float32))
    with pytest.raises(ValueError, match="must agree"):
        sketch(np.ones((2, 3)), np.ones((3, 4)))
    with pytest.raises(ValueError, match=r"y: expected examples of shape \(4,\)"):
        sketch(np.ones((2, 3)), np.ones((2, 3)))
