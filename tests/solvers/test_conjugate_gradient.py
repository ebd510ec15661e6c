"""Conjugate gradients against factorisations; operators against the matrices that they stand for."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

import neural_kernels as nk
from neural_kernels.exact.kernel import as_kernel
from neural_kernels.solvers import Cholesky, ConjugateGradient, KernelOperator, MatrixOperator, RPCholesky, operators
from neural_kernels.solvers import conjugate_gradient as module

RNG = np.random.default_rng(0)
N = 150
X = RNG.standard_normal((N, 4))
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
KERNEL = nk.NTK(nk.mlp(2, bias_var=0.1))
GRAM = KERNEL(X)
WEIGHTS = RNG.uniform(0.3, 2.0, N)
RIDGES = [1.0, 0.1, 0.01]
EXACT = ConjugateGradient(RPCholesky(40), tol=1e-11)


@pytest.fixture(params=[1 << 27, 8 * N * 37], ids=["one strip", "strips"])
def strips(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators, "STRIP", request.param)
    monkeypatch.setattr(operators, "_CHUNK", 16)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("kept", [0.0, 8.0 * 80 * 80, np.inf], ids=["none", "some", "all"])
def test_products_are_those_of_the_matrix(kept: float) -> None:
    operator = KernelOperator(KERNEL, X, kept)
    for _ in range(2):
        assert_allclose(operator.product(Y), GRAM @ Y, rtol=1e-10)
    index = np.array([3, 77])
    assert_allclose(operator.columns(index), GRAM[:, index], rtol=1e-12)
    assert_allclose(operator.block(index), GRAM[np.ix_(index, index)], rtol=1e-12)
    assert_allclose(operator.diagonal(), np.diagonal(GRAM), rtol=1e-12)
    assert_array_equal(pickle.loads(pickle.dumps(operator)).product(Y), operator.product(Y))


@pytest.mark.usefixtures("strips")
def test_kept_strips_are_not_computed_again() -> None:
    calls = []

    def kernel(a: Any, b: Any) -> Any:
        calls.append(len(a))
        return a @ b.T

    operator = KernelOperator(as_kernel(kernel), X, np.inf)
    operator.product(Y)
    count = len(calls)
    operator.product(Y)
    assert len(calls) == count


@pytest.mark.usefixtures("strips")
def test_of_a_matrix_the_lower_triangle_is_read() -> None:
    operator = MatrixOperator(np.tril(GRAM))
    assert_allclose(operator.product(Y), GRAM @ Y, rtol=1e-12)
    assert_allclose(operator.columns(np.array([0, 80, 149])), GRAM[:, [0, 80, 149]])


def test_sparse_rows() -> None:
    rows = np.where(X > 0.5, X, 0.0)
    operator = KernelOperator(KERNEL, sparse.csr_matrix(rows))
    assert_allclose(operator.product(Y), KERNEL(rows) @ Y, rtol=1e-9)


@pytest.mark.usefixtures("strips")
@pytest.mark.parametrize("weights", [pytest.param(None, marks=pytest.mark.slow), WEIGHTS], ids=["equal", "weighted"])
@pytest.mark.parametrize("preconditioner", [RPCholesky(40), None], ids=["preconditioned", "plain"])
def test_solutions_are_those_of_a_factorisation(preconditioner: Any, weights: Any) -> None:
    system = replace(EXACT, preconditioner=preconditioner).system_of(KernelOperator(KERNEL, X), weights)
    expected = Cholesky().system(GRAM, weights)
    found = system.solve_all(Y, RIDGES)
    assert found.converged
    assert found.value.shape == (3, N, 2)
    assert found.residuals.shape == found.iterations.shape == (3, 2)
    for ridge, value in zip(RIDGES, found.value, strict=True):
        assert_allclose(value, expected.solve(Y, ridge), rtol=1e-6, atol=1e-8)
    assert_allclose(system.solve(Y[:, 0], 0.1), expected.solve(Y[:, 0], 0.1), rtol=1e-6, atol=1e-8)


def test_residuals_are_true_and_within_the_tolerance() -> None:
    system = ConjugateGradient(RPCholesky(40), tol=1e-7).system(GRAM)
    found = system.solve_all(Y, [0.05])
    rest = Y - GRAM @ found.value[0] - 0.05 * found.value[0]
    relative = np.linalg.norm(rest, axis=0) / np.linalg.norm(Y, axis=0)
    assert_allclose(found.residuals[0], relative, rtol=1e-4)
    assert (relative <= 1e-7).all()


def test_a_preconditioner_saves_iterations_and_all_ridges_share_products() -> None:
    def products(preconditioner: Any, ridges: list[float]) -> tuple[int, int]:
        system = ConjugateGradient(preconditioner).system(GRAM)
        calls = []
        product = system.operator.product
        system.operator.product = lambda v: calls.append(v.shape) or product(v)
        return int(system.solve_all(Y, ridges).iterations.max()), len(calls)

    most, plain = products(RPCholesky(60), [0.01])[0], products(None, [0.01])[0]
    assert most < plain / 2
    assert products(RPCholesky(60), [0.01])[1] == products(RPCholesky(60), [1.0, 0.1, 0.03, 0.01])[1]


def test_more_columns_than_are_solved_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_COLUMNS", 4)
    found = EXACT.system(GRAM).solve_all(Y, RIDGES)
    expected = [Cholesky().system(GRAM).solve(Y, ridge) for ridge in RIDGES]
    assert_allclose(found.value, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["equal", "weighted"])
def test_residuals_without_an_example(weights: Any) -> None:
    rows = np.array([0, 5, 149])
    system, expected = EXACT.system(GRAM, weights), Cholesky().system(GRAM, weights)
    assert_allclose(
        system.loo_residuals(Y, [0.1, 1.0], rows), expected.loo_residuals(Y, [0.1, 1.0], rows), rtol=1e-6, atol=1e-8
    )
    assert_allclose(system.inverse_blocks(0.3, 50), expected.inverse_blocks(0.3, 50), rtol=1e-6, atol=1e-8)


def test_examples_of_weight_0_are_left_out() -> None:
    weights = np.where(np.arange(N) < 100, 1.0, 0.0)
    found = EXACT.system(GRAM, weights).solve(Y, 0.1)
    assert_allclose(found[:100], Cholesky().system(GRAM[:100, :100]).solve(Y[:100], 0.1), rtol=1e-6, atol=1e-8)
    assert_array_equal(found[100:], 0)


def test_what_did_not_converge_is_said_with_advice() -> None:
    system = ConjugateGradient(None, max_iterations=3).system(GRAM)
    with pytest.warns(ConvergenceWarning, match=r"3 iterations.*higher rank, a larger alpha, X in float64"):
        found = system.solve_all(Y, [1e-4])
    assert not found.converged
    assert (found.iterations == 3).all()
    assert (found.residuals > 1e-6).all()


def test_targets_of_0_take_no_iteration() -> None:
    found = ConjugateGradient().system(GRAM).solve_all(np.zeros(N), [0.1])
    assert_array_equal(found.value, 0)
    assert found.converged


def test_a_matrix_that_is_not_positive_definite() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        ConjugateGradient(None).system(GRAM - 30 * np.eye(N)).solve(Y, 0.1)


def test_what_iterations_cannot_give_is_said() -> None:
    system = ConjugateGradient().system(GRAM)
    with pytest.raises(NotImplementedError, match="Spectral"):
        system.solve(Y, 0.1, time=1.0)
    with pytest.raises(NotImplementedError, match="Cholesky"):
        system.evidence(Y, [0.1])


def test_bad_requests() -> None:
    with pytest.raises(ValueError, match=r"tol=0\.0"):
        ConjugateGradient(tol=0.0)
    with pytest.raises(ValueError, match="rank=0"):
        RPCholesky(0)
    with pytest.raises(ValueError, match="square"):
        ConjugateGradient().system(GRAM[:3])
    with pytest.raises(ValueError, match="NaN"):
        ConjugateGradient(None).system(np.full((3, 3), np.nan)).solve(np.ones(3), 1.0)
    with pytest.raises(ValueError, match="targets have shape"):
        ConjugateGradient().system(GRAM).solve(Y[1:], 0.1)


def test_settings_are_values() -> None:
    solver = ConjugateGradient(RPCholesky(7), tol=1e-3)
    assert pickle.loads(pickle.dumps(solver)) == solver == replace(solver)
    assert ConjugateGradient(RPCholesky(10)).memory(10**5) < ConjugateGradient(RPCholesky(100)).memory(10**5)
