"""The predictor against dense formulas, against training the linear model, and what it takes and refuses."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from torch import Tensor, nn

import neural_kernels as nk
from neural_kernels.empirical.linearize import linearize
from neural_kernels.estimators.calibration import Calibration
from neural_kernels.estimators.linearized.predictor import LinearizedPredictor

KERNELS = [nk.PseudoNTK, nk.TraceNTK, nk.EmpiricalNTK, partial(nk.EmpiricalNTK, outputs=1)]
NAMES = ["pseudo", "trace", "full", "one class"]
N, M, OUTPUTS = 9, 4, 3


def problem(outputs: int = OUTPUTS) -> tuple[nn.Module, Tensor, Tensor, Tensor]:
    """A module in float64, training and other examples, targets."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, outputs)).double()
    x, t = torch.randn(N, 6, dtype=torch.float64), torch.randn(M, 6, dtype=torch.float64)
    return module, x, t, torch.randn(N, outputs, dtype=torch.float64)


def blocks(kernel: Any, module: nn.Module, x: Tensor, t: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The kernel as a matrix over pairs (example, output), and its rows at other examples; from whole gradients."""
    entries = kernel(module, method="jacobian")(torch.cat([x, t])).numpy()
    if entries.ndim == 2:
        entries = entries[:, :, None, None] * np.eye(OUTPUTS)
    matrix = entries.transpose(0, 2, 1, 3)
    n, o = len(x), matrix.shape[1]
    return matrix[:n, :, :n].reshape(n * o, n * o), matrix[n:, :, :n].reshape(-1, n * o)


def start(module: nn.Module, x: Tensor) -> np.ndarray:
    return module(x).detach().numpy()


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
@pytest.mark.parametrize("scale", [1.0, 5.0, math.inf])
def test_equals_the_dense_formula(kernel: Any, scale: float) -> None:
    module, x, t, y = problem()
    model = LinearizedPredictor(module, kernel, alpha=0.03, scale=scale).fit(x, y)
    gram, rows = blocks(kernel, module, x, t)
    ridge = 0.03 * np.diagonal(gram).mean()
    assert model.ridge_ == pytest.approx(ridge, rel=1e-12)
    dual = np.linalg.solve(gram + ridge * np.eye(len(gram)), (y.numpy() - start(module, x) / scale).ravel())
    np.testing.assert_allclose(model.dual_coef_.ravel(), dual, rtol=1e-9)
    expected = start(module, t) / scale + (rows @ dual).reshape(M, -1)
    np.testing.assert_allclose(model.predict(t).numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
@pytest.mark.parametrize("alpha", [0.03, [0.03, 1.0]], ids=["one alpha", "several"])
def test_any_time(kernel: Any, alpha: Any) -> None:
    module, x, t, y = problem()
    model = LinearizedPredictor(module, kernel, alpha=alpha).fit(x, y)
    gram, rows = blocks(kernel, module, x, t)
    regular = gram + model.ridge_ * np.eye(len(gram))
    for time in (0.0, 0.3, 20.0):
        decay = np.eye(len(gram)) - expm(-time * regular / y.numel())
        dual = np.linalg.solve(regular, decay @ (y.numpy() - start(module, x)).ravel())
        expected = start(module, t) + (rows @ dual).reshape(M, -1)
        np.testing.assert_allclose(model.predict(t, time).numpy(), expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.predict(t, 0.0), module(t).detach())
    torch.testing.assert_close(model.predict(t, 1e9), model.predict(t))
    torch.testing.assert_close(model.predict(t, math.inf), model.predict(t), rtol=0, atol=0)


def test_full_kernel_is_gradient_flow_of_the_linear_model() -> None:
    """The flow of its parameters, by a matrix exponential in their space."""
    module, x, t, y = problem()
    model = LinearizedPredictor(module, nk.EmpiricalNTK, alpha=0.03).fit(x, y)
    linear = linearize(module)
    names = [name for name, _ in linear.displacement.named_parameters()]
    rows = []
    for output in module(x).flatten():
        gradients = torch.autograd.grad(output, list(module.parameters()), retain_graph=True)
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows).numpy()
    p, size = jacobian.shape[1], y.numel()
    flow = np.zeros((p + 1, p + 1))
    flow[:p, :p] = -(jacobian.T @ jacobian + model.ridge_ * np.eye(p)) / size
    flow[:p, p] = jacobian.T @ (y - module(x)).detach().numpy().ravel() / size
    for time in (0.5, 10.0):
        displacement = torch.from_numpy(expm(time * flow)[:p, p])
        parts = displacement.split([q.numel() for q in module.parameters()])
        shapes = [q.shape for q in module.parameters()]
        moved = {name: part.view(shape) for name, part, shape in zip(names, parts, shapes, strict=True)}
        linear.displacement.load_state_dict(moved)
        torch.testing.assert_close(model.predict(t, time), linear(t).detach(), rtol=1e-9, atol=1e-9)


def descend(module: nn.Module, x: Tensor, y: Tensor, decay: float, rate: float, steps: int) -> nn.Module:
    """Train the linear model by gradient descent on half the mean squared error."""
    linear = linearize(module)
    learner = torch.optim.SGD(linear.parameters(), lr=rate, weight_decay=decay)
    for _ in range(steps):
        learner.zero_grad()
        (0.5 * nn.functional.mse_loss(linear(x), y)).backward()
        learner.step()
    return linear


def test_small_steps_of_gradient_descent_lead_there() -> None:
    """The time is steps times the rate; the distance falls with the rate."""
    module, x, t, y = problem()
    model = LinearizedPredictor(module, nk.EmpiricalNTK, alpha=0.03).fit(x, y)
    expected, distances = model.predict(t, 10.0), []
    for steps in (100, 200):
        linear = descend(module, x, y, model.ridge_ / y.numel(), 10.0 / steps, steps)
        distances.append(float((linear(t) - expected).detach().norm() / (expected - module(t).detach()).norm()))
    assert distances[1] < 0.02
    assert distances[0] / distances[1] == pytest.approx(2, rel=0.2)


def test_wide_networks_train_as_predicted() -> None:
    """The network itself, not its linear model: the distance falls with the width."""
    distances = []
    for width in (64, 1024):
        torch.manual_seed(0)
        x, t = torch.randn(20, 6, dtype=torch.float64), torch.randn(10, 6, dtype=torch.float64)
        y = torch.stack([x[:, 0] * x[:, 1], torch.sin(x[:, 2])], 1)
        module = nk.mlp(1).to_torch((6,), width, out_features=2).double()
        expected = LinearizedPredictor(module, nk.EmpiricalNTK, alpha=0.0).fit(x, y).predict(t, time=100.0)
        before, learner = module(t).detach(), torch.optim.SGD(module.parameters(), lr=0.5)
        for _ in range(200):
            learner.zero_grad()
            (0.5 * nn.functional.mse_loss(module(x), y)).backward()
            learner.step()
        distances.append(float((module(t).detach() - expected).norm() / (expected - before).norm()))
    assert distances[1] < 0.03
    assert distances[1] < distances[0] / 3


def test_kernels_agree_for_one_output() -> None:
    module, x, t, y = problem(1)
    full, *others = [
        LinearizedPredictor(module, kernel, alpha=[0.01, 0.1]).fit(x, y[:, 0])
        for kernel in (nk.EmpiricalNTK, nk.PseudoNTK, nk.TraceNTK)
    ]
    assert full.predict(t).shape == (M,)
    for other in others:
        torch.testing.assert_close(other.predict(t), full.predict(t), rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(other.predict(t, 1.0), full.predict(t, 1.0), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(other.loo_scores_, full.loo_scores_, rtol=1e-9)


def without_each(kernel: Any, module: nn.Module, x: Tensor, y: np.ndarray, ridge: float) -> np.ndarray:
    """Predictions for every example from the others, solved anew with the same ridge."""
    gram, _ = blocks(kernel, module, x, x[:1])
    first, size, o = start(module, x), len(gram), len(gram) // len(x)
    predictions = []
    for i in range(len(x)):
        mine = np.arange(size) // o == i
        inner = gram[np.ix_(~mine, ~mine)] + ridge * np.eye(size - o)
        dual = np.linalg.solve(inner, (y - first).ravel()[~mine])
        predictions.append(first[i] + gram[np.ix_(mine, ~mine)] @ dual)
    return np.stack(predictions)


@pytest.mark.parametrize("kernel", KERNELS, ids=NAMES)
def test_alpha_is_chosen_by_exact_leave_one_out(kernel: Any) -> None:
    module, x, _, y = problem()
    alphas = np.array([1e-3, 0.1, 3.0])
    model = LinearizedPredictor(module, kernel, alpha=alphas).fit(x, y)
    truth = y.numpy()
    ridges = alphas * np.diagonal(blocks(kernel, module, x, x[:1])[0]).mean()
    errors = np.array([np.square(truth - without_each(kernel, module, x, truth, r)).sum() for r in ridges])
    np.testing.assert_allclose(model.loo_scores_, 1 - errors / np.square(truth - truth.mean(0)).sum(), rtol=1e-8)
    assert model.alpha_ == alphas[errors.argmin()]
    assert model.ridge_ == pytest.approx(ridges[errors.argmin()], rel=1e-12)
    single = LinearizedPredictor(module, kernel, alpha=model.alpha_).fit(x, y)
    assert single.loo_scores_ is None
    np.testing.assert_allclose(single.dual_coef_, model.dual_coef_, rtol=1e-8)


@pytest.mark.parametrize("kernel", KERNELS[:3], ids=NAMES[:3])
def test_labels_are_coded_and_probabilities_calibrated_without_the_example(kernel: Any) -> None:
    module, x, t, _ = problem()
    labels = np.array([0, 1, 2] * 3)
    coded = np.eye(3)[labels] - 1 / 3
    model = LinearizedPredictor(module, kernel, alpha=0.1).fit(x, labels)
    numbers = LinearizedPredictor(module, kernel, alpha=0.1).fit(x, coded)
    scores = numbers.predict(t).numpy()
    np.testing.assert_allclose(model.decision_function(t), scores, rtol=1e-10, atol=1e-12)
    assert model.predict(t).tolist() == scores.argmax(1).tolist()
    held_out = without_each(kernel, module, x, coded, model.ridge_)
    calibration = Calibration.fit(2 * held_out - 1 / 3, np.eye(3)[labels], np.ones(N))  # 1 for the class, -1 for others
    assert model.temperature_ == pytest.approx(calibration.temperature, rel=1e-6)
    np.testing.assert_allclose(model.predict_proba(t), calibration.probabilities(2 * scores - 1 / 3), rtol=1e-6)
    assert model.score(x, labels) == np.mean(model.predict(x).numpy() == labels)
    assert numbers.score(t, scores) == 1.0
    assert model.decision_function(t, time=0.0) == pytest.approx(start(module, t))


def test_labels_of_many_kinds() -> None:
    module, x, t, _ = problem()
    numbers = np.array([0, 1, 2] * 3)
    base = LinearizedPredictor(module).fit(x, torch.from_numpy(numbers))
    assert isinstance(base.predict(t), Tensor)
    for names in (np.array(["a", "b", "c"]), np.array(["a", "b", "c"], dtype=object), np.array([10, 20, 30])):
        model = LinearizedPredictor(module).fit(x, names[numbers])
        assert model.classes_.tolist() == names.tolist()
        assert list(model.predict(t.numpy())) == list(names[base.predict(t)])
    absent = LinearizedPredictor(module).fit(x, numbers.clip(max=1))
    assert absent.classes_.tolist() == [0, 1, 2]
    assert absent.predict_proba(t).shape == (M, 3)


def test_two_labels_with_one_output_or_two() -> None:
    module, x, t, _ = problem(1)
    labels = np.arange(N) % 2 == 0
    model = LinearizedPredictor(module).fit(x, labels)
    numbers = LinearizedPredictor(module).fit(x, np.where(labels, 1.0, -1.0))
    np.testing.assert_allclose(model.decision_function(t), numbers.predict(t.numpy()), rtol=1e-10)
    assert model.predict(t.numpy()).tolist() == (numbers.predict(t.numpy()) > 0).tolist()
    np.testing.assert_allclose(model.predict_proba(t).sum(1), 1)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(t)), model.predict_proba(t), rtol=1e-12)
    module, x, t, _ = problem(2)
    pair = LinearizedPredictor(module).fit(x, labels)
    assert ((pair.decision_function(t) > 0) == pair.predict(t).numpy()).all()


def test_without_the_outputs_targets_may_be_of_any_number() -> None:
    module, x, t, _ = problem()
    model = LinearizedPredictor(module, scale=math.inf)
    assert model.fit(x, torch.randn(N, 5)).predict(t).shape == (M, 5)
    assert model.fit(x, torch.randn(N)).predict(t).shape == (M,)
    assert model.fit(x, np.array(list("abcdefghi"))).predict_proba(t).shape == (M, 9)
    with pytest.raises(ValueError, match="the module has 3 outputs"):
        LinearizedPredictor(module, nk.EmpiricalNTK, scale=math.inf).fit(x, torch.randn(N))
