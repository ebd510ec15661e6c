"""Kernel objects in every estimator: the precomputed way is the truth."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks

import neural_kernels as nk

NET, OTHER = nk.mlp(2, bias_var=0.1), nk.mlp(1)


def quadratic(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    """At the top of a module, so that it can be pickled."""
    return (1 + x1 @ x2.T) ** 2


OBJECTS: dict[str, Any] = {
    "laplace": nk.Laplace(0.5),
    "ntk": nk.NTK(NET),
    "nngp": nk.NNGP(NET),
    "sum": 0.5 * nk.NTK(NET) + nk.Laplace(1.0) + 0.1,
    "product": nk.NNGP(OTHER) * nk.GammaExponential(0.3, 2.0),
    "function": quadratic,
    "scikit-learn": ConstantKernel(2.0) * RBF(1.5),
}


@pytest.fixture(params=OBJECTS)
def kernel(request: pytest.FixtureRequest) -> Any:
    return OBJECTS[request.param]


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((59, 3))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.1 * rng.standard_normal(59)
    return X[:50], y[:50], X[50:]


def gram(kernel: Any, *batches: np.ndarray) -> np.ndarray:
    return kernel(batches[0], batches[-1]) if kernel is quadratic else kernel(*batches)


@pytest.mark.parametrize("model", [nk.NeuralKernelRegressor(alpha=[0.01, 0.1]), nk.NeuralKernelClassifier()])
def test_exact_estimators(data, kernel: Any, model: Any) -> None:
    X, y, Z = data
    y = y if isinstance(model, nk.NeuralKernelRegressor) else (y > 6).astype(int)
    name = "predict" if isinstance(model, nk.NeuralKernelRegressor) else "predict_proba"
    direct = clone(model).set_params(kernel=kernel).fit(X, y)
    peer = clone(model).set_params(kernel="precomputed").fit(gram(kernel, X), y)
    assert_allclose(getattr(direct, name)(Z), getattr(peer, name)(gram(kernel, Z, X)), rtol=1e-9)
    assert direct.alpha_ == peer.alpha_
    assert direct.kernel_ == nk.exact.as_kernel(kernel)


def test_feature_estimators_with_all_rows_as_landmarks_equal_the_exact_ones_but_for_the_offset(data, kernel) -> None:
    """The feature estimators centre features, the exact ones targets: centred targets and features are alike."""
    X, y, Z = data
    model = nk.NeuralFeatureRegressor(kernel=kernel, n_components=200, random_state=0).fit(X, y)
    k, cross = gram(kernel, X), gram(kernel, Z, X)
    centred = k - k.mean(0) - k.mean(1)[:, None] + k.mean()
    shifted = cross - cross.mean(1)[:, None] - k.mean(0) + k.mean()
    coefficients = np.linalg.solve(centred + model.ridge_ * np.eye(50), y - y.mean())
    assert_allclose(model.predict(Z), y.mean() + shifted @ coefficients, rtol=1e-6)
    labels = (y > 6).astype(int)
    classifier = nk.NeuralFeatureClassifier(kernel=kernel, n_components=200, random_state=0).fit(X, labels)
    coefficients = np.linalg.solve(centred + classifier.ridge_ * np.eye(50), 2.0 * labels - 2 * labels.mean())
    assert_allclose(
        classifier.decision_function(Z), 2 * labels.mean() - 1 + shifted @ coefficients, rtol=1e-6, atol=1e-6
    )
    features = nk.NeuralFeatures(kernel=kernel, n_components=200, random_state=0).fit(X)
    assert_allclose(features.transform(X) @ features.transform(X).T, k, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["ntk", "nngp"])
def test_the_kernel_of_a_network_is_its_name(data, name: str) -> None:
    X, y, Z = data
    for model in (nk.NeuralKernelRegressor(), nk.NeuralFeatureRegressor(n_components=20, random_state=0)):
        named = clone(model).set_params(network=NET, kernel=name).fit(X, y)
        given = clone(model).set_params(kernel=OBJECTS[name]).fit(X, y)
        assert_array_equal(given.predict(Z), named.predict(Z))
        assert given.network_ == NET
        assert given.kernel_ == named.kernel_
    assert given.reason_ == named.reason_
    by_name = nk.NeuralKernelRegressor(NET, kernel=name).fit(X, y)
    by_object = nk.NeuralKernelRegressor(kernel=OBJECTS[name]).fit(X, y)
    for asked in ({"return_std": True}, {"return_cov": True}, {"return_std": True, "time": 3.0}):
        assert_array_equal(by_object.predict(Z, **asked)[1], by_name.predict(Z, **asked)[1])


def test_uncertainty_is_that_of_the_gaussian_process_with_that_kernel(data, kernel: Any) -> None:
    if kernel is OBJECTS["ntk"]:
        pytest.skip("an ensemble's, see above")
    X, y, Z = data
    model = nk.NeuralKernelRegressor(kernel=kernel, alpha=0.05).fit(X, y)
    prior, cross = gram(kernel, Z), gram(kernel, Z, X)
    expected = prior - cross @ np.linalg.solve(gram(kernel, X) + model.ridge_ * np.eye(50), cross.T)
    covariance = model.predict(Z, return_cov=True, noise=False)[1] / model.amplitude_
    assert_allclose(covariance, expected, rtol=1e-8, atol=1e-10)
    deviation = model.predict(Z, return_std=True, noise=False)[1] / np.sqrt(model.amplitude_)
    assert_allclose(deviation, np.sqrt(np.diagonal(expected)), rtol=1e-6)


def test_equals_scikit_learns_gaussian_process(data) -> None:
    X, y, Z = data
    kernel: Any = 2.0 * RBF(1.5) + WhiteKernel(0.1)
    model = nk.NeuralKernelRegressor(kernel=kernel, alpha=0.01).fit(X, y)
    a, noise = model.amplitude_, model.noise_variance_
    peer: Any = GaussianProcessRegressor(a * kernel, alpha=a * model.ridge_, optimizer=None).fit(X, y - y.mean())
    mean, cov = peer.predict(Z, return_cov=True)
    assert_allclose(noise, a * model.ridge_, rtol=1e-12)
    assert_allclose(model.predict(Z), mean + y.mean(), rtol=1e-9)
    assert_allclose(model.predict(Z, return_cov=True, noise=False)[1], cov, rtol=1e-9, atol=1e-12)
    assert_allclose(model.predict(Z, return_std=True)[1], np.sqrt(np.diagonal(cov) + noise), rtol=1e-9)
    assert_allclose(model.log_marginal_likelihood_, peer.log_marginal_likelihood_value_, rtol=1e-10)
    fixed: Any = GaussianProcessRegressor(kernel, alpha=model.ridge_, optimizer=None).fit(X, y - y.mean())
    std = model.predict(Z, return_std=True, noise=False)[1] / np.sqrt(a)
    assert_allclose(std, fixed.predict(Z, return_std=True)[1], rtol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        nk.NeuralKernelRegressor,
        nk.NeuralKernelClassifier,
        lambda: nk.NeuralFeatureRegressor(n_components=20, random_state=0),
        lambda: nk.NeuralFeatureClassifier(n_components=20, random_state=0),
    ],
)
def test_search_over_kernels(data, make: Callable[[], Any]) -> None:
    X, y, Z = data
    labels = (y > 6).astype(int)
    kernels = [nk.Laplace(1.0), nk.NTK(NET), 2 * nk.NNGP(OTHER) + nk.Laplace(0.1), "nngp", rbf_kernel]
    search = GridSearchCV(make(), {"kernel": kernels}, cv=3, error_score="raise").fit(X, labels)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_["kernel"] in kernels
    assert search.predict(Z).shape == (9,)


def test_search_over_the_parameters_of_a_kernel_of_scikit_learn(data) -> None:
    X, y, _ = data
    model = nk.NeuralKernelRegressor(kernel=RBF())
    search = GridSearchCV(model, {"kernel__length_scale": [0.01, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"kernel__length_scale": 1.0}


def test_clone_pickle_repr(data, kernel: Any) -> None:
    X, y, Z = data
    for model in (
        nk.NeuralKernelRegressor(kernel=kernel).fit(X, y),
        nk.NeuralFeatureRegressor(kernel=kernel, n_components=20, random_state=0).fit(X, y),
    ):
        assert_array_equal(pickle.loads(pickle.dumps(model)).predict(Z), model.predict(Z))
        assert_array_equal(clone(model).fit(X, y).predict(Z), model.predict(Z))
        assert "kernel=" in repr(model)


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try out
@parametrize_with_checks(
    [
        nk.NeuralKernelRegressor(kernel=nk.Laplace(1.0)),
        nk.NeuralKernelClassifier(kernel=nk.NTK(NET) + nk.Laplace(1.0)),
        nk.NeuralFeatureClassifier(kernel=nk.NTK(NET), n_components=16),
        nk.NeuralFeatureRegressor(kernel=nk.Laplace(0.05), n_components=64),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "estimator",
    [nk.NeuralKernelRegressor, nk.NeuralKernelClassifier, nk.NeuralFeatureRegressor, nk.NeuralFeatureClassifier],
)
def test_what_is_no_kernel_is_refused(data, estimator: Any) -> None:
    X, y, _ = data
    labels = (y > 6).astype(int)
    with pytest.raises(TypeError, match=r"are two networks. Leave the network away"):
        estimator(NET, kernel=nk.NTK(OTHER)).fit(X, labels)
    with pytest.raises(TypeError, match=r"write NTK\(\.\.\.\)"):
        estimator(kernel=nk.NTK).fit(X, labels)
    with pytest.raises(TypeError, match="kernel=3"):
        estimator(kernel=3).fit(X, labels)


@pytest.mark.parametrize("estimator", [nk.NeuralKernelRegressor, nk.NeuralFeatureRegressor])
def test_inputs_that_a_kernel_does_not_take(data, estimator: Any) -> None:
    X, y, _ = data
    with pytest.raises(ValueError, match=r"takes vectors.*reshape"):
        estimator(kernel=nk.Laplace()).fit(X.reshape(50, 3, 1, 1) * np.ones((2, 2)), y)


@pytest.mark.parametrize("kernel", [nk.NTK(NET) * nk.NNGP(NET), nk.Laplace()], ids=["product", "laplace"])
@pytest.mark.parametrize("estimator", [nk.NeuralKernelRegressor, nk.NeuralFeatureRegressor])
def test_sparse_rows(data, estimator: Any, kernel: Any) -> None:
    X, y, _ = data
    rows = sparse.csr_matrix(X)
    thin, dense = estimator(kernel=kernel).fit(rows, y), estimator(kernel=kernel).fit(X, y)
    assert_allclose(thin.predict(rows), dense.predict(X), rtol=1e-7)


def test_images(data) -> None:
    X, y, Z = data
    X, Z = (np.repeat(part, 12, axis=1).reshape(-1, 1, 6, 6) for part in (X, Z))
    kernel = nk.NTK(nk.cnn(1)) + 0.5 * nk.NNGP(nk.cnn(1, pooling="flatten"))
    model = nk.NeuralKernelRegressor(kernel=kernel).fit(X, y)
    peer = nk.NeuralKernelRegressor(kernel="precomputed").fit(kernel(X), y)
    assert_allclose(model.predict(Z), peer.predict(kernel(Z, X)), rtol=1e-9)


def test_functions_that_give_no_gram_matrix_are_refused(data) -> None:
    X, y, _ = data
    with pytest.raises(ValueError, match="gave an array of shape"):
        nk.NeuralKernelRegressor(kernel=lambda a, b: a @ b.T @ b).fit(X, y)
    with pytest.raises(ValueError, match="symmetric"):
        nk.NeuralKernelRegressor(kernel=lambda a, b: np.exp(a @ (b + 1).T)).fit(X, y)
    module = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2)).double().eval()
    with pytest.raises(ValueError, match="square Gram matrix"):
        nk.NeuralKernelRegressor(kernel=nk.EmpiricalNTK(module)).fit(X, y)
    pseudo = nk.NeuralKernelRegressor(kernel=nk.PseudoNTK(module), alpha=0.1).fit(X, y)
    peer = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.1).fit(nk.PseudoNTK(module)(X), y)
    assert_allclose(pseudo.predict(X), peer.predict(nk.PseudoNTK(module)(X)), rtol=1e-9)


def test_a_search_may_hold_names_and_objects(data) -> None:
    """The network is that of the names, and unused beside objects."""
    X, y, _ = data
    kernels = ["ntk", "nngp", nk.Laplace(0.05), nk.NTK(NET), nk.NTK(NET) + nk.Laplace()]
    search = GridSearchCV(nk.NeuralKernelRegressor(NET), {"kernel": kernels}, error_score="raise", cv=3).fit(X, y)
    scores = search.cv_results_["mean_test_score"]
    assert np.isfinite(scores).all()
    assert scores[0] == scores[3]
    assert nk.NeuralKernelRegressor(NET, kernel=nk.Laplace()).fit(X, y).network_ is None
