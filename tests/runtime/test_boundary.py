"""One boundary: every make of array in, the same make out, and one message for one fault, whatever is called."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
import neural_kernels.analysis as analysis
from neural_kernels.sketches import CountSketch

D = 5
X = np.random.default_rng(0).standard_normal((7, D)) * (np.random.default_rng(1).random((7, D)) < 0.7)
NAMES = [f"r{i}" for i in range(len(X))]
NET = nk.mlp(2, bias_var=0.1)
SKETCH, MAP = CountSketch(D, 8), nk.feature_map(NET, n_components=16).fit(X)

# What takes rows, with what its result is for NumPy; all give a row, or a number, for every row.
CALLS: dict[str, Callable[..., Any]] = {
    "kernel": nk.NTK(NET),
    "two batches": lambda x: nk.NNGP(NET)(x, X[:3]),
    "diagonal": nk.NTK(NET).diag,
    "feature map": MAP,
    "sketch": SKETCH,
    "analysis": lambda x: analysis.attribution(x, np.eye(D), np.ones(D)),
}
STAY_LAZY = {"kernel", "two batches", "diagonal"}
TAKE_SPARSE = [name for name in CALLS if name != "analysis"]


class Wrapped:
    """Of no library, with ``__array__`` alone."""

    def __init__(self, x: np.ndarray) -> None:
        self._x = x

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._x


def torch_csr(x: np.ndarray) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "sparse CSR support is in beta"
        return torch.from_numpy(x.copy()).to_sparse_csr()


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def unaligned(x: np.ndarray) -> np.ndarray:
    memory = np.empty(x.nbytes + 1, np.uint8)
    result = memory[1:].view(x.dtype).reshape(x.shape)
    result[...] = x
    assert result.flags.aligned == (x.itemsize == 1)
    return result


def memmap(x: np.ndarray, folder: Path) -> np.memmap:
    np.save(folder / "x.npy", x)
    return np.load(folder / "x.npy", mmap_mode="r")


DENSE: dict[str, Callable[[np.ndarray], Any]] = {
    "numpy": np.copy,
    "torch": lambda x: torch.from_numpy(x.copy()),
    "torch strided": lambda x: torch.from_numpy(np.asfortranarray(x)),
    "pandas": lambda x: pd.DataFrame(x, index=NAMES),
    "polars": lambda x: pl.DataFrame(x, orient="row"),
    "list": lambda x: x.tolist(),
    "__array__": Wrapped,
    "read-only": read_only,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "Fortran": np.asfortranarray,
    "unaligned": unaligned,
}
SPARSE: dict[str, Callable[[np.ndarray], Any]] = {
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "csc": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "torch csr": torch_csr,
}
OUT = {"torch": torch.Tensor, "torch strided": torch.Tensor, "torch csr": torch.Tensor}


def check(call: str, make: str, x: Any) -> None:
    """The same make out, with the values of NumPy's result."""
    result, expected = CALLS[call](x), CALLS[call](X)
    if make == "pandas":
        assert isinstance(result, pd.Series if expected.ndim == 1 else pd.DataFrame)
        assert list(result.index) == NAMES
    elif make == "polars":
        assert isinstance(result, pl.Series if expected.ndim == 1 else pl.DataFrame)
    else:
        assert isinstance(result, OUT.get(make, np.ndarray))
    values = np.asarray(result)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("make", DENSE)
@pytest.mark.parametrize("call", CALLS)
def test_the_same_make_comes_out(call: str, make: str) -> None:
    check(call, make, DENSE[make](X))


@pytest.mark.parametrize("make", SPARSE)
@pytest.mark.parametrize("call", TAKE_SPARSE)
def test_sparse_rows_of_any_format(call: str, make: str) -> None:
    check(call, make, SPARSE[make](X))


@pytest.mark.parametrize("call", CALLS)
def test_files_in_memory(call: str, tmp_path: Path) -> None:
    check(call, "memmap", memmap(X, tmp_path))


