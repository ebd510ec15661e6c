"""Kernels in the width of networks: empirical to infinite, pseudo to full, before training and after it.

Three gaps of the pseudo-NTK fall as width^-1/2 at initialisation (Mohamadi, Bae, Sutherland 2023, arXiv 2206.12543):
relative Frobenius distance, relative difference of the largest eigenvalues, difference of kernel regressions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import neural_kernels as nk
from finite_oracle import examples
from neural_kernels import analysis

OUTPUTS, TRAIN = 4, 12
POOLED = (nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
NETWORKS = {
    "relu": (nk.mlp(2), (8,)),
    "tanh": (nk.mlp(2, nk.Tanh(), bias_var=0.1), (8,)),
    "residual": (
        nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(1.5, 0.1))), nk.ReLU(), nk.Dense()),
        (8,),
    ),
    "convolutions": (nk.Sequential(nk.Conv(3, bias_var=0.1), nk.ReLU(), nk.Conv(3), *POOLED), (2, 4, 4)),
}


def assert_falls(gaps: np.ndarray, widths: Sequence[int], error: float) -> None:
    """As width^-1/2, up to 2.5 standard errors, each at most `error`, and what the next order does to narrow networks.

    Squared gaps are a / w + b / w^2: slopes are steeper by up to b / 2aw at width w; 0.06 is for b / a = 8 at 64.
    """
    slope, deviation = slopes(gaps, widths)
    assert (deviation <= error).all(), deviation
    assert (np.abs(slope + 0.5) <= 2.5 * deviation + 0.06).all(), (slope, deviation)


def slopes(gaps: np.ndarray, widths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Exponents of the width in the root mean squares over seeds, and their standard errors by the jackknife."""

    def fit(squares: np.ndarray) -> np.ndarray:
        return np.polyfit(np.log(widths), np.log(squares.mean(1)) / 2, 1)[0]

    squares, seeds = np.square(gaps), gaps.shape[1]
    others = [fit(np.delete(squares, seed, 1)) for seed in range(seeds)]
    return fit(squares), np.sqrt((seeds - 1) * np.var(others, 0))


def infinite_gap(name: str, width: int, seed: int) -> list[float]:
    """Distance of the kernel of two outputs from the infinite network's, which has no products of different outputs."""
    net, shape = NETWORKS[name]
    x = examples(6, *shape).float()
    module = net.to_torch(shape, width, out_features=2, seed=seed)
    return [float(analysis.distance(nk.NTK(net)(x), nk.EmpiricalNTK(module)(x)))]


def pseudo_gaps(module: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    """The three of them."""
    full, pseudo = nk.EmpiricalNTK(module)(x), nk.PseudoNTK(module)(x)
    exact, near = (
        analysis.attribution(kernel[TRAIN:, :TRAIN], kernel[:TRAIN, :TRAIN], y, alpha=1e-2).sum(1)
        for kernel in (full, pseudo)
    )
    regression = (near - exact).norm() / exact.norm()
    return [float(gap) for gap in (analysis.distance(full, pseudo), analysis.eigenvalue_gap(full, pseudo), regression)]


def standard(width: int, seed: int, gain: float = math.sqrt(2)) -> nn.Module:
    """Torch's own layers, weights of variance gain^2 / inputs."""
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Linear(8, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, OUTPUTS)
    )
    for layer in module[::2]:
        nn.init.normal_(layer.weight, std=gain / layer.in_features**0.5)
    return module.double()


def scaled(width: int, seed: int) -> nn.Module:
    """In the NTK parametrisation."""
    return nk.mlp(2, bias_var=0.1).to_torch(8, width, OUTPUTS, seed).double()


def small(width: int, seed: int) -> nn.Module:
    """With the variance that is torch's default."""
    return standard(width, seed, math.sqrt(1 / 3))


def trained(module: nn.Module, x: Tensor, y: Tensor, steps: int = 300) -> nn.Module:
    """Gradient descent on the sum of squares / 2, at half the largest rate that the initial kernel allows."""
    rate = 1 / float(analysis.spectrum(nk.EmpiricalNTK(module)(x))[0])
    parameters = list(module.parameters())
    for _ in range(steps):
        gradients = torch.autograd.grad((module(x) - y).square().sum() / 2, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
    with torch.no_grad():
        assert (module(x) - y).norm() <= 0.3 * y.norm()
    return module


def all_gaps(build: Callable[[int, int], nn.Module], widths: Sequence[int], seeds: int, train: bool) -> np.ndarray:
    """Of every width and seed, (widths, seeds, 3); targets are the largest of the first inputs, coded as -1/o and +."""
    x = examples(TRAIN + 8, 8)
    y = torch.eye(OUTPUTS, dtype=torch.float64)[x[:TRAIN, :OUTPUTS].argmax(1)] - 1 / OUTPUTS
    networks = [[build(width, seed) for seed in range(seeds)] for width in widths]
    if train:
        networks = [[trained(module, x[:TRAIN], y) for module in row] for row in networks]
    return np.array([[pseudo_gaps(module, x, y) for module in row] for row in networks])


@pytest.mark.parametrize(
    ("name", "widths"), [("relu", (32, 128, 512)), pytest.param("convolutions", (8, 32, 128), marks=pytest.mark.slow)]
)
def test_empirical_tends_to_infinite(name: str, widths: tuple[int, ...]) -> None:
    assert_falls(np.array([[infinite_gap(name, w, seed) for seed in range(16)] for w in widths]), widths, 0.12)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_empirical_tends_to_infinite_at_many_widths(name: str) -> None:
    widths = (16, 32, 64, 128, 256) if name == "convolutions" else (64, 128, 256, 512, 1024)
    assert_falls(np.array([[infinite_gap(name, w, seed) for seed in range(24)] for w in widths]), widths, 0.08)


def test_pseudo_tends_to_full() -> None:
    assert_falls(all_gaps(standard, (64, 256, 1024), 24, train=False), (64, 256, 1024), 0.08)


@pytest.mark.slow
@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("build", [standard, scaled])
def test_pseudo_tends_to_full_before_and_after_training(build: Callable[[int, int], nn.Module], train: bool) -> None:
    """After training too, which no theorem says, where weights move little: by as much less as the width is more."""
    widths = (64, 128, 256, 512)
    assert_falls(all_gaps(build, widths, 24, train), widths, 0.12)


@pytest.mark.slow
def test_pseudo_tends_to_full_more_slowly_where_weights_move() -> None:
    """Torch's default is small enough for 300 steps to change the kernel by its own size, at widths of hundreds."""
    widths = (64, 128, 256, 512)
    before, after = (all_gaps(small, widths, 8, train) for train in (False, True))
    assert (after[..., :2].mean(1) > 2 * before[..., :2].mean(1)).all()
    slope, deviation = slopes(after, widths)
    assert (slope[:2] + 2.5 * deviation[:2] < 0).all()
    assert (slope[:2] - 2.5 * deviation[:2] > -0.5).all()
