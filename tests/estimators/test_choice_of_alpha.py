"""Which alpha is chosen, and by what: the default grid, scores of classifiers, the marginal likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from sklearn.datasets import load_diabetes, load_wine
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.estimators import kernel_base

NET = nk.mlp(1, bias_var=0.1)
ALPHAS = [1e-2, 1.0, 100.0]


@pytest.fixture(scope="module")
def wine():
    X, y = load_wine(return_X_y=True)
    rows = np.random.default_rng(0).permutation(len(y))[:45]
    y = np.where(np.arange(45) % 9 == 0, (y[rows] + 1) % 3, y[rows])  # some labels are wrong
    return StandardScaler().fit_transform(X[rows]), y


def refits(X, y, alphas):
    """Decision values of each alpha's model for each row, of refits without it: (r, n, K)."""
    gram = nk.NTK(NET)(X)
    scores = np.empty((len(alphas), len(y), 3))
    for r, alpha in enumerate(alphas):
        for i in range(len(y)):
            rest = np.arange(len(y)) != i
            relative = alpha * np.diagonal(gram).mean() / np.diagonal(gram)[rest].mean()
            model = nk.NeuralKernelClassifier(kernel="precomputed", alpha=relative)
            scores[r, i] = model.fit(gram[np.ix_(rest, rest)], y[rest]).decision_function(gram[[i]][:, rest])[0]
    return scores


def test_the_accuracy_is_that_of_refits(wine):
    X, y = wine
    model = nk.NeuralKernelClassifier(NET, alpha=ALPHAS, scoring="accuracy").fit(X, y)
    expected = (refits(X, y, ALPHAS).argmax(axis=2) == y).mean(axis=1)
    assert_allclose(model.loo_scores_, expected, rtol=1e-12)
    assert model.alpha_ == ALPHAS[expected.argmax()]


def test_the_log_loss_is_the_default_of_classifiers_and_that_of_refits(wine):
    X, y = wine
    model = nk.NeuralKernelClassifier(NET, alpha=ALPHAS).fit(X, y)
    for alpha, score in zip(ALPHAS, model.loo_scores_, strict=True):
        one = nk.NeuralKernelClassifier(NET, alpha=alpha).fit(X, y)
        scores = refits(X, y, [alpha])[0]
        likely = one.calibration_.probabilities(scores)[np.arange(45), y]
        assert_allclose(score, np.log(likely).mean(), rtol=1e-6)
    assert model.alpha_ == ALPHAS[np.argmax(model.loo_scores_)]


def test_the_r2_of_decision_values_can_be_asked_for(wine):
    X, y = wine
    model = nk.NeuralKernelClassifier(NET, alpha=ALPHAS, scoring="r2").fit(X, y)
    targets = 2.0 * np.eye(3)[y] - 1
    lost = np.square(refits(X, y, ALPHAS) - targets).sum(axis=1)
    assert_allclose(model.loo_scores_, (1 - lost / targets.var(axis=0) / 45).mean(axis=1), rtol=1e-8)


def test_copies_vote_for_all_of_their_labels(wine):
    X, y = wine
    twice = np.vstack([X, X[:9]])
    model = nk.NeuralKernelClassifier(NET, alpha=ALPHAS, scoring="accuracy").fit(twice, np.append(y, (y[:9] + 1) % 3))
    assert model.loo_scores_.max() <= 45 / 54


def test_none_is_a_grid_from_smooth_to_rough(wine):
    X, y = wine
    model = nk.NeuralKernelClassifier(NET).fit(X, y)
    assert_allclose(model.alphas_, np.logspace(1, -4, 11))
    listed = nk.NeuralKernelClassifier(NET, alpha=np.logspace(1, -4, 11)).fit(X, y)
    assert model.alpha_ == listed.alpha_
    assert_allclose(model.loo_scores_, listed.loo_scores_)
    assert_allclose(model.predict_proba(X), listed.predict_proba(X))


def test_the_default_holds_on_a_noisy_table():
    X, y = load_diabetes(return_X_y=True)
    train, scaler = np.arange(len(y)) % 2 == 0, StandardScaler()
    Z, T = scaler.fit_transform(X[train]), scaler.transform(X[~train])
    chosen = nk.NeuralKernelRegressor().fit(Z, y[train]).score(T, y[~train])
    assert chosen > nk.NeuralKernelRegressor(alpha=1e-2).fit(Z, y[train]).score(T, y[~train]) + 0.05
    assert chosen > 0.43


def test_the_evidence_is_as_likely_as_the_likeliest():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    y = np.sin(2 * X[:, 0]) + 0.3 * rng.standard_normal(60) + 7
    alphas = np.logspace(-4, 2, 25)
    model = nk.NeuralKernelRegressor(NET, kernel="nngp", alpha=alphas, selection="evidence").fit(X, y)
    gram, left = nk.NNGP(NET)(X), y - y.mean()

    def log_density(log_ridge: float) -> float:
        noisy = gram + np.exp(log_ridge) * np.eye(60)
        amplitude = left @ np.linalg.solve(noisy, left) / 60
        return -0.5 * (60 * np.log(2 * np.pi * np.e * amplitude) + np.linalg.slogdet(noisy)[1])

    assert_allclose(
        model.loo_scores_, [log_density(np.log(a * model.ridge_ / model.alpha_)) for a in alphas], rtol=1e-9
    )
    best = minimize_scalar(lambda v: -log_density(v), bounds=(-12, 6), method="bounded").x
    assert abs(np.log(model.ridge_) - best) < np.log(alphas[1] / alphas[0])


