"""What regressor and classifier share: inputs, weights, copies, search, errors."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn import base
from sklearn.datasets import load_diabetes
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neural_kernels.estimators import NeuralKernelClassifier, NeuralKernelRegressor
from neural_kernels.estimators.examples import Examples
from neural_kernels.exact import NNGP, NTK
from neural_kernels.layers import Dense, Sequential, mlp
from neural_kernels.solvers import Cholesky, Spectral

NET = mlp(2, bias_var=0.1)
KERNEL = {"ntk": NTK(NET), "nngp": NNGP(NET)}


@pytest.fixture
def data():
    """60 training examples, 9 test examples, a smooth target far from 0."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((69, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.1 * rng.standard_normal(69)
    return X[:60], y[:60], X[60:]


def fresh(model: Any) -> Any:
    return base.clone(model)


@pytest.mark.parametrize("model", [NeuralKernelRegressor(NET, alpha=[0.01, 0.1]), NeuralKernelClassifier(NET)])
def test_precomputed_equals_direct(data, model: Any):
    X, y, Z = data
    y = y if isinstance(model, NeuralKernelRegressor) else (y > 6).astype(int)
    precomputed = fresh(model).set_params(kernel="precomputed").fit(KERNEL["ntk"](X), y)
    assert_allclose(precomputed.predict(KERNEL["ntk"](Z, X)), model.fit(X, y).predict(Z), rtol=1e-9)
    assert precomputed.__sklearn_tags__().input_tags.pairwise


@pytest.mark.parametrize("model", [NeuralKernelRegressor(NET, alpha=[0.01, 0.1]), NeuralKernelClassifier(NET)])
def test_weights_equal_repetition_and_zero_weights_dropping(data, model):
    X, y, Z = data
    y = y if isinstance(model, NeuralKernelRegressor) else np.where(y > 6, "high", "low")
    w = np.arange(60) % 3
    index = np.repeat(np.arange(60), w)
    method = "predict_proba" if hasattr(model, "predict_proba") else "predict"
    weighted = getattr(fresh(model).fit(X, y, sample_weight=w), method)(Z)
    assert_allclose(getattr(fresh(model).fit(X[index], y[index]), method)(Z), weighted, rtol=1e-8)
    if method == "predict":
        weighted = fresh(model).fit(X, y, sample_weight=w).predict(Z, time=5.0)
        assert_allclose(fresh(model).fit(X[index], y[index]).predict(Z, time=5.0), weighted, rtol=1e-8)


def test_copies_with_different_targets_are_solved_exactly(data):
    X, y, Z = data
    X, y = np.vstack([X, X[:10]]), np.append(y, y[:10] + 1)
    model = NeuralKernelRegressor(NET, alpha=0.01).fit(X, y)
    peer = KernelRidge(alpha=model.ridge_, kernel="precomputed")  # pyright: ignore[reportArgumentType]
    peer.fit(KERNEL["ntk"](X), y - y.mean())
    assert len(model.support_) == 60
    assert_allclose(model.predict(Z), peer.predict(KERNEL["ntk"](Z, X)) + y.mean(), rtol=1e-9)


def test_copies_leave_together(data):
    X, y, _ = data
    X, y = np.vstack([X[:20], X[:5]]), np.append(y[:20], y[:5] + 1)
    model = NeuralKernelRegressor(NET, alpha=[0.01, 0.1]).fit(X, y)
    gram, lost = KERNEL["ntk"](X), 0.0
    scale = np.diagonal(gram).mean()
    for i in range(25):
        rest = (X[i] != X).any(axis=1)
        relative = 0.1 * scale / np.diagonal(gram)[rest].mean()
        refit = NeuralKernelRegressor(kernel="precomputed", alpha=relative).fit(gram[np.ix_(rest, rest)], y[rest])
        lost += (y[i] - refit.predict(gram[[i]][:, rest])[0]) ** 2
    assert_allclose(model.loo_scores_[1], 1 - lost / ((y - y.mean()) ** 2).sum(), rtol=1e-8)


def test_copies_are_found_whatever_the_sign_or_storage_of_zeros():
    dense = np.array([[0.0, 1.0], [-0.0, 1.0], [1.0, 0.0]])
    stored = sparse.csr_array((np.array([0.0, 1, 1, 1]), np.array([0, 1, 1, 0]), np.array([0, 2, 3, 4])), shape=(3, 2))
    for X in (dense, stored):
        examples = Examples.of(X, np.array([[1.0], [3.0], [5.0]]), np.array([1.0, 3.0, 1.0]))
        assert examples.support.tolist() == [0, 2]
        assert examples.weights.tolist() == [4, 1]
        assert examples.targets.tolist() == [[2.5], [5]]
        assert examples.scatter.tolist() == [3]


