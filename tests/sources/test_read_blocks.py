"""Files and tables of every kind give the rows that were written, in blocks, and models their plain fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.parquet
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.datasets import dump_svmlight_file

import neural_kernels as nk
from neural_kernels.sources import Block, RowSource
from neural_kernels.sources.svmlight import SvmlightFormat

RNG = np.random.default_rng(0)
X = RNG.standard_normal((230, 3))
Y = np.sin(X[:, 0])
W = RNG.integers(0, 3, 230).astype(float)
LABELS = np.where(Y > 0, "up", "down")
FRAME = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y, w=W, label=LABELS)
TABLE = pa.Table.from_pandas(FRAME)
PARTS = [slice(0, 100), slice(100, 230)]


def write_parquet(frame: pd.DataFrame, path: Path) -> None:
    pa.parquet.write_table(pa.Table.from_pandas(frame), path, row_group_size=64)


def write_feather(frame: pd.DataFrame, path: Path) -> None:
    pa.feather.write_feather(pa.Table.from_pandas(frame), str(path), chunksize=64)


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".parquet": write_parquet,
    ".feather": write_feather,
    ".csv": write_csv,
    ".csv.gz": write_csv,
    ".tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
}
NAMED: Any = {"target": "y", "columns": ["a", "b", "c"], "weight": "w"}


def whole(source: RowSource) -> Block:
    blocks = list(source)
    some = (None if blocks[0][k] is None else [block[k] for block in blocks] for k in range(3))
    return Block(*(None if parts is None else np.concatenate(parts) for parts in some))


def model() -> nk.NeuralFeatureRegressor:
    return nk.NeuralFeatureRegressor(nk.mlp(1, bias_var=0.1), n_components=24, alpha=0.1, random_state=0)


@pytest.mark.parametrize("suffix", WRITERS)
def test_rows_of_files(tmp_path: Path, suffix: str) -> None:
    for number, part in enumerate(PARTS):
        WRITERS[suffix](FRAME[part], tmp_path / f"part-{number}{suffix}")
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / ".hidden.csv").touch()
    source = nk.read_blocks(tmp_path, **NAMED, rows=40)
    for _ in range(2):
        assert max(len(block.X) for block in source) <= 40
        for got, expected in zip(whole(source), (X, Y, W), strict=True):
            assert_array_equal(got, expected)
    assert source.names == ("a", "b", "c")
    assert source.rows == (230 if suffix == ".parquet" else None)
    assert not source.once
    for path in (str(tmp_path / f"part-*{suffix}"), sorted(tmp_path.glob("part*")), tmp_path):
        fitted = model().fit(nk.read_blocks(path, **NAMED))
        assert_allclose(fitted.coef_, model().fit(X, Y, W).coef_, rtol=1e-8)
    assert list(fitted.feature_names_in_) == ["a", "b", "c"]
    # by the names that it was fitted to, whatever else there is, and in another order
    assert_allclose(fitted.predict(tmp_path), fitted.predict(FRAME[["a", "b", "c"]]), rtol=1e-9)


def test_names_of_columns_beside_a_path(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_parquet(FRAME.drop(columns="label"), path)
    fitted = model().fit(path, y="y", sample_weight="w")
    assert_allclose(fitted.coef_, model().fit(X, Y, W).coef_, rtol=1e-8)
    fitted.partial_fit(str(path), y="y", sample_weight="w")
    assert fitted.moments_.weight == 2 * W.sum()
    two = model().fit([path], y=["y", "c"], sample_weight="w")
    assert two.predict(path).shape == (230, 2)
    assert list(two.feature_names_in_) == ["a", "b"]
    features = nk.NeuralFeatures(n_components=8, random_state=0).fit(path, y="y")
    assert list(features.feature_names_in_) == ["a", "b", "c", "w"]
    assert features.transform(path).shape == (230, 8)


@pytest.mark.parametrize("suffix", WRITERS)
def test_labels(tmp_path: Path, suffix: str) -> None:
    frame = FRAME.assign(whole=(Y > 0).astype(int), truth=Y > 0).drop(columns=["w", "y"])
    WRITERS[suffix](frame, tmp_path / f"rows{suffix}")
    for target, expected in (("label", ["down", "up"]), ("whole", [0, 1]), ("truth", [False, True])):
        classifier = nk.NeuralFeatureClassifier(nk.mlp(1), n_components=16, alpha=0.1, random_state=0)
        classifier.fit(nk.read_blocks(tmp_path, target, columns=["a", "b", "c"], rows=50))
        assert classifier.classes_.tolist() == expected
        assert classifier.classes_.dtype.kind == {"label": "U", "whole": "i", "truth": "b"}[target]
        assert_array_equal(classifier.predict(tmp_path), classifier.predict(FRAME[["a", "b", "c"]]))


def test_integers_that_become_fractions_in_a_later_block_of_text(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("neural_kernels.sources.arrow._TEXT", 64)
    lines = ["a,y", *(f"{k},{k}" for k in range(30)), "1.5,2.5", ",7"]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    block = whole(nk.read_blocks(tmp_path / "rows.csv", "y", rows=4))
    assert_array_equal(block.X[:, 0], [*range(30), 1.5, np.nan])
    assert_array_equal(block.y, [*range(30), 2.5, 7])


TABLES: dict[str, Callable[[], Any]] = {
    "table": lambda: TABLE,
    "batch": lambda: TABLE.combine_chunks().to_batches()[0],
    "reader": lambda: TABLE.to_reader(max_chunksize=70),
    "data set": lambda: pa.dataset.dataset(TABLE),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_of_pyarrow(kind: str) -> None:
    source = nk.read_blocks(TABLES[kind](), **NAMED, rows=40)
    assert source.once == (kind == "reader")
    assert source.rows == (None if kind == "reader" else 230)
    for got, expected in zip(whole(source), (X, Y, W), strict=True):
        assert_array_equal(got, expected)


def test_a_table_with_names_of_columns() -> None:
    fitted = model().fit(TABLE.drop_columns("label"), "y", "w")
    assert_allclose(fitted.coef_, model().fit(X, Y, W).coef_, rtol=1e-8)
    assert_allclose(fitted.predict(TABLE), fitted.predict(FRAME[["a", "b", "c"]]))


def test_a_data_set_of_files(tmp_path: Path) -> None:
    write_parquet(FRAME, tmp_path / "rows.parquet")
    source = nk.read_blocks(pa.dataset.dataset(tmp_path), **NAMED, rows=40)
    assert_array_equal(whole(source).X, X)


def test_precision_and_missing_values() -> None:
    table = pa.table({"a": pa.array([1, 2], pa.float32()), "b": pa.array([1, 2], pa.float16()), "c": [1, 2]})
    assert whole(nk.read_blocks(table, columns=["a", "b"])).X.dtype == np.float32
    assert whole(nk.read_blocks(table)).X.dtype == np.float64
    table = pa.table(
        {"a": [1, None], "b": [True, None], "c": pa.nulls(2), "d": pa.array([1, None], pa.decimal128(5, 2))}
    )
    assert_array_equal(whole(nk.read_blocks(table)).X, [[1, 1, np.nan, 1], [np.nan] * 4])


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("order", ["C", "F"])
def test_archives_of_arrays(tmp_path: Path, save: Any, order: Any) -> None:
    save(tmp_path / "rows.npz", X=np.asarray(X, order=order), y=Y, w=W)
    source = nk.read_blocks(tmp_path / "rows.npz", weight="w", rows=40)
    for got, expected in zip(whole(source), (X, Y, W), strict=True):
        assert_array_equal(got, expected)
    assert len(list(source)) == 6
    fitted = model().fit(tmp_path / "rows.npz", sample_weight="w")
    assert_allclose(fitted.coef_, model().fit(X, Y, W).coef_, rtol=1e-8)
    save(tmp_path / "only.npz", rows=X)
    assert_allclose(fitted.predict(tmp_path / "only.npz"), fitted.predict(X))
    save(tmp_path / "images.npz", X=RNG.integers(0, 255, (20, 1, 4, 4), dtype=np.uint8), label=LABELS[:20])
    block = whole(nk.read_blocks(tmp_path / "images.npz", "label", rows=7))
    assert block.X.shape == (20, 1, 4, 4)
    assert_array_equal(block.y, LABELS[:20])


def test_archives_of_sparse_matrices(tmp_path: Path) -> None:
    matrix = sparse.random(100, 20, 0.2, format="csr", random_state=0)
    sparse.save_npz(tmp_path / "rows.npz", matrix)
    blocks = list(nk.read_blocks(tmp_path / "rows.npz", rows=30))
    assert (sparse.vstack([block.X for block in blocks]) != matrix).nnz == 0
    assert blocks[0].y is None


@pytest.mark.parametrize("zero_based", [True, False])
def test_svmlight(tmp_path: Path, zero_based: bool) -> None:
    matrix = sparse.random(100, 20, 0.2, format="lil", random_state=0)
    matrix[0, 0] = matrix[5, 19] = 1.0
    matrix = matrix.tocsr()
    for number, part in enumerate([slice(0, 40), slice(40, 100)]):
        path = str(tmp_path / f"part-{number}.svm")
        dump_svmlight_file(matrix[part], Y[:100][part], path, zero_based=zero_based, comment="of the tests")
    source = nk.read_blocks(tmp_path, rows=30)
    assert source.rows == 100
    blocks = list(source)
    assert [block.X.shape for block in blocks] == [(30, 20), (10, 20), (30, 20), (30, 20)]
    assert_allclose(sparse.vstack([block.X for block in blocks]).toarray(), matrix.toarray())
    assert_allclose(np.concatenate([block.y for block in blocks]), Y[:100])
    fitted = model().fit(tmp_path)
    assert_allclose(fitted.coef_, model().fit(matrix, Y[:100]).coef_, rtol=1e-6)
    few = str(tmp_path / "few.svm")
    dump_svmlight_file(matrix[:5], Y[:5], few, zero_based=zero_based)  # without the last columns
    assert_allclose(fitted.predict(few), fitted.predict(matrix[:5]))
    assert SvmlightFormat.kind == "svmlight"