@pytest.mark.parametrize("call", CALLS)
def test_blocks_of_dask(call: str) -> None:
    da = pytest.importorskip("dask.array")
    expected = CALLS[call](X)
    lazy = da.from_array(X, chunks=(3, D))
    blocks = [CALLS[call](block.compute(scheduler="synchronous")) for block in lazy.blocks]
    assert all(isinstance(block, np.ndarray) for block in blocks)
    if call != "kernel":  # which would be the diagonal blocks
        np.testing.assert_allclose(np.concatenate(blocks), expected, rtol=1e-12, atol=1e-12)
    if call in ("feature map", "sketch"):
        mapped = lazy.map_blocks(CALLS[call], dtype=np.float64, chunks=(lazy.chunks[0], (expected.shape[1],)))
        np.testing.assert_allclose(mapped.compute(scheduler="threads"), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("call", [name for name in CALLS if name != "analysis"])
@pytest.mark.parametrize("dtype", [np.float16, np.int8, np.int64, np.uint16, np.bool_])
def test_all_but_halves_become_float64(call: str, dtype: type) -> None:
    x, precision = (X * 3).astype(dtype), np.float32 if dtype is np.float16 else np.float64
    expected = CALLS[call](x.astype(precision))
    makes = ["numpy", "pandas", "list", "big-endian", "negative strides", "Fortran", "unaligned", "torch"]
    for make in makes if dtype is not np.uint16 else makes[:-1]:
        if dtype is np.float16 and make == "list":  # whose floats are float64
            continue
        result = np.asarray(CALLS[call](DENSE[make](x)))
        assert result.dtype == (np.float64 if call == "two batches" else precision)
        np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("make", ["numpy", "torch", "pandas", "polars"])
def test_precision_of_kernel_matrices_is_kept(make: str) -> None:
    for dtype in (np.float32, np.float64):
        x = DENSE[make](X.astype(dtype))
        assert np.asarray(CALLS["analysis"](x)).dtype == dtype


def test_statistics_of_frames() -> None:
    gram = pd.DataFrame(np.eye(3, dtype=np.float32))
    assert isinstance(analysis.spectrum(gram), pd.Series)
    assert isinstance(analysis.spectrum(pl.DataFrame(np.eye(3))), pl.Series)
    assert isinstance(analysis.effective_rank(gram), float)


@pytest.mark.parametrize("make", ["numpy", "torch", "pandas", "polars", "list", "big-endian"])
def test_single_vectors(make: str) -> None:
    vector: Any = {"pandas": pd.Series, "polars": pl.Series}.get(make, DENSE[make])(X[0])
    kind = {"pandas": pd.Series, "polars": pl.Series, "torch": torch.Tensor}.get(make, np.ndarray)
    kernel = nk.NTK(NET)
    number = kernel(vector, vector)
    assert np.ndim(number) == 0
    assert isinstance(number, torch.Tensor if make == "torch" else np.float64)
    assert float(number) == pytest.approx(kernel(X)[0, 0], rel=1e-12)
    assert isinstance(kernel.diag(vector), kind)
    assert np.shape(kernel(vector, X)) == (1, len(X))
    features = MAP(vector)
    assert isinstance(features, kind)
    np.testing.assert_allclose(np.asarray(features), MAP(X)[0], rtol=1e-12, atol=1e-14)


def test_names_of_both_batches() -> None:
    frame, other = pd.DataFrame(X, index=NAMES), pd.DataFrame(X[:2], index=["a", "b"])
    kernel = nk.NTK(NET)
    assert list(kernel(frame).columns) == NAMES
    assert list(kernel(frame, other).columns) == ["a", "b"]
    for x in (X, X.tolist(), pl.DataFrame(X)):  # lists have an `index`, too
        assert list(kernel(other, x).columns) == list(range(7))
        assert list(kernel(other, x).index) == ["a", "b"]
    assert isinstance(kernel(X, frame), np.ndarray)
    assert isinstance(kernel(pl.DataFrame(X), frame), pl.DataFrame)
    cross = pd.DataFrame(np.ones((2, 3)), index=["a", "b"], columns=["u", "v", "w"])
    assert list(analysis.attribution(cross, np.eye(3), np.ones(3)).columns) == ["u", "v", "w"]
    assert list(analysis.top_influences(cross, 2).index) == ["a", "b"]
    scores = analysis.look_ahead(
        pd.DataFrame(np.eye(5)[:, :3], index=list("abcde")), np.eye(3), [1, 1], np.ones((4, 5))
    )
    assert list(scores.index) == ["d", "e"]


@pytest.mark.parametrize("call", ["kernel", "two batches", "diagonal", "feature map", "sketch"])
def test_gradients_flow(call: str) -> None:
    for x in (torch.from_numpy(X.copy()), torch.from_numpy(np.asfortranarray(X))):
        result = CALLS[call](x.requires_grad_())
        (gradient,) = torch.autograd.grad(result.sum(), x)
        assert torch.isfinite(gradient).all()
        assert gradient.any()


def test_gradients_of_kernel_matrices() -> None:
    gram = torch.from_numpy(X @ X.T).float().requires_grad_()
    (gradient,) = torch.autograd.grad(analysis.effective_rank(gram), gram)
    assert gradient.dtype == torch.float32
    assert gradient.any()


def test_graphs_of_tensors_give_tensors() -> None:
    net = nk.Sequential(nk.GraphAggregate(), nk.Dense(), nk.ReLU(), nk.GlobalSumPool(), nk.Dense())
    x, edges = torch.ones(2, 3, 2, dtype=torch.float64), torch.ones(2, 3, 3)
    kernel = nk.NNGP(net)
    assert isinstance(kernel(nk.Graphs(x, edges)), torch.Tensor)
    assert isinstance(kernel(nk.Graphs(x.numpy(), edges.numpy())), np.ndarray)


def with_nan(make: Callable[[np.ndarray], Any], value: float = np.nan) -> Any:
    x = np.arange(1.0, 1 + 7 * D).reshape(7, D)
    x[2, 3] = x[5, 0] = value
    return make(x)


MISSING = {c: [1.0, None] for c in "abcde"}
FAULTS: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    **{
        f"NaN in {make}": (
            lambda make=make: with_nan((DENSE | SPARSE)[make]),
            ValueError,
            r"2 of 35 entries are NaN or infinite, the first at row 2, column 3\. ",
        )
        for make in ("numpy", "torch", "pandas", "polars", "list", "big-endian", "read-only", "csr", "csc", "torch csr")
    },
    "infinity": (lambda: with_nan(np.copy, -np.inf), ValueError, "2 of 35 entries are NaN or infinite"),
    "missing in polars": (
        lambda: pl.DataFrame({c: [1.0, None] for c in "abcde"}),
        ValueError,
        "5 of 10 .* row 1, column 0",
    ),
    "complex": (lambda: X.astype(complex), TypeError, r"real numbers; got .* dtype complex128\. Pass its \.real"),
    "complex tensor": (lambda: torch.ones(2, D, dtype=torch.complex128), TypeError, "real .* dtype complex128"),
    "complex csr": (lambda: sparse.csr_matrix(X * 1j), TypeError, "real numbers; got .* dtype complex128"),
    "objects": (lambda: np.array([[{}] * D]), TypeError, "real numbers; got .* dtype object. Encode"),
    "none": (lambda: np.array([[1.0] * D, [None] * D]), ValueError, "5 of 10 .* row 1, column 0"),
    "missing in nullable columns": (
        lambda: pd.DataFrame({c: [1, None] for c in "abcde"}, dtype="Int64"),
        ValueError,
        "5 of 10 .* row 1, column 0",
    ),
    "complex objects": (lambda: np.array([[1j] * D], object), TypeError, "real numbers; got .* dtype object. Encode"),
    "missing in pandas": (
        lambda: pd.DataFrame({c: [1.0, None] for c in "abcde"}),
        ValueError,
        "5 of 10 .* row 1, column 0",
    ),
    "no array": (lambda: {"a": 1}, TypeError, "dtype object. Encode"),
    "strings": (lambda: np.full((2, D), "a"), TypeError, "real numbers; got .* dtype <U1. Encode"),
    "strings in polars": (lambda: pl.DataFrame({"a": ["x"]}), TypeError, "dtype object. Encode"),
    "dates": (lambda: np.zeros((2, D), "M8[s]"), TypeError, "dtype datetime64"),
    "ragged": (lambda: [[1.0, 2.0], [3.0]], ValueError, "one array of numbers, all rows of one shape"),
    "coo tensor": (lambda: torch.from_numpy(X).to_sparse(), TypeError, r"dense.* layout torch\.sparse_coo\. "),
    "lazy frame": (lambda: pl.DataFrame(X).lazy(), TypeError, r"lazy LazyFrame.*Pass \w+\.collect\(\)"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", CALLS)
def test_one_fault_one_message(call: str, fault: str) -> None:
    make, error, message = FAULTS[fault]
    if call == "analysis" and "cs" in fault:
        error, message = TypeError, r"expected a dense array; got .*Pass its \.to"
    with pytest.raises(error, match=r"^(x|x1|cross): (?:.|\n)*" + message):
        CALLS[call](make())


@pytest.mark.parametrize("call", CALLS)
def test_lazy_arrays_are_not_computed(call: str) -> None:
    da = pytest.importorskip("dask.array")

    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed unasked")

    lazy = da.ones((6, D), chunks=(3, D)).map_blocks(fail, dtype=np.float64, meta=np.empty((0, 0)))
    if call in STAY_LAZY:
        assert CALLS[call](lazy).shape[0] == 6
        return
    with pytest.raises(TypeError, match=r"lazy Dask array.*map_blocks.*compute\(\)"):
        CALLS[call](lazy)


def test_places_of_nan() -> None:
    images = np.ones((3, 2, 4, 4))
    images[1, 0, 2, 3] = np.nan
    for x in (images, torch.from_numpy(images)):
        with pytest.raises(ValueError, match=r"1 of 96 .* row 1, place \(0, 2, 3\)"):
            nk.NTK(nk.cnn(1))(x)
    with pytest.raises(ValueError, match=r"residual: 1 of 3 .* row 1\."):
        analysis.attribution(np.ones((2, 3)), np.eye(3), [1.0, np.nan, 1.0])


def test_other_widths_and_devices() -> None:
    for call in (MAP, SKETCH):
        message = r"^x: expected examples of shape \(5,\), for which the \w+ was built; got \(4,\)\. Build another\."
        with pytest.raises(ValueError, match=message):
            call(X[:, :4])
    with pytest.raises(ValueError, match=r"^x is on meta, the sketch is on cpu; move one"):
        SKETCH(torch.empty(len(X), D, device="meta"))


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([[0.0]], TypeError, "NumPy array, memmap or torch tensor; got list"),
        (read_only(np.empty((7, 8))), ValueError, "read-only"),
        (np.empty((7, 8))[::-1], ValueError, "negative strides"),
        (np.empty((7, 8), ">f8"), TypeError, "expected dtype torch.float64, that of the inputs; got >f8"),
        (np.empty((7, 8), np.float32), TypeError, "expected dtype torch.float64.* got torch.float32"),
        (np.empty((8, 7)), ValueError, r"expected shape \(7, 8\), got \(8, 7\)"),
        (torch.empty(7, 8, dtype=torch.float64, requires_grad=True), ValueError, "no gradient"),
        (torch.empty(7, 8, dtype=torch.float64, device="meta"), ValueError, "on meta, the inputs are on cpu"),
    ],
)
def test_targets(out: Any, error: type[Exception], message: str) -> None:
    z = np.ones((8, D))
    for call in (SKETCH, lambda x, out: nk.NTK(NET)(x, z, out=out)):
        with pytest.raises(error, match=f"^out.*{message}"):
            call(X, out=out)


def test_csr_that_points_outside_is_refused() -> None:
    matrix = sparse.csr_matrix(np.eye(D))
    tensor = torch_csr(np.eye(D))
    matrix.indices[1] = tensor.col_indices()[1] = 7
    for call in TAKE_SPARSE:
        for x in (matrix, tensor):
            with pytest.raises(ValueError, match="column indices 0 to 7, expected 0 to 4"):
                CALLS[call](x)


FOREIGN = """
import sys
import numpy as np, torch
import neural_kernels as nk
from neural_kernels.sketches import SRHT
x = np.eye(4)
for call in (nk.NTK(nk.mlp(1)), nk.feature_map(nk.mlp(1), n_components=4), SRHT(4, 4)):
    call(x), call(torch.eye(4)), call(x.tolist())
print(sorted({"pandas", "polars", "dask"} & sys.modules.keys()))
"""


def test_no_library_is_imported_that_nobody_passed() -> None:
    output = subprocess.run([sys.executable, "-c", FOREIGN], capture_output=True, text=True, check=True).stdout
    assert output == "[]\n"
