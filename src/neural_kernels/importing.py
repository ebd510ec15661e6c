"""From torch modules to descriptions: the foreign side, where a registry by type is the right tool."""

from __future__ import annotations

import math
from functools import singledispatch
from typing import Any

from torch import nn

from neural_kernels import activations
from neural_kernels.layer import Layer
from neural_kernels.layers import Dense, Dropout, LayerNorm, Sequential


class _Importer:
    """`from_torch`, with `from_torch.register(ModuleType)` for rules of one's own.

    A rule takes the module and the two variances and returns a layer::

        @nk.from_torch.register(MyModule)
        def _(module, weight_var, bias_var):
            return nk.Sequential(...)
    """

    def __call__(self, module: nn.Module, weight_var: float | None = None, bias_var: float | None = None) -> Layer:
        """The infinitely wide network of a torch module's architecture.

        Parameters
        ----------
        module : torch.nn.Module
            `Sequential` (nested too) of `Linear`, activations, `Dropout`, `LayerNorm` without affine parameters and
            `Identity`, or any type with a registered rule.
        weight_var, bias_var : float, optional
            Variances of the NTK parametrisation for all affine layers. None: those of torch's own initialiser times the
            number of inputs; for a default `Linear` 1/3 and, since its biases vanish with growing width, 0.

        Returns
        -------
        Layer

        Raises
        ------
        TypeError
            For a module without a rule; says which, and how to register one.
        ValueError
            For a module whose parameters the kernel would not see, such as an affine `LayerNorm`.

        Examples
        --------
        >>> from torch import nn
        >>> import neural_kernels as nk
        >>> nk.from_torch(nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 1)), weight_var=2.0)
        Sequential(Dense(weight_var=2.0), ReLU(), Dense(weight_var=2.0))
        """
        if isinstance(module, type):
            raise TypeError(f"from_torch: got the class {module.__name__}; pass an instance")
        return _rule(module, weight_var, bias_var)

    @property
    def register(self) -> Any:
        """Register a rule for a type of module."""
        return _rule.register


from_torch = _Importer()


@singledispatch
def _rule(module: Any, weight_var: float | None, bias_var: float | None) -> Layer:
    raise TypeError(
        f"from_torch: no rule for {type(module).__module__}.{type(module).__qualname__}. Register one:\n"
        f"    @nk.from_torch.register({type(module).__qualname__})\n"
        "    def _(module, weight_var, bias_var): return nk.Sequential(...)"
    )


@_rule.register
def _(module: nn.Sequential, weight_var: float | None, bias_var: float | None) -> Layer:
    return Sequential(*(_rule(child, weight_var, bias_var) for child in module))


@_rule.register
def _(module: nn.Linear, weight_var: float | None, bias_var: float | None) -> Layer:
    weight = 1 / 3 if weight_var is None else weight_var
    return Dense(weight, 0.0 if bias_var is None or module.bias is None else bias_var)


@_rule.register
def _(module: nn.Dropout, weight_var: float | None, bias_var: float | None) -> Layer:
    return Dropout(module.p)


@_rule.register
def _(module: nn.LayerNorm, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.elementwise_affine:
        raise ValueError(
            f"from_torch: {module!r} has trainable scales and shifts, which this kernel does not hold. Build it with "
            "elementwise_affine=False."
        )
    return LayerNorm(eps=module.eps)


@_rule.register
def _(module: nn.Identity, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.Identity()


@_rule.register
def _(module: nn.LeakyReLU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.LeakyReLU(module.negative_slope)


@_rule.register
def _(module: nn.GELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.GELU() if module.approximate == "none" else activations.GELUTanh()


@_rule.register
def _(module: nn.ELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.ELU(module.alpha)


@_rule.register
def _(module: nn.CELU, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.CELU(module.alpha)


@_rule.register
def _(module: nn.Softplus, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.beta == 1:
        return activations.Softplus()
    if math.isfinite(module.threshold):
        return activations.Elementwise(nn.Softplus(module.beta, math.inf))
    return activations.Elementwise(module)


@_rule.register
def _(module: nn.Hardtanh, weight_var: float | None, bias_var: float | None) -> Layer:
    if (module.min_val, module.max_val) == (-1.0, 1.0):
        return activations.HardTanh()
    return activations.Elementwise(module, kinks=(module.min_val, module.max_val))


@_rule.register
def _(module: nn.Softshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.SoftShrink(module.lambd)


@_rule.register
def _(module: nn.Hardshrink, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.HardShrink(module.lambd)


@_rule.register
def _(module: nn.Threshold, weight_var: float | None, bias_var: float | None) -> Layer:
    return activations.Elementwise(module, kinks=(module.threshold,))


_PLAIN = {
    nn.ReLU: "ReLU",
    nn.ReLU6: "ReLU6",
    nn.SELU: "SELU",
    nn.Tanh: "Tanh",
    nn.Sigmoid: "Sigmoid",
    nn.SiLU: "SiLU",
    nn.Mish: "Mish",
    nn.LogSigmoid: "LogSigmoid",
    nn.Tanhshrink: "Tanhshrink",
    nn.Softsign: "Softsign",
    nn.Hardsigmoid: "HardSigmoid",
    nn.Hardswish: "HardSwish",
}


def _plain(module: nn.Module, weight_var: float | None, bias_var: float | None) -> Layer:
    return getattr(activations, _PLAIN[type(module)])()


for _type in _PLAIN:
    _rule.register(_type, _plain)
