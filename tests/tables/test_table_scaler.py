"""The scaler of tables: its formula, weights, and columns that a person would not trust a formula with."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

import neural_kernels as nk

RNG = np.random.default_rng(0)


def bent(z: np.ndarray) -> np.ndarray:
    return z / np.sqrt(1 + (z / 3) ** 2)


def test_columns_are_scaled_by_median_and_range_and_bent() -> None:
    X = RNG.standard_t(2, size=(101, 3)) * [1e-3, 1, 1e5] + [5, 0, -1e6]
    low, middle, high = np.quantile(X, (0.25, 0.5, 0.75), axis=0, method="averaged_inverted_cdf")
    scaler = nk.TableScaler().fit(X)
    assert_array_equal(scaler.center_, middle)
    assert_array_equal(scaler.scale_, high - low)
    assert_allclose(scaler.transform(X), bent((X - middle) / (high - low)), rtol=1e-12)
    assert_array_equal(scaler.groups_, [0, 1, 2])


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_columns_of_two_values_keep_a_width_of_one(share: float) -> None:
    X = (np.arange(200) < 200 * share)[:, None] * 1e6
    scaled = nk.TableScaler().fit_transform(X)
    assert_allclose(np.unique(scaled), bent(np.array([-1.0, 0.0] if share > 0.5 else [0.0, 1.0])), rtol=1e-12)


def test_counts_that_are_mostly_zero_are_measured_by_the_others() -> None:
    X = np.r_[np.zeros(90), [1, 2, 2, 3, 3, 3, 4, 4, 5, 1e30]][:, None]
    scaler = nk.TableScaler().fit(X)
    assert (scaler.center_[0], scaler.scale_[0]) == (0, 3)
    assert_allclose(scaler.transform(X)[-5:, 0], bent(np.array([1, 4 / 3, 4 / 3, 5 / 3, 1e30])), rtol=1e-12)


def test_columns_that_do_not_vary_become_zero_whatever_comes_later() -> None:
    X = np.c_[np.full(20, 7.0), np.full(20, np.nan), np.arange(20)]
    scaler = nk.TableScaler().fit(X)
    scaled = scaler.transform([[1e9, 3.0, 5.0], [np.nan, np.nan, np.nan]])
    assert scaled.shape == (2, 3)
    assert_array_equal(scaled[:, :2], 0)


def test_missing_values_take_the_median_and_have_an_indicator() -> None:
    X = np.c_[np.arange(21.0), np.arange(21.0)]
    X[3:6, 1] = np.nan
    scaler = nk.TableScaler().fit(X)
    scaled = scaler.transform(X)
    assert_array_equal(scaler.get_feature_names_out(), ["x0", "x1", "x1_missing"])
    assert_array_equal(scaler.groups_, [0, 1, 1])
    assert_array_equal(scaler.missing_, [1])
    assert_array_equal(scaled[3:6, 1], 0)
    assert_allclose(scaled[:, 2], bent(np.isnan(X[:, 1]).astype(float)))
    without = nk.TableScaler(indicators=False).fit_transform(X)
    assert_array_equal(without, scaled[:, :2])
    mostly = np.where(np.arange(21) < 15, np.nan, X[:, 0])[:, None]
    assert_allclose(np.unique(nk.TableScaler().fit_transform(mostly)[:, 1]), bent(np.array([-1.0, 0.0])))


def test_names_of_indicators_do_not_meet_others() -> None:
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0], "a_missing": [1.0, 2.0, 3.0]})
    scaler = nk.TableScaler().set_output(transform="polars").fit(frame)
    assert scaler.transform(frame).columns == ["a", "a_missing", "a_missing_"]


@given(arrays(np.int64, (30, 2), elements=st.integers(-5, 5)), arrays(np.int64, 30, elements=st.integers(0, 3)))
@settings(max_examples=50, deadline=None)
def test_weights_are_repeated_rows(X: np.ndarray, weights: np.ndarray) -> None:
    weights[0] = 1
    X = np.where(X == 5, np.nan, X)
    weighted, repeated = (
        nk.TableScaler().fit(X, sample_weight=weights * 0.1),  # whose sums are rounded
        nk.TableScaler().fit(X.repeat(weights, axis=0)),
    )
    assert_array_equal(weighted.center_, repeated.center_)
    assert_array_equal(weighted.scale_, repeated.scale_)
    assert_array_equal(weighted.transform(X), repeated.transform(X))


@given(
    arrays(np.float64, st.integers(2, 12), elements=st.floats(allow_nan=True, allow_infinity=False)),
    st.floats(allow_nan=False, allow_infinity=False),
)
@settings(max_examples=300, deadline=None)
def test_any_numbers_stay_between_the_bounds_and_in_their_order(column: np.ndarray, new: float) -> None:
    scaler = nk.TableScaler(indicators=False).fit(column[:, None])
    inside = np.sort(np.r_[column[~np.isnan(column)], new])
    scaled = scaler.transform(inside[:, None])[:, 0]
    assert np.isfinite(scaled).all()
    assert (np.abs(scaled) <= 3).all()
    assert (np.diff(scaled) >= 0).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e300])
def test_scales_do_not_matter(scale: float) -> None:
    X = RNG.standard_normal((50, 2))
    assert_allclose(nk.TableScaler().fit_transform(X * scale), nk.TableScaler().fit_transform(X), rtol=1e-9)


def test_float32_stays_and_is_that_of_float64() -> None:
    X = (RNG.standard_normal((50, 3)) * [1, 1e30, 1e-30]).astype(np.float32)
    scaled = nk.TableScaler().fit_transform(X)
    assert scaled.dtype == np.float32
    assert_allclose(scaled, nk.TableScaler().fit_transform(X.astype(np.float64)), rtol=1e-6)


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="infinity"):
        nk.TableScaler().fit([[1.0], [np.inf]])
    scaler = nk.TableScaler().fit([[1.0], [2.0]])
    with pytest.raises(ValueError, match="infinity"):
        scaler.transform([[-np.inf]])
    with pytest.raises(ValueError, match=r"(?i)sample.weight"):
        scaler.fit([[1.0], [2.0]], sample_weight=[0, 0])
    assert_allclose(scaler.transform([[1.5]]), 0)  # the failed fit has left it as it was


def test_frames_of_numbers_and_pickles() -> None:
    X = RNG.standard_normal((20, 2))
    scaler = nk.TableScaler().fit(X)
    for frame in (pd.DataFrame(X, columns=["a", "b"]), pl.DataFrame(X, schema=["a", "b"])):
        again = pickle.loads(pickle.dumps(nk.TableScaler().fit(frame)))
        assert_array_equal(again.transform(frame), scaler.transform(X))
        assert_array_equal(again.get_feature_names_out(), ["a", "b"])
