"""What the predictor takes, leaves as it was, and refuses."""

from __future__ import annotations

import math
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.linalg import LinAlgError
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn
from torch.utils.data import DataLoader

import neural_kernels as nk
from empirical_modules import FORWARD, build, mlp
from neural_kernels.empirical.module.batches import pieces
from neural_kernels.estimators.linearized.predictor import LinearizedPredictor

KERNELS = [nk.PseudoNTK, nk.TraceNTK, nk.EmpiricalNTK]


def problem() -> tuple[nn.Module, Tensor, Tensor]:
    """In float64: a module with three outputs, seven examples, targets."""
    module = mlp().double().eval()
    return module, torch.randn(7, 6, dtype=torch.float64), torch.randn(7, 3, dtype=torch.float64)


@pytest.mark.parametrize("kernel", KERNELS)
def test_forms_of_examples(kernel: Any) -> None:
    module, x, y = problem()
    expected = LinearizedPredictor(module, kernel).fit(x, y).predict(x)
    batches = DataLoader(x, batch_size=3)  # pyright: ignore[reportArgumentType]
    for form in ((x,), {"input": x}, [x[:4], x[4:]], batches):
        model = LinearizedPredictor(module, kernel).fit(form, y)
        for other in (form, x, [x[:1], x[1:]]):
            torch.testing.assert_close(model.predict(other), expected, rtol=1e-10, atol=1e-10)
    result = LinearizedPredictor(module, kernel).fit(x.numpy(), y.tolist()).predict(x.numpy())
    assert isinstance(result, np.ndarray)
    np.testing.assert_allclose(result, expected, rtol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_structured_examples(kernel: Any) -> None:
    module, x = build("structured", 6)
    ((_, head), (_, tail)) = pieces(x, slice(0, 6), 4)
    model = LinearizedPredictor(module, partial(kernel, forward=FORWARD["structured"]), alpha=1e-8)
    y = torch.randn(4, 5, dtype=torch.float64)
    torch.testing.assert_close(model.fit(head, y).predict(head), y, rtol=0, atol=1e-3)
    assert model.predict(tail).shape == (2, 5)


def test_outputs_of_any_shape() -> None:
    module = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 6), nn.Unflatten(1, (2, 3))).double()
    x, y = torch.randn(5, 6, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)
    model = LinearizedPredictor(module).fit(x, y)
    flat = LinearizedPredictor(module).fit(x, y.flatten(1))
    assert torch.equal(model.predict(x), flat.predict(x).view(5, 2, 3))


@pytest.mark.parametrize("kernel", KERNELS)
def test_single_precision_inference_mode_and_gradients(kernel: Any) -> None:
    module, x, y = problem()
    expected = LinearizedPredictor(module, kernel).fit(x, y).predict(x)
    with torch.inference_mode():
        assert torch.equal(LinearizedPredictor(module, kernel).fit(x, y).predict(x), expected)
    grown = x.clone().requires_grad_()
    assert torch.equal(LinearizedPredictor(module, kernel).fit(grown, y).predict(grown), expected)
    single = LinearizedPredictor(module.float(), kernel).fit(x.float(), y)
    assert single.predict(x.float()).dtype == torch.float32
    assert single.predict(x.numpy()).dtype == np.float32
    torch.testing.assert_close(single.predict(x.float()).double(), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("batches", [False, True])
def test_little_memory(batches: bool) -> None:
    module, x, y = problem()
    t = torch.randn(50, 6, dtype=torch.float64)
    expected = LinearizedPredictor(module).fit(x, y).predict(t)
    needed = 8 * len(x) ** 2 + nk.solvers.Cholesky().memory(len(x), y.shape[1])
    model = LinearizedPredictor(module, nk.PseudoNTK(module, memory_budget=needed)).fit(x, y)
    result = model.predict(list(t.split(2)) if batches else t)
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)
    for kernel in (nk.PseudoNTK(module, memory_budget=needed - 1), nk.EmpiricalNTK(module, memory_budget=10_000)):
        with pytest.raises(MemoryError, match="solving with it"):
            LinearizedPredictor(module, kernel).fit(x, y)


@pytest.mark.parametrize("kernel", [nk.PseudoNTK, nk.EmpiricalNTK])
def test_the_module_is_left_alone_and_may_be_trained_afterwards(kernel: Any) -> None:
    module, x, y = problem()
    module[0].bias.requires_grad_(False)
    module[0].weight.grad = torch.ones_like(module[0].weight)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    model = LinearizedPredictor(module, kernel(module, parameters="4.*")).fit(x, y)
    expected = model.predict(x)
    assert all(torch.equal(value, state[name]) for name, value in module.state_dict().items())
    assert [p.requires_grad for p in module.parameters()] == [True, False, True, True, True]
    assert bool((module[0].weight.grad == 1).all())
    assert module[4].weight.grad is None
    assert not any(part.training or part._forward_hooks for part in module.modules())
    module.train()
    nn.init.zeros_(module[4].weight)
    assert torch.equal(model.predict(x), expected)


