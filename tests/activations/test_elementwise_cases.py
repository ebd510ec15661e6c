"""Activations known by their function, to test."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F  # noqa: N812

import neural_kernels.activations as act
from neural_kernels.activations.expectations.normal import BivariateNormal

SMOOTH = [act.Tanh(), act.Sigmoid(), act.Softplus(), act.SiLU(), act.Mish(), act.LogSigmoid(), act.Tanhshrink()]
SMOOTH += [act.GELUTanh(), act.Elementwise(torch.atan)]
KINKED = [act.HardTanh(), act.HardSigmoid(), act.HardSwish(), act.ReLU6(), act.SoftShrink(), act.HardShrink(1.0)]
KINKED += [act.CELU(), act.CELU(2.0), act.Softsign(), act.Elementwise(F.elu, kinks=(0.0,))]

CURVED = [
    act.Elementwise(lambda x: torch.clamp(torch.tanh(x), min=0.5), kinks=(math.atanh(0.5),)),
    act.Elementwise(lambda x: torch.where(x > 1, 1 + torch.log(x.clamp(min=1)), x).clamp(min=-2), kinks=(1.0, -2.0)),
]


def pair(s: float, t: float, delta: float, dtype: torch.dtype = torch.float64) -> BivariateNormal:
    return BivariateNormal(*(torch.tensor([v], dtype=dtype) for v in (s, t, delta)))
