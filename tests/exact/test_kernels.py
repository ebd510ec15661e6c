"""What users meet: kinds of arrays, targets, gradients, scales, and clear errors."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import sparse
from sklearn.kernel_ridge import KernelRidge
from sklearn.svm import SVC

import neural_kernels as nk

NET = nk.mlp(2, bias_var=0.1)
X = np.random.default_rng(0).standard_normal((12, 5))
Z = np.random.default_rng(1).standard_normal((7, 5))


def test_one_pass_equals_two() -> None:
    nngp, ntk = nk.kernels(NET, X, Z)
    assert np.allclose(nngp, nk.NNGP(NET)(X, Z), rtol=1e-14)
    assert np.allclose(ntk, nk.NTK(NET)(X, Z), rtol=1e-14)


def test_diagonal_equals_the_matrix_diagonal() -> None:
    for kernel in (nk.NTK(NET), nk.NNGP(NET)):
        assert np.array_equal(np.diag(kernel(X)), kernel.diag(X))
        assert np.allclose(np.diag(kernel(X, X.copy())), kernel.diag(X), rtol=1e-13)


def test_kind_and_precision_are_kept() -> None:
    expected = nk.NTK(NET)(X, Z)
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-5)):
        result = nk.NTK(NET)(X.astype(dtype), Z.astype(dtype))
        assert isinstance(result, np.ndarray)
        assert result.dtype == dtype
        assert np.allclose(result, expected, rtol=tolerance)
        tensor = nk.NTK(NET)(torch.from_numpy(X.astype(dtype)), torch.from_numpy(Z.astype(dtype)))
        assert isinstance(tensor, torch.Tensor)
        assert np.allclose(tensor.numpy(), expected, rtol=tolerance)
    assert nk.NTK(NET)(X, Z.astype(np.float32)).dtype == np.float64


def test_pandas_in_pandas_out() -> None:
    frame, other = pd.DataFrame(X, index=[f"r{i}" for i in range(12)]), pd.DataFrame(Z)
    result = nk.NTK(NET)(frame, other)
    assert list(result.index) == list(frame.index)
    assert list(result.columns) == list(other.index)
    assert np.allclose(result.to_numpy(), nk.NTK(NET)(X, Z), rtol=1e-13)
    assert list(nk.NTK(NET).diag(frame).index) == list(frame.index)


@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint8, np.bool_])
def test_all_but_halves_become_float64(dtype: type) -> None:
    x = (np.abs(X) > 0.5).astype(dtype)
    expected = np.float32 if dtype is np.float16 else np.float64
    result = nk.NTK(NET)(x)
    assert result.dtype == expected
    assert np.array_equal(result, nk.NTK(NET)(x.astype(expected)))


def test_layouts_do_not_matter() -> None:
    expected = nk.NTK(NET)(X)
    read_only = X.copy()
    read_only.flags.writeable = False
    wide = np.random.default_rng(0).standard_normal((12, 10))
    wide[:, ::2] = X
    for x in (np.asfortranarray(X), X[::-1][::-1], read_only, wide[:, ::2], X.astype(">f8"), X.tolist()):
        result = nk.NTK(NET)(x)
        assert np.allclose(result, expected, rtol=1e-6)
    assert np.allclose(nk.NTK(NET)(X[::-1]), expected[::-1, ::-1], rtol=1e-13)


def test_sparse_entries_out_of_order_and_twice() -> None:
    rows, columns, values = [0, 0, 0, 1, 2], [3, 1, 3, 0, 4], [1.0, 2.0, 0.5, -1.0, 1.0]
    matrix = sparse.csr_matrix((values, columns, [0, 3, 4, 5]), shape=(3, 5))
    assert not matrix.has_sorted_indices
    before = matrix.copy()
    assert np.allclose(nk.NTK(NET)(matrix), nk.NTK(NET)(sparse.coo_matrix((values, (rows, columns)), (3, 5)).toarray()))
    assert (matrix.indices == before.indices).all()


def test_dense_beside_sparse_keeps_the_wider_precision() -> None:
    expected = nk.NTK(NET)(X.astype(np.float32).astype(np.float64), Z)
    for x, z in ((X.astype(np.float32), sparse.csr_matrix(Z)), (sparse.csr_matrix(X.astype(np.float32)), Z)):
        result = nk.NTK(NET)(x, z)
        assert result.dtype == np.float64
        assert np.allclose(result, expected, rtol=1e-12)
    with pytest.raises(TypeError, match="requires gradients"):
        nk.NTK(NET)(torch.from_numpy(X).requires_grad_(), sparse.csr_matrix(Z))


def test_out_is_filled_in_place(tmp_path: Path) -> None:
    expected = nk.NTK(NET)(X, Z)
    array, memmap = np.empty((12, 7)), np.memmap(tmp_path / "k", np.float64, "w+", shape=(12, 7))
    fortran, strided, tensor = np.empty((12, 7), order="F"), np.empty((12, 14))[:, ::2], torch.empty(12, 7).double()
    for out in (array, memmap, fortran, strided):
        assert nk.NTK(NET)(X, Z, out=out) is out
        assert np.allclose(out, expected, rtol=1e-14)
    assert nk.NTK(NET)(torch.from_numpy(X), torch.from_numpy(Z), out=tensor) is tensor
    assert np.allclose(tensor.numpy(), expected, rtol=1e-14)
    both = np.empty((12, 12)), np.empty((12, 12))
    assert nk.kernels(NET, X, out=both)[0] is both[0]
    assert np.allclose(both[1], nk.NTK(NET)(X), rtol=1e-14)


def test_bad_out() -> None:
    kernel = nk.NTK(NET)
    read_only = np.empty((12, 7))
    read_only.flags.writeable = False
    for out, error, message in (
        (np.empty((7, 12)), ValueError, "expected shape"),
        (np.empty((12, 7), np.float32), TypeError, "expected dtype"),
        (np.empty((12, 7), np.int64), TypeError, "expected dtype"),
        (read_only, ValueError, "read-only"),
        ([[0.0]], TypeError, "NumPy array"),
        (np.empty((24, 7))[::-2], ValueError, "negative strides"),
    ):
        with pytest.raises(error, match=message):
            kernel(X, Z, out=out)
    with pytest.raises(ValueError, match="two arrays"):
        nk.kernels(NET, X, out=(np.empty((12, 12)),))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("net", [nk.mlp(2), nk.mlp(2, bias_var=0.3), nk.mlp(2, nk.Erf()), nk.mlp(1, nk.Tanh())])
def test_gradients_against_differences(net: nk.Layer) -> None:
    x = torch.from_numpy(X[:4]).requires_grad_()
    z = torch.from_numpy(Z[:3])
    for kernel in (nk.NTK(net), nk.NNGP(net)):
        torch.autograd.gradcheck(lambda a, kernel=kernel: kernel(a, z), (x,), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e-15, 1e15, 1e100])
def test_gradients_of_rows_of_any_scale(scale: float) -> None:
    """The kernel is homogeneous: rows 1e15 times as long have the same gradients, beside rows of zeros as well."""
    rng = np.random.default_rng(0)
    x, z = torch.from_numpy(rng.standard_normal((4, 12))), torch.from_numpy(rng.standard_normal((3, 12)))
    kernel = nk.NTK(nk.mlp(2))
    found = []
    for factor in (1.0, scale):
        rows = (factor * torch.cat([x, torch.zeros(1, 12)])).requires_grad_()
        found.append(torch.autograd.grad(kernel(rows, z).sum(), rows)[0])
    assert found[0][:4].abs().min() > 0
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=0)


@pytest.mark.parametrize("net", [nk.mlp(3), nk.mlp(2, nk.Erf(), 0.1), nk.mlp(1, nk.ELU()), nk.mlp(1, nk.Abs(), 0.1)])
def test_gradients_are_finite_at_coincident_and_zero_rows(net: nk.Layer) -> None:
    x = torch.from_numpy(X[:5]).clone()
    x[1], x[2], x[3] = x[0], 2 * x[0], 0
    x.requires_grad_()
    for result in (nk.NTK(net)(x), nk.NTK(net)(x, x.detach().clone()), nk.NNGP(net)(x), nk.NTK(net).diag(x)):
        (gradient,) = torch.autograd.grad(result.sum(), x)
        assert torch.isfinite(gradient).all()


def test_differentiable_equals_compiled() -> None:
    x = torch.from_numpy(X).requires_grad_()
    assert np.allclose(nk.NTK(NET)(x).detach().numpy(), nk.NTK(NET)(X), rtol=1e-12)


@given(
    npst.arrays(np.float64, (4, 3), elements=st.integers(-(10**8), 10**8).map(lambda k: k / 1e6)),
    st.sampled_from([1e-30, 1e-12, 1.0, 1e12, 1e30]),
)
def test_any_rows_at_any_scale(x: np.ndarray, scale: float) -> None:
    """A homogeneous network's kernel scales with the square; no entry exceeds the diagonal's geometric mean."""
    kernel, scaled = nk.NTK(nk.mlp(2))(x), nk.NTK(nk.mlp(2))(scale * x)
    assert np.isfinite(scaled).all()
    assert np.array_equal(scaled, scaled.T)
    top = np.abs(kernel).max()
    assert np.allclose(scaled / scale**2, kernel, rtol=1e-10, atol=1e-10 * top)
    diagonal = np.sqrt(np.diag(kernel))
    assert (np.abs(kernel) <= diagonal[:, None] * diagonal * (1 + 1e-12) + 1e-300).all()


def test_kernels_out_of_range_are_refused() -> None:
    x = X.astype(np.float32)
    with pytest.raises(OverflowError, match="overflow"):
        nk.NTK(NET)(x * np.float32(1e30))
    with pytest.raises(OverflowError, match="vanish"):
        nk.NTK(nk.mlp(2))(x * np.float32(1e-30))
    with pytest.raises(OverflowError, match="Exp"):
        nk.NTK(nk.mlp(1, nk.Exp(1.0, 5.0)))(100 * X)
    assert np.isfinite(nk.NTK(NET)((X * 1e-30).astype(np.float32))).all()


@pytest.mark.parametrize(
    "x", [np.ones((3, 4)), np.zeros((3, 4)), np.eye(4)[[0, 0, 1]], np.ones((1, 4)), np.ones((1, 1))]
)
def test_degenerate_rows(x: np.ndarray) -> None:
    for net in (nk.mlp(3), NET, nk.mlp(2, nk.Tanh()), nk.mlp(2, nk.Erf(), 0.2), nk.mlp(1, nk.Sign())):
        for kernel in nk.kernels(net, x):
            assert np.isfinite(kernel).all()
            assert np.linalg.eigvalsh(kernel)[0] >= -1e-10 * max(1, np.abs(kernel).max())


def test_empty_batches() -> None:
    assert nk.NTK(NET)(X[:0]).shape == (0, 0)
    assert nk.NTK(NET)(X[:0], Z).shape == (0, 7)
    assert nk.NTK(NET)(X, Z[:0]).shape == (12, 0)
    assert nk.NTK(NET).diag(X[:0]).shape == (0,)
    assert nk.NTK(NET)(sparse.csr_matrix((0, 5)), sparse.csr_matrix(Z)).shape == (0, 7)


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.where(X > 1, np.nan, X), ValueError, "row"),
        (np.where(X > 1, np.inf, X), ValueError, "NaN or infinite"),
        (sparse.csr_matrix(np.where(X > 1, np.nan, X)), ValueError, "NaN or infinite, the first at row 1, column"),
        (X[:, :0], ValueError, "at least one feature"),
        (np.array(3.0), ValueError, "expected vectors"),
        (X.astype(complex), TypeError, "real numbers"),
        (np.array([["a", "b"]]), TypeError, "real numbers"),
        (np.array([[None, 1.0]]), ValueError, "NaN"),
        (np.array([[{}, 1.0]]), TypeError, "dtype object"),
        (torch.from_numpy(X).to_sparse(), TypeError, "dense or CSR tensor"),
    ],
)
def test_bad_rows(x: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        nk.NTK(NET)(x)


def test_widths_must_agree() -> None:
    with pytest.raises(ValueError, match="5 features, x2 has 4"):
        nk.NTK(NET)(X, Z[:, :4])


def test_bad_settings() -> None:
    with pytest.raises(TypeError, match="from_torch"):
        nk.NTK(torch.nn.Linear(2, 2))  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="description"):
        nk.kernels(nk.ReLU, X)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="memory_budget"):
        nk.NTK(NET, memory_budget=0)
    with pytest.raises(MemoryError, match="memmap"):
        nk.NTK(NET, memory_budget=100)(X)
    assert nk.NTK(NET, memory_budget=2000)(X).shape == (12, 12)


def test_scikit_learn_takes_the_kernel() -> None:
    y = (X[:, 0] > 0).astype(int)
    assert SVC(kernel=nk.NTK(NET), C=100).fit(X, y).score(X, y) == 1
    ours = KernelRidge(kernel=nk.NTK(NET), alpha=0.1).fit(X, X[:, 1]).predict(Z)
    direct = nk.NTK(NET)(Z, X) @ np.linalg.solve(nk.NTK(NET)(X) + 0.1 * np.eye(12), X[:, 1])
    assert np.allclose(ours, direct)


def test_kernels_are_values() -> None:
    assert nk.NTK(NET) == nk.NTK(nk.mlp(2, bias_var=0.1))
    assert hash(nk.NTK(NET)) == hash(nk.NTK(nk.mlp(2, bias_var=0.1)))
    assert np.array_equal(pickle.loads(pickle.dumps(nk.NTK(NET)))(X), nk.NTK(NET)(X))


def test_progress_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    nk.NTK(NET, progress=True)(X)
    assert "kernel" in capsys.readouterr().err


def test_stationary_kernels() -> None:
    squared = ((X[:, None] - Z[None]) ** 2).sum(-1)
    assert np.allclose(nk.Laplace(0.5)(X, Z), np.exp(-0.5 * np.sqrt(squared)), rtol=1e-12)
    assert np.allclose(nk.GammaExponential(0.5, 2.0)(X, Z), np.exp(-0.5 * squared), rtol=1e-12)
    assert np.allclose(nk.GammaExponential(0.5, 1.3)(X, Z), np.exp(-0.5 * squared**0.65), rtol=1e-12)
    assert np.array_equal(nk.Laplace()(X), nk.Laplace()(X).T)
    assert (np.diag(nk.Laplace()(X)) == 1).all()
    x = torch.from_numpy(X).requires_grad_()
    (gradient,) = torch.autograd.grad(nk.Laplace()(x, x.detach().clone()).sum(), x)
    assert torch.isfinite(gradient).all()
    for bad in ((-1.0, 1.0), (1.0, 0.0), (1.0, 2.1), (np.nan, 1.0)):
        with pytest.raises(ValueError, match=r"gamma|exponent"):
            nk.GammaExponential(*bad)


@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_stationary_kernels_of_sparse_rows_are_those_of_dense_ones(exponent: float) -> None:
    """Also of rows of zeros, coincident ones, and some a millionth apart, where a product knows no distance."""
    x = np.where(np.random.default_rng(0).random((9, 40)) < 0.2, np.random.default_rng(1).normal(size=(9, 40)), 0)
    x[1], x[2], x[3] = 0, x[0], x[0] * (1 + 1e-6 * np.arange(40))
    z, kernel = 3 * x[:5], nk.GammaExponential(0.5, exponent)
    rows = sparse.csr_matrix(x)
    for scale in (1.0, 1e-4):
        assert np.allclose(kernel(scale * rows), kernel(scale * x), rtol=1e-12)
        assert np.allclose(kernel(scale * rows, scale * z), kernel(scale * x, scale * z), rtol=1e-12)
    assert np.allclose(1 - kernel(rows)[0, 3], 1 - kernel(x)[0, 3], rtol=1e-6)
    assert (np.diag(kernel(rows)) == 1).all()
    assert kernel(rows.astype(np.float32)).dtype == np.float32
    assert np.array_equal(kernel.diag(rows), kernel.diag(x))