@pytest.mark.parametrize("estimator", [nk.NeuralKernelRegressor, nk.NeuralKernelClassifier])
def test_the_evidence_has_two_names(estimator):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), rng.integers(0, 2, 30)
    one = estimator(NET, selection="evidence").fit(X, y)
    other = estimator(NET, scoring="evidence").fit(X, y)
    assert_allclose(one.loo_scores_, other.loo_scores_, rtol=1e-12)
    assert one.alpha_ == other.alpha_


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nk.NeuralKernelRegressor(scoring="accuracy"), "expected None or one of 'r2', 'evidence'"),
        (nk.NeuralKernelClassifier(scoring="roc_auc"), "'log_loss', 'accuracy', 'r2', 'evidence'"),
        (nk.NeuralKernelRegressor(selection="cv"), "selection='cv'"),
        (nk.NeuralKernelRegressor(alpha=0.1, scoring=3), "scoring=3"),
    ],
    ids=["regressor", "classifier", "selection", "one alpha"],
)
def test_other_criteria_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        model.fit(np.arange(8.0).reshape(4, 2), [0, 1, 0, 1])


def many(n=700):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 4))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.3 * rng.standard_normal(n)


@pytest.mark.parametrize("scoring", ["r2", "log_loss", "accuracy"])
def test_of_many_rows_a_glance_leaves_two_alphas_to_exact_leave_one_out(scoring):
    X, y = many()
    kind = nk.NeuralKernelRegressor if scoring == "r2" else nk.NeuralKernelClassifier
    y = y if scoring == "r2" else np.digitize(y, [-0.5, 0.5])
    quick = kind(NET, scoring=scoring).fit(X, y)
    every = kind(NET, scoring=scoring, alpha=quick.alphas_).fit(X, y)
    seen = np.flatnonzero(~np.isnan(quick.loo_scores_))
    assert len(seen) == 2
    assert seen[1] == seen[0] + 1
    assert_allclose(quick.loo_scores_[seen], every.loo_scores_[seen], rtol=1e-8)
    assert quick.alpha_ == quick.alphas_[seen[np.argmax(quick.loo_scores_[seen])]]
    assert every.loo_scores_.max() - quick.loo_scores_[seen].max() < 0.003
    assert quick.solver_ == nk.solvers.Cholesky()
    assert "by 300 examples" in quick.solver_reason_
    one = kind(NET, alpha=quick.alpha_).fit(X, y)
    assert_allclose(quick.predict(X[:9]), one.predict(X[:9]), rtol=1e-9)


def test_of_thousands_of_rows_a_thousand_judge(monkeypatch):
    monkeypatch.setattr(kernel_base, "JUDGES", 200)
    X, y = many()
    model = nk.NeuralKernelRegressor(NET).fit(X, y)
    every = nk.NeuralKernelRegressor(NET, alpha=model.alphas_).fit(X, y)
    seen = ~np.isnan(model.loo_scores_)
    assert_allclose(model.loo_scores_[seen], every.loo_scores_[seen], atol=0.1)
    assert (model.loo_scores_[seen] != every.loo_scores_[seen]).all()
    again = nk.NeuralKernelRegressor(NET).fit(X, y)
    assert_allclose(again.loo_scores_, model.loo_scores_, rtol=0)


def test_a_solver_that_is_named_tries_every_alpha_on_all_rows():
    X, y = many(320)
    model = nk.NeuralKernelRegressor(NET, solver=nk.solvers.Spectral()).fit(X, y)
    assert not np.isnan(model.loo_scores_).any()


def test_copies_of_rows_do_not_speak_for_a_small_alpha():
    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    for copies in (slice(0), slice(100), slice(None)):
        model = nk.NeuralKernelRegressor().fit(np.vstack([X, X[copies]]), np.append(y, y[copies]))
        assert model.alpha_ in model.alphas_[1:3]  # 3.2 or 1: twice the weight takes twice the ridge


@pytest.mark.parametrize("n", [60, 330])
def test_alphas_of_the_grid_that_are_singular_are_passed_over(n):
    rng = np.random.default_rng(0)
    features = rng.standard_normal((n, 5))
    gram = features @ features.T
    gram -= 1e-2 * np.diagonal(gram).mean() * np.eye(n)  # as by the rounding of an inaccurate kernel
    y = features[:, 0]
    model = nk.NeuralKernelRegressor(kernel="precomputed").fit(gram, y)
    assert model.alpha_ > 1e-2
    assert model.score(gram, y) > 0.9
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        nk.NeuralKernelRegressor(kernel="precomputed", alpha=[1e-3, 1.0]).fit(gram, y)
