"""What every system answers, whatever made it: against plain formulas."""

from __future__ import annotations

import pickle
import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import expm

from neural_kernels.solvers import Automatic, BlockRidge, Cholesky, RidgeSystem, Solver, Spectral

N, OUTPUTS, RIDGES = 9, 2, [0.05, 0.4, 3.0]
WEIGHTS = np.random.default_rng(1).uniform(0.3, 2.0, N)
SOLVERS = [Cholesky(), Spectral(), Automatic()]


@dataclass(frozen=True)
class Problem:
    """A system, and the same as one matrix: rows that belong to one example are neighbours."""

    system: RidgeSystem
    matrix: np.ndarray
    weights: np.ndarray
    size: int  # rows of an example
    targets: np.ndarray

    def flat(self, values: np.ndarray) -> np.ndarray:
        return values.reshape(len(self.matrix), -1)

    def plain(self, ridge: float, time: float = np.inf, kept: Any = slice(None)) -> np.ndarray:
        """Coefficients of the rows kept."""
        s, y = np.sqrt(self.weights)[kept, None], self.flat(self.targets)[kept]
        matrix = s * self.matrix[kept][:, kept] * s.T + ridge * np.eye(len(s))
        trained = np.eye(len(s)) - (0 if np.isinf(time) else expm(-time * matrix))
        return s * np.linalg.solve(matrix, trained @ (s * y))


def make(solver: Solver, full: bool, weighted: bool) -> Problem:
    rng = np.random.default_rng(0)
    size = OUTPUTS if full else 1
    features = rng.standard_normal((N * size, 40))
    matrix, targets = features @ features.T / 40, rng.standard_normal((N, OUTPUTS))
    weights = WEIGHTS if weighted else None
    if full:
        gram = matrix.reshape(N, size, N, size).transpose(0, 2, 1, 3)
        system = BlockRidge(gram, solver, weights)
    else:
        system = solver.system(matrix, weights)
    return Problem(system, matrix, np.repeat(WEIGHTS if weighted else np.ones(N), size), size, targets)


@pytest.fixture(params=[False, True], ids=["equal", "weighted"])
def weighted(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=[False, True], ids=["numbers", "blocks"])
def full(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=SOLVERS, ids=lambda solver: type(solver).__name__)
def problem(request: pytest.FixtureRequest, full: bool, weighted: bool) -> Problem:
    return make(request.param, full, weighted)


def test_solutions_for_any_ridge_in_any_order(problem: Problem) -> None:
    for ridge in (0.4, 0.05, 0.4, 3.0, 0.05):
        solution = problem.system.solve(problem.targets, ridge)
        assert solution.shape == problem.targets.shape
        assert_allclose(problem.flat(solution), problem.plain(ridge), rtol=1e-9)


@pytest.mark.parametrize("time", [0.0, 0.7, 30.0])
def test_training_times(problem: Problem, time: float) -> None:
    problem.system.solve(problem.targets, 3.0)  # of which nothing must stay
    trained = problem.system.solve(problem.targets, 0.4, time)
    assert_allclose(problem.flat(trained), problem.plain(0.4, time), rtol=1e-9, atol=1e-14)
    assert_allclose(problem.flat(problem.system.solve(problem.targets, 0.4)), problem.plain(0.4), rtol=1e-9)


def test_residuals_without_an_example_are_those_of_refits(problem: Problem) -> None:
    residuals = problem.system.loo_residuals(problem.targets, RIDGES)
    assert residuals.shape == (3, N, OUTPUTS)
    rows = np.arange(len(problem.matrix)) // problem.size
    for ridge, found in zip(RIDGES, residuals, strict=True):
        for i in range(N):
            kept = rows != i
            predicted = problem.matrix[~kept][:, kept] @ problem.plain(ridge, kept=kept)
            assert_allclose(found[i].reshape(problem.size, -1), problem.flat(problem.targets)[~kept] - predicted)
        assert_allclose(problem.system.loo_residuals(problem.targets, ridge), found, rtol=1e-12)


@pytest.mark.parametrize("rows", [[0], [2, 3, 7], [8]], ids=["first", "some", "last"])
def test_residuals_of_some_examples_are_those_of_all(problem: Problem, rows: list[int]) -> None:
    fresh = problem.system.loo_residuals(problem.targets, RIDGES, np.array(rows))
    every = problem.system.loo_residuals(problem.targets, RIDGES)
    assert_allclose(fresh, every[:, rows], rtol=1e-9)
    assert_allclose(problem.system.loo_residuals(problem.targets, RIDGES, np.array(rows)), fresh, rtol=1e-9)


@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
def test_residuals_of_some_examples_whatever_the_size(solver: Solver) -> None:
    """Columns of the factor's inverse are computed 128 at a time."""
    features = np.random.default_rng(0).standard_normal((300, 320))
    gram, rows = features @ features.T / 300, np.r_[5, 100:290, 299]
    system, inverse = solver.system(gram), np.linalg.inv(gram + 0.3 * np.eye(300))
    expected = (inverse @ features[:, 0] / np.diagonal(inverse))[rows]
    assert_allclose(system.loo_residuals(features[:, 0], 0.3, rows), expected, rtol=1e-8)
    blocks = system.inverse_blocks(0.3, 150)
    assert_allclose(blocks, [inverse[:150, :150], inverse[150:, 150:]], rtol=1e-7, atol=1e-10)


