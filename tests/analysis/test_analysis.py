"""Statistics of kernel matrices: laws, definitions written out, and equality of full kernels with products."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import neural_kernels.analysis as analysis

OUTPUTS = 3
SIZES, SEEDS = st.integers(3, 12), st.integers(0, 2**32 - 1)
SCALES = st.floats(1e-3, 1e3)


def features_gram(seed: int, n: int, rank: int = 5) -> np.ndarray:
    """A random positive semi-definite matrix."""
    phi = np.random.default_rng(seed).standard_normal((n, rank))
    return phi @ phi.T


def full_gram(seed: int, n: int, o: int = OUTPUTS) -> np.ndarray:
    """A random full kernel (n, n, o, o), from gradients."""
    gradients = np.random.default_rng(seed).standard_normal((n, o, 40))
    return np.einsum("iap,jbp->ijab", gradients, gradients)


def kron(gram: np.ndarray, o: int = OUTPUTS) -> np.ndarray:
    """K (x) I as a full kernel."""
    return np.einsum("ij,ab->ijab", gram, np.eye(o))


def flat(full: np.ndarray) -> np.ndarray:
    n, _, o, _ = full.shape
    return np.array([[full[i, j, a, b] for j in range(n) for b in range(o)] for i in range(n) for a in range(o)])


def cosine(first: np.ndarray, second: np.ndarray) -> float:
    return np.trace(first @ second.T) / np.sqrt(np.trace(first @ first.T) * np.trace(second @ second.T))


def centring(n: int) -> np.ndarray:
    return np.eye(n) - np.ones((n, n)) / n


# Alignment


@pytest.mark.parametrize("columns", [(), (1,), (4,)])
def test_alignment_is_the_cosine_with_the_outer_product(columns, rng):
    gram, y = features_gram(0, 7), rng.standard_normal((7, *columns))
    target, h = y.reshape(7, -1) @ y.reshape(7, -1).T, centring(7)
    assert_allclose(analysis.alignment(gram, y, centred=False), cosine(gram, target), rtol=1e-12)
    assert_allclose(analysis.alignment(gram, y), cosine(h @ gram @ h, h @ target @ h), rtol=1e-12)


def test_alignment_of_a_full_kernel_is_that_of_its_matrix_with_the_vector_of_targets(rng):
    full, y = full_gram(0, 5), rng.standard_normal((5, OUTPUTS))
    target, h = np.outer(y.ravel(), y.ravel()), np.kron(centring(5), np.eye(OUTPUTS))
    assert_allclose(analysis.alignment(full, y, centred=False), cosine(flat(full), target), rtol=1e-12)
    assert_allclose(analysis.alignment(full, y), cosine(h @ flat(full) @ h, h @ target @ h), rtol=1e-12)


@pytest.mark.parametrize("centred", [True, False])
def test_alignment_with_a_kernel_takes_any_mixture_of_full_and_plain(centred):
    gram, other, full = features_gram(0, 5), features_gram(1, 5), full_gram(2, 5)
    expected = analysis.alignment(gram, other, centred)
    assert_allclose(analysis.alignment(kron(gram), other, centred), expected, rtol=1e-12)
    assert_allclose(analysis.alignment(gram, kron(other), centred), expected, rtol=1e-12)
    assert_allclose(analysis.alignment(kron(gram), kron(other), centred), expected, rtol=1e-12)
    mixed = analysis.alignment(full, kron(other), centred)
    assert_allclose(analysis.alignment(full, other, centred), mixed, rtol=1e-12)
    assert_allclose(analysis.alignment(other, full, centred), mixed, rtol=1e-12)


@given(SEEDS, SIZES, SCALES, SCALES, st.booleans())
def test_alignment_is_a_cosine(seed, n, scale, target_scale, centred):
    gram, y = features_gram(seed, n), np.random.default_rng(seed + 1).standard_normal((n, n + 1))
    value = analysis.alignment(gram, y, centred)
    assert 0 <= value <= 1
    assert_allclose(analysis.alignment(scale * gram, target_scale * y, centred), value, rtol=1e-12)
    assert_allclose(analysis.alignment(y @ y.T, gram, centred), value, rtol=1e-12)
    assert_allclose(analysis.alignment(gram, gram, centred), 1, rtol=1e-12)


@given(SEEDS, SIZES, SCALES)
def test_centred_alignment_is_blind_to_constants(seed, n, constant):
    gram, y = features_gram(seed, n), np.random.default_rng(seed + 1).standard_normal(n)
    expected = analysis.alignment(gram, y)
    assert_allclose(analysis.alignment(gram + constant, y + constant), expected, rtol=1e-6)


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2], [7, 7, -3, -3, 100], np.array([1, 1, 0, 0, 2], dtype=np.uint8)])
def test_integers_are_class_labels_whatever_their_names(labels):
    gram, one_hot = features_gram(0, 5), np.eye(3)[[0, 0, 1, 1, 2]]
    assert_allclose(analysis.alignment(gram, labels), analysis.alignment(gram, one_hot), rtol=1e-12)
    assert_allclose(analysis.alignment(gram, torch.as_tensor(labels)), analysis.alignment(gram, labels), rtol=1e-12)


def test_labels_of_a_full_kernel_are_its_outputs():
    full, one_hot = full_gram(0, 5), np.eye(OUTPUTS)[[2, 2, 0, 0, 2]]
    assert_allclose(analysis.alignment(full, [2, 2, 0, 0, 2]), analysis.alignment(full, one_hot), rtol=1e-12)


def test_two_classes_centred_are_signs():
    gram, labels = features_gram(0, 6), np.array([True, False, True, True, False, False])
    assert_allclose(analysis.alignment(gram, labels), analysis.alignment(gram, np.where(labels, 1.0, -1.0)), rtol=1e-12)


# Spectra


def test_spectrum_of_a_full_kernel_is_that_of_its_matrix():
    full = full_gram(0, 4)
    expected = np.linalg.eigvalsh(flat(full))[::-1]
    assert_allclose(analysis.spectrum(full), expected, rtol=1e-10)
    assert_allclose(analysis.condition_number(full), np.linalg.cond(flat(full)), rtol=1e-10)
    p = expected / expected.sum()
    assert_allclose(analysis.effective_rank(full), np.prod(p**-p), rtol=1e-10)


@given(SEEDS, SIZES, SCALES)
def test_spectra_of_products_and_multiples(seed, n, scale):
    gram = features_gram(seed, n, rank=n + 3)
    values, rank = analysis.spectrum(gram), analysis.effective_rank(gram)
    atol = 1e-12 * values[0]
    assert (np.diff(values) <= 0).all()
    assert_allclose(analysis.spectrum(scale * gram), scale * values, rtol=1e-9, atol=scale * atol)
    assert_allclose(analysis.spectrum(kron(gram)), np.repeat(values, OUTPUTS), rtol=1e-9, atol=atol)
    assert_allclose(analysis.effective_rank(scale * gram), rank, rtol=1e-9)
    assert_allclose(analysis.effective_rank(kron(gram)), OUTPUTS * rank, rtol=1e-9)
    assert_allclose(analysis.condition_number(kron(scale * gram)), analysis.condition_number(gram), rtol=1e-6)
    assert values.sum() / values[0] <= rank * (1 + 1e-12) <= n * (1 + 1e-9)


def test_effective_rank_counts_equal_directions():
    assert_allclose(analysis.effective_rank(np.diag([2.0, 2.0, 2.0, 0.0])), 3, rtol=1e-12)


@pytest.mark.parametrize("gram", [np.ones((3, 3)), np.diag([1.0, 1e-17]), np.diag([1.0, -1e-3])])
def test_what_is_singular_to_rounding_has_no_condition_number(gram):
    assert analysis.condition_number(gram) == np.inf


# Distances


def test_distance_of_a_product_that_is_never_formed():
    gram, full = features_gram(0, 5), full_gram(1, 5)
    norm = np.linalg.norm(full - kron(gram))
    assert_allclose(analysis.distance(full, gram), norm / np.linalg.norm(full), rtol=1e-12)
    assert_allclose(analysis.distance(gram, full), norm / np.linalg.norm(kron(gram)), rtol=1e-12)
    assert_allclose(analysis.distance(full, kron(gram)), analysis.distance(full, gram), rtol=1e-12)


def test_distances_between_close_kernels_keep_their_digits():
    gram, change = features_gram(0, 5), features_gram(1, 5)
    expected = 1e-9 * np.linalg.norm(change) / np.linalg.norm(gram)
    assert_allclose(analysis.distance(kron(gram), gram + 1e-9 * change), expected, rtol=1e-5)
    unit = gram / np.linalg.norm(gram)
    turned = change - (change * unit).sum() * unit
    expected = (1e-9 * np.linalg.norm(turned) / np.linalg.norm(gram)) ** 2 / 2
    assert_allclose(analysis.velocity(gram, gram + 1e-9 * turned), expected, rtol=1e-4)


@given(SEEDS, SIZES, SCALES)
def test_distances_of_multiples(seed, n, scale):
    gram, other = features_gram(seed, n), features_gram(seed + 1, n)
    assert analysis.distance(gram, gram) == analysis.velocity(gram, gram) == analysis.distance(kron(gram), gram) == 0
    assert_allclose(analysis.distance(gram, scale * gram), abs(scale - 1), rtol=1e-9, atol=1e-15)
    assert_allclose(analysis.eigenvalue_gap(gram, scale * gram), abs(scale - 1), rtol=1e-9, atol=1e-13)
    expected = analysis.distance(gram, other)
    assert_allclose(analysis.distance(scale * gram, scale * other), expected, rtol=1e-12)
    assert_allclose(analysis.distance(kron(gram), kron(other)), expected, rtol=1e-12)
    value = analysis.velocity(gram, other)
    assert_allclose(analysis.velocity(scale * gram, other), value, rtol=1e-12)
    assert_allclose(analysis.velocity(kron(gram), kron(other), time=scale), value / scale, rtol=1e-12)
    assert_allclose(value, 1 - analysis.alignment(gram, other, centred=False), rtol=1e-9)
    assert 0 <= value <= 1


@pytest.mark.parametrize("n", [5, 40, 700])
def test_the_largest_eigenvalue_is_found_by_every_path(n):
    """Also where it is degenerate, and where constants are in the null space."""
    gram, other, h = features_gram(0, n, 2 * n), features_gram(1, n, 2 * n), centring(n)
    largest, second = (np.linalg.eigvalsh(k)[-1] for k in (gram, h @ other @ h))
    assert_allclose(analysis.eigenvalue_gap(gram, h @ other @ h), abs(largest - second) / largest, rtol=1e-9)
    assert_allclose(analysis.eigenvalue_gap(np.eye(n), 1.25 * h), 0.25, rtol=1e-9)
    assert_allclose(analysis.eigenvalue_gap(np.eye(n), np.zeros((n, n))), 1, rtol=1e-12)


def test_eigenvalue_gap_of_full_kernels():
    gram, full = features_gram(0, 5), full_gram(1, 5)
    largest, other = np.linalg.eigvalsh(flat(full))[-1], np.linalg.eigvalsh(gram)[-1]
    assert_allclose(analysis.eigenvalue_gap(full, gram), abs(largest - other) / largest, rtol=1e-12)
    assert_allclose(analysis.eigenvalue_gap(full, kron(gram)), analysis.eigenvalue_gap(full, gram), rtol=1e-12)


# Arrays

STATISTICS = {
    "alignment": lambda k: analysis.alignment(k, np.arange(6.0)),
    "spectrum": analysis.spectrum,
    "effective_rank": analysis.effective_rank,
    "condition_number": analysis.condition_number,
    "distance": lambda k: analysis.distance(k, features_gram(1, 6)),
    "eigenvalue_gap": lambda k: analysis.eigenvalue_gap(k, features_gram(1, 6)),
    "velocity": lambda k: analysis.velocity(k, features_gram(1, 6)),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_what_comes_in_goes_out(name):
    statistic, gram = STATISTICS[name], features_gram(0, 6, rank=9)
    exact = statistic(gram)
    for dtype in (torch.float32, torch.float64):
        result = statistic(torch.from_numpy(gram).to(dtype))
        assert isinstance(result, torch.Tensor)
        assert result.dtype == dtype
        assert_allclose(result.numpy(), exact, rtol=1e-4 if dtype == torch.float32 else 1e-12)
    single = statistic(gram.astype(np.float32))
    assert isinstance(single, float) or single.dtype == np.float32
    assert_allclose(single, exact, rtol=1e-4)
    assert_allclose(statistic(gram.tolist()), exact, rtol=1e-12)


@pytest.mark.parametrize("name", STATISTICS)
def test_gradients_reach_a_torch_kernel(name):
    gram = torch.from_numpy(features_gram(0, 6, rank=9)).requires_grad_()

    def symmetric(k: torch.Tensor) -> torch.Tensor:
        return STATISTICS[name]((k + k.T) / 2)

    assert torch.autograd.gradcheck(symmetric, gram, atol=1e-4, rtol=1e-3)


def test_nothing_is_written_to_the_arguments():
    gram, full, y = features_gram(0, 4), full_gram(1, 4), np.arange(4.0)
    for array in (gram, full, y):
        array.setflags(write=False)
    tensors = torch.tensor(full), torch.tensor(gram)
    copies = [tensor.clone() for tensor in tensors]
    analysis.alignment(gram[::-1, ::-1], y[::-1])
    analysis.distance(full, gram)
    analysis.distance(*tensors)
    assert all(torch.equal(tensor, copy) for tensor, copy in zip(tensors, copies, strict=True))


def test_float32_kernels_are_summed_in_float64():
    gram = np.full((2000, 2000), 0.1, dtype=np.float32)
    value = analysis.alignment(gram, np.ones(2000), centred=False)
    assert_allclose(value, 1, rtol=1e-11)
    assert value <= 1
