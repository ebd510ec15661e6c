"""Products of matrices into memory that is there."""

import warnings

import pytest
import torch

from neural_kernels.runtime.products import multiply


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_parts_of_matrices_are_multiplied_into_a_part(dtype):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(*shape, dtype=dtype, generator=generator) for shape in ((40, 7), (40, 30)))
    out = torch.zeros(7, 50, dtype=dtype)
    multiply(left.T, right[:, :20], out[:, 10:30])
    assert torch.allclose(out[:, 10:30], left.T @ right[:, :20])
    assert not out[:, :10].any()
    assert not out[:, 30:].any()


def test_infinities_come_out_without_a_warning():
    left, out = torch.tensor([[torch.inf, 1.0]]), torch.empty(1, 1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        multiply(left, torch.zeros(2, 1), out)
    assert out.isnan().all()
