"""Sketched powers of rows: which sketch is which power, and its variance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from estimates import products, standardised, units
from neural_kernels.features.angle.powers import Powers, inner_width, variance


@pytest.mark.slow
def test_predicted_variance_is_that_of_the_sketch():
    """An upper bound within a factor of 4: that of independent samples, which rows of a Hadamard matrix are not."""
    d, inner, width = 16, 64, 100
    x = torch.linalg.qr(torch.randn(d, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0].T
    x = torch.stack([x[0], 0.8 * x[0] + 0.6 * x[1]])
    assert inner_width(d, 8 * inner) == inner
    for p in (2, 3, 4, 6):
        maps = (Powers(d, {p: width, 9: 8 * inner - width}, seed) for seed in range(300))
        products = torch.stack([z[0] @ z[1] for z in (sketch(x)[p] for sketch in maps)])
        own, below = (float(part[0]) for part in variance(p, np.array([0.8]), inner))
        assert abs(float(products.mean()) - 0.8**p) < 4.5 * float(products.std()) / 300**0.5
        assert 0.25 < float(products.var()) / (own / width + below) < 1.3


@pytest.mark.parametrize("widths", [{2: 40}, {2: 3, 3: 5, 7: 1}, {2: 500, 5: 300}])
def test_every_power_is_unbiased_and_has_its_width(widths):
    """Also where a root is wider than the nodes below it, for which it has a sketch of its own."""
    x = units(4, 6)
    for p, width in widths.items():
        assert Powers(6, widths, 0)(x)[p].shape == (4, width)
        grams = products(lambda seed: Powers(6, widths, seed)(x)[p], 150)  # noqa: B023
        assert standardised(grams, (x @ x.T) ** p) < 5


def test_powers_without_columns_are_left_out():
    sketch = Powers(6, {2: 0, 3: 8, 4: 0}, 0)
    assert list(sketch(units(2, 6))) == [3]
    assert Powers(6, {2: 0}, 0)(units(2, 6)) == {}


def test_inner_nodes_hold_rows_as_they_are_up_to_a_width():
    assert inner_width(100, 10) == 128
    assert inner_width(100_000, 10) == 4096
    assert inner_width(10, 100_000) == 16_384  # an eighth of all columns, as a power of two


def test_variance_grows_with_the_power_and_falls_with_inner_width():
    cosines = np.array([0.0, 0.5, 1.0])
    for p in (2, 3, 8):
        own, below = variance(p, cosines, 64)
        assert (np.diff(own) > 0).all()
        assert (variance(p, cosines, 128)[1] <= below).all()
    assert (variance(2, cosines, 64)[1] == 0).all()  # a product of two rows as they are: nothing below errs
