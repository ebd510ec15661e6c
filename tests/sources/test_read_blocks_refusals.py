"""What is wrong with files is said with their names and what to do, as soon as it can be seen."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest

import neural_kernels as nk

FRAME = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0], "city": ["x", "y", "z"], "y": [1.0, 2.0, 4.0]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    FRAME.to_parquet(tmp_path / "rows.parquet")
    FRAME.to_feather(tmp_path / "rows.feather")
    np.savez(tmp_path / "rows.npz", X=FRAME[["a", "b"]].to_numpy(), y=FRAME["y"].to_numpy())
    (tmp_path / "rows.svm").write_text("1 1:2 3:4\n0 2:1\n")
    return tmp_path


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet", "rows.feather"])
def test_columns(folder: Path, name: str) -> None:
    path = folder / name
    with pytest.raises(ValueError, match=rf"{name}: no column 'price'; there are 'a', 'b', 'city', 'y'"):
        nk.read_blocks(path, "price")
    with pytest.raises(ValueError, match=r"no column 'c', 'd'"):
        nk.read_blocks(path, "y", columns=["a", "c", "d"])
    with pytest.raises(ValueError, match=r"no column 'w'"):
        nk.read_blocks(path, "y", weight="w")
    with pytest.raises(ValueError, match=rf"{name}: column 'city' holds .*string, no numbers: .*columns=\['a', 'b'\]"):
        nk.read_blocks(path, "y")
    with pytest.raises(ValueError, match=r"column 'city' holds .*string, no numbers"):
        list(nk.read_blocks(path, "y", columns=["a"], weight="city"))
    with pytest.raises(ValueError, match=r"no columns are left for X"):
        nk.read_blocks(path, ["a", "b", "city", "y"])
    model = nk.NeuralFeatureRegressor(n_components=8, alpha=0.1).fit(nk.read_blocks(path, "y", columns=["a", "b"]))
    with pytest.raises(ValueError, match=r"X has the columns \['b', 'a'\]; expected those of fit: \['a', 'b'\]"):
        model.predict(nk.read_blocks(path, columns=["b", "a"]))
    other = folder / f"other{path.suffix}"
    getattr(FRAME.drop(columns="b"), f"to_{path.suffix[1:]}")(other)
    with pytest.raises(ValueError, match=rf"other{path.suffix}: no column 'b'"):
        model.predict(other)
    with pytest.raises(ValueError, match=rf"other{path.suffix}: no column 'b', which the first file has"):
        list(nk.read_blocks([path, other], "y", columns=["a", "b"]))


def test_a_column_that_becomes_text_in_a_later_file(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"a": [1.0], "y": [1.0]}), tmp_path / "0.parquet")
    pa.parquet.write_table(pa.table({"a": ["one"], "y": [1.0]}), tmp_path / "1.parquet")
    with pytest.raises(ValueError, match=r"1\.parquet: column 'a' holds string, no numbers"):
        list(nk.read_blocks(tmp_path, "y"))
    (tmp_path / "rows.csv").write_text("a,y\n" + "1,2\n" * 10 + "one,3\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neural_kernels.sources.arrow._TEXT", 20)
        with pytest.raises(ValueError, match=r"rows\.csv cannot be read as CSV: .*'one'"):
            list(nk.read_blocks(tmp_path / "rows.csv", "y"))


def test_twice_the_same_name(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,a,y\n1,2,3\n")
    with pytest.raises(ValueError, match=r"rows\.csv: column 'a' is there more than once"):
        nk.read_blocks(tmp_path / "rows.csv", "y")


@pytest.mark.parametrize("target", ["label", "when"])
def test_targets_that_are_none(tmp_path: Path, target: str) -> None:
    table = pa.table({"a": [1.0, 2.0], "label": ["x", None], "when": pa.array([1, 2], pa.timestamp("s"))})
    pa.parquet.write_table(table, tmp_path / "rows.parquet")
    message = {"label": r"rows\.parquet: column 'label' has no label in row 1", "when": "column 'when' holds timestamp"}
    with pytest.raises(ValueError, match=message[target]):
        list(nk.read_blocks(tmp_path / "rows.parquet", target, columns="a"))


def test_paths(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"files of 5 kinds, CSV, Feather, NPZ, Parquet, svmlight\. Name one"):
        nk.read_blocks(folder)
    (folder / "empty").mkdir()
    (folder / "empty" / "_SUCCESS").touch()
    with pytest.raises(FileNotFoundError, match="the folder holds no files"):
        nk.read_blocks(folder / "empty")
    with pytest.raises(FileNotFoundError, match=r"no such file or folder, and no pattern"):
        nk.NeuralFeatureRegressor().fit(str(folder / "absent*.csv"), y="y")
    (folder / "notes.txt").write_text("1 2 3")
    with pytest.raises(ValueError, match=r"notes\.txt: expected a file whose name ends in one of \.parquet, \.pq"):
        nk.read_blocks(folder / "notes.txt")
    with pytest.raises(ValueError, match=r"notes\.txt: expected a file"):
        nk.read_blocks([folder / "rows.csv", folder / "notes.txt"])


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".feather", ".npz", ".svm"])
def test_files_that_are_empty_damaged_or_of_another_kind(folder: Path, suffix: str) -> None:
    def read(path: Path) -> None:
        options: Any = {"columns": ["a", "b"]} if suffix in (".csv", ".parquet", ".feather") else {}
        list(nk.read_blocks(path, "y" if options else None, **options))

    read(folder / f"rows{suffix}")
    path = folder / f"new{suffix}"
    path.touch()
    with pytest.raises(ValueError, match=rf"new{suffix} cannot be read as \w+: it is empty, 0 bytes"):
        read(path)
    path.write_bytes(b"\x00\x01 no such \xff\xfe file\n" * 40)
    with pytest.raises(ValueError, match=rf"new{suffix}"):
        read(path)
    if suffix in (".parquet", ".feather", ".npz"):
        content = (folder / f"rows{suffix}").read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match=rf"new{suffix} cannot be read as"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read(folder: Path) -> None:
    (folder / "rows.csv").chmod(0)
    with pytest.raises(ValueError, match=r"rows\.csv cannot be read as CSV: .*Permission denied"):
        nk.read_blocks(folder / "rows.csv", "y")


def test_archives_of_arrays(tmp_path: Path) -> None:
    X, y = np.ones((3, 2)), np.ones(3)

    def refused(message: str, target: Any = None, **arrays: Any) -> None:
        np.savez(tmp_path / "rows.npz", **arrays)
        with pytest.raises(ValueError, match=message):
            list(nk.read_blocks(tmp_path / "rows.npz", target))

    refused(r"rows\.npz: which of the arrays \['a', 'b'\] is X", a=X, b=X)
    refused(r"no array 'z'; there are \['X', 'y'\]", "z", X=X, y=y)
    refused(r"'X' has 3 rows, 'y' has 2", X=X, y=y[:2])
    refused("'y' is a single value", X=X, y=np.float64(3))
    with pytest.raises(TypeError, match="name one array each"):
        nk.read_blocks(tmp_path / "rows.npz", ["y", "z"])


def test_no_code_of_an_archive_runs(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "trapped"),)

    array = np.empty(1, dtype=object)
    array[0] = Trap()
    np.savez(tmp_path / "rows.npz", X=array, allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects, which are not loaded"):
        list(nk.read_blocks(tmp_path / "rows.npz", columns="X"))
    (tmp_path / "other.npz").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="cannot be read as NPZ"):
        list(nk.read_blocks(tmp_path / "other.npz"))
    assert not (tmp_path / "trapped").exists()


def test_svmlight(folder: Path) -> None:
    with pytest.raises(ValueError, match="the files have 3 columns, n_features=2"):
        nk.read_blocks(folder / "rows.svm", n_features=2)
    with pytest.raises(TypeError, match="no names of columns: leave target, columns and weight out"):
        nk.read_blocks(folder / "rows.svm", "y")
    assert next(iter(nk.read_blocks(folder / "rows.svm", n_features=7))).X.shape == (2, 7)
    (folder / "zeros.svm").write_text("1\n# none\n\n0 # neither\n")
    with pytest.raises(ValueError, match="no numbers in any row"):
        nk.read_blocks(folder / "zeros.svm")
    (folder / "text.svm").write_text("1 one:2\n")
    with pytest.raises(ValueError, match=r"text\.svm: expected lines 'target index:value \.\.\.', got '1 one:2"):
        nk.read_blocks(folder / "text.svm")


def test_parameters(folder: Path) -> None:
    path = folder / "rows.csv"
    for options, message in (
        ({"rows": 0}, r"rows=0\): expected a positive integer"),
        ({"n_features": 0}, "expected a positive integer"),
    ):
        with pytest.raises(ValueError, match=message):
            nk.read_blocks(path, "y", **options)
    for options in ({"target": 3}, {"columns": [1, 2]}, {"columns": []}, {"weight": ["w"]}, {"data": FRAME}):
        with pytest.raises(TypeError, match=rf"{next(iter(options))}="):
            nk.read_blocks(**({"data": path} | options))
    with pytest.raises(TypeError, match="y beside files or tables: expected the name of its column, got ndarray"):
        nk.NeuralFeatureRegressor().fit(path, np.ones(3))
    with pytest.raises(TypeError, match="y beside blocks"):
        nk.NeuralFeatureRegressor().fit(nk.read_blocks(path, "y", columns="a"), "y")
    with pytest.raises(ValueError, match=r"block 0 .*: no targets"):
        nk.NeuralFeatureRegressor().fit(nk.read_blocks(path, columns=["a", "b"]))
    with pytest.raises(TypeError, match=r"pyarrow's .*Array: expected a table"):
        nk.read_blocks(pa.array([1]))


def test_missing_values_are_told_by_block_row_and_column(tmp_path: Path) -> None:
    frame = FRAME.drop(columns="city").assign(b=[4.0, None, 6.0])
    frame.to_parquet(tmp_path / "rows.parquet")
    model = nk.NeuralFeatureRegressor(n_components=8)
    with pytest.raises(ValueError, match=r"block 1 \(rows 1 to 1\): X: 1 of 2 .* row 0, column 1 \('b'\)\. Remove"):
        model.fit(nk.read_blocks(tmp_path, "y", rows=1))


def test_without_pyarrow(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match=r"pip install 'neural-kernels\[arrow\]'"):
        nk.read_blocks(folder / "rows.csv", "y")
    assert len(list(nk.read_blocks(folder / "rows.npz"))) == 1