def test_sparse_equals_dense(data):
    X, y, Z = data
    X, Z = np.where(X > 0, X, 0), np.where(Z > 0, Z, 0)
    dense = NeuralKernelRegressor(NET).fit(X, y).predict(Z)
    thin = NeuralKernelRegressor(NET).fit(sparse.csr_array(X), y).predict(sparse.csr_matrix(Z))
    assert_allclose(thin, dense, rtol=1e-9)
    labels = NeuralKernelClassifier(NET).fit(sparse.csr_matrix(X), y > 6).predict_proba(sparse.csr_matrix(Z))
    assert_allclose(labels, NeuralKernelClassifier(NET).fit(X, y > 6).predict_proba(Z), rtol=1e-7)


def test_data_frames(data):
    pd = pytest.importorskip("pandas")
    X, y, Z = data
    frame = pd.DataFrame(X, columns=list("abcd"))
    model = fresh(NeuralKernelRegressor(NET)).fit(frame, pd.Series(y))
    assert list(model.feature_names_in_) == list("abcd")
    mean, std = model.predict(pd.DataFrame(Z, columns=list("abcd")), return_std=True)
    assert_allclose(mean, NeuralKernelRegressor(NET).fit(X, y).predict(Z))
    assert isinstance(std, np.ndarray)


def test_float32_is_kept_for_the_kernel(data):
    X, y, Z = data
    model = NeuralKernelRegressor(NET, alpha=0.1).fit(X.astype(np.float32), y)
    assert model.X_fit_.dtype == np.float32
    prediction = model.predict(Z.astype(np.float32))
    assert prediction.dtype == np.float64
    assert_allclose(prediction, NeuralKernelRegressor(NET, alpha=0.1).fit(X, y).predict(Z), rtol=1e-4)


def test_blocks_do_not_change_predictions(data):
    X, y, Z = data
    free, tight = NeuralKernelRegressor(NET).fit(X, y), NeuralKernelRegressor(NET, memory_budget=120_000).fit(X, y)
    many = np.vstack([Z] * 20)
    assert_allclose(tight.predict(many), free.predict(many), rtol=1e-12)
    assert_allclose(tight.predict(many, return_std=True)[1], free.predict(many, return_std=True)[1], rtol=1e-10)


def test_memory_budget_says_what_is_needed(data):
    X, y, _ = data
    with pytest.raises(MemoryError, match=r"28,800 bytes.*10,000"):
        NeuralKernelRegressor(NET, memory_budget=10_000).fit(X, y)


def test_pickle_and_clone(data):
    X, y, Z = data
    model = NeuralKernelRegressor(NET, alpha=[0.01, 0.1]).fit(X, y)
    assert_allclose(pickle.loads(pickle.dumps(model)).predict(Z, time=3.0), model.predict(Z, time=3.0))
    assert fresh(model).network == NET


def test_grid_search_over_alpha_and_network():
    X, y = load_diabetes(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NeuralKernelRegressor())
    grid = {
        "neuralkernelregressor__alpha": [1e-3, 1.0],
        "neuralkernelregressor__network": [mlp(1), mlp(3)],
    }
    search = GridSearchCV(pipeline, grid, cv=3).fit(X[:200], y[:200])
    assert search.best_params_["neuralkernelregressor__alpha"] == 1.0
    assert search.best_score_ > 0.3


def test_grid_search_on_a_precomputed_kernel(data):
    X, y, _ = data
    search = GridSearchCV(NeuralKernelRegressor(kernel="precomputed"), {"alpha": [1e-3, 1e-2]}, cv=3, n_jobs=1)
    assert np.isfinite(search.fit(KERNEL["ntk"](X), y).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -1.0}, "alpha=-1.0"),
        ({"alpha": np.nan}, "alpha=nan"),
        ({"alpha": []}, "non-empty"),
        ({"alpha": np.ones((2, 2))}, "vector"),
        ({"alpha": "big"}, "alpha='big'"),
        ({"alpha": True}, "alpha=True"),
        ({"kernel": "rbf"}, "kernel='rbf': expected \"ntk\""),
        ({"kernel": None}, "kernel=None"),
        ({"solver": "cholesky"}, r"solver='cholesky': expected .* nk.solvers.Cholesky\(\)"),
        ({"solver": Cholesky}, r"\(write Cholesky\(\)\)"),
        ({"network": "mlp"}, "network='mlp': expected a layer"),
        ({"network": mlp}, "expected a layer"),
        ({"memory_budget": -1}, "memory_budget=-1"),
    ],
)
@pytest.mark.parametrize("estimator", [NeuralKernelRegressor, NeuralKernelClassifier])
def test_bad_parameters_are_refused_in_fit(data, estimator, parameters, message):
    X, y, _ = data
    wrong_type = "solver" in parameters or parameters.get("kernel", "") is None
    with pytest.raises(TypeError if wrong_type else ValueError, match=message):
        estimator(**parameters).fit(X, (y > 6).astype(int))