def test_as_an_estimator() -> None:
    module, x, y = problem()
    model = LinearizedPredictor(module, nk.TraceNTK(module), alpha=0.3)
    copy = clone(model)
    assert copy is not model
    assert copy.module is module
    assert copy.kernel is model.kernel
    assert copy.fit(x, y).alpha_ == 0.3
    torch.testing.assert_close(pickle.loads(pickle.dumps(copy)).predict(x), copy.predict(x))
    search = GridSearchCV(model, {"scale": [1.0, 10.0, math.inf], "alpha": [0.1, 1.0]}, cv=3)
    assert search.fit(x.numpy(), y.numpy()).best_estimator_.predict(x.numpy()).shape == (7, 3)
    assert copy.fit(x, np.arange(7) % 3).predict_proba(x).shape == (7, 3)
    assert copy.fit(x, y).classes_ is None


BAD_TARGETS: list[tuple[Any, type[Exception], str]] = [
    (np.full((7, 3), np.nan), ValueError, "21 of 21 targets are NaN or infinite"),
    (np.ones((6, 3)), ValueError, r"y has shape \(6, 3\): expected 7 targets"),
    (1.0, ValueError, r"y has shape \(\): expected 7 targets"),
    (np.ones((7, 2)), ValueError, r"y has shape \(7, 2\), the module has 3 outputs: expected \(7, 3\), or 7 labels"),
    (np.ones(7), ValueError, r"y has shape \(7,\), the module has 3 outputs"),
    (np.array(list("abababa")), ValueError, r"y holds 2 labels \('a', 'b'\): expected 3 \(the module has outputs=3\)"),
    (np.arange(7), ValueError, "y holds 7 labels .*expected 3"),
    (np.array([0, 1, 2, 3, 0, 1, 2]), ValueError, "y holds 4 labels"),
    (np.array([None] * 7), TypeError, "y has dtype object"),
    (np.ones((7, 3), dtype=complex), TypeError, "y has dtype complex128: expected numbers"),
]


@pytest.mark.parametrize(("y", "error", "words"), BAD_TARGETS)
def test_refused_targets(y: Any, error: type[Exception], words: str) -> None:
    module, x, _ = problem()
    with pytest.raises(error, match=words):
        LinearizedPredictor(module).fit(x, y)


BAD_SETTINGS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"alpha": -1.0}, ValueError, "alpha=-1.0: expected finite numbers, at least 0"),
    ({"alpha": [0.1, math.nan]}, ValueError, "expected finite numbers"),
    ({"scale": 0.0}, ValueError, "scale=0.0: expected a positive number; math.inf"),
    ({"scale": None}, ValueError, "scale=None: expected a positive number"),
    ({"kernel": "pntk"}, TypeError, "kernel: expected nk.PseudoNTK.*got 'pntk'"),
    ({"kernel": len}, TypeError, "kernel: expected nk.PseudoNTK"),
    ({"kernel": nk.PseudoNTK(mlp())}, ValueError, "kernel is of another module"),
    ({"kernel": partial(nk.EmpiricalNTK, outputs=np.eye(3))}, ValueError, "leave out outputs=V"),
    ({"module": nk.mlp(2)}, TypeError, "expected a torch module"),
    ({"module": nn.Sequential(nn.Linear(6, 3), nn.Dropout())}, ValueError, "eval"),
]


@pytest.mark.parametrize(("settings", "error", "words"), BAD_SETTINGS)
def test_refused_settings(settings: dict[str, Any], error: type[Exception], words: str) -> None:
    module, x, y = problem()
    with pytest.raises(error, match=words):
        LinearizedPredictor(**({"module": module} | settings)).fit(x, y)


def test_refused_examples() -> None:
    module, x, y = problem()
    with pytest.raises(ValueError, match="outputs are NaN or infinite for 1 examples, the first of them number 2"):
        LinearizedPredictor(module).fit(x.index_fill(0, torch.tensor(2), math.nan), y)
    with pytest.raises(ValueError, match="expected one example or more"):
        LinearizedPredictor(module).fit(x[:0], y[:0])
    with pytest.raises(ValueError, match=r"leave-one-out .* needs at least 2 examples"):
        LinearizedPredictor(module, alpha=[0.1, 1.0]).fit(x[:1], y[:1])
    with pytest.raises(ValueError, match="mean diagonal of the training kernel is 0"):
        LinearizedPredictor(module, partial(nk.PseudoNTK, parameters="0.weight")).fit(torch.zeros_like(x), y)
    with pytest.raises(LinAlgError, match="larger ridge"):
        LinearizedPredictor(module, alpha=0.0).fit(torch.cat([x, x]), torch.cat([y, y]))


def test_refused_uses() -> None:
    module, x, y = problem()
    model = LinearizedPredictor(module)
    for method in (model.predict, model.predict_proba, model.decision_function):
        with pytest.raises(NotFittedError):
            method(x)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(x, y * math.nan)
    with pytest.raises(NotFittedError):
        model.predict(x)
    model.fit(x, y)
    for method in (model.predict_proba, model.decision_function):
        with pytest.raises(ValueError, match="fitted to numbers"):
            method(x)
    with pytest.raises(ValueError, match=r"time=-1\.0: expected a number, at least 0"):
        model.predict(x, time=-1.0)
    with pytest.raises(ValueError, match="time=nan"):
        model.predict(x, time=math.nan)
    with pytest.raises(ValueError, match="expected one example or more"):
        model.predict(x[:0])
    with pytest.raises(RuntimeError, match="shapes"):
        model.predict(x[:, :5])
