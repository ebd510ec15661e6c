"""Rules for chains and for what acts on vectors as on images."""

from __future__ import annotations

from torch import nn

from neural_kernels.activations import Identity
from neural_kernels.algebra import Layer
from neural_kernels.importing.registry import rule
from neural_kernels.layers import Dense, Dropout, LayerNorm, Sequential


@rule.register
def _(module: nn.Sequential, weight_var: float | None, bias_var: float | None) -> Layer:
    return Sequential(*(rule(child, weight_var, bias_var) for child in module))


@rule.register
def _(module: nn.Linear, weight_var: float | None, bias_var: float | None) -> Layer:
    weight = 1 / 3 if weight_var is None else weight_var
    return Dense(weight, 0.0 if bias_var is None or module.bias is None else bias_var)


@rule.register
def _(module: nn.Dropout, weight_var: float | None, bias_var: float | None) -> Layer:
    return Dropout(module.p)


@rule.register
def _(module: nn.LayerNorm, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.elementwise_affine:
        raise ValueError(
            f"from_torch: {module!r} has trainable scales and shifts, which this kernel does not hold. Build it with "
            "elementwise_affine=False."
        )
    return LayerNorm("channels" if len(module.normalized_shape) == 1 else "all", module.eps)


@rule.register
def _(module: nn.GroupNorm, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.affine:
        raise ValueError(
            f"from_torch: {module!r} has trainable scales and shifts, which this kernel does not hold. Build it with "
            "affine=False."
        )
    if module.num_groups != 1:
        raise ValueError(f"from_torch: {module!r} has groups of channels; only num_groups=1 is nk.LayerNorm('all')")
    return LayerNorm("all", module.eps)


@rule.register
def _(module: nn.Identity, weight_var: float | None, bias_var: float | None) -> Layer:
    return Identity()
