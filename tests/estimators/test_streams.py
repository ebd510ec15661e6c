"""Rows in parts: any cut gives the model of one call, and solving waits until a result is asked for."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.features import Nystrom
from stream_models import CLASSES, classifier, label, regressor


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
def test_rows_that_are_kept_give_the_model_of_one_call(noisy_rows, make, kind, method):
    X, y, Z, _ = noisy_rows
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
def test_fifty_cuts_of_more_rows_than_are_kept(noisy_rows, make, few_are_kept):
    """The map is that of the first 250 rows; what follows may come in any order and in any calls."""
    X, y, Z, truth = noisy_rows
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
def test_solving_waits_until_a_result_is_asked_for(noisy_rows, make, monkeypatch):
    X, y, Z, _ = noisy_rows
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


def test_who_gave_the_rows_may_write_over_them(noisy_rows, few_are_kept):
    X, y, Z, _ = noisy_rows
    for n in (150, 300, 310):  # kept; in the moments; waiting for a block
        model, whole = regressor(), regressor().partial_fit(X[:300], y[:300])
        for part in (slice(0, min(n, 300)), slice(300, n)) if n > 300 else (slice(0, n),):
            rows, targets, weights = X[part].copy(), y[part].copy(), np.ones(part.stop - part.start)
            model.partial_fit(rows, targets, weights)
            rows[:], targets[:], weights[:] = np.nan, np.nan, np.nan
        whole = regressor().partial_fit(X[: min(n, 300)], y[: min(n, 300)])
        whole = whole.partial_fit(X[300:n], y[300:n]) if n > 300 else whole
        assert_array_equal(model.predict(Z), whole.predict(Z))


def test_parts_may_be_a_row_of_one_class_or_weigh_nothing(noisy_rows, few_are_kept):
    X, y, Z, _ = noisy_rows
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
    assert model.score(Z, label(noisy_rows[3])) == pytest.approx(other.score(Z, label(noisy_rows[3])), abs=0.03)


@pytest.mark.filterwarnings("ignore::neural_kernels.ScaleWarning")
@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("factor", [100, 1000])
@pytest.mark.parametrize("few", [True, False])
def test_one_outlying_row_changes_little(noisy_rows, make, factor, few, request):
    """Neither in the unit of ridges nor as a judge of alpha; here the first row, or one that comes later."""
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, truth = noisy_rows
    y, truth = (y, truth) if make is regressor else (label(y), label(truth))
    known = {} if make is regressor else {"classes": CLASSES}
    expected = make().fit(X, y).score(Z, truth)
    for outlying in (0, 400):
        rows = X.copy()
        rows[outlying] *= factor
        model = make().partial_fit(rows[:300], y[:300], **known).partial_fit(rows[300:], y[300:])
        assert model.score(Z, truth) > expected - 0.05
