import numpy as np
import pytest

from neural_kernels.solvers.cholesky import CholeskyRidge
from neural_kernels.solvers.factorise import factorise_lower


def _definite(n: int, rng: np.random.Generator) -> np.ndarray:
    x = rng.standard_normal((n, n + 5))
    return np.asfortranarray(x @ x.T / n)


@pytest.mark.parametrize("whole", [0, 64, 2**14])
@pytest.mark.parametrize("n", [1, 7, 64, 65, 200])
def test_the_lower_triangle_becomes_the_factor_and_the_rest_stays(n, whole, monkeypatch):
    monkeypatch.setattr("neural_kernels.solvers.factorise._PANEL", 64)
    monkeypatch.setattr("neural_kernels.solvers.factorise._WHOLE", whole)
    given = _definite(n, np.random.default_rng(n))
    matrix = given.copy(order="F")
    assert factorise_lower(matrix) == 0
    np.testing.assert_allclose(np.tril(matrix), np.linalg.cholesky(given), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(np.triu(matrix, 1), np.triu(given, 1))


@pytest.mark.parametrize("whole", [0, 2**14])
@pytest.mark.parametrize("bad", [1, 64, 65, 130])
def test_the_first_minor_that_is_not_positive_is_named(bad, whole, monkeypatch):
    monkeypatch.setattr("neural_kernels.solvers.factorise._PANEL", 64)
    monkeypatch.setattr("neural_kernels.solvers.factorise._WHOLE", whole)
    matrix = np.eye(140, order="F")
    matrix[bad - 1, bad - 1] = -1
    assert factorise_lower(matrix) == bad


@pytest.mark.slow
def test_a_matrix_at_which_openblas_dies():
    """At 16,384 rows, in float64 with two threads, its factorisation ends the process."""
    n = 2**14
    gram = np.full((n, n), 0.5, order="F")
    gram[np.diag_indices(n)] = 1.5
    system, y = CholeskyRidge(gram), np.linspace(-1, 1, n)
    solved = system.solve(y, ridge=1.0)
    np.testing.assert_allclose(2 * solved + 0.5 * solved.sum(), y, rtol=0, atol=1e-10)
