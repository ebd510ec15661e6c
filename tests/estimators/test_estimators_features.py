"""The estimators on feature maps: scikit-learn's own checks, none left out, and against scikit-learn's ridge."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.preprocessing import KernelCenterer
from sklearn.utils.estimator_checks import parametrize_with_checks

from neural_kernels.estimators import (
    NeuralFeatureClassifier,
    NeuralFeatureLogisticClassifier,
    NeuralFeatureRegressor,
    NeuralFeatures,
)
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.exact import NTK
from neural_kernels.features import Nystrom, RandomFeatures, ZonalFeatures
from neural_kernels.layers import mlp

NET = mlp(2, bias_var=0.1)


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try out
@parametrize_with_checks(
    [
        NeuralFeatures(n_components=16),
        NeuralFeatureRegressor(n_components=16),
        NeuralFeatureRegressor(kernel="nngp", n_components=16, alpha=[1e-3, 1e-2], method=Nystrom("rpcholesky")),
        NeuralFeatureClassifier(kernel="nngp", n_components=16, alpha=[1e-3, 1e-2]),
        NeuralFeatureLogisticClassifier(n_components=16, alpha=1e-2),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture
def data():
    """150 training rows, 40 test rows, a smooth target far from 0."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((190, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.1 * rng.standard_normal(190)
    return X[:150], y[:150], X[150:]


def regressor(**options: Any) -> NeuralFeatureRegressor:
    return NeuralFeatureRegressor(NET, **({"n_components": 30, "random_state": 0} | options))


def classifier(**options: Any) -> NeuralFeatureClassifier:
    return NeuralFeatureClassifier(NET, **({"n_components": 30, "random_state": 0} | options))


@pytest.mark.parametrize("outputs", [1, 2])
@pytest.mark.parametrize("alpha", [0.01, [0.01, 1.0]])
def test_the_numbers_of_scikit_learn(data, alpha, outputs):
    X, y, Z = data
    y = y if outputs == 1 else np.column_stack([y, X[:, 2]])
    w = np.random.default_rng(1).uniform(0.5, 2, 150)
    model = regressor(alpha=alpha).fit(X, y, sample_weight=w)
    phi = model.map_(X)
    assert model.ridge_ == pytest.approx(model.alpha_ * np.average(np.square(phi).sum(axis=1), weights=w))
    peer = Ridge(alpha=model.ridge_).fit(phi, y, sample_weight=w)
    assert_allclose(model.coef_, peer.coef_, rtol=1e-6)
    assert_allclose(model.predict(Z), peer.predict(model.map_(Z)), rtol=1e-9)
    assert model.predict(Z).shape == ((40,) if outputs == 1 else (40, 2))


def test_equals_ridge_on_the_centred_kernel_when_all_rows_are_landmarks(data):
    X, y, Z = data
    model, centre = regressor(n_components=500).fit(X, y), KernelCenterer().fit(NTK(NET)(X))
    assert model.map_.columns == 150
    peer: Any = KernelRidge(alpha=model.ridge_, kernel="precomputed")  # pyright: ignore[reportArgumentType]
    peer.fit(centre.transform(NTK(NET)(X)), y - y.mean())
    assert_allclose(model.predict(Z), y.mean() + peer.predict(centre.transform(NTK(NET)(Z, X))), rtol=1e-8)


def test_selection_and_probabilities_use_refits_without_the_row(data):
    X, y, _ = data
    labels = (y > 6).astype(int)
    model = classifier(alpha=[0.01, 0.1], scoring="r2").fit(X, labels)
    phi, targets, scores = model.map_(X), 2.0 * labels - 1, []
    rows = np.setdiff1d(np.arange(150), model.map_.learned)
    assert len(rows) == 150 - model.map_.columns
    for i in rows:
        rest = np.arange(150) != i
        scores.append(Ridge(alpha=model.ridge_).fit(phi[rest], targets[rest]).predict(phi[[i]])[0])
    lost = np.square(targets[rows] - scores).sum() / np.square(targets[rows] - targets.mean()).sum()
    assert_allclose(model.loo_scores_.max(), 1 - lost, rtol=1e-8)
    scores, shares = np.column_stack([-np.array(scores), scores]), np.eye(2)[labels[rows]]
    assert model.temperature_ == pytest.approx(
        Calibration.fit(scores, shares, np.ones(len(rows))).temperature, rel=1e-6
    )


def test_alpha_is_not_chosen_by_landmarks(data):
    """Without its own target a landmark is hardly predicted, which would speak for a larger alpha than new rows do."""
    X, y, _ = data
    oblivious = NeuralFeatureRegressor(mlp(2), n_components=30, method=ZonalFeatures(), alpha=[0.1, 1.0]).fit(X, y)
    assert len(oblivious.map_.learned) == 0
    few = regressor(n_components=500).fit(X, y)
    assert len(few.map_.learned) == 150
    model = regressor(alpha=[0.01, 0.1]).fit(X, y)
    landmarks = {row.tobytes() for row in model.map_.map.landmarks.numpy()}
    assert {row.tobytes() for row in X[model.map_.learned]} == landmarks
    every = regressor(n_components=500, alpha=[0.01, 0.1]).fit(X, y)  # no others to judge by
    assert np.isfinite(every.loo_scores_).all()


