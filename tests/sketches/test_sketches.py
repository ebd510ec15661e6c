"""Sketches as maps: their makes of input, precision, addresses of randomness, algebra, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.linalg import hadamard as sylvester

from neural_kernels.sketches import (
    OSNAP,
    SRHT,
    CountSketch,
    PolySketch,
    TensorSketch,
    TensorSRHT,
    derive_seed,
    hadamard,
)

DRAWN = (2935419969045872776, [46, 63, 1, 64, 55, 93], [0, 2, 4, 5, 7])  # promised to users: never to be updated

# Sketches of one input by name, with their degree of homogeneity.
CASES = {
    "CountSketch": (CountSketch, 1),
    "OSNAP": (lambda d, m, seed=0: OSNAP(d, m, nonzeros=min(3, m), seed=seed), 1),
    "SRHT": (SRHT, 1),
    "TensorSketch1": (lambda d, m, seed=0: TensorSketch(d, m, 1, seed), 1),
    "TensorSketch3": (lambda d, m, seed=0: TensorSketch(d, m, 3, seed), 3),
    "PolySketch1": (lambda d, m, seed=0: PolySketch(d, m, 1, seed), 1),
    "PolySketch2": (lambda d, m, seed=0: PolySketch(d, m, 2, seed), 2),
    "PolySketch5": (lambda d, m, seed=0: PolySketch(d, m, 5, seed), 5),
}
PRECISION = {np.float32: 2e-5, np.float64: 1e-13}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def rows(rng, n=5, d=12, dtype=np.float64):
    return rng.standard_normal((n, d)).astype(dtype)


def norm_close(actual, expected, tolerance):
    assert_allclose(actual, expected, rtol=0, atol=tolerance * (1 + np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("bits", range(13))
def test_hadamard_is_sylvesters(rng, bits, dtype):
    x = rows(rng, 3, 1 << bits, dtype)
    expected = x.astype(np.float64) @ sylvester(1 << bits)
    for result in (hadamard(x), hadamard(torch.from_numpy(x).requires_grad_()).detach().numpy()):
        assert result.dtype == dtype
        norm_close(result, expected, PRECISION[dtype])


@pytest.mark.parametrize("bits", [16, 20])
def test_hadamard_twice_is_a_multiple(rng, bits):
    x = rows(rng, 2, 1 << bits, np.float32)
    assert_allclose(hadamard(hadamard(x)) / (1 << bits), x, atol=1e-5)


@pytest.mark.parametrize("dtype", PRECISION)
def test_makes_of_input_agree(case, rng, dtype):
    dense = rows(rng, 40, 30, dtype) * (rng.random((40, 30)) < 0.3)
    dense[[0, 7, 39]] = 0
    sketch = case[0](30, 16)
    expected = sketch(dense)
    assert isinstance(expected, np.ndarray)
    assert expected.dtype == dtype
    assert not expected[[0, 7, 39]].any()
    csr = sparse.csr_matrix(dense)
    for x in (csr, csr.tocoo(), sparse.csr_array(dense), np.asfortranarray(dense), dense[::-1][::-1]):
        norm_close(sketch(x), expected, PRECISION[dtype])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "sparse CSR support is in beta"
        compressed = torch.from_numpy(dense).to_sparse_csr()
    for x in (torch.from_numpy(dense), compressed):
        result = sketch(x)
        assert isinstance(result, torch.Tensor)
        norm_close(result.numpy(), expected, PRECISION[dtype])


def test_csr_with_duplicates_and_any_order(case):
    indptr, indices, data = np.array([0, 4, 4]), np.array([5, 1, 5, 0]), np.array([1.0, 2.0, 3.0, -1.0])
    x = sparse.csr_matrix((data, indices, indptr), (2, 6))
    sketch = case[0](6, 8)
    norm_close(sketch(x), sketch(x.toarray()), 1e-13)
    assert not x.has_canonical_format


def test_integers_become_float64_and_halves_float32(case):
    sketch = case[0](4, 8)
    assert sketch(np.eye(4, dtype=int)).dtype == np.float64
    assert sketch(torch.eye(4, dtype=torch.float16)).dtype == torch.float32
    assert sketch(sparse.eye(4, dtype=np.int8, format="csr")).dtype == np.float64


def test_no_rows(case):
    sketch = case[0](4, 8)
    for x in (np.empty((0, 4)), sparse.csr_matrix((0, 4)), torch.empty(0, 4)):
        assert sketch(x).shape == (0, 8)


def test_float32_follows_float64(case, rng):
    x = rows(rng, 6, 50)
    sketch = case[0](50, 32)
    norm_close(sketch(x.astype(np.float32)), sketch(x), 1e-4)


def test_blocks_of_rows_do_not_matter(case, rng):
    x = rows(rng, 3000, 9, np.float32)
    sketch = case[0](9, 700)
    whole = sketch(x)
    norm_close(np.concatenate([sketch(x[:11]), sketch(x[11:])]), whole, 1e-5)
    out = np.empty_like(whole)
    assert sketch(x, out=out) is out
    assert_array_equal(out, whole)
    with torch.inference_mode():
        assert_array_equal(sketch(torch.from_numpy(x)).numpy(), whole)


def test_gradients(case, rng):
    sketch = case[0](6, 10)
    x = torch.from_numpy(rows(rng, 3, 6)).requires_grad_()
    assert torch.autograd.gradcheck(sketch, x)
    norm_close(sketch(x).detach().numpy(), sketch(x.detach()).numpy(), 1e-13)
    with torch.no_grad():
        assert not sketch(x).requires_grad


def test_state_dict(case, rng):
    x = rows(rng)
    one, other = case[0](12, 9, seed=0), case[0](12, 9, seed=1)
    assert not list(one.parameters())
    assert np.abs(one(x) - other(x)).max() > 0.1
    other.load_state_dict(one.state_dict())
    assert_array_equal(one(x), other(x))
    assert all(not buffer.is_floating_point() for buffer in one.to(torch.float64).buffers())


def test_seeds_address_draws(case, rng):
    x = rows(rng)
    torch.manual_seed(0)
    first = case[0](12, 9, seed=5)(x)
    torch.manual_seed(1)
    assert_array_equal(first, case[0](12, 9, seed=5)(x))


FRESH = """
import numpy as np
from neural_kernels.sketches import PolySketch, TensorSketch, derive_seed
x = np.arange(12.0).reshape(2, 6)
total = sum((TensorSketch(6, 5, 2, 7)(x) * [1, 2, 3, 4, 5]).sum() + (u * [1, 2, 3, 4, 5]).sum()
            for u in PolySketch(6, 5, 3, 7).powers(x))
