"""Models of parts merge, classes may come later, and a call that is refused leaves what was there."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.exceptions import NotFittedError

from stream_models import CLASSES, classifier, label, regressor


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize("copies", [True, False])
def test_models_of_parts_merge_into_that_of_the_whole(noisy_rows, make, copies, few_are_kept):
    """With a map of its own, or for rows so few that all are kept."""
    X, y, Z, _ = noisy_rows
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
def test_classes_may_come_later(noisy_rows, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = noisy_rows
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
def test_classes_are_balanced_when_all_rows_are_there(noisy_rows, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = noisy_rows
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


def test_what_cannot_be_merged_is_refused(noisy_rows, few_are_kept):
    X, y, _, _ = noisy_rows
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
def test_a_call_that_is_refused_leaves_what_was_there(noisy_rows, few, request):
    if few:
        request.getfixturevalue("few_are_kept")
    X, y, Z, _ = noisy_rows
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
