"""A metric that a model learns from its own gradients."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.datasets import load_wine, make_friedman1
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import neural_kernels as nk

NET = nk.mlp(2, bias_var=0.1)
REGRESSOR, CLASSIFIER = nk.NeuralKernelRegressor(NET), nk.NeuralKernelClassifier(NET)


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try out
@parametrize_with_checks(
    [
        nk.FeatureLearning(nk.NeuralKernelRegressor(), iterations=1, power=0.5),
        nk.FeatureLearning(nk.NeuralKernelClassifier(alpha=[1e-3, 1e-2]), iterations=1, power=0.5),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def friedman():
    """Five columns that count, and 50 that do not."""
    x, y = make_friedman1(n_samples=900, n_features=55, noise=1.0, random_state=0)
    x = StandardScaler().fit_transform(x)
    return x[:400], y[:400], x[400:], y[400:]


def test_relevant_columns_are_found(friedman):
    x, y, x_test, y_test = friedman
    model = nk.FeatureLearning(REGRESSOR).fit(x, y)
    assert model.feature_importances_[:5].sum() > 0.9
    assert model.score(x_test, y_test) > clone(REGRESSOR).fit(x, y).score(x_test, y_test) + 0.1
    assert model.metric_.sum() == pytest.approx(55)
    best = max(model.history_, key=lambda stage: stage["score"])
    assert best["iteration"] > 0
    assert len(model.history_) == 11
    assert np.nanmax(model.estimator_.loo_scores_) == best["score"]


@pytest.mark.parametrize(
    "estimator",
    [
        nk.NeuralKernelRegressor(kernel=nk.Laplace(0.2)),
        nk.NeuralKernelRegressor(NET, kernel="nngp"),
        nk.NeuralFeatureRegressor(NET, n_components=200, random_state=0),
    ],
    ids=["Laplace", "nngp", "features"],
)
def test_other_models_learn_as_well(estimator, friedman):
    x, y, x_test, y_test = (part[:200, :12] if part.ndim == 2 else part[:200] for part in friedman)
    model = nk.FeatureLearning(estimator, iterations=2, power=1.0).fit(x, y)
    assert model.feature_importances_[:5].sum() > 0.85
    assert model.score(x_test, y_test) > clone(estimator).fit(x, y).score(x_test, y_test)


def test_it_is_the_model_on_mapped_inputs(friedman):
    x, y, x_test, _ = (part[:100, :8] if part.ndim == 2 else part[:100] for part in friedman)
    for diag in (True, False):
        model = nk.FeatureLearning(REGRESSOR, iterations=1, diag=diag, power=1.0).fit(x, y)
        first = clone(REGRESSOR).fit(x, y)
        metric = first.agop(x, diag=diag)
        metric *= 8 / (metric.sum() if diag else np.trace(metric))
        np.testing.assert_allclose(model.metric_, metric, rtol=1e-6, atol=1e-9)
        net = nk.Sequential(nk.Dense(bias_var=0.1, metric=model.metric_), *NET.layers[1:])
        alone = nk.NeuralKernelRegressor(net, alpha=model.estimator_.alpha_).fit(x, y)
        np.testing.assert_allclose(model.predict(x_test), alone.predict(x_test), rtol=1e-6)
        np.testing.assert_allclose(model.gradient(x_test), alone.gradient(x_test), rtol=1e-4, atol=1e-6)
        for rows in (x_test, None):  # None: the training rows
            np.testing.assert_allclose(model.agop(rows, diag=diag), alone.agop(rows, diag=diag), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(model.predict(x_test, return_std=True)[1], alone.predict(x_test, return_std=True)[1])
    np.testing.assert_allclose(model.predict_interval(x_test), model.estimator_.predict_interval(model.mapped(x_test)))


def test_no_iterations_is_the_model_itself(friedman):
    x, y, x_test, _ = (part[:100, :8] if part.ndim == 2 else part[:100] for part in friedman)
    model = nk.FeatureLearning(REGRESSOR, iterations=0).fit(x, y)
    np.testing.assert_array_equal(model.predict(x_test), clone(REGRESSOR).fit(x, y).predict(x_test))
    np.testing.assert_array_equal(model.metric_, np.ones(8))


def test_a_full_metric_turns_with_the_inputs(friedman):
    x, y, x_test, _ = (part[:150, :6] if part.ndim == 2 else part[:150] for part in friedman)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 6)))[0]
    model = nk.FeatureLearning(REGRESSOR, iterations=2, diag=False, power=0.5)
    straight, turned = clone(model).fit(x, y), clone(model).fit(x @ turn, y)
    np.testing.assert_allclose(turned.metric_, turn.T @ straight.metric_ @ turn, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(turned.predict(x_test @ turn), straight.predict(x_test), rtol=1e-5)


def test_a_full_metric_must_suit_rows_that_it_has_not_seen():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((240, 8))
    mixed = np.abs(x @ np.full(8, 8**-0.5))  # of one direction, which no column is
    model = nk.FeatureLearning(REGRESSOR, iterations=2, power=1.0, diag="auto").fit(x, mixed)
    assert not model.diag_
    assert model.metric_.shape == (8, 8)
    alone = nk.FeatureLearning(REGRESSOR, iterations=2, power=1.0, diag="auto").fit(x, np.abs(x[:, 0]))
    assert alone.diag_
    assert alone.metric_.shape == (8,)
    rare = nk.FeatureLearning(CLASSIFIER, iterations=1, diag="auto").fit(x[:20], np.arange(20) == 3)
    assert rare.diag_  # no half can be judged
    with pytest.raises(ValueError, match="diag='full'"):
        nk.FeatureLearning(REGRESSOR, diag="full").fit(x, mixed)


def test_classifiers():
    x, y = load_wine(return_X_y=True)
    y = np.array(["a", "b", "c"])[y]
    model = make_pipeline(StandardScaler(), nk.FeatureLearning(CLASSIFIER, iterations=1)).fit(x[::2], y[::2])
    assert is_classifier(model[-1])
    assert is_regressor(nk.FeatureLearning(REGRESSOR))
    assert model.score(x[1::2], y[1::2]) > 0.93
    np.testing.assert_allclose(model.predict_proba(x).sum(axis=1), 1)
    assert model.decision_function(x).shape == (178, 3)
    assert list(model[-1].classes_) == ["a", "b", "c"]
    assert not hasattr(nk.FeatureLearning(REGRESSOR), "predict_proba")


def test_models_travel(friedman, tmp_path):
    x, y, x_test, _ = (part[:80, :6] if part.ndim == 2 else part[:80] for part in friedman)
    model = nk.FeatureLearning(REGRESSOR, iterations=1).fit(x.astype(np.float32), y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(x_test), model.predict(x_test))
    nk.save(model, tmp_path / "model.nk")
    np.testing.assert_array_equal(nk.load(tmp_path / "model.nk").predict(x_test), model.predict(x_test))


@pytest.mark.filterwarnings("error")
def test_rows_may_lie_in_memory_in_any_way(friedman):
    x, y = friedman[0][:80, :6], friedman[1][:80]
    model = nk.FeatureLearning(REGRESSOR, iterations=1, power=1.0)
    expected = clone(model).fit(np.ascontiguousarray(x[::-1]), y).predict(x)
    locked = x.copy()
    locked.flags.writeable = False
    for rows in (x[::-1], np.asfortranarray(x[::-1]), locked[::-1], np.repeat(x[::-1], 2, axis=0)[::2]):
        np.testing.assert_allclose(clone(model).fit(rows, y).predict(locked), expected, rtol=1e-9)


def test_nothing_to_learn():
    x = np.random.default_rng(0).standard_normal((30, 4))
    model = nk.FeatureLearning(REGRESSOR).fit(x, np.full(30, 3.0))
    np.testing.assert_allclose(model.predict(x), 3.0)
    np.testing.assert_allclose(model.feature_importances_, 0.25)
    weights = np.r_[np.ones(20), np.zeros(10)]
    y = np.r_[np.sin(x[:20, 0]), np.full(10, 1e3)]
    model = nk.FeatureLearning(REGRESSOR, iterations=1).fit(x, y, sample_weight=weights)
    assert np.abs(model.predict(x)).max() < 5


def test_bad_settings(friedman):
    x, y = friedman[0][:50, :5], friedman[1][:50]
    with pytest.raises(ValueError, match="no leave-one-out scores"):
        nk.FeatureLearning(nk.NeuralKernelRegressor(alpha=0.1)).fit(x, y)
    nk.FeatureLearning(nk.NeuralKernelRegressor(alpha=0.1), iterations=1, power=1.0).fit(x, y)
    with pytest.raises(ValueError, match="iterations=-1"):
        nk.FeatureLearning(REGRESSOR, iterations=-1).fit(x, y)
    with pytest.raises(ValueError, match="power=nan"):
        nk.FeatureLearning(REGRESSOR, power=np.nan).fit(x, y)
    with pytest.raises(ValueError, match=r"begins with nk\.Conv without a metric"):
        nk.FeatureLearning(REGRESSOR).fit(x.reshape(50, 5, 1), y)
