"""Rules for activations."""

from __future__ import annotations

import math

from torch import nn

from neural_kernels import activations
from neural_kernels.algebra import Layer
from neural_kernels.importing.registry import rule


@rule.register
def _(module: nn.LeakyReLU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.LeakyReLU(module.negative_slope)


@rule.register
def _(module: nn.GELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.GELU() if module.approximate == "none" else activations.GELUTanh()


@rule.register
def _(module: nn.ELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.ELU(module.alpha)


@rule.register
def _(module: nn.CELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.CELU(module.alpha)


@rule.register
def _(module: nn.Softplus, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.beta == 1:
        return activations.Softplus()
    if math.isfinite(module.threshold):
        return activations.Elementwise(nn.Softplus(module.beta, math.inf))
    return activations.Elementwise(module)


@rule.register
def _(module: nn.Hardtanh, weight_var: float | None, bias_var: float | None) -> Layer:
    if (module.min_val, module.max_val) == (-1.0, 1.0):
        return activations.HardTanh()
    return activations.Elementwise(module, kinks=(module.min_val, module.max_val))


@rule.register
def _(module: nn.Softshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.SoftShrink(module.lambd)


@rule.register
def _(module: nn.Hardshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.HardShrink(module.lambd)


@rule.register
def _(module: nn.Threshold, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.Elementwise(module, kinks=(module.threshold,))


_PLAIN: dict[type[nn.Module], type[Layer]] = {
    nn.ReLU: activations.ReLU,
    nn.ReLU6: activations.ReLU6,
    nn.SELU: activations.SELU,
    nn.Tanh: activations.Tanh,
    nn.Sigmoid: activations.Sigmoid,
    nn.SiLU: activations.SiLU,
    nn.Mish: activations.Mish,
    nn.LogSigmoid: activations.LogSigmoid,
    nn.Tanhshrink: activations.Tanhshrink,
    nn.Softsign: activations.Softsign,
    nn.Hardsigmoid: activations.HardSigmoid,
    nn.Hardswish: activations.HardSwish,
}


def _plain(module: nn.Module, weight_var: float | None, bias_var: float | None) -> Layer:
    return _PLAIN[type(module)]()


for _type in _PLAIN:
    rule.register(_type, _plain)
