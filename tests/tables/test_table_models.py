"""Models of tables: what they learn, what they say, what they refuse."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.metrics import log_loss
from sklearn.utils.estimator_checks import parametrize_with_checks

import neural_kernels as nk
from neural_kernels.tables import base

FAST = {"time_budget": 0.0}  # one kernel, without a metric


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try out
@parametrize_with_checks([nk.TableRegressor(**FAST), nk.TableClassifier(**FAST)])
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def frame():
    """Numbers, categories, truth values and missing cells, of which four columns count."""
    rng = np.random.default_rng(0)
    n = 300
    table = pd.DataFrame(
        {
            "size": rng.lognormal(3, 1, n),
            "colour": rng.choice(["red", "green", "blue"], n),
            "open": rng.random(n) < 0.4,
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.uniform(0, 80, n)),
            **{f"noise{k}": rng.standard_normal(n) for k in range(4)},
        }
    )
    target = np.log(table["size"]) * table["open"] + 2 * (table["colour"] == "red") + np.sin(table["age"].fillna(0) / 9)
    return table, (target + 0.1 * rng.standard_normal(n)).to_numpy()


@pytest.fixture(scope="module")
def regressor(frame):
    table, target = frame
    return nk.TableRegressor().fit(table[:200], target[:200])


def test_a_frame_as_it_is(frame, regressor):
    table, target = frame
    assert regressor.score(table[200:], target[200:]) > 0.75
    assert list(regressor.feature_names_in_) == list(table)
    assert regressor.feature_importances_.shape == (8,)
    assert regressor.feature_importances_.sum() == pytest.approx(1)
    assert regressor.feature_importances_[:4].sum() > 0.9


def test_steps_can_be_taken_apart(frame, regressor):
    table, _ = frame
    expected = regressor.pipeline_.predict(table[200:])
    np.testing.assert_array_equal(regressor.predict(table[200:]), expected)
    numbers = regressor.pipeline_[:-1].transform(table[200:])
    np.testing.assert_array_equal(regressor.model_.predict(np.asarray(numbers)), expected)


def test_intervals_deviations_and_novelty(frame, regressor):
    table, target = frame
    low, high = regressor.predict_interval(table[200:], 0.9).T
    assert 0.8 <= np.mean((low <= target[200:]) & (target[200:] <= high)) <= 1
    _, spread = regressor.predict(table[200:], return_std=True)
    assert 0.8 <= np.mean(np.abs(target[200:] - regressor.predict(table[200:])) < 1.645 * spread) <= 1
    assert regressor.novelty(table[200:]).shape == (100,)


def test_the_same_again(frame, regressor):
    table, target = frame
    again = clone(regressor).fit(table[:200], target[:200])
    np.testing.assert_array_equal(again.predict(table[200:]), regressor.predict(table[200:]))
    stored = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_allclose(stored.predict(table[200:]), regressor.predict(table[200:]), rtol=1e-9)


def test_the_report(regressor):
    report = regressor.report_
    assert (report.rows, report.searched, len(report.candidates), report.complete) == (200, 200, 33, True)
    assert sum(line["weight"] for line in report.candidates) == pytest.approx(1)
    assert report.score >= max(line["score"] for line in report.candidates) - 0.02
    assert "33 kernels judged by exact leave-one-out of 200 rows" in str(report)
    assert "all columns alike" in str(report)


def test_a_metric_is_worth_it(frame):
    x, y = make_friedman1(n_samples=500, n_features=30, noise=0.5, random_state=0)
    plain = nk.TableRegressor(**FAST).fit(x[:200], y[:200])
    learnt = nk.TableRegressor().fit(x[:200], y[:200])
    assert learnt.score(x[200:], y[200:]) > plain.score(x[200:], y[200:]) + 0.1
    assert learnt.feature_importances_[:5].sum() > 0.95
    assert "time budget" in str(plain.report_)


def test_several_targets():
    X, y = load_diabetes(return_X_y=True)
    both = nk.TableRegressor(**FAST).fit(X[:200], np.column_stack([y, -3 * y])[:200])
    assert both.predict(X[200:]).shape == (242, 2)
    assert both.predict_interval(X[200:]).shape == (242, 2, 2)
    np.testing.assert_allclose(both.predict(X[200:])[:, 1], -3 * both.predict(X[200:])[:, 0], rtol=1e-7)


def test_labels_and_probabilities():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = nk.TableClassifier().fit(X[::2], names[::2])
    assert list(model.classes_) == ["setosa", "versicolor", "virginica"]
    assert model.score(X[1::2], names[1::2]) > 0.93
    assert log_loss(names[1::2], model.predict_proba(X[1::2]), labels=model.classes_) < 0.25
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X[1::2])), model.predict_proba(X[1::2]), rtol=1e-12)
    assert model.decision_function(X[1::2]).shape == (75, 3)
    assert model.report_.criterion == "-log-loss"


def test_rows_without_weight_do_not_count():
    X, y = load_diabetes(return_X_y=True)
    weights = np.ones(200)
    weights[150:] = 0
    spoilt = y[:200].copy()
    spoilt[150:] = 1e6
    model = nk.TableRegressor(**FAST).fit(X[:200], spoilt, sample_weight=weights)
    assert model.score(X[200:], y[200:]) > 0.3


def test_many_rows_are_sampled_and_have_landmarks(monkeypatch):
    x, y = make_friedman1(n_samples=900, n_features=6, noise=0.5, random_state=0)
    monkeypatch.setattr(base, "SEARCHED", 150)
    exact = nk.TableRegressor().fit(x[:600], y[:600])
    assert exact.report_.searched == 150
    assert len(exact.model_.alphas_) == 2
    monkeypatch.setattr(base, "COLUMNS", 128)
    small = nk.TableRegressor(memory_budget=24 * 599**2).fit(x[:600], y[:600])
    assert isinstance(small.model_, nk.NeuralFeatureRegressor)
    assert small.model_.n_components_ == 128
    assert "landmarks" in str(small.report_)
    assert small.score(x[600:], y[600:]) > 0.85
    assert small.predict_interval(x[600:]).shape == (300, 2)
    labels = nk.TableClassifier(memory_budget=24 * 599**2, **FAST).fit(x[:600], y[:600] > 14)
    assert labels.score(x[600:], y[600:] > 14) > 0.85


@pytest.mark.parametrize("n", [2, 3, 5])
def test_hardly_any_rows(n):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, 7))
    assert np.isfinite(nk.TableRegressor().fit(x, x[:, 0]).predict(x)).all()
    labels = np.arange(n) % 2
    assert np.isfinite(nk.TableClassifier().fit(x, labels).predict_proba(x)).all()


def test_one_row_of_a_class_and_copies():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    labels = np.where(x[:, 0] > 0, "a", "b")
    labels[7] = "c"
    model = nk.TableClassifier().fit(np.vstack([x, x]), np.append(labels, labels))
    assert model.report_.searched == 40
    assert np.mean(model.predict(x) == labels) > 0.9


def test_outliers_stay_where_they_are():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 3))
    y = x[:, 0] + 0.1 * rng.standard_normal(200)
    x[3, 1] = 1e30
    model = nk.TableRegressor().fit(x[:150], y[:150])
    assert model.score(x[150:], y[150:]) > 0.9
    far = x[150:].copy()
    far[:, 2] = 1e30
    assert np.abs(model.predict(far)).max() < 10


def test_what_is_refused():
    x, y = np.ones((20, 2)), np.arange(20.0)
    with pytest.raises(ValueError, match="no column to learn from"):
        nk.TableRegressor().fit(x, y)
    with pytest.raises(ValueError, match="time_budget"):
        nk.TableRegressor(time_budget=-1).fit(np.arange(40.0).reshape(20, 2), y)
    with pytest.raises(ValueError, match="NaN"):
        nk.TableRegressor().fit(np.arange(40.0).reshape(20, 2), np.where(y == 3, np.nan, y))
    with pytest.raises(ValueError, match="one class"):
        nk.TableClassifier().fit(np.arange(40.0).reshape(20, 2), np.ones(20))


def test_classes_as_targets_of_a_regressor():
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0, 4.0]})
    with pytest.raises(ValueError, match="could not convert") as caught:
        nk.TableRegressor(**FAST).fit(table, ["yes", "no", "yes", "no"])
    assert any("nk.TableClassifier" in note for note in caught.value.__notes__)
