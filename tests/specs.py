"""Descriptions of the reference networks (tests/data/golden_dense.json) as networks of this library."""

from __future__ import annotations

from typing import Any

import neural_kernels as nk

_NUMERICAL = {
    "tanh": nk.Tanh(),
    "relu": nk.ReLU(),
    "softplus": nk.Softplus(),
    "gelu": nk.GELU(),
    "sigmoid": nk.Sigmoid(),
}


def _dense(out_dim: int, W_std: float, b_std: float | None, parameterization: str = "ntk", **_: Any) -> nk.Dense:
    bias = None if b_std is None else b_std**2
    if parameterization == "standard":
        return nk.Dense(W_std**2, bias, parametrization="standard", width=out_dim)
    return nk.Dense(W_std**2, bias, width=out_dim)


_LAYERS: dict[str, Any] = {
    "Dense": _dense,
    "Relu": nk.ReLU,
    "LeakyRelu": lambda alpha: nk.LeakyReLU(alpha),
    "Abs": nk.Abs,
    "ABRelu": nk.ABReLU,
    "Erf": nk.Erf,
    "Gelu": nk.GELU,
    "Sin": nk.Sin,
    "Cos": nk.Cos,
    "Gaussian": nk.Gaussian,
    "Exp": nk.Exp,
    "Sign": nk.Sign,
    "Rbf": nk.RBF,
    "Polynomial": lambda coef: nk.Polynomial(tuple(coef)),
    "Monomial": lambda degree: nk.Monomial(degree),
    "RectifiedMonomial": lambda degree: nk.RectifiedMonomial(degree),
    "Hermite": lambda degree: nk.Hermite(degree),
    "Sigmoid_like": lambda: nk.Erf(0.5, 1 / 2.4020563531719796, 0.5),
    "Gabor": nk.Gabor,
    "ExpNormalized": lambda gamma, shift: nk.NormalizedGaussian(gamma),
    "Identity": nk.Identity,
    "ElementwiseNumerical": lambda fn, deg: _NUMERICAL[fn],
    "LayerNorm": lambda: nk.LayerNorm(eps=1e-12),
    "Dropout": lambda rate, mode: nk.Dropout(1 - rate),
}


def network(spec: list[Any]) -> nk.Sequential:
    """A chain of layers from its specification."""
    return nk.Sequential(*(_layer(name, arguments) for name, arguments in spec))


def _layer(name: str, arguments: Any) -> Any:
    if name == "Residual":
        body, shortcut = (network(branch) for branch in arguments)
        return nk.Residual(body, shortcut)
    if name == "FanInConcat":
        widths = tuple(branch[0][1]["out_dim"] for branch in arguments)
        return nk.Concat(*(network(branch) for branch in arguments), weights=widths)
    return _LAYERS[name](**arguments)