@pytest.mark.parametrize("make", [regressor, classifier])
def test_order_blocks_and_repetition_do_not_matter(data, make, monkeypatch):
    X, y, Z = data
    y = y if make is regressor else np.where(y > 6, "high", "low")
    w = np.arange(150) % 3
    predict = "predict" if make is regressor else "predict_proba"
    model = make(alpha=[0.01, 0.1]).fit(X, y, sample_weight=w)
    expected = getattr(model, predict)(Z)
    index = np.random.default_rng(1).permutation(np.repeat(np.arange(150), w))
    other = make(alpha=[0.01, 0.1]).fit(X[index], y[index])
    assert_allclose(getattr(other, predict)(Z), expected, rtol=1e-8)
    monkeypatch.setattr("neural_kernels.estimators.built.block_rows", lambda columns: 17)
    other = make(alpha=[0.01, 0.1]).fit(X, y, sample_weight=w)
    assert_allclose(getattr(other, predict)(Z), expected, rtol=1e-8)
    assert_allclose(
        getattr(make(alpha=[0.01, 0.1]).fit(csr_matrix(X), y, w), predict)(csr_matrix(Z)), expected, rtol=1e-7
    )


@pytest.mark.parametrize("method", [None, ZonalFeatures()])
def test_partial_fit_equals_fit_with_the_same_map(data, method):
    X, y, Z = data
    net, options = mlp(2), {"n_components": 64, "method": method, "random_state": 0}
    model = NeuralFeatureRegressor(net, **options)
    for part in (slice(0, 80), slice(80, 81), slice(81, 150)):
        model.partial_fit(X[part], y[part])
    phi = model.map_(X)
    assert_allclose(model.predict(Z), Ridge(alpha=model.ridge_).fit(phi, y).predict(model.map_(Z)), rtol=1e-8)
    if method is not None:
        assert_allclose(model.predict(Z), NeuralFeatureRegressor(net, **options).fit(X, y).predict(Z), rtol=1e-8)
    more = NeuralFeatureRegressor(net, **options).fit(X[:80], y[:80]).partial_fit(X[80:], y[80:])
    assert_allclose(more.predict(Z), model.predict(Z), rtol=1e-8)


def test_partial_fit_of_a_classifier(data):
    X, y, Z = data
    labels = np.array(["low", "mid", "high"])[np.digitize(y, [5.0, 7.0])]
    model = classifier(alpha=[0.01, 0.1]).partial_fit(X, labels, classes=["mid", "low", "high"])
    whole = classifier(alpha=[0.01, 0.1]).fit(X, labels)
    assert_array_equal(model.predict_proba(Z), whole.predict_proba(Z))
    only = labels == "low"
    model.partial_fit(X[only], labels[only])
    assert model.moments_.weight == 150 + only.sum()
    with pytest.raises(ValueError, match="not among the classes"):
        model.partial_fit(X, np.full(150, "new"))
    with pytest.raises(ValueError, match="those of the calls before"):
        model.partial_fit(X, labels, classes=["a", "b"])
    with pytest.raises(ValueError, match="class_weight='even'"):
        classifier(class_weight="even").partial_fit(X, labels)


def test_class_weights_are_sample_weights(data):
    X, y, Z = data
    labels = np.where(y > 7, "high", "low")
    given = classifier(class_weight={"high": 3.0}).fit(X, labels)
    weighted = classifier().fit(X, labels, sample_weight=np.where(labels == "high", 3.0, 1.0))
    assert_allclose(given.decision_function(Z), weighted.decision_function(Z), rtol=1e-9)
    assert (given.predict(Z) == np.where(given.decision_function(Z) > 0, "low", "high")).all()
    assert_allclose(given.predict_proba(Z).sum(axis=1), 1, rtol=1e-12)
    for wrong in ("even", {"new": 1.0}, {"high": -1.0}):
        with pytest.raises(ValueError, match="class_weight"):
            classifier(class_weight=wrong).fit(X, labels)


def test_the_transformer(data):
    pd = pytest.importorskip("pandas")
    X, _, Z = data
    model = NeuralFeatures(NET, n_components=30, random_state=0).fit(X)
    assert_array_equal(model.transform(Z), model.map_(Z))
    assert isinstance(model.method_, Nystrom)
    assert "landmarks" in model.reason_
    assert model.get_feature_names_out()[29] == "neuralfeatures29"
    frame = model.set_output(transform="pandas").transform(pd.DataFrame(Z, index=np.arange(40) + 3))
    assert list(frame.columns) == list(model.get_feature_names_out())
    assert frame.index[0] == 3
    few = NeuralFeatures(NET, n_components=200, random_state=0).fit(X)
    assert few.transform(Z).shape == (40, len(X)), "a column for every landmark, and none that is 0"
    assert few.n_components_ == len(few.get_feature_names_out()) == len(X)
    assert_allclose(few.transform(Z) @ few.transform(X).T, NTK(NET)(Z, X), rtol=1e-6)
    assert few.transform(Z.astype(np.float32)).dtype == np.float32


