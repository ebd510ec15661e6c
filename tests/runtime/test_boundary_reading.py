"""What is read equals what was given, in memory that is shared where it can be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse
from test_boundary import X, memmap, read_only, torch_csr

from neural_kernels.runtime.boundary import CSRRows, dress, read_dense, read_rows, require_finite


def test_sums_that_overflow_are_no_fault() -> None:
    huge = np.full((4, 4), 3e38, np.float32)
    for values in (torch.from_numpy(huge), read_rows(sparse.csr_matrix(huge), "x")):
        assert not torch.from_numpy(huge).sum().isfinite()
        require_finite(values, "x")


def test_memory_is_shared(tmp_path: Path) -> None:
    for x in (X.copy(), np.asfortranarray(X), read_only(X), X[:, ::2], X[1:], memmap(X, tmp_path), np.float32(X)):
        assert read_dense(x, "x").data_ptr() == x.__array_interface__["data"][0]
    tensor = torch.from_numpy(X)
    assert read_dense(tensor, "x") is tensor
    matrix = sparse.csr_matrix(X)
    rows = read_rows(matrix, "x", canonical=True)
    assert isinstance(rows, CSRRows)
    assert rows.to_scipy() is matrix
    assert np.shares_memory(rows[slice(2, 5)].data, matrix.data)
    given = torch_csr(X)
    rows = read_rows(given, "x")
    assert isinstance(rows, CSRRows)
    assert rows.data.__array_interface__["data"][0] == given.values().data_ptr()


@given(data=st.data())
def test_any_layout_is_read_by_its_values(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from([">f4", "<f8", ">f8", "f2", "i1", ">i4", "u8", "?"])))
    base = data.draw(npst.arrays(dtype, npst.array_shapes(max_dims=3, max_side=4), elements={"allow_nan": False}
                                 if dtype.kind == "f" else None))  # fmt: skip
    view = base[tuple(data.draw(st.sampled_from([slice(None), slice(None, None, -1), slice(None, None, 2)]))
                      for _ in base.shape)].transpose(data.draw(st.permutations(range(base.ndim))))  # fmt: skip
    before = view.copy()
    tensor = read_dense(view, "x")
    expected = view.astype(np.float32 if dtype.kind == "f" and dtype.itemsize <= 4 else np.float64)
    assert tensor.numpy().dtype == expected.dtype
    np.testing.assert_array_equal(tensor.numpy(), expected)
    np.testing.assert_array_equal(dress(tensor, view), expected)
    np.testing.assert_array_equal(view, before)


@given(
    entries=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(-5, 5)), max_size=20),
    dtype=st.sampled_from([np.float64, np.float32, np.int32]),
    canonical=st.booleans(),
)
def test_sparse_rows_are_read_by_values(entries: list[tuple[int, int, int]], dtype: type, canonical: bool) -> None:
    """CSR with entries in any order and more than once; the user's matrix stays as it is."""
    entries.sort(key=lambda entry: entry[0])
    rows, columns, values = np.array(entries, dtype=int).reshape(-1, 3).T
    indptr = np.searchsorted(rows, np.arange(5))
    matrix = sparse.csr_matrix((values.astype(dtype), columns, indptr), (4, 5))
    before = matrix.indices.copy()
    read = read_rows(matrix, "x", canonical)
    assert isinstance(read, CSRRows)
    assert read.data.dtype == (np.float32 if dtype is np.float32 else np.float64)
    result = read.to_scipy()
    assert result.has_canonical_format or not canonical
    np.testing.assert_array_equal(result.toarray(), matrix.toarray())
    np.testing.assert_array_equal(matrix.indices, before)