def test_bad_requests_are_refused(data):
    X, y, Z = data
    model = NeuralKernelRegressor(NET).fit(X, y)
    for time in (-1.0, np.nan):
        with pytest.raises(ValueError, match="time"):
            model.predict(Z, time=time)
    with pytest.raises(ValueError, match="one of them"):
        model.predict(Z, return_std=True, return_cov=True)
    gram = KERNEL["ntk"](X)
    precomputed = NeuralKernelRegressor(kernel="precomputed").fit(gram, y)
    with pytest.raises(ValueError, match="gp_covariance"):
        precomputed.predict(gram, return_std=True)
    with pytest.raises(ValueError, match="square"):
        precomputed.fit(gram[:, :5], y)
    with pytest.raises(ValueError, match="symmetric"):
        precomputed.fit(gram + np.triu(np.ones((60, 60))), y)
    for weights in (np.zeros(60), -np.ones(60)):
        with pytest.raises(ValueError, match=r"(?i)sample.weight"):
            model.fit(X, y, sample_weight=weights)
    with pytest.raises(ValueError, match="bias_var"):
        NeuralKernelRegressor(mlp(1)).fit(np.zeros((60, 4)), y)


def test_no_ridge_interpolates_or_says_why_not(data):
    X, y, _ = data
    assert_allclose(NeuralKernelRegressor(NET, alpha=0).fit(X, y).predict(X), y, rtol=1e-8)
    linear = Sequential(Dense())
    for alpha in (0.0, [0.0, 1.0]):
        with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
            NeuralKernelRegressor(linear, alpha=alpha).fit(X, y)


@pytest.mark.parametrize("model", [NeuralKernelRegressor(NET), NeuralKernelClassifier(NET)])
def test_every_solver_gives_the_same_model(data, model):
    X, y, Z = data
    y = y if isinstance(model, NeuralKernelRegressor) else (y > 6).astype(int)
    one = fresh(model).set_params(alpha=[1e-3, 1e-2, 1e-1], solver=Spectral()).fit(X, y)
    other = fresh(model).set_params(alpha=[1e-3, 1e-2, 1e-1], solver=Cholesky()).fit(X, y)
    assert_allclose(other.loo_scores_, one.loo_scores_, rtol=1e-9)
    assert other.alpha_ == one.alpha_
    assert_allclose(other.predict(Z), one.predict(Z), rtol=1e-9)
    assert (one.solver_, one.solver_reason_) == (Spectral(), "as asked for")
    assert other.solver_ == Cholesky()


def test_the_solver_that_is_taken_depends_on_ridges_and_memory(data):
    X, y, _ = data
    one = NeuralKernelRegressor(NET, alpha=1e-2).fit(X, y)
    assert one.solver_ == Cholesky()
    assert "one ridge" in one.solver_reason_
    assert NeuralKernelRegressor(NET, alpha=[0.1, 1.0]).fit(X, y).solver_ == Cholesky()
    rng, alphas = np.random.default_rng(0), np.logspace(-3, 1, 9)
    X, y = rng.standard_normal((200, 4)), rng.standard_normal(200)
    several = NeuralKernelRegressor(NET, alpha=alphas).fit(X, y)
    assert several.solver_ == Spectral()
    assert "all 9 ridges" in several.solver_reason_
    tight = NeuralKernelRegressor(NET, alpha=alphas, memory_budget=1_150_000).fit(X, y)
    assert tight.solver_ == Cholesky()
    assert "no memory" in tight.solver_reason_
    assert_allclose(tight.loo_scores_, several.loo_scores_, rtol=1e-9)
    with pytest.raises(MemoryError):
        NeuralKernelRegressor(NET, alpha=[0.1, 1.0], memory_budget=1_150_000, solver=Spectral()).fit(X, y)


def test_grid_search_over_solvers(data):
    X, y, _ = data
    search = GridSearchCV(NeuralKernelRegressor(NET), {"solver": [None, Cholesky(), Spectral()]}, cv=3).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert_allclose(scores, scores[0], rtol=1e-9)
