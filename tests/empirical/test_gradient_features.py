"""Gradient features against their definition and against the exact kernel, over seeds."""

from __future__ import annotations

import copy
import pickle
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from torch import Tensor, nn
from torch.utils.data import DataLoader

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build
from neural_kernels.empirical.gradient_features import GradientFeatures
from neural_kernels.empirical.gradient_sketch import GradientSketch, SketchAxis
from neural_kernels.empirical.module.batches import count_of, pieces
from neural_kernels.empirical.module.model import call
from neural_kernels.empirical.parameter_gradients import SketchLimits
from neural_kernels.solvers.moments import Moments

KERNELS = [nk.PseudoNTK, nk.TraceNTK]
NAMES = ["mlp", "cnn", "transformer", "gpt", "lstm"]


def off(result: Tensor, expected: Tensor) -> float:
    return float((result - expected).detach().norm() / expected.norm())


def by_definition(module: nn.Module, batch: Any, kernel: Any, width: int, forward: Any = None) -> Tensor:
    """Plain autograd, and every entry of a gradient at its place, one after the other."""
    own = {name: p for name, p in module.named_parameters() if p.requires_grad}
    features = torch.zeros(count_of(batch), width, dtype=torch.float64)
    for row, (_, example) in zip(features, pieces(batch, slice(0, count_of(batch)), 1), strict=True):
        outputs = (forward or call)(module, example).reshape(-1)
        probed = outputs.sum()[None] if kernel is nk.PseudoNTK else outputs
        parts = [
            torch.autograd.grad(g, list(own.values()), retain_graph=True, allow_unused=True, materialize_grads=True)
            for g in probed * len(outputs) ** -0.5
        ]
        for name, part in zip(own, zip(*parts, strict=True), strict=True):
            matrix = torch.cat([gradient.reshape(own[name].shape[0] if own[name].ndim else 1, -1) for gradient in part])
            p = GradientSketch.draw(*matrix.shape, width, 0, name)
            signs = p.rows.signs[:, None].double() * p.columns.signs
            places = (p.rows.places[:, None] + p.columns.places) % width
            row.put_(places, signs * matrix, accumulate=True)
    return features


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", CASES)
def test_equal_their_definition_whichever_way_they_are_computed(name: str, kernel: Any) -> None:
    module, x = build(name)
    forward, width = FORWARD.get(name), 48
    expected = by_definition(module, x, kernel, width, forward)
    for entry in (-1e15, 60.0, 1e15):  # gradients are formed; or not, where that is cheaper; or nowhere
        phi = GradientFeatures(module, width, kernel=kernel, forward=forward)
        phi._limits = SketchLimits(scatter=entry)
        assert off(phi(x), expected) <= 1e-10
    direct = partial(kernel, method="jacobian")
    assert off(GradientFeatures(module, width, kernel=direct, forward=forward)(x), expected) <= 1e-10