def test_diagonal_blocks_of_the_inverse(problem: Problem) -> None:
    s = np.sqrt(problem.weights)
    inverse = np.linalg.inv(s[:, None] * problem.matrix * s + 0.4 * np.eye(len(s)))
    blocks, size = problem.system.inverse_blocks(0.4, 3), 3 * problem.size
    assert blocks.shape == (N // 3, size, size)
    for k, block in enumerate(blocks):
        part = slice(k * size, (k + 1) * size)
        assert_allclose(block, inverse[part, part], rtol=1e-9, atol=1e-12)


def test_a_failed_ridge_spoils_nothing(problem: Problem) -> None:
    singular = np.ones_like(problem.matrix)
    gram = singular if problem.size == 1 else np.ones((N, N, OUTPUTS, OUTPUTS))
    system = Cholesky().system(gram) if problem.size == 1 else BlockRidge(gram, Cholesky())
    for _ in range(2):
        with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
            system.solve(problem.targets, 0.0)
        expected = np.linalg.solve(singular + np.eye(len(singular)), problem.flat(problem.targets))
        assert_allclose(problem.flat(system.solve(problem.targets, 1.0)), expected, rtol=1e-9, atol=1e-12)


def test_pickles(problem: Problem) -> None:
    problem.system.solve(problem.targets, 0.4)
    again = pickle.loads(pickle.dumps(problem.system))
    assert_array_equal(again.solve(problem.targets, 0.4), problem.system.solve(problem.targets, 0.4))
    assert_allclose(again.solve(problem.targets, 3.0), problem.system.solve(problem.targets, 3.0), rtol=1e-12)


@pytest.mark.parametrize("wrong", [{"ridge": -1.0}, {"ridge": np.nan}, {"ridge": 1.0, "time": -1.0}])
def test_bad_requests(problem: Problem, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected a"):
        problem.system.solve(problem.targets, **wrong)
    with pytest.raises(ValueError, match="targets have shape"):
        problem.system.solve(problem.targets[1:], 1.0)
    with pytest.raises(ValueError, match="ridge"):
        problem.system.loo_residuals(problem.targets, [1.0, -1.0])


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_of_zero_have_no_residuals(solver: Solver, full: bool) -> None:
    gram = np.eye(2)[..., None, None] * np.eye(2) if full else np.eye(2)
    system = BlockRidge(gram, solver, [0.0, 1.0]) if full else solver.system(gram, [0.0, 1.0])
    for call in (lambda: system.loo_residuals(np.ones((2, 2)), [1.0]), lambda: system.inverse_blocks(1.0, 1)):
        with pytest.raises(ValueError, match="leave those"):
            call()


@pytest.mark.parametrize("solver", SOLVERS)
def test_settings_are_values_that_say_what_they_take(solver: Solver) -> None:
    assert solver == type(solver)()
    assert repr(solver) == f"{type(solver).__name__}()"
    assert pickle.loads(pickle.dumps(solver)) == solver
    assert solver.memory(100, 1) >= 8 * 100**2
    assert solver.memory(100, 50) > solver.memory(100, 1)


@pytest.mark.parametrize("outputs", [1, 60])
@pytest.mark.parametrize("solver", [Cholesky(), Spectral()])
def test_no_more_memory_is_taken_than_was_said(solver: Solver, outputs: int) -> None:
    features = np.random.default_rng(0).standard_normal((400, 500))
    gram, y = features @ features.T, features[:, :outputs]
    tracemalloc.start()
    try:
        system = solver.system(gram)
        system.loo_residuals(y, 0.1)
        system.solve(y, 0.1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0.5 * solver.memory(400, outputs) < peak < 1.05 * solver.memory(400, outputs)


@pytest.mark.parametrize("size", [127, 128, 129, 300])
def test_one_matrix_serves_every_ridge_whatever_its_size(size: int) -> None:
    """Tiles of 128 rows are transposed."""
    features = np.random.default_rng(0).standard_normal((size, size + 20))
    gram, y = features @ features.T / size, np.arange(size) / size
    system = Cholesky().system(gram)
    for ridge in (2.0, 0.1, 2.0):
        assert_allclose(system.solve(y, ridge), np.linalg.solve(gram + ridge * np.eye(size), y), rtol=1e-9)


def test_only_the_lower_triangle_is_read() -> None:
    gram = np.array([[2.0, 9.0, 9.0], [1.0, 2.0, 9.0], [0.5, 1.0, 2.0]])
    whole = np.tril(gram) + np.tril(gram, -1).T
    for solver in SOLVERS:
        for ridge in (1.0, 0.5):
            system = solver.system(gram)
            system.solve(np.ones(3), 7.0)
            assert_allclose(system.solve(np.ones(3), ridge), np.linalg.solve(whole + ridge * np.eye(3), np.ones(3)))


@pytest.mark.parametrize(
    "gram", [np.eye(3), np.ones((2, 3, 2, 2)), np.ones((2, 2, 2, 3)), np.full((2, 2, 1, 1), np.nan)]
)
def test_blocks_of_another_kind_are_refused(gram: np.ndarray) -> None:
    with pytest.raises(ValueError, match="gram"):
        BlockRidge(gram, Cholesky())