print(derive_seed(3, "a", 1), total.round(6))
"""


def test_draws_are_the_same_in_a_fresh_process(capsys):
    exec(FRESH, {})
    here = capsys.readouterr().out
    there = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, check=True).stdout
    assert here == there


def test_draws_never_change():
    assert derive_seed(0, "layer", 3) == DRAWN[0]
    assert CountSketch(6, 100, seed=3).buckets.flatten().tolist() == DRAWN[1]
    assert SRHT(6, 5, seed=3).rows.tolist() == DRAWN[2]


def test_derived_seeds_differ():
    paths = [(), (0,), (1,), ("0",), ("0", 1), (0, 1), (1, 0), ("a", "b"), ("ab",), ("a, b",)]
    seeds = [derive_seed(seed, *path) for seed in (0, 1, 10) for path in paths]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(np.int64(4), np.int32(2)) == derive_seed(4, 2)
    with pytest.raises(TypeError, match="integer seed"):
        derive_seed("a")
    with pytest.raises(TypeError, match="integer seed"):
        derive_seed(0, 1.5)


@given(
    n=st.integers(1, 4),
    d=st.integers(1, 40),
    m=st.integers(1, 70),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    name=st.sampled_from(sorted(CASES)),
)
def test_homogeneous_and_zero_at_zero(n, d, m, scale, name):
    make, degree = CASES[name]
    x = rows(np.random.default_rng(d), n, d)
    sketch = make(d, m)
    expected = sketch(x) * scale**degree
    assert_allclose(sketch(scale * x), expected, rtol=0, atol=1e-12 * np.abs(expected).max(initial=1e-300))
    assert not sketch(0 * x).any()


@pytest.mark.parametrize("name", [name for name, (_, degree) in CASES.items() if degree == 1])
def test_linear(name, rng):
    x, y = rows(rng), rows(rng)
    sketch = CASES[name][0](12, 9)
    norm_close(sketch(2 * x - 3 * y), 2 * sketch(x) - 3 * sketch(y), 1e-13)


def test_tensor_srht_is_bilinear(rng):
    x, y, z = rows(rng), rows(rng, d=7), rows(rng)
    sketch = TensorSRHT(12, 7, 20)
    norm_close(sketch(2 * x - 3 * z, y), 2 * sketch(x, y) - 3 * sketch(z, y), 1e-13)
    norm_close(sketch(sparse.csr_matrix(x), y), sketch(x, y), 1e-13)
    assert sketch(torch.from_numpy(x), torch.from_numpy(y)).dtype == torch.float64


@pytest.mark.parametrize(("d", "m"), [(5, 8), (8, 8), (5, 24), (1, 3)])
def test_whole_srht_is_an_isometry(rng, d, m):
    x = rows(rng, 6, d)
    z = SRHT(d, m)(x)
    norm_close(z @ z.T, x @ x.T, 1e-13)


def test_srht_samples_without_replacement():
    sketch = SRHT(100, 300)
    drawn = sketch.rows.tolist()
    assert len(set(drawn)) == 300
    assert drawn[:256] == list(range(256))
    assert sorted(SRHT(100, 300, shuffle=True).rows.tolist()) == drawn


def test_osnap_columns_have_unit_norm_and_distinct_buckets():
    z = OSNAP(50, 10, nonzeros=4)(np.eye(50))
    assert_allclose((z != 0).sum(1), 4)
    assert_allclose((z**2).sum(1), 1)


def test_tensor_sketch_is_the_count_sketch_of_the_tensor_power(rng):
    d, m = 4, 7
    sketch, x = TensorSketch(d, m, 3), rows(rng, 2, 4)
    tables = [(f.buckets[:, 0].numpy(), f.signs[:, 0].numpy()) for f in sketch.factors]
    expected = np.zeros((2, m))
    for place in np.ndindex(d, d, d):
        bucket = sum(table[0][j] for table, j in zip(tables, place, strict=True)) % m
        sign = np.prod([table[1][j] for table, j in zip(tables, place, strict=True)])
        expected[:, bucket] += sign * x[:, place].prod(1)
    norm_close(sketch(x), expected, 1e-13)


def test_powers_do_not_depend_on_the_highest(rng):
    x = rows(rng)
    powers = PolySketch(12, 10, 9, seed=2).powers(x)
    for degree in range(1, 10):
        norm_close(PolySketch(12, 10, degree, seed=2)(x), powers[degree - 1], 1e-13)


def test_rows_no_wider_than_the_sketch_are_leaves(rng):
    x = rows(rng)
    first, second = PolySketch(12, 20, 2).powers(x)
    norm_close(first, np.pad(x, ((0, 0), (0, 8))), 0)
    norm_close(PolySketch(12, 20, 1)(sparse.csr_matrix(x)), first, 0)
    norm_close(PolySketch(12, 20, 2)(torch.from_numpy(x)).numpy(), second, 0)


def test_polynomial(rng):
    x, sketch = rows(rng), PolySketch(12, 32, 3)
    a = [0.5, 2.0, 0.0, 3.0]
    z = sketch.polynomial(x, a)
    cube = sketch(x)
    assert z.shape == (5, 1 + 12 + 32)
    norm_close(z @ z.T, 0.5 + 2 * x @ x.T + 3 * cube @ cube.T, 1e-13)
    norm_close(sketch.polynomial(sparse.csr_matrix(x), a), z, 1e-13)
    assert sketch.polynomial(x, [0.0]).shape == (5, 0)
    assert PolySketch(100, 32, 2).polynomial(np.ones((1, 100)), [0, 1]).shape == (1, 32)
    with pytest.raises(ValueError, match="at least 0"):
        sketch.polynomial(x, [1, -1])
    with pytest.raises(ValueError, match="degree=4"):
        sketch.polynomial(x, [1, 1, 1, 1, 1])
