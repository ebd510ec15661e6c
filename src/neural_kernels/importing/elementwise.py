"""Rules for activations."""

from __future__ import annotations

import math

from torch import nn

from neural_kernels.activations import (
    CELU,
    ELU,
    GELU,
    SELU,
    Elementwise,
    GELUTanh,
    HardShrink,
    HardSigmoid,
    HardSwish,
    HardTanh,
    LeakyReLU,
    LogSigmoid,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    SoftShrink,
    Softsign,
    Tanh,
    Tanhshrink,
)
from neural_kernels.algebra import Layer
from neural_kernels.importing.registry import rule


@rule.register
def _(module: nn.LeakyReLU, weight_var: float | None, bias_var: float | None) -> Layer:
    return LeakyReLU(module.negative_slope)


@rule.register
def _(module: nn.GELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return GELU() if module.approximate == "none" else GELUTanh()


@rule.register
def _(module: nn.ELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return ELU(module.alpha)


@rule.register
def _(module: nn.CELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return CELU(module.alpha)


@rule.register
def _(module: nn.Softplus, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.beta == 1:
        return Softplus()
    if math.isfinite(module.threshold):
        return Elementwise(nn.Softplus(module.beta, math.inf))
    return Elementwise(module)


@rule.register
def _(module: nn.Hardtanh, weight_var: float | None, bias_var: float | None) -> Layer:
    if (module.min_val, module.max_val) == (-1.0, 1.0):
        return HardTanh()
    return Elementwise(module, kinks=(module.min_val, module.max_val))


@rule.register
def _(module: nn.Softshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return SoftShrink(module.lambd)


@rule.register
def _(module: nn.Hardshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return HardShrink(module.lambd)


@rule.register
def _(module: nn.Threshold, weight_var: float | None, bias_var: float | None) -> Layer:
    return Elementwise(module, kinks=(module.threshold,))


_PLAIN: dict[type[nn.Module], type[Layer]] = {
    nn.ReLU: ReLU,
    nn.ReLU6: ReLU6,
    nn.SELU: SELU,
    nn.Tanh: Tanh,
    nn.Sigmoid: Sigmoid,
    nn.SiLU: SiLU,
    nn.Mish: Mish,
    nn.LogSigmoid: LogSigmoid,
    nn.Tanhshrink: Tanhshrink,
    nn.Softsign: Softsign,
    nn.Hardsigmoid: HardSigmoid,
    nn.Hardswish: HardSwish,
}


def _plain(module: nn.Module, weight_var: float | None, bias_var: float | None) -> Layer:
    return _PLAIN[type(module)]()


for _type in _PLAIN:
    rule.register(_type, _plain)
