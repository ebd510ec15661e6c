"""Rows in parts: any cut gives the model of one call, solving waits, and an interrupt leaves what was there."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators import (
    NeuralFeatureClassifier,
    NeuralFeatureRegressor,
    NeuralFeatures,
    accumulation,
    built,
)
from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.features import FeatureMap, Nystrom
from neural_kernels.layers import mlp
from neural_kernels.solvers.moments import Moments
from neural_kernels.solvers.ridge_path import RidgePath

NET = mlp(2, bias_var=0.1)
ALPHAS = [1e-3, 1e-1, 10.0]
CLASSES = np.array(["high", "low", "mid"])


@pytest.fixture
def data():
    """600 training rows with some copies, 200 test rows, and a target with noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((800, 4))
    X[500:550] = X[:50]
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.3 * rng.standard_normal(800)
    return X[:600], y[:600], X[600:], y[600:]


@pytest.fixture
def few_are_kept(monkeypatch):
    """Bounds that the data exceed: the map learns from the first 200 rows, and so many judge."""
    monkeypatch.setattr(accumulation, "_SAMPLE", 200)
    monkeypatch.setattr(accumulation, "_FEWEST", 100)
    monkeypatch.setattr(accumulation, "block_rows", lambda columns: 128)
    monkeypatch.setattr(built, "block_rows", lambda columns: 128)


def regressor(**options: Any) -> NeuralFeatureRegressor:
    return NeuralFeatureRegressor(NET, **({"n_components": 40, "alpha": ALPHAS, "random_state": 0} | options))


def classifier(**options: Any) -> NeuralFeatureClassifier:
    return NeuralFeatureClassifier(NET, **({"n_components": 40, "alpha": ALPHAS, "random_state": 0} | options))


def label(y):
    return np.array(["low", "mid", "high"])[np.digitize(y, [5.0, 6.5])]


