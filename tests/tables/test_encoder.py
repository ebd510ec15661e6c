"""The encoder of tables: levels, dates, what is dropped, and what later tables may differ in."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from polars.testing.parametric import dataframes

import neural_kernels as nk

FRAME = pd.DataFrame(
    {"size": [1, 2, 4, 3], "colour": ["red", "blue", "red", "grey"], "sold": [True, False, True, True]}
)


def fitted(**columns: Any) -> tuple[Any, Any]:
    frame = pd.DataFrame(columns)
    return nk.TableEncoder().fit(frame), frame


def test_rare_levels_share_one_and_new_ones_join_them() -> None:
    encoder, frame = fitted(x=["a"] * 50 + ["b"] * 30 + [None] * 18 + ["c", "d"])
    assert_array_equal(encoder.get_feature_names_out(), ["x=a", "x=b", "x=missing", "x=infrequent"])
    later = encoder.transform(pd.DataFrame({"x": ["c", "new", None, "b"]}))
    assert_array_equal(later, np.eye(4)[[3, 3, 2, 1]])
    assert_array_equal(encoder.transform(frame).sum(axis=1), 1)


def test_new_levels_have_no_indicator_where_none_is_rare() -> None:
    encoder, _ = fitted(x=["a", "b", "c"] * 4)
    assert_array_equal(encoder.transform(pd.DataFrame({"x": ["new", None, "a"]})), [[0, 0, 0], [0, 0, 0], [1, 0, 0]])


def test_the_most_frequent_levels_are_kept() -> None:
    frame = pd.DataFrame({"x": [f"{k}" for k in range(30) for _ in range(k + 1)]})
    names = nk.TableEncoder(max_levels=3).fit(frame).get_feature_names_out()
    assert_array_equal(names, ["x=29", "x=28", "x=27", "x=infrequent"])


def test_few_rows_keep_their_levels() -> None:
    encoder, _ = fitted(x=["a", "b", "c"])
    assert_array_equal(encoder.get_feature_names_out(), ["x=a", "x=b", "x=c"])


def test_levels_named_as_ours_are_told_apart() -> None:
    encoder, _ = fitted(x=["missing", None, "infrequent"] * 30 + ["rare"])
    names = encoder.get_feature_names_out().tolist()
    assert len(set(names)) == 4
    assert names[-1] == "x=infrequent_"


def test_dates_are_days_and_cycles_that_they_go_through() -> None:
    encoder, frame = fitted(
        day=pd.date_range("2020-03-01", periods=800, freq="D"),
        hour=pd.date_range("2020-03-01", periods=800, freq="h"),
        birthday=pd.date_range("2020-03-01", periods=800, freq="D").to_period("Y").to_timestamp(),
        minute=pd.date_range("2020-03-01", periods=800, freq="min"),
    )
    names = encoder.get_feature_names_out().tolist()
    waves = ("sin", "cos")
    assert names[:5] == ["day", *(f"day_{cycle}_{wave}" for cycle in ("year", "week") for wave in waves)]
    assert [name for name in names if name.startswith("hour")] == [
        "hour",
        *(f"hour_{cycle}_{wave}" for cycle in ("week", "day") for wave in waves),
    ]
    assert names[-1] == "minute"  # whose day is not over
    encoded = encoder.transform(frame)
    np.testing.assert_allclose(encoded[:7, 3:5], encoded[7:14, 3:5], atol=1e-9)
    assert_array_equal(encoded[:, 0], np.arange(800))


def test_columns_that_tell_nothing_are_dropped() -> None:
    names = [f"name {k}" for k in range(40)]
    frame = pd.DataFrame({"name": names, "one": "cm", "none": None, "null": np.nan, "x": range(40)})
    with pytest.warns(UserWarning, match="'name' is dropped"):
        encoder = nk.TableEncoder().fit(frame)
    assert_array_equal(encoder.get_feature_names_out(), ["x"])
    assert encoder.dropped_.keys() == {"name", "one", "none", "null"}
    with pytest.raises(ValueError, match="no column to learn from"):
        nk.TableEncoder().fit(frame[["one", "null"]])


def test_columns_are_found_by_name() -> None:
    encoder = nk.TableEncoder().fit(FRAME)
    turned = FRAME[["sold", "colour", "size"]].assign(other=1)
    assert_array_equal(encoder.transform(turned), encoder.transform(FRAME))
    assert_array_equal(encoder.transform(pl.from_pandas(turned)), encoder.transform(FRAME))
    with pytest.raises(ValueError, match=r"no columns \['size'\].*those that were not: \['Size'\]"):
        encoder.transform(FRAME.rename(columns={"size": "Size"}))
    with pytest.raises(ValueError, match="several columns named 'a'"):
        nk.TableEncoder().fit(pd.DataFrame([[1, 2]], columns=["a", "a"]))


def test_columns_of_another_kind_are_refused() -> None:
    encoder = nk.TableEncoder().fit(FRAME)
    with pytest.raises(TypeError, match=r"column 'size' is of kind 'text', and was 'number' in fit"):
        encoder.transform(FRAME.assign(size=["1", "2", "4", "3"]))
    with pytest.raises(TypeError, match="column 'size' is of kind 'mixed'"):
        encoder.transform(FRAME.assign(size=[1, "?", 4, 3]))
    with pytest.raises(TypeError, match="column 'colour' is of kind 'number'"):
        encoder.transform(FRAME.assign(colour=[1, 2, 3, 4]))
    kept = encoder.transform(FRAME.assign(sold=[1, 0, 1, 1], size=[1.0, None, 4.0, 3.0], colour=None))
    assert_array_equal(kept[:, -1], [1, 0, 1, 1])


def test_columns_of_several_types_take_any_of_them_later() -> None:
    encoder, frame = fitted(x=pd.Series([1, "a", 1.0, None, "a", 1] * 2, dtype=object))
    assert encoder.kinds_ == ["mixed"]
    later = encoder.transform(pd.DataFrame({"x": [1, 2, 1]}))
    assert_array_equal(later, encoder.transform(frame)[[0, 0, 0]] * [[1], [0], [1]])


def test_what_is_no_table_is_refused_with_advice() -> None:
    advice = {
        "DataFrame": {"a": [1, 2]},
        "collect": pl.LazyFrame({"a": [1, 2]}),
        "to_frame": pd.Series([1, 2]),
        "to_pandas": pl.DataFrame({"a": [1, 2]}).to_arrow(),
    }
    for word, table in advice.items():
        with pytest.raises(TypeError, match=word):
            nk.TableEncoder().fit(table)
    with pytest.raises(TypeError, match=r"column 'a'.*list"):
        nk.TableEncoder().fit(pl.DataFrame({"a": [[1], [2]]}))
    with pytest.raises(ValueError, match="column 'a' contains infinity"):
        nk.TableEncoder().fit(pd.DataFrame({"a": [1.0, np.inf]}))
    with pytest.raises(ValueError, match="column 'a': Complex"):
        nk.TableEncoder().fit(pd.DataFrame({"a": [1.0, 1j]}))
    for empty in (FRAME[:0], FRAME[[]], pl.DataFrame()):
        with pytest.raises(ValueError, match="got shape"):
            nk.TableEncoder().fit(empty)
    with pytest.raises(ValueError, match="min_rows"):
        nk.TableEncoder(min_rows=0).fit(FRAME)


def test_arrays_of_objects_and_lists_are_tables() -> None:
    rows = [[1, "a", None], [2, "b", True], [3, "a", False]]
    wanted = [[1, 0, np.nan], [2, 1, 1], [3, 0, 0]]
    for table in (rows, np.array(rows, dtype=object)):
        encoder = nk.TableEncoder().fit(table)
        assert_array_equal(encoder.transform(table), wanted)
        assert_array_equal(encoder.get_feature_names_out(), ["x0", "x1=b", "x2"])
    assert_array_equal(encoder.get_feature_names_out(["a", "b", "c"]), ["a", "b=b", "c"])


def test_single_precision_stays() -> None:
    frame = FRAME.assign(size=FRAME["size"].astype("float32"))
    assert nk.TableEncoder().fit_transform(frame).dtype == np.float32
    assert nk.TableEncoder().fit_transform(FRAME).dtype == np.float64


@given(dataframes(min_size=2, max_size=20, min_cols=1, max_cols=5, excluded_dtypes=[pl.List, pl.Array, pl.Struct]))
@settings(max_examples=60, deadline=None)
def test_any_frame_of_polars_or_of_pandas_is_encoded_or_refused_in_words(frame: pl.DataFrame) -> None:
    in_arrow = [name for name, dtype in frame.schema.items() if "128" not in str(dtype)]
    for table in (frame, frame[in_arrow].to_pandas()):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                encoder = nk.TableEncoder().fit(table)
        except ValueError as error:
            assert any(word in str(error) for word in ("infinity", "no column to learn from", "got shape ("))  # noqa: PT017
            continue
        encoded = encoder.transform(table)
        assert encoded.shape == (len(frame), len(encoder.groups_)) == (len(frame), len(encoder.get_feature_names_out()))
        scaled = nk.TableScaler().fit_transform(encoded)
        assert np.isfinite(scaled).all()
        assert (np.abs(scaled) <= 3).all()
        assert_array_equal(pickle.loads(pickle.dumps(encoder)).transform(table[:1]), encoded[:1])


@given(st.lists(st.one_of(st.none(), st.text(max_size=2), st.integers(), st.booleans(), st.dates()), min_size=2))
@settings(max_examples=100, deadline=None)
def test_any_values_of_python_make_a_column(values: list[Any]) -> None:
    frame = pd.DataFrame({"x": pd.Series(values, dtype=object), "k": range(len(values))})
    encoder = nk.TableEncoder(min_rows=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoded = encoder.fit_transform(frame)
    assert_array_equal(encoded[:, -1], frame["k"])
    assert_array_equal(encoder.transform(frame[::-1]), encoded[::-1])


@pytest.mark.parametrize("rows", [2, 3, 40])
def test_pipelines_of_awkward_tables_predict_finite_numbers(rows: int) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.standard_normal((rows, 60))).rename(columns=str)  # fewer rows than columns
    frame = frame.assign(none=np.nan, one=1.0, huge=np.r_[1e30, np.zeros(rows - 1)], word="a")
    frame.iloc[-1] = frame.iloc[0]  # a row twice
    frame.loc[frame.index[-1], "word"] = None
    model = nk.table_pipeline(nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))).fit(frame, np.arange(rows))
    far = frame.assign(huge=-1e30, word="new", none=3.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", nk.ScaleWarning)
        assert np.isfinite(model.predict(far)).all()
    assert model[:-1].get_feature_names_out()[-1].startswith("word=")
