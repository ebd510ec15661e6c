"""Functions of torch that descriptions may name: of one tensor, entry by entry, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional

_TORCH = (
    "abs acos acosh arctan arcsinh asin asinh atan atanh ceil cos cosh deg2rad digamma erf erfc erfinv exp exp2 expm1 "
    "floor lgamma log log10 log1p log2 logit neg positive rad2deg reciprocal relu round rsqrt selu sigmoid sign sin "
    "sinc sinh sqrt square tan tanh trunc"
)
_FUNCTIONAL = (
    "celu elu gelu hardshrink hardsigmoid hardswish hardtanh leaky_relu logsigmoid mish relu relu6 selu sigmoid silu "
    "softplus softshrink softsign tanh tanhshrink"
)
_SPECIAL = "erf erfc erfcx expit i0 i0e i1 i1e log_ndtr ndtr"


def _table() -> dict[str, Callable[..., Any]]:
    homes = (("torch", torch, _TORCH), ("torch.nn.functional", functional, _FUNCTIONAL))
    homes += (("torch.special", torch.special, _SPECIAL),)
    return {f"{home}.{name}": getattr(module, name) for home, module, names in homes for name in names.split()}


FUNCTIONS = _table()


def name_of(function: Any) -> str | None:
    """The name that stands for a function, if there is one."""
    return next((name for name, known in FUNCTIONS.items() if known is function), None)
