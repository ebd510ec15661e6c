"""On the device: the results of the CPU in float64, to rounding, and there they stay.

`make test-gpu` runs these. Without a CUDA device all are skipped; ``pytest tests/gpu --device cpu`` runs the same code
on the CPU, which shows that the tests are sound and nothing about a GPU.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from empirical_modules import CASES, FORWARD, build
from specs import network

pytestmark = pytest.mark.gpu

DATA = Path(__file__).parents[1] / "data"
GOLDEN = {kind: np.load(DATA / f"golden_{kind}.npz") for kind in ("dense", "positions")}
SPECS = {kind: json.loads((DATA / f"golden_{kind}.json").read_text()) for kind in GOLDEN}
CHAINS = [
    (kind, case)
    for kind, specs in SPECS.items()
    for case, spec in specs.items()
    if "numerical" not in case and "raw" not in case and spec["inputs"] not in ("img32", "graph")
]
DENSE = {
    "relu": nk.mlp(3, bias_var=0.1),
    "gelu": nk.mlp(2, nk.GELU(), bias_var=0.1),
    "tanh, a series": nk.mlp(2, nk.Tanh(), bias_var=0.1),
    "a callable with a kink": nk.mlp(1, nk.Elementwise(lambda z: torch.clamp(z, -0.5, 2.0), kinks=(-0.5, 2.0))),
    "layer norm, residual": nk.Sequential(
        nk.Dense(), nk.LayerNorm(), nk.ReLU(), nk.Dense(), nk.Residual(nk.Sequential(nk.Erf(), nk.Dense()))
    ),
}
IMAGES = {
    "cnn": nk.cnn(2),
    "flatten": nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Conv(3, 2), nk.ReLU(), nk.Flatten(), nk.Dense()),
    "attention": nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Attention(), nk.ReLU(), nk.Dense(), nk.GlobalAvgPool()),
}
METHODS = {
    "zonal": (nk.mlp(2), nk.ZonalFeatures()),
    "adaptive": (nk.mlp(2), nk.AdaptiveSampling()),
    "zonal, anchors": (nk.mlp(2), nk.ZonalFeatures(anchors=16)),
    "polynomial": (nk.mlp(2), nk.PolynomialSketch()),
    "polynomial, by layers": (nk.mlp(2, bias_var=0.1), nk.PolynomialSketch()),
    "random": (nk.mlp(2, bias_var=0.1), nk.RandomFeatures()),
    "nystrom": (nk.mlp(2, bias_var=0.1), nk.Nystrom()),
}


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """Where the tests run: CUDA, or what ``--device`` says."""
    return torch.device(request.config.getoption("--device"))


def off(result: Any, expected: Any) -> float:
    """Frobenius norm of the difference by that of what is expected, both taken to the CPU."""
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (result, expected))
    assert a.shape == b.shape
    return float((a - b).norm() / b.norm())


def on(device: torch.device, tree: Any) -> Any:
    """Arrays on a device, in whatever they are nested."""
    if isinstance(tree, dict):
        return {name: on(device, part) for name, part in tree.items()}
    if isinstance(tree, tuple):
        return tuple(on(device, part) for part in tree)
    return tree.to(device) if isinstance(tree, Tensor) else tree


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def stays(result: Tensor, device: torch.device) -> bool:
    return isinstance(result, Tensor) and result.device.type == device.type


@pytest.mark.parametrize(("kind", "case"), CHAINS, ids=[case for _, case in CHAINS])
def test_reference_networks(device, kind, case):
    """Those that neural-tangents gave the values of."""
    arrays, spec = GOLDEN[kind], SPECS[kind][case]
    x1, x2 = (arrays[f"{spec['inputs']}_x{side}"] for side in (1, 2))
    if kind == "positions":
        x1, x2 = np.moveaxis(x1, -1, 1), np.moveaxis(x2, -1, 1)
    kernels = nk.kernels(network(spec["spec"]), torch.from_numpy(x1).to(device), torch.from_numpy(x2).to(device))
    for name, kernel in zip(("nngp", "ntk"), kernels, strict=True):
        assert stays(kernel, device)
        assert off(kernel, arrays[f"{case}/{name}_12"]) <= 1e-10, name


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_dense_networks(device, name, dtype, tolerance):
    x, z = numbers(40, 12), numbers(30, 12, seed=1)
    for kernel in (nk.NTK(DENSE[name]), nk.NNGP(DENSE[name])):
        square, cross = kernel(x.to(device, dtype)), kernel(x.to(device, dtype), z.to(device, dtype))
        assert stays(square, device)
        assert square.dtype == cross.dtype == dtype
        assert torch.equal(square, square.T)
        assert off(square, kernel(x)) <= tolerance
        assert off(cross, kernel(x, z)) <= tolerance
        assert off(kernel.diag(x.to(device, dtype)), kernel.diag(x)) <= tolerance


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-5)])
def test_networks_on_images(device, name, dtype, tolerance):
    x, z = numbers(6, 2, 5, 6), numbers(4, 2, 5, 6, seed=1)
    for on_device, on_cpu in (
        (nk.kernels(IMAGES[name], x.to(device, dtype)), nk.kernels(IMAGES[name], x)),
        (nk.kernels(IMAGES[name], x.to(device, dtype), z.to(device, dtype)), nk.kernels(IMAGES[name], x, z)),
    ):
        for result, expected in zip(on_device, on_cpu, strict=True):
            assert stays(result, device)
            assert off(result, expected) <= tolerance


def test_near_duplicates_in_single_precision(device):
    """What is carried is one minus the correlation: rows 1e-3 apart keep their angle through ten layers."""
    x = numbers(20, 16)
    z = x + 1e-3 * numbers(20, 16, seed=1)
    kernel = nk.NTK(nk.mlp(10))
    result = kernel(x.float().to(device), z.float().to(device))
    assert off(result, kernel(x.float().double(), z.float().double())) <= 3e-6


def test_graphs(device):
    adjacency = (numbers(5, 7, 7) > 0.5).double()
    adjacency = adjacency + adjacency.mT
    sizes = torch.tensor([7, 5, 6, 3, 7])
    net = nk.Sequential(
        nk.GraphAggregate(), nk.Dense(bias_var=0.1), nk.ReLU(), nk.GraphAggregate(), nk.Dense(), nk.GlobalAvgPool()
    )
    x = numbers(5, 7, 3)
    result = nk.NTK(net)(nk.Graphs(x.to(device), adjacency.to(device), sizes))
    assert stays(result, device)
    assert off(result, nk.NTK(net)(nk.Graphs(x, adjacency, sizes))) <= 1e-11


def test_sums_of_kernels(device):
    x = numbers(20, 6)
    kernel = 0.5 * nk.NTK(nk.mlp(2)) + nk.Laplace(0.3) * nk.NNGP(nk.mlp(1)) + 0.1
    result = kernel(x.to(device))
    assert stays(result, device)
    assert off(result, kernel(x)) <= 1e-11


@pytest.mark.parametrize("net", [DENSE["relu"], DENSE["tanh, a series"], IMAGES["cnn"]], ids=["relu", "tanh", "cnn"])
def test_gradients(device, net):
    """By the inputs, duplicates among them: finite, and those of the CPU."""
    shape = (4, 2, 5, 5) if net is IMAGES["cnn"] else (6, 5)
    x = numbers(*shape)
    x[1] = x[0]
    weights = numbers(len(x), len(x), seed=2)
    found = []
    for place in (torch.device("cpu"), device):
        leaf = x.to(place, copy=True).requires_grad_()
        (nk.NTK(net)(leaf) * weights.to(place)).sum().backward()
        assert leaf.grad is not None
        assert stays(leaf.grad, place)
        assert leaf.grad.isfinite().all()
        found.append(leaf.grad)
    assert off(found[1], found[0]) <= 1e-9


def test_results_into_memory_that_is_there(device):
    x = numbers(30, 4).to(device)
    out = torch.empty(30, 30, dtype=torch.float64, device=device)
    assert nk.NTK(nk.mlp(1))(x, out=out) is out
    assert off(out, nk.NTK(nk.mlp(1))(x.cpu())) <= 1e-11


@pytest.mark.parametrize("name", METHODS)
def test_feature_maps(device, name):
    """Fitted where the data are; the same map as on the CPU, so the same kernel."""
    net, method = METHODS[name]
    x = numbers(60, 24)
    expected = nk.feature_map(net, n_components=128, method=method, seed=0).fit(x)(x)
    phi = nk.feature_map(net, n_components=128, method=method, seed=0).fit(x.to(device))
    features = phi(x.to(device))
    assert stays(features, device)
    assert all(buffer.device.type == device.type for buffer in phi.buffers())
    assert off(features @ features.mT, expected @ expected.mT) <= 1e-9
    weights = numbers(phi.columns, 2, seed=2).to(device)
    projected = phi.project(x.to(device), weights)
    assert stays(projected, device)
    assert off(projected, features[:, : phi.columns] @ weights) <= 1e-9


@pytest.mark.parametrize("method", [nk.RandomFeatures(), nk.PolynomialSketch()], ids=["random", "polynomial"])
def test_feature_maps_of_images(device, method):
    x = numbers(10, 2, 6, 6)
    net = nk.cnn(2)
    expected = nk.feature_map(net, n_components=96, method=method)(x)
    features = nk.feature_map(net, n_components=96, method=method)(x.to(device))
    assert stays(features, device)
    assert off(features @ features.mT, expected @ expected.mT) <= 1e-9


def test_a_map_moves(device):
    """Built on the CPU, it is taken to the device as any module."""
    x = numbers(20, 10)
    phi = nk.feature_map(nk.mlp(2), n_components=64, method=nk.RandomFeatures())
    expected = phi(x)
    assert off(phi.to(device)(x.to(device)), expected) <= 1e-9


@pytest.mark.parametrize("kind", ["CountSketch", "OSNAP", "SRHT", "PolySketch"])
def test_sketches(device, kind):
    x = numbers(12, 20)
    arguments = (20, 3, 32) if kind == "PolySketch" else (20, 32)
    sketch = getattr(nk.sketches, kind)(*arguments, seed=3)
    expected = sketch(x)
    result = sketch.to(device)(x.to(device))
    assert stays(result, device)
    assert off(result, expected) <= 1e-11


@pytest.mark.parametrize("kind", ["TensorSketch", "TensorSRHT"])
def test_sketches_of_tensor_products(device, kind):
    x, y = numbers(12, 20), numbers(12, 9, seed=1)
    sketch = getattr(nk.sketches, kind)(20, 9, 32, seed=3)
    expected = sketch(x, y)
    result = sketch.to(device)(x.to(device), y.to(device))
    assert stays(result, device)
    assert off(result, expected) <= 1e-11


@pytest.mark.parametrize("name", CASES)
def test_empirical_kernels(device, name):
    """All modules of the tests, recurrent and attentive ones included."""
    module, x = build(name)
    forward = FORWARD.get(name)
    kinds = nk.EmpiricalNTK, nk.TraceNTK, nk.PseudoNTK
    expected = [kind(module, forward=forward)(x) for kind in kinds]
    module, x = module.to(device), on(device, x)
    for kind, reference in zip(kinds, expected, strict=True):
        kernel = kind(module, forward=forward)
        result = kernel(x)
        assert stays(result, device)
        assert off(result, reference) <= 1e-8, kind.__name__
        diagonal = torch.stack([reference[i, i] for i in range(len(reference))])
        assert off(kernel.diag(x), diagonal) <= 1e-8, kind.__name__


def test_empirical_products_and_gradients(device):
    module, x = build("mlp", 6)
    vector = numbers(6, 2)
    expected = nk.PseudoNTK(module)(x) @ vector
    module, x = module.to(device), x.to(device)
    result = nk.PseudoNTK(module).matvec(vector.to(device), x)
    assert stays(result, device)
    assert off(result, expected) <= 1e-9
    leaf = x.clone().requires_grad_()
    nk.TraceNTK(module)(leaf).sum().backward()
    assert leaf.grad is not None
    assert stays(leaf.grad, device)
    assert leaf.grad.isfinite().all()


def _classifier() -> tuple[nn.Module, Tensor, np.ndarray]:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3)).double().eval()
    x = numbers(60, 8)
    return module, x, (x[:, :3].argmax(1)).numpy()


def test_linearized_predictor(device):
    module, x, y = _classifier()
    on_cpu = nk.LinearizedPredictor(module, alpha=[1e-3, 1e-1]).fit(x[:40], y[:40])
    on_device = nk.LinearizedPredictor(module.to(device), alpha=[1e-3, 1e-1]).fit(x[:40].to(device), y[:40])
    assert on_device.alpha_ == on_cpu.alpha_
    assert off(on_device.predict_proba(x[40:].to(device)), on_cpu.predict_proba(x[40:])) <= 1e-7


def test_gradient_features(device):
    module, x, _ = _classifier()
    expected = nk.GradientFeatures(module, n_components=64)(x)
    result = nk.GradientFeatures(module.to(device), n_components=64)(x.to(device))
    assert stays(result, device)
    assert off(result @ result.mT, expected @ expected.mT) <= 1e-9


def test_analysis(device):
    x = numbers(30, 5)
    gram, labels = nk.NTK(nk.mlp(1))(x), (x[:, 0] > 0).long()
    for measure in (nk.analysis.effective_rank, nk.analysis.condition_number):
        assert float(measure(gram.to(device))) == pytest.approx(float(measure(gram)), rel=1e-7)
    result = nk.analysis.alignment(gram.to(device), labels.to(device))
    assert float(result) == pytest.approx(float(nk.analysis.alignment(gram, labels)), rel=1e-9)
