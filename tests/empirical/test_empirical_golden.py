"""Empirical kernels against reference values: of bare parameters, and of torch's layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_linearize import GoldenCNN, GoldenMLP
from torch import Tensor, nn

import neural_kernels as nk

DATA = Path(__file__).parents[1] / "data"
BARE = {"mlp": GoldenMLP, "cnn": GoldenCNN}


class Erf(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.erf(x)


LAYERS = {
    "mlp": lambda: nn.Sequential(nn.Linear(7, 16), nn.ReLU(), nn.Linear(16, 12), Erf(), nn.Linear(12, 3)),
    "cnn": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    ),
}  # fmt: skip
DEVIATIONS = {"mlp": (1.5, 1.5, 1.0), "cnn": (1.4, 1.4, 1.0)}


def of_bare_parameters(name: str, kind: Any, method: str, golden: dict[str, np.ndarray]) -> Tensor:
    return kind(BARE[name](golden), method=method)(golden["x1"], golden["x2"])


def of_layers(name: str, kind: Any, method: str, golden: dict[str, np.ndarray]) -> Tensor:
    """Torch's layers hold s w where the reference has w with a factor s: its gradients are s times as large."""
    module, factors = LAYERS[name]().double(), {}
    for number, (key, parameter) in enumerate(module.named_parameters()):
        value = torch.from_numpy(golden[f"param_{number}"])
        if key.endswith("weight"):
            factors[key] = DEVIATIONS[name][number // 2] / value[..., 0].numel() ** 0.5
            value = value.T if value.ndim == 2 else value.permute(3, 2, 0, 1)
        else:
            factors[key] = 0.1
            value = value.flatten()
        parameter.data = factors[key] * value
    x1, x2 = (torch.from_numpy(golden[key]).movedim(-1, 1) for key in ("x1", "x2"))
    torch.testing.assert_close(module(x1), torch.from_numpy(golden["f1"]), rtol=0, atol=1e-12)
    return sum(factor**2 * kind(module, key, method=method)(x1, x2) for key, factor in factors.items())


@pytest.mark.parametrize("method", ["factored", "jacobian"])
@pytest.mark.parametrize("compute", [of_bare_parameters, of_layers])
@pytest.mark.parametrize("name", LAYERS)
def test_reference_values(name: str, compute: Any, method: str) -> None:
    golden = dict(np.load(DATA / f"empirical_{name}_ntkparam.npz"))
    full = np.asarray(compute(name, nk.EmpiricalNTK, method, golden))
    close = {"rtol": 0, "atol": 1e-10 * np.abs(golden["ntk_full"]).max()}
    np.testing.assert_allclose(full, golden["ntk_full"], **close)
    np.testing.assert_allclose(np.diagonal(full, axis1=2, axis2=3), golden["ntk_diag"], **close)
    np.testing.assert_allclose(compute(name, nk.TraceNTK, method, golden), golden["ntk_trace"], **close)
    pseudo = golden["ntk_full"].sum((2, 3)) / 3
    np.testing.assert_allclose(compute(name, nk.PseudoNTK, method, golden), pseudo, **close)
