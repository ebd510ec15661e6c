"""Gradients held as factors are the gradients themselves."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from neural_kernels.empirical.factored.contractions import OuterProducts
from neural_kernels.empirical.factored.gradients import OuterGradients
from neural_kernels.empirical.rules.convolutions import ConvolutionRule


@pytest.mark.parametrize("roles", [("weight",), ("bias",), ("weight", "bias")])
@pytest.mark.parametrize(
    ("module", "shape"),
    [
        (nn.Conv1d(2, 3, 4, stride=2, padding=1), (9,)),
        (nn.Conv2d(2, 3, (2, 3), padding=(0, 2), dilation=(2, 1)), (6, 5)),
        (nn.Conv2d(3, 2, 3, padding="same", padding_mode="circular"), (4, 4)),
        (nn.Conv3d(2, 2, 2, padding=1), (2, 3, 2)),
    ],
)
def test_patches_of_convolutions(module: Any, shape: tuple[int, ...], roles: tuple[str, ...]) -> None:
    module = module.double()
    read = torch.randn(4, 1, module.in_channels, *shape, dtype=torch.float64)
    gradient = torch.randn_like(module(read[:, 0]))[:, None].detach()
    rule = ConvolutionRule()
    outer = OuterGradients(OuterProducts(rule.layer_input(module, read, roles), rule.by_position(gradient)[:, :, None]))
    for row, x, g in zip(outer.materialise(), read, gradient, strict=True):
        true = torch.autograd.grad(module(x), [getattr(module, role) for role in roles], g)
        expected = torch.cat([part.reshape(module.out_channels, -1) for part in true], 1).flatten()
        torch.testing.assert_close(row[0], expected, rtol=1e-12, atol=1e-12)
