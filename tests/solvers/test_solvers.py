"""Solvers against golden values, against dense formulas, and against refits."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import LinAlgWarning, expm

from neural_kernels.solvers import CholeskyRidge, SpectralRidge, ensemble_covariance, gp_covariance, max_learning_rate

GOLDEN = np.load(Path(__file__).parents[1] / "data" / "predict_fc.npz")
OUTPUTS = 12 * 3
TIMES = {"None": np.inf, "0.5": 0.5, "10.0": 10.0, "100.0": 100.0}
REGULARISATION = {"reg0": (0.0, 1.0), "reg1e-2": (1e-2, 1.0), "abs1e-1": (None, 1.0), "lr0.5": (1e-2, 0.5)}
close = partial(assert_allclose, rtol=1e-10, atol=1e-10)


def golden_ridge(kernel: str, tag: str) -> float:
    relative = REGULARISATION[tag][0]
    return 0.1 if relative is None else relative * np.diagonal(GOLDEN[f"{kernel}_dd"]).mean()


@pytest.fixture
def problem():
    """A Gram matrix of 15 examples, two outputs, weights, and 4 test rows."""
    rng = np.random.default_rng(0)
    phi = rng.standard_normal((19, 30))
    gram = phi @ phi.T / 30
    return gram[:15, :15], rng.standard_normal((15, 2)), rng.uniform(0.2, 3.0, 15), gram[15:, :15], gram[15:, 15:]


@pytest.mark.parametrize("time", TIMES)
@pytest.mark.parametrize("tag", REGULARISATION)
def test_ensembles_match_golden_values(tag, time):
    ridges = {kernel: golden_ridge(kernel, tag) for kernel in ("nngp", "ntk")}
    t = REGULARISATION[tag][1] * TIMES[time] / OUTPUTS
    g, name = GOLDEN, f"ens_{tag}_t{time}"

    nngp = SpectralRidge(g["nngp_dd"])
    close(g["nngp_td"] @ nngp.solve(g["y"], ridges["nngp"], t), g[f"{name}_nngp_mean"])
    twice = nngp.solve(g["nngp_td"].T, ridges["nngp"], 2 * t).T
    close(gp_covariance(g["nngp_tt"], g["nngp_td"], twice), g[f"{name}_nngp_cov"])

    ntk = SpectralRidge(g["ntk_dd"])
    close(g["ntk_td"] @ ntk.solve(g["y"], ridges["ntk"], t), g[f"{name}_ntk_mean"])
    a = ntk.solve(g["ntk_td"].T, ridges["ntk"], t).T
    cov = ensemble_covariance(g["nngp_tt"], g["nngp_td"], g["nngp_dd"], a)
    close(cov, g[f"{name}_ntk_cov"])

    left = ntk.decay(np.eye(12), ridges["ntk"], t)
    close(g["y"] - left @ g["y"], g[f"{name}_ntk_train_mean"])
    close(left @ g["nngp_dd"] @ left, g[f"{name}_ntk_train_cov"])


@pytest.mark.parametrize("kernel", ["nngp", "ntk"])
def test_cholesky_matches_golden_posteriors(kernel):
    g = GOLDEN
    solver = CholeskyRidge(g[f"{kernel}_dd"], golden_ridge(kernel, "reg1e-2"))
    a = solver.solve(g[f"{kernel}_td"].T).T
    close(a @ g["y"], g[f"gp_{kernel}_mean"])
    if kernel == "nngp":
        cov = gp_covariance(g["nngp_tt"], g["nngp_td"], a)
    else:
        cov = ensemble_covariance(g["nngp_tt"], g["nngp_td"], g["nngp_dd"], a)
    close(cov, g[f"gp_{kernel}_cov"])


@pytest.mark.parametrize("name", ["tNone", "t1.0", "t25.0", "reg1e-2_tNone", "reg1e-2_t25.0"])
def test_gradient_flow_from_a_given_start_matches_golden_values(name):
    g = GOLDEN
    ridge = golden_ridge("ntk", "reg1e-2" if name.startswith("reg") else "reg0")
    time = {"None": np.inf, "1.0": 1.0, "25.0": 25.0}[name.split("_t")[-1].removeprefix("t")] / OUTPUTS
    flow, start = SpectralRidge(g["ntk_dd"]), g["fx_train_0"]
    train = g["y"] + flow.decay(start - g["y"], ridge, time)
    test = g["fx_test_0"] + g["ntk_td"] @ flow.solve(g["y"] - start, ridge, time)
    close(train, g[f"gdmse_{name}_train"])
    close(test, g[f"gdmse_{name}_test"])


def test_max_learning_rate_matches_golden_values():
    assert_allclose(max_learning_rate(GOLDEN["ntk_dd"], n_outputs=3), GOLDEN["max_lr_ntk"], rtol=1e-12)
    assert_allclose(max_learning_rate(GOLDEN["ntk_dd"]), GOLDEN["max_lr_ntk_default"], rtol=1e-12)
    assert_allclose(max_learning_rate(GOLDEN["ntk_dd"], momentum=0.9), GOLDEN["max_lr_mom0.9"], rtol=1e-12)


def test_weighted_solution_minimises_the_weighted_objective(problem):
    gram, y, w, _, _ = problem
    for a in (CholeskyRidge(gram, 0.3, w).solve(y), SpectralRidge(gram, w).solve(y, 0.3)):
        gradient = gram @ (w[:, None] * (gram @ a - y) + 0.3 * a)
        assert_allclose(gradient, 0, atol=1e-12)


def test_the_two_solvers_agree(problem):
    gram, y, w, _, _ = problem
    cholesky, spectral = CholeskyRidge(gram, 0.3, w), SpectralRidge(gram, w)
    assert_allclose(cholesky.solve(y), spectral.solve(y, 0.3), rtol=1e-10)
    assert_allclose(cholesky.loo_residuals(y), spectral.loo_residuals(y, [0.3])[0], rtol=1e-10)
    assert_allclose(cholesky.solve(y, 0.3, 2.0), spectral.solve(y, 0.3, 2.0), rtol=1e-9)


def test_shapes_follow_the_targets(problem):
    gram, y, _, _, _ = problem
    spectral = SpectralRidge(gram)
    assert spectral.solve(y[:, 0], 0.1).shape == (15,)
    assert spectral.loo_residuals(y[:, 0], [0.1, 1.0, 3.0]).shape == (3, 15)
    assert spectral.loo_residuals(y, [0.1, 1.0, 3.0]).shape == (3, 15, 2)
    assert_allclose(spectral.solve(y, 0.1)[:, 0], spectral.solve(y[:, 0], 0.1), rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_leave_one_out_equals_refits(problem, weighted):
    gram, y, w, _, _ = problem
    w = w if weighted else None
    ridges = [1e-2, 0.3, 5.0]
    closed = SpectralRidge(gram, w).loo_residuals(y, ridges)
    for r, ridge in enumerate(ridges):
        for i in range(15):
            rest = np.arange(15) != i
            refit = CholeskyRidge(gram[np.ix_(rest, rest)], ridge, None if w is None else w[rest]).solve(y[rest])
            assert_allclose(closed[r, i], y[i] - gram[i, rest] @ refit, rtol=1e-9)


@pytest.mark.parametrize("time", [2.0, np.inf])
def test_zero_weights_equal_dropping(problem, time):
    gram, y, w, _, _ = problem
    w[[2, 7]] = 0
    kept = w > 0
    a = SpectralRidge(gram, w).solve(y, 0.0, time)
    b = SpectralRidge(gram[np.ix_(kept, kept)], w[kept]).solve(y[kept], 0.0, time)
    assert_allclose(a[kept], b, rtol=1e-8)
    assert (a[~kept] == 0).all()
    assert_allclose(CholeskyRidge(gram, 0.1, w).solve(y), SpectralRidge(gram, w).solve(y, 0.1), rtol=1e-8, atol=1e-12)


def test_weights_equal_repetition(problem):
    gram, y, _, _, _ = problem
    w = np.arange(15) % 3 + 1
    index = np.repeat(np.arange(15), w)
    repeated = SpectralRidge(gram[np.ix_(index, index)]).solve(y[index], 0.3, 2.0)
    once = SpectralRidge(gram, w).solve(y, 0.3, 2.0)
    assert_allclose(gram @ once, gram[:, index] @ repeated, rtol=1e-9)


def test_flow_is_the_solution_of_its_equation(problem):
    gram, y, w, _, _ = problem
    s = np.sqrt(w)
    system = s[:, None] * gram * s + 0.2 * np.eye(15)
    expected = s[:, None] * np.linalg.solve(system, (np.eye(15) - expm(-1.7 * system)) @ (s[:, None] * y))
    assert_allclose(SpectralRidge(gram, w).solve(y, 0.2, 1.7), expected, rtol=1e-9)


def test_flow_begins_at_zero_and_ends_at_the_ridge_solution(problem):
    gram, y, _, _, _ = problem
    spectral = SpectralRidge(gram)
    assert_allclose(spectral.solve(y, 0.1, 0.0), 0)
    assert_allclose(spectral.solve(y, 0.1, 1e6), spectral.solve(y, 0.1), rtol=1e-10)
    assert_allclose(spectral.decay(y, 0.1, 0.0), y, rtol=1e-12)
    assert_allclose(spectral.decay(y, 0.1, np.inf), 0)


def test_flow_passes_eigenvalues_that_are_not_positive():
    spectral = SpectralRidge(np.diag([-0.5, 0.0, 1.0]))
    assert_allclose(spectral.solve(np.ones(3), 0.0, 3.0), [3.0, 3.0, 1 - np.exp(-3)], rtol=1e-14)
    assert_allclose(spectral.decay(np.ones(3), 0.0, np.inf), [1, 1, 0], atol=1e-14)


def test_variances_are_the_diagonal_of_covariances(problem):
    gram, _, w, cross, prior = problem
    a = CholeskyRidge(gram, 0.1, w).solve(cross.T).T
    full = gp_covariance(prior, cross, a)
    assert_allclose(gp_covariance(np.diagonal(prior), cross, a), np.diagonal(full), rtol=1e-12)
    assert np.linalg.eigvalsh(full)[0] > -1e-12
    full = ensemble_covariance(prior, cross, gram, a)
    assert_allclose(ensemble_covariance(np.diagonal(prior), cross, gram, a), np.diagonal(full), rtol=1e-12)
    assert (full == full.T).all()


def test_singular_matrices_are_refused_with_advice():
    ones = np.ones((3, 3))
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        CholeskyRidge(ones, 0.0)
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        SpectralRidge(ones).solve(np.ones(3), 0.0)
    with pytest.raises(np.linalg.LinAlgError, match="eigenvalue"):
        max_learning_rate(np.zeros((2, 2)))


def test_ill_conditioned_matrices_are_reported():
    with pytest.warns(LinAlgWarning, match="singular to working precision"):
        CholeskyRidge(np.diag([1.0, 1e-17]), 0.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: CholeskyRidge(np.ones((2, 3)), 1.0), "square"),
        (lambda: CholeskyRidge([[np.nan]], 1.0), "NaN"),
        (lambda: CholeskyRidge(np.eye(2), -1.0), "ridge"),
        (lambda: CholeskyRidge(np.eye(2), 1.0, [1.0, -1.0]), "sample_weight"),
        (lambda: CholeskyRidge(np.eye(2), 1.0, [0.0, 0.0]), "all weights are 0"),
        (lambda: CholeskyRidge(np.eye(2), 1.0).solve([1.0]), "targets"),
        (lambda: CholeskyRidge(np.eye(2), 1.0, [0.0, 1.0]).loo_residuals([1.0, 1.0]), "leave those"),
        (lambda: SpectralRidge(np.eye(2)).solve([1.0, 1.0], 1.0, -1.0), "time"),
        (lambda: SpectralRidge(np.eye(2)).solve([1.0, 1.0], 1.0, np.nan), "time"),
        (lambda: SpectralRidge(np.eye(2), [0.0, 1.0]).decay([1.0, 1.0], 1.0, 1.0), "leave those"),
        (lambda: max_learning_rate(np.eye(2), momentum=1.0), "momentum"),
        (lambda: gp_covariance([1.0], np.ones((2, 3)), np.ones((2, 3))), "shapes"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
