"""Descriptions of the reference networks (tests/data/golden_*.json) as networks of this library."""

from __future__ import annotations

from functools import partial
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


def _conv(filter_shape: list[int], W_std: float, b_std: float | None, layer: Any = nk.Conv, **rest: Any) -> nk.Layer:
    windows = {"stride": rest.get("strides") or 1, "padding": rest.get("padding", "VALID").lower()}
    bias = None if b_std is None else b_std**2
    if rest.get("parameterization") == "standard":
        windows |= {"parametrization": "standard", "width": rest["out_chan"]}
    return layer(filter_shape, **windows, weight_var=W_std**2, bias_var=bias)


def _pool(layer: Any, window_shape: list[int], strides: list[int], padding: str, **rest: Any) -> nk.Layer:
    if rest.get("normalize_edges"):
        return layer(window_shape, strides, padding.lower(), count_padding=False)
    return layer(window_shape, strides, padding.lower())


def _attention(
    linear_scaling: bool, b_std: float | None, attention_mechanism: str = "SOFTMAX", **rest: Any
) -> nk.Layer:
    variances = {f"{name}_var": rest[f"W_{name}_std"] ** 2 for name in ("key", "query", "value", "out")}
    scaling = "linear" if linear_scaling else "sqrt"
    positions = nk.Positions("sum", rest["W_pos_emb_std"] ** 2) if rest.get("pos_emb_type") == "SUM" else None
    return nk.Attention(
        attention_mechanism.lower(), scaling, **variances, bias_var=(b_std or 0) ** 2, positions=positions
    )


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
    "LayerNorm": lambda axis=-1: nk.LayerNorm(eps=1e-12),
    "Dropout": lambda rate, mode="train": nk.Dropout(1 - rate),
    "Conv": _conv,
    "ConvLocal": partial(_conv, layer=nk.LocalConv),
    "ConvTranspose": partial(_conv, layer=nk.ConvTranspose),
    "AvgPool": partial(_pool, nk.AvgPool),
    "SumPool": partial(_pool, nk.SumPool),
    "GlobalAvgPool": nk.GlobalAvgPool,
    "GlobalSumPool": nk.GlobalSumPool,
    "Flatten": nk.Flatten,
    "ImageResize": lambda shape, method: nk.Resize(shape[1:-1], method),
    "GlobalSelfAttention": _attention,
    "Aggregate": lambda **_: nk.GraphAggregate(),
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
