"""Torch modules on vectors become descriptions; what the kernel would not see is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import neural_kernels as nk


def test_from_torch_reads_plain_modules() -> None:
    module = nn.Sequential(
        nn.Linear(4, 8), nn.LayerNorm(8, elementwise_affine=False), nn.ReLU(),
        nn.Sequential(nn.Linear(8, 8, bias=False), nn.GELU(), nn.Dropout(0.2)), nn.Identity(), nn.Linear(8, 1),
    )  # fmt: skip
    expected = nk.Sequential(
        nk.Dense(1 / 3), nk.LayerNorm(), nk.ReLU(),
        nk.Sequential(nk.Dense(1 / 3), nk.GELU(), nk.Dropout(0.2)), nk.Identity(), nk.Dense(1 / 3),
    )  # fmt: skip
    assert nk.from_torch(module) == expected
    assert nk.from_torch(nn.Linear(4, 2), 2.0, 0.5) == nk.Dense(2.0, 0.5)
    assert nk.from_torch(nn.Linear(4, 2, bias=False), 2.0, 0.5) == nk.Dense(2.0)


@pytest.mark.parametrize(
    "module",
    [
        nn.ReLU(), nn.LeakyReLU(0.2), nn.ELU(1.5), nn.SELU(), nn.CELU(0.7), nn.GELU(), nn.GELU("tanh"), nn.Tanh(),
        nn.Sigmoid(), nn.SiLU(), nn.Mish(), nn.Softplus(), nn.Softplus(2.0), nn.LogSigmoid(), nn.Tanhshrink(),
        nn.Softsign(), nn.Hardtanh(), nn.Hardtanh(-2.0, 0.5), nn.Hardsigmoid(), nn.Hardswish(), nn.ReLU6(),
        nn.Softshrink(0.3), nn.Hardshrink(0.3), nn.Identity(),
    ],
)  # fmt: skip
def test_imported_activations_are_the_same_functions(module: nn.Module) -> None:
    x = torch.linspace(-4, 4, 101, dtype=torch.float64)
    imported = nk.from_torch(module)
    assert isinstance(imported, nk.Activation)
    assert torch.allclose(imported.fn(x), module(x), rtol=1e-12, atol=1e-8)


def test_from_torch_refuses_what_the_kernel_would_not_see() -> None:
    with pytest.raises(ValueError, match="elementwise_affine=False"):
        nk.from_torch(nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8)))
    with pytest.raises(TypeError, match=r"PReLU[\s\S]*register"):
        nk.from_torch(nn.Sequential(nn.Linear(4, 8), nn.PReLU()))
    with pytest.raises(TypeError, match="no rule"):
        nk.from_torch("module")  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match="instance"):
        nk.from_torch(nn.ReLU)  # pyright: ignore[reportArgumentType]


def test_rules_can_be_registered() -> None:
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    @nk.from_torch.register(Twice)
    def _(module: Twice, weight_var: float | None, bias_var: float | None) -> nk.Layer:
        return nk.Sequential(nk.Dense(4.0))

    assert nk.from_torch(nn.Sequential(Twice())) == nk.Sequential(nk.Sequential(nk.Dense(4.0)))