def draws(kernel: Any, x: Any, width: int, seeds: int) -> list[Tensor]:
    """Features by one kernel, which finds out but once how its module works."""
    return [
        GradientFeatures(kernel.module, width, kernel=lambda module, **options: kernel, seed=seed)(x)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", [*NAMES, "resnet18, BatchNorm"])
def test_unbiased_with_the_error_of_a_gaussian_matrix(name: str, kernel: Any) -> None:
    """The mean over seeds comes as near as their spread allows, and the spread is that of the formula."""
    module, x = build(name)
    exact, seeds, width = kernel(module)(x), 60, 64
    errors = torch.stack([z @ z.T for z in draws(kernel(module), x, width, seeds)]) - exact
    variance = float((exact.diagonal().sum() ** 2 + exact.square().sum()) / width)
    assert float(errors.mean(0).square().sum()) <= 3 * variance / seeds
    assert float(errors.square().sum((1, 2)).mean()) <= 1.35 * variance  # a mean of 60 draws from a heavy tail


def test_error_falls_as_the_inverse_root_of_the_width() -> None:
    module, x = build("transformer")
    kernel = nk.TraceNTK(module)
    exact = kernel(x)
    errors = [np.sqrt(np.mean([off(z @ z.T, exact) ** 2 for z in draws(kernel, x, m, 60)])) for m in (16, 64, 256)]
    assert np.allclose(np.array(errors[:-1]) / errors[1:], 2, rtol=0.2)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_do_not_matter(name: str) -> None:
    module, x = build(name, 6)
    phi = GradientFeatures(module, 40)
    expected = phi(x)
    assert off(torch.cat([phi(x[i : i + 1]) for i in range(6)]), expected) <= 1e-12
    assert off(phi([x[:1], x[1:5], x[5:]]), expected) <= 1e-12
    assert off(phi(DataLoader(x, batch_size=4)), expected) <= 1e-12
    phi._limits = SketchLimits(examples=2)
    assert off(phi(x), expected) <= 1e-12
    for budget in (1, 1 << 14, 1 << 20):
        assert off(GradientFeatures(module, 40, memory_budget=budget)(x), expected) <= 1e-12


def test_the_map_does_not_depend_on_the_length_of_sequences() -> None:
    module, x = build("gpt")
    phi = GradientFeatures(module, 48)
    phi(x)
    assert off(phi(x[:, :3]), by_definition(module, x[:, :3], nk.PseudoNTK, 48)) <= 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_single_precision(name: str) -> None:
    module, x = build(name)
    expected = GradientFeatures(module, 64)(x)
    result = GradientFeatures(module.float(), 64)(x.float() if x.is_floating_point() else x)
    assert result.dtype == torch.float32
    assert off(result.double(), expected) <= 1e-5


def test_progress_counts_examples(capsys: pytest.CaptureFixture[str]) -> None:
    module, x = build("mlp", 6)
    GradientFeatures(module, 8)(x)
    assert capsys.readouterr().err == ""
    GradientFeatures(module, 8, progress=True)(x)
    assert "6/6" in capsys.readouterr().err


def test_seeds_and_copies() -> None:
    module, x = build("cnn")
    phi = GradientFeatures(module, 32, seed=3)
    expected = phi(x)
    for same in (GradientFeatures(module, 32, seed=3), pickle.loads(pickle.dumps(phi)), copy.deepcopy(phi), clone(phi)):
        assert torch.equal(same(x), expected)
    assert clone(phi).module is module
    assert off(GradientFeatures(module, 32, seed=4)(x), expected) > 0.5
    assert torch.equal(phi.set_params(seed=4)(x), GradientFeatures(module, 32, seed=4)(x))
    assert phi.set_params(n_components=7)(x).shape == (5, 7)


def test_parameters_add_up() -> None:
    """Every parameter has a sketch of its own, whichever others count."""
    module, x = build("mlp")
    parts = [GradientFeatures(module, 16, parameters=names)(x) for names in ("0.*", "2.weight", ["4.weight", "4.bias"])]
    assert off(sum(parts, torch.zeros(())), GradientFeatures(module, 16)(x)) <= 1e-12
    assert torch.equal(GradientFeatures(module, 16, parameters=nk.LastLayers(1))(x), parts[2])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", ["mlp", "gpt", "lstm", "weight norm"])
def test_exact_from_the_number_of_coordinates_on(name: str, kernel: Any) -> None:
    module, x = build(name)
    outputs = nk.EmpiricalNTK(module)(x).shape[2] if kernel is nk.TraceNTK else 1
    coordinates = outputs * sum(p.numel() for p in module.parameters())
    features = GradientFeatures(module, coordinates + 5, kernel=kernel)(x)
    assert off(features @ features.T, kernel(module)(x)) <= 1e-12
    assert not features[:, coordinates:].any()


def test_one_output() -> None:
    module, x = build("mlp")
    features = GradientFeatures(module, 400, kernel=partial(nk.EmpiricalNTK, outputs=2))(x)
    assert off(features @ features.T, nk.EmpiricalNTK(module, outputs=2)(x)) <= 1e-12


def test_follow_training() -> None:
    module, x = build("mlp")
    phi = GradientFeatures(module, 400)
    before = phi(x)
    with torch.no_grad():
        module[2].weight.mul_(2)
    after = phi(x)
    assert off(after, before) > 0.1
    assert off(after @ after.T, nk.PseudoNTK(module)(x)) <= 1e-12
    module[0].weight.requires_grad_(False)
    assert off(phi(x) @ phi(x).T, nk.PseudoNTK(module)(x)) <= 1e-12


def test_differentiable_with_respect_to_examples() -> None:
    module, x = build("lstm", 2)
    phi = GradientFeatures(module, 8, kernel=nk.TraceNTK)
    expected = phi(x)
    x.requires_grad_()
    assert off(phi(x), expected) <= 1e-12
    assert torch.autograd.gradcheck(phi, x)


def tabular(precision: Any = np.float32) -> tuple[nn.Module, np.ndarray, np.ndarray]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 3))
    X = np.random.default_rng(0).normal(size=(120, 4)).astype(precision)
    return module, X, X[:, 0] * X[:, 1] + np.sin(X[:, 2])


@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_arrays(precision: Any) -> None:
    module, X, _ = tabular(precision)
    features = GradientFeatures(module, 32)(X)
    assert isinstance(features, np.ndarray)
    assert features.dtype == np.float32  # the module's
    assert np.array_equal(features, GradientFeatures(module, 32)(torch.tensor(X).float()).numpy())


def test_ridge_in_a_pipeline_is_kernel_ridge() -> None:
    module, X, y = tabular()
    wide = make_pipeline(GradientFeatures(module, 2048), Ridge(1e-2, fit_intercept=False)).fit(X[:80], y[:80])
    kernel = nk.PseudoNTK(module)
    gram = kernel(X[:80]).astype(np.float64) + 1e-2 * np.eye(80)
    assert np.allclose(wide.predict(X[80:]), kernel(X[80:], X[:80]) @ np.linalg.solve(gram, y[:80]), atol=1e-2)
    pipeline = make_pipeline(GradientFeatures(module), Ridge(1e-1))
    search = GridSearchCV(pipeline, {"gradientfeatures__n_components": [4, 512]})
    assert search.fit(X, y).best_params_ == {"gradientfeatures__n_components": 512}
    assert search.best_score_ > 0.8


