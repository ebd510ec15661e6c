"""The unit of relative ridges: the mean where nothing lies far out, and little moved by what does."""

from __future__ import annotations

import numpy as np
import pytest

from neural_kernels.solvers.system import OUTLYING, diagonal, largest_typical, mean_diagonal, robust_mean

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("columns", [2, 3, 10, 100])
def test_of_ordinary_rows_it_is_the_mean_to_the_last_bit(columns):
    values, weights = np.square(RNG.standard_normal((2000, columns))).mean(axis=1), RNG.uniform(0.1, 3, 2000)
    assert robust_mean(values) == values.mean()
    assert robust_mean(values, weights) == np.average(values, weights=weights)


@pytest.mark.parametrize("factor", [1e2, 1e6, 1e300])
def test_an_outlying_value_counts_as_a_few_typical_ones(factor):
    values = np.ones(300)
    values[7] = factor
    assert robust_mean(values) == pytest.approx(1 + (OUTLYING - 1) / 300)


def test_weights_are_repetitions():
    values, repeats = np.array([0.0, 1.0, 5.0, 2.0, 700.0, 3.0]), np.array([4.0, 2.0, 3.0, 1.0, 2.0, 5.0])
    repeated = np.repeat(values, repeats.astype(int))
    assert largest_typical(values, repeats) == largest_typical(repeated)
    assert robust_mean(values, repeats) == pytest.approx(robust_mean(repeated))


def test_examples_of_no_length_or_weight_do_not_decide_what_is_typical():
    assert largest_typical(np.array([0.0, 0.0, 0.0, 2.0])) == 2 * OUTLYING
    assert largest_typical(np.array([1e9, 1e9, 2.0]), np.array([0.0, 0.0, 1.0])) == 2 * OUTLYING
    assert largest_typical(np.zeros(3)) == 0


def test_the_diagonal_of_blocks_is_the_mean_over_outputs():
    factor = RNG.standard_normal((8, 20))
    gram = (factor @ factor.T).reshape(4, 2, 4, 2).transpose(0, 2, 1, 3)
    assert diagonal(gram) == pytest.approx(np.square(factor).sum(axis=1).reshape(4, 2).mean(axis=1))
    assert mean_diagonal(gram, None, "") == pytest.approx(np.square(factor).sum(axis=1).mean())


def test_a_kernel_of_zeros_has_no_unit():
    with pytest.raises(ValueError, match="mean diagonal of the training kernel is 0, expected a positive number: why"):
        mean_diagonal(np.zeros((3, 3)), None, "why")