def test_random_state(data):
    X, y, Z = data
    same = [regressor(random_state=s).fit(X, y).predict(Z) for s in (3, 3, np.random.RandomState(3), 4)]
    assert_array_equal(same[0], same[1])
    assert_array_equal(same[0], same[2])
    assert not np.array_equal(same[0], same[3])
    assert_array_equal(pickle.loads(pickle.dumps(regressor().fit(X, y))).predict(Z), regressor().fit(X, y).predict(Z))


@pytest.mark.parametrize("make", [regressor, classifier])
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components=0"),
        ({"n_components": 1.5}, TypeError, "n_components=1.5"),
        ({"kernel": "precomputed"}, ValueError, "kernel='precomputed'"),
        ({"method": "best"}, TypeError, "method='best'"),
        ({"alpha": -1.0}, ValueError, "alpha=-1.0"),
        ({"alpha": []}, ValueError, "non-empty"),
        ({"memory_budget": -1}, ValueError, "memory_budget=-1"),
        ({"memory_budget": 1000}, MemoryError, "takes [0-9,]+ bytes; memory_budget is 1,000"),
        ({"memory_budget": 1000, "alpha": [1, 2]}, MemoryError, "one alpha"),
    ],
)
def test_bad_parameters_are_refused_in_fit(data, make, parameters, error, message):
    X, y, _ = data
    with pytest.raises(error, match=message):
        make(**parameters).fit(X, (y > 6).astype(int))


def test_bad_data_are_refused(data):
    X, y, Z = data
    with pytest.raises(ValueError, match="mean square"):
        NeuralFeatureRegressor(mlp(1)).fit(0 * X, y)
    with pytest.raises(ValueError, match="one class"):
        classifier().fit(X, np.ones(150))
    with pytest.raises(ValueError, match="NaN"):
        regressor().fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(ValueError, match="3 features"):
        regressor().fit(X, y).predict(Z[:, :3])
    with pytest.raises(ValueError, match="3 features"):
        regressor().fit(X, y).partial_fit(Z[:, :3], y[:40])
    for alpha in (0.1, [0.1, 1.0]):
        assert_allclose(regressor(alpha=alpha).fit(X[:1], y[:1]).predict(Z), y[0])
    for weights in (np.zeros(150), -np.ones(150)):
        with pytest.raises(ValueError, match="sample_weight"):
            regressor().fit(X, y, sample_weight=weights)


def test_memory_is_counted_for_the_columns_in_use():
    """Landmarks are rows: of fewer rows than columns, the other columns are 0 and take next to nothing."""
    x, y = np.random.default_rng(0).standard_normal((30, 4)), np.arange(30.0)
    small = {"n_components": 4096, "memory_budget": 10**7, "random_state": 0}
    for method in (None, Nystrom()):
        assert NeuralFeatureRegressor(method=method, **small).fit(x, y).score(x, y) > 0
    with pytest.raises(MemoryError, match="4,096 features"):
        NeuralFeatureRegressor(method=RandomFeatures(), **small).fit(x, y)


def test_alpha_is_chosen_from_a_grid_by_the_log_loss_of_labels(data):
    X, y, _ = data
    labels = np.digitize(y, [4, 6])
    model = classifier(alpha=None).fit(X, labels)
    assert_allclose(model.alphas_, np.logspace(1, -4, 11))
    assert model.alpha_ == model.alphas_[np.argmax(model.loo_scores_)]
    assert_allclose(model.loo_scores_.max(), -model.calibration_.log_loss, rtol=1e-9)
    by_accuracy = classifier(alpha=None, scoring="accuracy").fit(X, labels)
    assert 0.3 < by_accuracy.loo_scores_.max() <= 1
    with pytest.raises(ValueError, match="'log_loss', 'accuracy', 'r2', 'evidence'"):
        classifier(scoring="auc").fit(X, labels)


def test_alpha_is_chosen_by_the_marginal_likelihood_where_asked(data):
    X, y, _ = data
    alphas = [1e-3, 1e-1, 10.0]
    one = regressor(alpha=alphas, selection="evidence").fit(X, y)
    other = regressor(alpha=alphas, scoring="evidence").fit(X, y)
    each = [regressor(alpha=alpha).fit(X, y).log_marginal_likelihood_ for alpha in alphas]
    assert_allclose(one.loo_scores_, each, rtol=1e-9)
    assert_allclose(other.loo_scores_, each, rtol=1e-9)
    assert one.alpha_ == alphas[np.argmax(each)]
