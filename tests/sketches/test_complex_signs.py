"""TensorSRHT with complex signs: unbiased, of less variance, the same with gradients."""

from __future__ import annotations

import pytest
import torch

from estimates import pair, products, standardised, units
from neural_kernels.sketches import TensorSRHT

D = 12


@pytest.mark.parametrize("m", [1, 10, 33])
def test_complex_tensor_srht_is_unbiased(m):
    x, y = units(4, D), units(4, 5, seed=1)
    grams = products(lambda seed: TensorSRHT(D, 5, m, seed, complex_signs=True)(x, y), 200)
    assert standardised(grams, (x @ x.T) * (y @ y.T)) < 4.5


@pytest.mark.parametrize("complex_signs", [False, True])
def test_variance_falls_as_the_width(complex_signs):
    x, y = units(6, D), units(6, D, seed=1)
    exact = (x @ x.T) * (y @ y.T)
    few, many = (
        (products(lambda seed: TensorSRHT(D, D, m, seed, complex_signs)(x, y), 120) - exact).square().mean()  # noqa: B023
        for m in (32, 512)
    )
    assert float(few / many) == pytest.approx(16, rel=0.4)  # mean squares over 120 draws of heavy tails


@pytest.mark.parametrize("m", [128, pytest.param(201, marks=pytest.mark.slow)])
def test_complex_signs_lower_the_variance_of_rows_alike(m):
    """Behind widths of more than the rows': below, real signs gain as much by sampling without replacement."""
    x, y = pair(0.9, d=64), pair(0.9, seed=1, d=64)
    real, imaginary = (
        products(lambda seed: TensorSRHT(64, 64, m, seed, signs)(x, y), 200)[:, 0, 1].var()  # noqa: B023
        for signs in (False, True)
    )
    assert float(imaginary / real) < 0.75  # about 0.53, with a standard error of some 0.07


@pytest.mark.parametrize("m", [1, 7, 40])
@pytest.mark.parametrize("widths", [(12, 5), (1, 3), (16, 16)])
@pytest.mark.parametrize("complex_signs", [False, True])
def test_with_gradients_the_same_numbers(widths, m, complex_signs):
    sketch = TensorSRHT(*widths, m, 3, complex_signs)
    x, y = units(5, widths[0]), units(5, widths[1], seed=1)
    fast = sketch(x, y)
    assert fast.shape == (5, m)
    u, v = x.clone().requires_grad_(), y.clone().requires_grad_()
    for one, other in ((u, v), (u, y), (x, v)):
        torch.testing.assert_close(sketch(one, other).detach(), fast, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(lambda a, b: sketch(a, b)[:, :6], (u[:2], v[:2]))


def test_complex_sketch_writes_to_memory_and_is_bilinear():
    sketch = TensorSRHT(D, 5, 21, 0, complex_signs=True)
    x, y = units(4, D), units(4, 5, seed=1)
    out = torch.full((4, 21), torch.nan, dtype=torch.float64)
    assert sketch(x, y, out=out) is out
    torch.testing.assert_close(out, sketch(x, y))
    torch.testing.assert_close(sketch(2 * x + x.flip(0), -3 * y), -6 * sketch(x, y) - 3 * sketch(x.flip(0), y))
    assert not torch.allclose(out, TensorSRHT(D, 5, 21, 1, complex_signs=True)(x, y))
    torch.testing.assert_close(sketch(x.float(), y.float()).double(), out, rtol=0, atol=1e-6)
