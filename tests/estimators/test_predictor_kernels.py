"""The predictor with kernel objects that are no class, and with solvers that are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn

import neural_kernels as nk

KERNELS: dict[str, Callable[[nn.Module], Any]] = {
    "laplace": lambda module: nk.Laplace(0.3),
    "network": lambda module: nk.NTK(nk.mlp(1)),
    "sum": lambda module: nk.PseudoNTK(module) + nk.Laplace(0.3),
    "nested": lambda module: 0.5 * (nk.TraceNTK(module, parameters="2.*") * nk.Laplace(0.3)) + 0.1,
}


def problem() -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A module in float64 with three outputs, training and other examples, targets."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 3)).double().eval()
    x, t, y = (torch.randn(*shape, dtype=torch.float64) for shape in ((9, 6), (4, 6), (9, 3)))
    return module, x, t, y


def dense(kernel: Any, module: nn.Module, x: Tensor, t: Tensor, y: Tensor) -> np.ndarray:
    gram, start = kernel(x).detach().numpy(), module(x).detach().numpy()
    ridge = 0.03 * np.diagonal(gram).mean()
    dual = np.linalg.solve(gram + ridge * np.eye(len(gram)), y.numpy() - start)
    return module(t).detach().numpy() + kernel(t, x).detach().numpy() @ dual


@pytest.mark.parametrize("name", KERNELS)
def test_equals_the_dense_formula(name: str) -> None:
    module, x, t, y = problem()
    kernel = KERNELS[name](module)
    model = nk.LinearizedPredictor(module, kernel, alpha=0.03).fit(x, y)
    assert_allclose(model.predict(t).numpy(), dense(kernel, module, x, t, y), rtol=1e-8)
    by_gram = nk.LinearizedPredictor(module, kernel, alpha=0.03).fit(x, y, gram=kernel(x))
    assert_allclose(by_gram.predict(t).numpy(), model.predict(t).numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", KERNELS)
def test_the_module_may_be_trained_afterwards(name: str) -> None:
    module, x, t, y = problem()
    model = nk.LinearizedPredictor(module, KERNELS[name](module), alpha=0.03).fit(x, y)
    before = model.predict(t)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(2)
    assert torch.equal(model.predict(t), before)


def test_the_way_to_call_the_module_is_found_in_a_sum() -> None:
    module, x, t, y = problem()
    forward = partial(lambda module, batch: module(batch) + 1)
    kernel = nk.Laplace(0.3) + nk.PseudoNTK(module, forward=forward)
    model = nk.LinearizedPredictor(module, kernel, alpha=0.03, scale=1.0).fit(x, y)
    shifted = nk.LinearizedPredictor(module, nk.Laplace(0.3) + nk.PseudoNTK(module), alpha=0.03).fit(x, y - 1)
    assert_allclose(model.predict(t).numpy(), shifted.predict(t).numpy() + 1, rtol=1e-9)


def test_predictions_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    module, x, t, y = problem()
    model = nk.LinearizedPredictor(module, KERNELS["sum"](module)).fit(x, y)
    expected = model.predict(t)
    monkeypatch.setattr("neural_kernels.estimators.linearized.expansion._STRIP", 8 * 9)
    assert_allclose(model.predict(t).numpy(), expected.numpy(), rtol=1e-10)


def test_what_does_not_fit_is_refused() -> None:
    module, x, _, y = problem()
    other = nn.Linear(6, 3).double()
    for kernel in (nk.PseudoNTK(other), nk.Laplace() + nk.PseudoNTK(other)):
        with pytest.raises(ValueError, match="another module"):
            nk.LinearizedPredictor(module, kernel).fit(x, y)
    with pytest.raises(ValueError, match=r"expected the kernel of X with itself, shape \(9, 9\)"):
        nk.LinearizedPredictor(module, 2 * nk.EmpiricalNTK(module)).fit(x, y)
    with pytest.raises(TypeError, match=r"solver='eigen'"):
        nk.LinearizedPredictor(module, solver="eigen").fit(x, y)


@pytest.mark.parametrize("kernel", [nk.PseudoNTK, nk.EmpiricalNTK])
def test_every_solver_gives_the_same_model(kernel: Any) -> None:
    module, x, t, _ = problem()
    labels = np.arange(9) % 3
    options = {"alpha": [1e-3, 1e-2, 1e-1]}
    one = nk.LinearizedPredictor(module, kernel, solver=nk.solvers.Spectral(), **options).fit(x, labels)
    other = nk.LinearizedPredictor(module, kernel, solver=nk.solvers.Cholesky(), **options).fit(x, labels)
    assert one.solver_ == nk.solvers.Spectral()
    assert other.solver_reason_ == "as asked for"
    assert one.loo_scores_ is not None
    assert_allclose(other.loo_scores_, one.loo_scores_, rtol=1e-8)
    assert_allclose(other.predict_proba(t), one.predict_proba(t), rtol=1e-7)
    assert_allclose(other.decision_function(t, time=3.0), one.decision_function(t, time=3.0), rtol=1e-8)


def test_search_over_kernels() -> None:
    module, x, t, y = problem()
    kernels = [nk.PseudoNTK, nk.Laplace(0.3), nk.PseudoNTK(module) + nk.Laplace(0.3)]
    model = nk.LinearizedPredictor(module)
    search = GridSearchCV(model, {"kernel": kernels}, cv=3, error_score="raise").fit(x.numpy(), y.numpy())
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict(t.numpy()).shape == (4, 3)
