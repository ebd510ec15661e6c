"""Exact estimators by conjugate gradients: as by a factorisation, without the Gram matrix."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import neural_kernels as nk
from neural_kernels.estimators.examples import Examples
from neural_kernels.estimators.held_out import HeldOut
from neural_kernels.solvers import (
    Cholesky,
    ConjugateGradient,
    KernelOperator,
    RPCholesky,
    Spectral,
    automatic,
    conjugate_gradient,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 3))
Y = np.sin(2 * X[:, 0]) + 0.3 * RNG.standard_normal(400)
NEW = RNG.standard_normal((20, 3))
SOLVER = ConjugateGradient(RPCholesky(60), tol=1e-10)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [1, 3])
def test_predictions_are_those_of_a_factorisation(outputs, weighted):
    y = Y if outputs == 1 else np.column_stack([Y, Y**2, X[:, 1]])
    rows, w = np.vstack([X, X[:30]]), RNG.uniform(0.5, 2, 430) if weighted else None
    y = np.concatenate([y, y[:30] + 0.1])
    exact = nk.NeuralKernelRegressor(alpha=0.01, solver=Cholesky()).fit(rows, y, w)
    found = nk.NeuralKernelRegressor(alpha=0.01, solver=SOLVER).fit(rows, y, w)
    assert_allclose(found.predict(NEW), exact.predict(NEW), rtol=1e-6, atol=1e-7)
    assert_allclose(found.dual_coef_, exact.dual_coef_, rtol=1e-5, atol=1e-7)
    assert_allclose(found._amplitude, exact._amplitude, rtol=1e-6)
    assert found.convergence_.converged
    assert exact.convergence_ is None
    assert np.isnan(found.log_marginal_likelihood_)


def test_alphas_are_chosen_by_held_out_rows():
    model = nk.NeuralKernelRegressor(alpha=[1e3, 0.03, 30.0], solver=SOLVER).fit(X, Y)
    assert model.alpha_ == 0.03
    assert model.loo_scores_.shape == (3,)
    assert np.argmax(model.loo_scores_) == 1


def test_held_out_rows_are_predicted_by_a_model_of_the_others():
    kernel, examples = nk.NTK(nk.mlp(2, bias_var=0.1)), Examples.of(X, Y[:, None], np.ones(400))
    operator = KernelOperator(kernel, X)
    held = HeldOut(lambda w: SOLVER.system_of(operator, w), examples, np.arange(400), "r2", 30)
    rest = np.setdiff1d(np.arange(400), held.judges)
    assert len(held.judges) == 30
    without = nk.NeuralKernelRegressor(kernel=kernel, alpha=0.1, solver=Cholesky()).fit(X[rest], Y[rest])
    expected = Y[held.judges] - without.predict(X[held.judges])
    assert_allclose(held.residuals(without.ridge_)[:, 0], expected, rtol=1e-6, atol=1e-7)
    score = 1 - np.sum(expected**2) / np.sum((Y[held.judges] - Y.mean()) ** 2)
    assert held.scores(np.array([without.ridge_, 1e3]))[0] == pytest.approx(score, abs=0.1)


def test_the_grid_is_narrowed_on_part_of_the_rows():
    model = nk.NeuralKernelRegressor(solver=SOLVER).fit(X, Y)
    assert np.isfinite(model.loo_scores_).sum() == 2
    assert "the 2 alphas are the best by" in model.solver_reason_
    usual = nk.NeuralKernelRegressor().fit(X, Y)
    assert abs(np.log10(model.alpha_ / usual.alpha_)) <= 0.51  # next to each other on the grid


@pytest.mark.parametrize("alpha", [0.05, [0.05, 0.5]])
def test_classification(alpha):
    labels = np.where(Y > 0.3, "high", np.where(Y < -0.3, "low", "middle"))
    exact = nk.NeuralKernelClassifier(alpha=alpha, solver=Cholesky()).fit(X, labels)
    found = nk.NeuralKernelClassifier(alpha=alpha, solver=SOLVER).fit(X, labels)
    assert_allclose(found.predict_proba(NEW).sum(axis=1), 1)
    assert (found.predict(NEW) == exact.predict(NEW)).mean() > 0.9
    if np.ndim(alpha) == 0:
        assert_allclose(found.decision_function(NEW), exact.decision_function(NEW), rtol=1e-5, atol=1e-6)


def test_gaussian_processes_have_deviations():
    exact = nk.NeuralKernelRegressor(kernel="nngp", alpha=0.05, solver=Cholesky()).fit(X, Y)
    found = nk.NeuralKernelRegressor(kernel="nngp", alpha=0.05, solver=SOLVER).fit(X, Y)
    assert_allclose(found.predict(NEW, return_std=True)[1], exact.predict(NEW, return_std=True)[1], rtol=1e-6)
    assert_allclose(found.novelty(NEW), exact.novelty(NEW), rtol=1e-5)


def test_what_takes_a_factorisation_is_said():
    model = nk.NeuralKernelRegressor(alpha=0.05, solver=SOLVER).fit(X, Y)
    for ask in (lambda: model.predict_interval(NEW), lambda: model.predict(NEW, return_std=True)):
        with pytest.raises(NotImplementedError, match="Cholesky"):
            ask()
    with pytest.raises(ValueError, match='selection="loo"'):
        nk.NeuralKernelRegressor(selection="evidence", solver=SOLVER).fit(X, Y)


def test_a_small_budget_takes_them_by_itself(monkeypatch):
    small = ConjugateGradient(RPCholesky(10))
    monkeypatch.setattr(automatic, "ConjugateGradient", lambda: small)
    monkeypatch.setattr(conjugate_gradient, "STRIP", 2**16)
    budget = 8 * 400**2 + Cholesky().memory(400) - 1
    model = nk.NeuralKernelRegressor(alpha=0.05, memory_budget=budget).fit(X, Y)
    assert model.solver_ == small
    assert "more than memory_budget" in model.solver_reason_
    assert nk.NeuralKernelRegressor(alpha=0.05, memory_budget=budget + 1).fit(X, Y).solver_ == Cholesky()
    assert nk.NeuralKernelRegressor(alpha=0.05).fit(X, Y).solver_ == Cholesky()


def test_many_rows_take_them_by_themselves(monkeypatch):
    monkeypatch.setattr(automatic, "_LARGE", 300)
    model = nk.NeuralKernelRegressor(alpha=0.05).fit(X, Y)
    assert isinstance(model.solver_, ConjugateGradient)
    assert "400 examples" in model.solver_reason_
    assert isinstance(nk.NeuralKernelRegressor(alpha=0.05).fit(X[:200], Y[:200]).solver_, Cholesky)


def test_matrices_on_disk_are_taken_as_they_are(tmp_path, monkeypatch):
    kernel = nk.NTK(nk.mlp(3, bias_var=0.1))
    gram = kernel.to_disk(tmp_path / "gram.npy", X)
    used = []
    from neural_kernels.estimators import kernel_base

    real = kernel_base.MatrixOperator
    monkeypatch.setattr(kernel_base, "MatrixOperator", lambda matrix: used.append(matrix) or real(matrix))
    found = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.01, solver=SOLVER).fit(gram, Y)
    assert np.shares_memory(used[0], gram)
    expected = nk.NeuralKernelRegressor(alpha=0.01, solver=SOLVER).fit(X, Y)
    assert_allclose(found.predict(kernel(NEW, X)), expected.predict(NEW), rtol=1e-7)


def test_pickles():
    model = nk.NeuralKernelRegressor(kernel="nngp", alpha=0.05, solver=SOLVER).fit(X, Y)
    stored = pickle.dumps(model)
    assert len(stored) < 8 * 400 * 40
    again = pickle.loads(stored)
    assert_array_equal(again.predict(NEW), model.predict(NEW))
    assert_allclose(again.predict(NEW, return_std=True)[1], model.predict(NEW, return_std=True)[1], rtol=1e-9)


@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
@pytest.mark.parametrize("model", [nk.NeuralKernelRegressor, nk.NeuralKernelClassifier])
def test_a_pickle_is_training_rows_and_coefficients(model, solver):
    targets = Y if model is nk.NeuralKernelRegressor else 1 * (Y > 0)
    weights = RNG.uniform(0.5, 2, 400)
    fitted = model(alpha=0.05, solver=solver).fit(X, targets, weights)
    stored = pickle.dumps(fitted)
    assert len(stored) < 8 * 400 * 40
    again = pickle.loads(stored)
    assert_array_equal(again.predict(NEW), fitted.predict(NEW))
    assert_allclose(again.predict(NEW, time=20.0), fitted.predict(NEW, time=20.0), rtol=1e-7)
    assert_allclose(again.novelty(NEW), fitted.novelty(NEW), rtol=1e-7)
    if model is nk.NeuralKernelRegressor:
        again = pickle.loads(stored)
        assert_allclose(again.predict(NEW, return_std=True)[1], fitted.predict(NEW, return_std=True)[1], rtol=1e-6)
        assert_allclose(again.predict_interval(NEW), fitted.predict_interval(NEW), rtol=1e-7)
    assert pickle.loads(stored).fit(X[:50], targets[:50]).predict(NEW).shape == (20,)


def test_a_pickle_of_a_model_of_a_matrix(tmp_path):
    kernel = nk.NTK(nk.mlp(3, bias_var=0.1))
    gram, cross = kernel(X), kernel(NEW, X)
    exact = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.05, solver=Cholesky()).fit(gram, Y)
    again = pickle.loads(pickle.dumps(exact))
    assert_allclose(again.predict_interval(cross), exact.predict_interval(cross))
    found = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.05, solver=SOLVER).fit(gram, Y)
    stored = pickle.dumps(found)
    assert len(stored) < 8 * 400 * 40
    assert_array_equal(pickle.loads(stored).predict(cross), found.predict(cross))