def test_transformer() -> None:
    module, X, _ = tabular()
    phi = GradientFeatures(module, 5)
    assert phi.get_feature_names_out().tolist() == [f"gradientfeatures{i}" for i in range(5)]
    assert np.array_equal(phi.transform(X), phi.fit_transform(X))
    frame = phi.set_output(transform="pandas").transform(X)
    assert list(frame.columns) == phi.get_feature_names_out().tolist()


def test_ridge_in_one_pass_over_a_loader() -> None:
    module, X, y = tabular()
    phi, moments = GradientFeatures(module, 64), Moments(64, 1)
    for examples, targets in DataLoader(list(zip(X, y, strict=True)), batch_size=50, shuffle=True):
        moments.update(phi(examples).numpy(), targets[:, None].numpy())
    coefficients, intercept = moments.solve(0.1)
    expected = Ridge(0.1).fit(phi(X).astype(np.float64), y).predict(phi(X))
    assert np.allclose((phi(X) @ coefficients + intercept)[:, 0], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_components": 0}, ValueError, "n_components=0: expected an integer, at least 1"),
        ({"n_components": 2.5}, ValueError, "n_components=2.5"),
        ({"n_components": True}, ValueError, "n_components=True"),
        ({"seed": -1}, ValueError, "seed=-1: expected an integer, at least 0"),
        ({"seed": None}, ValueError, "seed=None"),
        ({"memory_budget": 0}, ValueError, "memory_budget=0: expected a positive number of bytes"),
        ({"module": nk.mlp(2)}, TypeError, "expected a torch module"),
        ({"module": nn.Linear(4, 2).requires_grad_(False)}, ValueError, "no trainable parameters"),
        ({"parameters": "head.*"}, ValueError, "matches no trainable parameter"),
        ({"kernel": None}, TypeError, "kernel: expected nk.PseudoNTK"),
        ({"kernel": nk.PseudoNTK(nn.Linear(4, 2))}, TypeError, "got PseudoNTK"),
        ({"kernel": nk.EmpiricalNTK}, ValueError, "3 x 3 matrices"),
        ({"forward": lambda module, batch: module(batch).argmax(1)}, TypeError, "real numbers"),
        ({"module": nn.Sequential(nn.Linear(4, 2), nn.Dropout())}, ValueError, "eval"),
    ],
)
def test_bad_settings(change: dict[str, Any], error: Any, message: str) -> None:
    module, X, _ = tabular()
    phi = GradientFeatures(**{"module": module, "n_components": 8} | change)
    with pytest.raises(error, match=message):
        phi(X)
    with pytest.raises(error, match=message):
        phi.fit(X)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X: X[:0], ValueError, "got none"),
        (lambda X: X * np.nan, ValueError, "NaN"),
        (lambda X: X.astype(str), TypeError, "expected numbers"),
        (lambda X: (batch for batch in X), TypeError, "more than once"),
    ],
)
def test_bad_examples(make: Any, error: Any, message: str) -> None:
    module, X, _ = tabular()
    with pytest.raises(error, match=message):
        GradientFeatures(module, 8)(make(X))


def test_infinite_derivatives_are_refused() -> None:
    module = nn.Linear(1, 1)
    x = torch.tensor([[1.0], [0.0]])
    with pytest.raises(ValueError, match="derivatives are NaN or infinite for 1 examples, the first of them number 1"):
        GradientFeatures(module, 1, forward=lambda m, batch: (m(batch) - m.bias).abs().sqrt())(x)


@pytest.mark.parametrize("name", ["mlp", "cnn", "gpt", "lstm"])
def test_module_is_left_as_it_was(name: str) -> None:
    module, x = build(name)
    module(x).sum().backward()
    before, gradients_before = copy.deepcopy(module), [p.grad.clone() for p in module.parameters()]
    phi = GradientFeatures(module, 16)
    phi(x)
    with pytest.raises(RuntimeError):
        phi(x[..., :2].double() if x.is_floating_point() else x.double())
    for mine, its in zip(module.parameters(), before.parameters(), strict=True):
        assert torch.equal(mine, its)
        assert mine.requires_grad == its.requires_grad
    assert all(torch.equal(p.grad, g) for p, g in zip(module.parameters(), gradients_before, strict=True))
    assert not any(part._forward_hooks or part.training for part in module.modules())


def test_places_repeat_only_after_all_were_taken() -> None:
    side = SketchAxis.draw(25, 10, 0, "name")
    assert [len(side.places[i : i + 10].unique()) for i in (0, 10, 20)] == [10, 10, 5]
    assert torch.equal(SketchAxis.draw(7, 10, 0, "name").places, side.places[:7])