def cuts(kind: str, order: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Positions of rows, call by call."""
    if kind == "single rows last":
        head = rng.integers(300, 560)
        return [order[:head], *order[head:, None]]
    if kind == "single rows":
        return [*order[:, None]]
    if kind == "sorted":
        order = order[np.argsort(y[order], kind="stable")]
    return np.split(order, np.sort(rng.choice(np.arange(1, len(order)), rng.integers(1, 12), replace=False)))


@pytest.mark.parametrize("method", [Nystrom(), Nystrom("rpcholesky")], ids=["uniform", "rpcholesky"])
@pytest.mark.parametrize("kind", ["single rows last", "single rows", "sorted", "random"])
@pytest.mark.parametrize("make", [regressor, classifier])
def test_rows_that_are_kept_give_the_model_of_one_call(data, make, kind, method):
    X, y, Z, _ = data
    y = y if make is regressor else label(y)
    order = np.random.default_rng(1).permutation(600)
    w = np.random.default_rng(2).integers(0, 3, 600)
    known = {} if make is regressor else {"classes": CLASSES}
    whole, model = make(method=method).fit(X, y, w), make(method=method)
    for part in cuts(kind, order, y, np.random.default_rng(3)):
        model.partial_fit(X[part], y[part], sample_weight=w[part], **known)
    assert_allclose(model.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
    assert_allclose(model.loo_scores_, whole.loo_scores_, rtol=1e-9)
    assert model.alpha_ == whole.alpha_
    if make is regressor:
        assert_allclose(model.predict(Z), whole.predict(Z), rtol=1e-8)
    else:
        assert_allclose(model.predict_proba(Z), whole.predict_proba(Z), atol=1e-8)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_fifty_cuts_of_more_rows_than_are_kept(data, make, few_are_kept):
    """The map is that of the first 250 rows; what follows may come in any order and in any calls."""
    X, y, Z, truth = data
    y, truth = (y, truth) if make is regressor else (label(y), label(truth))
    known = {} if make is regressor else {"classes": CLASSES}
    head, rest = np.arange(250), np.arange(250, 600)
    whole = make().partial_fit(X[head], y[head], **known).partial_fit(X[rest], y[rest])
    assert whole.moments_.weight == 600
    expected, scores = whole.score(Z, truth), []
    for k in range(50):
        rng = np.random.default_rng(k)
        model = make().partial_fit(X[head], y[head], **known)
        order = rng.permutation(rest)
        kind = "single rows" if k % 10 == 0 else ["sorted", "random"][k % 2]
        for part in cuts(kind, order, y, rng):
            model.partial_fit(X[part], y[part])
        scores.append(model.score(Z, truth))
        assert model.alpha_ == whole.alpha_
        assert_allclose(model.ridge_, whole.ridge_, rtol=1e-9)
        assert_allclose(model.loo_scores_, whole.loo_scores_, rtol=1e-6)
    assert_allclose(scores, expected, atol=0.01)


def test_a_sample_is_the_same_whatever_the_parts():
    rng = np.random.default_rng(0)
    X, y, w = rng.integers(0, 12, (2000, 2)).astype(float), rng.standard_normal((2000, 3)), rng.uniform(0, 2, 2000)
    whole = RowTable.of(X, y, w, 0).sample(30)
    assert len(whole) == 30
    for k in range(5):
        parts = np.split(rng.permutation(2000), np.sort(rng.integers(0, 2000, 7)))
        tables = [RowTable.of(X[part], y[part], w[part], 0).sample(30) for part in parts]
        other = joined(tables[::-1]).sample(30)
        one, two = np.argsort(whole.keys), np.argsort(other.keys)
        assert_array_equal(whole.data[one], other.data[two], err_msg=str(k))
        for name in ("weights", "targets", "scatter"):
            assert_allclose(getattr(whole, name)[one], getattr(other, name)[two], rtol=1e-9)
    copies = (whole.data[0] == X).all(axis=1)
    mean = np.average(y[copies], axis=0, weights=w[copies])
    assert_allclose(whole.targets[0], mean)
    assert_allclose(whole.scatter[0], w[copies] @ np.square(y[copies] - mean))
    sparse = RowTable.of(csr_matrix(X), y, w, 0)
    assert_array_equal(sparse.keys, RowTable.of(X, y, w, 0).keys)


def test_a_sample_is_uniform_over_distinct_rows():
    """Of 100 rows, the first of which comes a thousand times, each is in a sample of 20 for a fifth of the seeds."""
    X = np.arange(100.0)[:, None] + 1_700_000_000
    X = np.concatenate([np.repeat(X[:1], 1000, axis=0), X[1:]])
    drawn = np.concatenate([RowTable.of(X, X, np.ones(1099), seed).sample(20).data[:, 0] for seed in range(400)])
    counts = np.bincount((drawn - X[0, 0]).astype(int), minlength=100)
    assert abs(counts - 80).max() < 5 * np.sqrt(400 * 0.2 * 0.8)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_solving_waits_until_a_result_is_asked_for(data, make, monkeypatch):
    X, y, Z, _ = data
    y = y if make is regressor else label(y)
    known = {} if make is regressor else {"classes": CLASSES}
    model, calls = make(), []
    solve = type(model)._solve
    monkeypatch.setattr(type(model), "_solve", lambda *args: calls.append(1) or solve(*args))
    for part in (slice(0, 200), slice(200, 300), slice(300, 600)):
        model.partial_fit(X[part], y[part], **known)
    check_is_fitted(model)
    assert calls == []
    assert model.finalize() is model
    first = model.coef_
    model.predict(Z)
    assert len(calls) == 1
    model.partial_fit(Z, model.predict(Z))
    assert not np.array_equal(model.coef_, first)
    assert len(calls) == 2
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict(Z), model.predict(Z))
    del model.moments_
    assert len(pickle.dumps(model)) < 0.8 * len(pickle.dumps(make().fit(X, y)))
    assert np.isfinite(model.coef_).all()
    with pytest.raises(ValueError, match="moments_ was deleted"):
        model.partial_fit(X, y)


def test_who_gave_the_rows_may_write_over_them(data, few_are_kept):
    X, y, Z, _ = data
    for n in (150, 300, 310):  # kept; in the moments; waiting for a block
        model, whole = regressor(), regressor().partial_fit(X[:300], y[:300])
        for part in (slice(0, min(n, 300)), slice(300, n)) if n > 300 else (slice(0, n),):
            rows, targets, weights = X[part].copy(), y[part].copy(), np.ones(part.stop - part.start)
            model.partial_fit(rows, targets, weights)
            rows[:], targets[:], weights[:] = np.nan, np.nan, np.nan
        whole = regressor().partial_fit(X[: min(n, 300)], y[: min(n, 300)])
        whole = whole.partial_fit(X[300:n], y[300:n]) if n > 300 else whole
        assert_array_equal(model.predict(Z), whole.predict(Z))


def test_parts_may_be_a_row_of_one_class_or_weigh_nothing(data, few_are_kept):
    X, y, Z, _ = data
    labels = label(y)
    model = classifier().partial_fit(X[:1], labels[:1], classes=CLASSES, sample_weight=[0.0])
    with pytest.raises(ValueError, match="sample_weight above zero"):
        model.predict(Z)
    for k in range(300):
        model.partial_fit(X[[k]], labels[[k]])
        model.partial_fit(X[[-k]], labels[[-k]], sample_weight=[0])
    other = classifier().partial_fit(X[:300], labels[:300], classes=CLASSES)
    assert model.moments_.weight == 300
    assert_array_equal(model.classes_, other.classes_)
    assert model.score(Z, label(data[3])) == pytest.approx(other.score(Z, label(data[3])), abs=0.03)


@pytest.mark.filterwarnings("ignore::neural_kernels.ScaleWarning")
@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("factor", [100, 1000])
@pytest.mark.parametrize("few", [True, False])
def test_one_outlying_row_changes_little(data, make, factor, few, request):
    """Neither in the unit of ridges nor as a judge of alpha; here the first row, or one that comes later."""
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, truth = data
    y, truth = (y, truth) if make is regressor else (label(y), label(truth))
    known = {} if make is regressor else {"classes": CLASSES}
    expected = make().fit(X, y).score(Z, truth)
    for outlying in (0, 400):
        rows = X.copy()
        rows[outlying] *= factor
        model = make().partial_fit(rows[:300], y[:300], **known).partial_fit(rows[300:], y[300:])
        assert model.score(Z, truth) > expected - 0.05


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("copies", [True, False])
def test_models_of_parts_merge_into_that_of_the_whole(data, make, copies, few_are_kept):
    """With a map of its own, or for rows so few that all are kept."""
    X, y, Z, _ = data
    y = y if make is regressor else label(y)
    known = {} if make is regressor else {"classes": CLASSES}
    n = 600 if copies else 189
    whole, parts = make().partial_fit(X[:150], y[:150], **known), np.split(np.arange(150, n), 3)
    model = make().partial_fit(X[:150], y[:150], **known)
    workers = [model.empty_copy() if copies else make(random_state=k) for k, _ in enumerate(parts)]
    if copies:
        with pytest.raises(ValueError, match="no rows so far"):
            workers[0].predict(Z)
        whole = whole.empty_copy().partial_fit(X[:150], y[:150])
    for worker, part in zip(workers, parts, strict=True):
        worker.partial_fit(X[part], y[part], **known)
        whole.partial_fit(X[part], y[part])
    assert model.merge(*(pickle.loads(pickle.dumps(worker)) for worker in workers)) is model
    assert model.moments_.weight == n
    assert_allclose(model.loo_scores_, whole.loo_scores_, rtol=1e-7)
    assert_allclose(model.coef_, whole.coef_, rtol=1e-6, atol=1e-9)
    assert_allclose(np.sort(model._accumulation.kept[0].keys), np.sort(whole._accumulation.kept[0].keys))


@pytest.mark.parametrize("few", [True, False])
def test_classes_may_come_later(data, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = data
    labels, weights = label(y), {"high": 2.0, "low": 0.5}
    head = [np.flatnonzero(labels == name)[:150] for name in ("mid", "low", "high")]
    calls = [*head, np.setdiff1d(np.arange(600), np.concatenate(head))]
    whole, model, named = (classifier(class_weight=weights) for _ in range(3))
    for part in calls:
        model.partial_fit(X[part], labels[part])
        named.partial_fit(X[part], labels[part], classes=CLASSES)
        if part is head[0]:
            with pytest.raises(ValueError, match="one class, 'mid'"):
                model.predict(Z)
        if part is head[1]:
            assert_array_equal(np.unique(model.predict(Z)), ["low", "mid"])
            assert model.coef_.shape == (1, 40)
            assert model.decision_function(Z).shape == (200,)
    assert_array_equal(model.classes_, CLASSES)
    assert_allclose(model.predict_proba(Z), named.predict_proba(Z), atol=1e-9)
    if not few:
        assert_allclose(model.predict_proba(Z), whole.fit(X, labels).predict_proba(Z), atol=1e-9)
    with pytest.raises(ValueError, match="two kinds"):
        model.partial_fit(X, np.arange(600) % 3)
    one, other = (classifier().partial_fit(X[part], labels[part]) for part in (head[0][:90], head[1][:90]))
    assert_allclose(
        one.merge(other).decision_function(Z),
        classifier()
        .fit(X[np.append(head[0][:90], head[1][:90])], labels[np.append(head[0][:90], head[1][:90])])
        .decision_function(Z),
        atol=1e-8,
    )
    named = classifier().partial_fit(X, labels, classes=CLASSES)
    with pytest.raises(ValueError, match="cannot be merged"):
        named.merge(classifier().fit(X, y > 5))


@pytest.mark.parametrize("few", [True, False])
def test_classes_are_balanced_when_all_rows_are_there(data, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = data
    labels = np.append(label(y[:590]), ["rare"] * 10)
    totals = {name: (labels == name).sum() for name in np.unique(labels)}
    weights = {name: 600 / (4 * total) for name, total in totals.items()}
    head, rest = np.arange(250), np.arange(250, 600)
    model, other = classifier(class_weight="balanced"), classifier(class_weight=weights)
    for part in (head, *np.split(rest, 7)):
        model.partial_fit(X[part], labels[part])
        other.partial_fit(X[part], labels[part])
    assert_allclose(model.ridge_, other.ridge_, rtol=1e-9)
    assert_allclose(model.decision_function(Z), other.decision_function(Z), atol=1e-8)
    assert len(model.classes_) == 4
    if not few:
        whole = classifier(class_weight="balanced").fit(X, labels)
        assert_allclose(model.predict_proba(Z), whole.predict_proba(Z), atol=1e-8)
        with pytest.raises(ValueError, match="begin streams with partial_fit"):
            whole.partial_fit(X, labels)
    parts = [model.empty_copy().partial_fit(X[part], labels[part]) for part in (head, rest)]
    assert_allclose(parts[0].merge(parts[1]).decision_function(Z), model.decision_function(Z), atol=1e-6)


def test_what_cannot_be_merged_is_refused(data, few_are_kept):
    X, y, _, _ = data
    model = regressor().fit(X[:400], y[:400])
    before = model.coef_
    with pytest.raises(ValueError, match="empty_copy"):
        model.merge(regressor(random_state=1).fit(X, y))
    with pytest.raises(ValueError, match="empty_copy"):
        model.merge(regressor().fit(X[:300], y[:300]))
    with pytest.raises(TypeError, match="NeuralFeatureRegressor"):
        model.merge(classifier().fit(X, label(y)))
    with pytest.raises(ValueError, match="columns"):
        model.merge(regressor().fit(X[:, :3], y))
    with pytest.raises(ValueError, match="columns"):
        model.merge(regressor().fit(X, np.column_stack([y, y])))
    with pytest.raises(NotFittedError):
        model.merge(regressor())
    assert_array_equal(model.coef_, before)


@pytest.mark.parametrize("few", [True, False])
def test_a_call_that_is_refused_leaves_what_was_there(data, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = data
    model = regressor().partial_fit(X[:300], y[:300])
    seen = model._accumulation
    expected = regressor().partial_fit(X[:300], y[:300]).predict(Z)
    huge = X[:3].astype(np.float32)
    huge[1, 1] = 1e18
    for error, rows in ((OverflowError, X[:3] * 1e200), (OverflowError, huge), (ValueError, X[:3] * np.nan)):
        with pytest.raises(error):
            model.partial_fit(rows, y[:3])
    with pytest.raises(ValueError, match="sample_weight"):
        model.partial_fit(X[:3], y[:3], sample_weight=[1, -1, 0])
    with pytest.raises(OverflowError, match="scale it"):
        model.partial_fit(csr_matrix(X[:3] * 1e200), y[:3])
    assert model._accumulation is seen
    assert_array_equal(model.predict(Z), expected)


def interrupts(monkeypatch, call, *steps):
    """Run a call once for each step of its way, at which an interrupt comes."""
    for owner, name in steps:
        reached = []

        def interrupt(*args, reached=reached, **options):
            reached.append(1)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                call()
        assert reached


READ = (RowTable, "merged")
SOLVE = [(FeatureMap, "fill"), (Moments, "update"), (Moments, "path"), (RidgePath, "loo_residuals")]


@pytest.mark.parametrize("make", [regressor, classifier])
def test_an_interrupted_fit_leaves_the_model_of_before(data, make, monkeypatch):
    X, y, Z, _ = data
    y = y if make is regressor else label(y)
    model = make()
    interrupts(monkeypatch, lambda: model.fit(X, y), READ, *SOLVE)
    with pytest.raises(NotFittedError):
        model.predict(Z)
    for name in ("n_features_in_", "coef_", "map_", "classes_", "kernel_"):
        assert not hasattr(model, name)
    model.fit(X, y)
    expected, before = model.predict(Z), dict(vars(model))
    interrupts(monkeypatch, lambda: model.fit(X[:, :3], y), READ, *SOLVE)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X[:, :3] * np.nan, y)
    assert vars(model) == before
    assert_array_equal(model.predict(Z), expected)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_an_interrupt_counts_no_row_twice(data, make, few_are_kept, monkeypatch):
    X, y, Z, _ = data
    y = y if make is regressor else label(y)
    known = {} if make is regressor else {"classes": CLASSES}
    model, other = (make().partial_fit(X[:300], y[:300], **known) for _ in range(2))
    before = model._accumulation
    add = [(RowTable, "take"), (accumulation, "joined"), (FeatureMap, "fill"), (Moments, "update")]
    interrupts(monkeypatch, lambda: model.partial_fit(X[300:], y[300:]), *add)
    assert model._accumulation is before
    for part in (slice(300, 550), slice(550, 600)):
        model.partial_fit(X[part], y[part])
        other.partial_fit(X[part], y[part])
    interrupts(monkeypatch, lambda: model.predict(Z), *SOLVE)
    assert_array_equal(model.predict(Z), other.predict(Z))
    assert model.moments_.weight == 600


def test_an_interrupted_transformer_stays_as_it_was(data, monkeypatch):
    X, _, Z, _ = data
    model = NeuralFeatures(NET, n_components=20)
    interrupts(monkeypatch, lambda: model.fit(X), (FeatureMap, "fit"))
    with pytest.raises(NotFittedError):
        model.transform(Z)
    expected = model.fit(X).transform(Z)
    interrupts(monkeypatch, lambda: model.fit(X[:, :3]), (FeatureMap, "fit"))
    assert_array_equal(model.transform(Z), expected)
