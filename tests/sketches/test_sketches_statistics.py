"""Sketches as estimators: no bias, and errors that fall as one over the root of the width."""

from __future__ import annotations

import numpy as np
import pytest

from neural_kernels.sketches import OSNAP, SRHT, CountSketch, PolySketch, TensorSketch, TensorSRHT

D = 12


def squared(d, m, seed):
    sketch = TensorSRHT(d, d, m, seed)
    return lambda x: sketch(x, x)


# Maps of one input by name, with the power of the inner product they keep.
CASES = {
    "CountSketch": (CountSketch, 1),
    "OSNAP": (lambda d, m, seed: OSNAP(d, m, 4, seed), 1),
    "SRHT": (SRHT, 1),
    "TensorSketch2": (lambda d, m, seed: TensorSketch(d, m, 2, seed), 2),
    "TensorSketch3": (lambda d, m, seed: TensorSketch(d, m, 3, seed), 3),
    "TensorSRHT": (squared, 2),
    **{f"PolySketch{p}": (lambda d, m, seed, p=p: PolySketch(d, m, p, seed), p) for p in (1, 2, 3, 4, 6)},
}


@pytest.fixture(scope="module")
def points():
    """Unit rows: two in general position, one close to the first, two sparse ones."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, D))
    x[2] = x[0] + 0.5 * x[1]
    x[3:, 2:] = 0
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def estimates(make, m, points, seeds):
    grams = []
    for seed in range(seeds):
        z = make(points.shape[1], m, seed)(points)
        grams.append(z @ z.T)
    return np.array(grams)


def unbiased(name, points, m, seeds):
    make, power = CASES[name]
    grams = estimates(make, m, points, seeds)
    error = grams.mean(0) - (points @ points.T) ** power
    standard = grams.std(0, ddof=1) / np.sqrt(seeds)
    # 15 different entries of 11 cases, half a dozen widths: the largest of some thousand normal deviates
    assert (np.abs(error) <= 4.5 * standard + 1e-12).all(), np.abs(error / (standard + 1e-300)).max()


@pytest.mark.parametrize("m", [10, 20])  # above and below the width of the rows, where trees take them as they are
@pytest.mark.parametrize("name", CASES)
def test_unbiased(name, m, points):
    unbiased(name, points, m, 200)


@pytest.mark.slow
@pytest.mark.parametrize("m", [7, 45])
@pytest.mark.parametrize("name", CASES)
def test_unbiased_at_length(name, m, points):
    unbiased(name, points, m, 1500)


def spread(name, points, m, seeds):
    make, power = CASES[name]
    return np.sqrt(((estimates(make, m, points, seeds) - (points @ points.T) ** power) ** 2).mean())


@pytest.mark.parametrize("name", [name for name in CASES if name not in ("SRHT", "PolySketch1", "PolySketch6")])
def test_errors_fall_with_the_root_of_the_width(name, points):
    ratio = spread(name, points, 32, 100) / spread(name, points, 512, 100)
    assert 2.6 < ratio < 6  # 4, and fluctuations of mean squares over 100 draws with heavy tails


def test_errors_of_samples_without_replacement():
    x = np.random.default_rng(0).standard_normal((6, 1024)) / 32
    widths = np.array([64, 256, 768])
    observed = np.array([spread("SRHT", x, m, 60) for m in widths])
    expected = np.sqrt((1 - widths / 1024) / widths)  # for pairs of a few orthogonal rows; twice on the diagonal
    assert np.ptp(observed / expected) < 0.25 * (observed / expected).mean()


def test_powers_of_one_sketch_are_all_unbiased(points):
    grams = np.array([[u @ u.T for u in PolySketch(D, 10, 5, seed).powers(points)] for seed in range(200)])
    for p, gram in enumerate(grams.transpose(1, 0, 2, 3), start=1):
        standard = gram.std(0, ddof=1) / np.sqrt(len(gram))
        assert (np.abs(gram.mean(0) - (points @ points.T) ** p) <= 4.5 * standard).all()


def test_shared_leaves_do_not_correlate_different_powers(points):
    """Cross terms <U_1, U_2> have mean zero, so that powers can be added as well as concatenated."""
    cross = np.array([np.multiply(*PolySketch(D, 10, 2, seed).powers(points)).sum(1) for seed in range(400)])
    assert (np.abs(cross.mean(0)) <= 4.5 * cross.std(0, ddof=1) / 20).all()


def test_trees_err_less_than_products_at_high_degree(points):
    x = points[:2]
    makes = (lambda d, m, seed: PolySketch(d, m, 8, seed)), (lambda d, m, seed: TensorSketch(d, m, 8, seed))
    tree, product = (np.sqrt(((estimates(make, 256, x, 30) - (x @ x.T) ** 8) ** 2).mean()) for make in makes)
    assert tree < 0.7 * product
