"""Frames of every dtype of pandas and polars as numbers."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neural_kernels as nk

MOMENTS = [datetime.datetime(2024, 1, 1, 6), None, datetime.datetime(2024, 1, 3), datetime.datetime(2024, 1, 2)]
DAYS = [None if one is None else one.date() for one in MOMENTS]
SPANS = [datetime.timedelta(days=1), None, datetime.timedelta(hours=6), datetime.timedelta(0)]
TIMES = [datetime.time(6), None, datetime.time(12, 30), datetime.time(0)]
WORDS = ["b", None, "a", "b"]
TRUTH = [True, None, False, True]
NUMBERS = [3, None, 1, 2]
WHOLE = [3, 4, 1, 2]

LEVELS = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]  # b; missing, a
FLOATS = [[3], [np.nan], [1], [2]]
TRUE = [[1], [np.nan], [0], [1]]
SINCE = [[0, 1, 0], [np.nan] * 3, [1.75, 0, 1], [0.75, 0, 1]]  # and the hour's sine and cosine

PANDAS: dict[str, tuple[Any, str, Any]] = {
    **{f"{kind}": (pd.Series(WHOLE, dtype=kind), "number", np.c_[WHOLE]) for kind in ("int8", "uint64", "float16")},
    **{kind: (pd.Series(NUMBERS, dtype=kind), "number", FLOATS) for kind in ("float32", "float64", "Int16", "UInt8")},
    **{kind: (pd.Series(NUMBERS, dtype=kind), "number", FLOATS) for kind in ("Float32", "Float64", "Sparse[float64]")},
    "bool": (pd.Series([True, False, False, True]), "boolean", [[1], [0], [0], [1]]),
    "boolean": (pd.Series(TRUTH, dtype="boolean"), "boolean", TRUE),
    "truth among objects": (pd.Series(TRUTH, dtype=object), "boolean", TRUE),
    "numbers among objects": (pd.Series(NUMBERS, dtype=object), "number", FLOATS),
    "decimals": (pd.Series([Decimal(3), None, Decimal(1), Decimal(2)]), "number", FLOATS),
    "str": (pd.Series(WORDS, dtype="str"), "text", LEVELS),
    "string": (pd.Series(WORDS, dtype="string"), "text", LEVELS),
    "text among objects": (pd.Series(WORDS, dtype=object), "text", LEVELS),
    "category": (pd.Series(WORDS, dtype="category"), "text", LEVELS),
    "category of numbers": (pd.Series([2.0, None, 1.0, 2.0], dtype="category"), "category", LEVELS),
    "ordered": (pd.Series(pd.Categorical(WORDS, ["b", "c", "a"], ordered=True)), "ordered", [[0], [np.nan], [2], [0]]),
    "mixed": (pd.Series(["b", None, 1, "b"], dtype=object), "mixed", LEVELS),
    "datetime64[ns]": (pd.Series(MOMENTS, dtype="datetime64[ns]"), "date", SINCE),
    "datetime64[s]": (pd.Series(MOMENTS, dtype="datetime64[s]"), "date", SINCE),
    "time zone": (pd.Series(MOMENTS, dtype="datetime64[us]").dt.tz_localize("Asia/Tokyo"), "date", SINCE),
    "dates among objects": (pd.Series(DAYS, dtype=object), "date", [[0], [np.nan], [2], [1]]),
    "period": (pd.Series(pd.PeriodIndex(DAYS, freq="D")), "date", [[0], [np.nan], [2], [1]]),
    "timedelta64": (pd.Series(SPANS, dtype="timedelta64[ns]"), "duration", [[1], [np.nan], [0.25], [0]]),
    "times among objects": (pd.Series(TIMES, dtype=object), "time", [[6], [np.nan], [12.5], [0]]),
    "interval": (
        pd.Series(pd.IntervalIndex.from_breaks([0, 1, 2]).take([1, 0, 1, 1])),
        "mixed",
        [[0], [1], [0], [0]],
    ),
    "arrow int": (pd.Series(NUMBERS, dtype="int64[pyarrow]"), "number", FLOATS),
    "arrow bool": (pd.Series(TRUTH, dtype="bool[pyarrow]"), "boolean", TRUE),
    "arrow string": (pd.Series(WORDS, dtype="string[pyarrow]"), "text", LEVELS),
    "arrow timestamp": (pd.Series(MOMENTS, dtype="timestamp[us][pyarrow]"), "date", SINCE),
    "arrow date": (pd.Series(DAYS, dtype="date32[pyarrow]"), "date", [[0], [np.nan], [2], [1]]),
    "arrow duration": (pd.Series(SPANS, dtype="duration[us][pyarrow]"), "duration", [[1], [np.nan], [0.25], [0]]),
}
POLARS: dict[str, tuple[Any, str, Any]] = {
    **{str(kind): (pl.Series(NUMBERS, dtype=kind), "number", FLOATS) for kind in (pl.Int8, pl.UInt64, pl.Float32)},
    "Float64": (pl.Series(NUMBERS, dtype=pl.Float64), "number", FLOATS),
    "Decimal": (pl.Series([Decimal(3), None, Decimal(1), Decimal(2)]), "number", FLOATS),
    "Boolean": (pl.Series(TRUTH), "boolean", TRUE),
    "String": (pl.Series(WORDS), "text", LEVELS),
    "Categorical": (pl.Series(WORDS, dtype=pl.Categorical), "text", LEVELS),
    "Enum": (pl.Series(WORDS, dtype=pl.Enum(["b", "a"])), "text", LEVELS),
    "Datetime": (pl.Series(MOMENTS), "date", SINCE),
    "Datetime[ms]": (pl.Series(MOMENTS, dtype=pl.Datetime("ms")), "date", SINCE),
    "time zone": (pl.Series(MOMENTS).dt.replace_time_zone("Asia/Tokyo"), "date", SINCE),
    "Date": (pl.Series(DAYS), "date", [[0], [np.nan], [2], [1]]),
    "Duration": (pl.Series(SPANS), "duration", [[1], [np.nan], [0.25], [0]]),
    "Time": (pl.Series(TIMES), "time", [[6], [np.nan], [12.5], [0]]),
    "Binary": (pl.Series([b"b", None, b"a", b"b"]), "mixed", LEVELS),
    "Object": (pl.Series(["b", None, 1, "b"], dtype=pl.Object), "mixed", LEVELS),
}


@pytest.mark.parametrize("name", PANDAS)
def test_every_dtype_of_pandas(name: str) -> None:
    series, kind, wanted = PANDAS[name]
    check(pd.DataFrame({"x": series, "other": WHOLE}), kind, wanted)


@pytest.mark.parametrize("name", POLARS)
def test_every_dtype_of_polars(name: str) -> None:
    series, kind, wanted = POLARS[name]
    check(pl.DataFrame({"x": series, "other": WHOLE}), kind, wanted)


def check(frame: Any, kind: str, wanted: Any) -> None:
    encoder = nk.TableEncoder().fit(frame)
    assert encoder.kinds_ == [kind, "number"]
    encoded = encoder.transform(frame)
    wanted = np.array(wanted, dtype=float)
    assert_allclose(encoded[:, encoder.groups_ == 0], wanted, atol=1e-15)
    assert_array_equal(encoded[:, -1], WHOLE)
    assert len(encoder.get_feature_names_out()) == encoded.shape[1]
    one = frame[1:2]  # where values may be missing only
    assert_array_equal(encoder.transform(one), encoded[1:2])
