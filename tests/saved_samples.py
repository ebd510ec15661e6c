"""One object or more of every class that users describe things with, for files and pickles."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import neural_kernels as nk

_METRIC = np.diag([1.0, 2.0, 0.5])
_POSITIONED = nk.Sequential(
    nk.Conv((3, 2), stride=2, padding="circular", dilation=(1, 2), weight_var=1.5, bias_var=0.25, width=64),
    nk.LayerNorm("all", eps=1e-3),
    nk.AvgPool((2, 2), 1, "same", count_padding=False),
    nk.Conv(3, padding=((1, 0), (0, 1)), parametrization="standard", width=32, bias_var=None, trained=False),
    nk.Residual(nk.Sequential(nk.ReLU(), nk.LocalConv(3)), nk.ConvTranspose(3)),
    nk.SumPool(2),
    nk.Resize((4, 4), "nearest", antialias=False),
    nk.Attention("relu", "linear", key_var=2.0, positions=nk.Positions("concat", 0.5, channels=4)),
    nk.GlobalSumPool(),
    nk.Dropout(0.25),
    nk.Dense(),
)

LAYERS: list[Any] = [
    nk.Dense(2.0, 0.5, parametrization="standard", width=128),
    nk.Dense(metric=_METRIC),
    nk.Dense(metric=[1.0, 2.0, 3.0]),
    _POSITIONED,
    nk.Concat(nk.Dense(), nk.Sequential(nk.Dense(), nk.Erf()), weights=(3, 1)),
    nk.Product(nk.Dense(), nk.Sequential(nk.Dense(), nk.Sigmoid())),
    nk.Sequential(nk.Dense(), nk.GraphAggregate(), nk.GlobalAvgPool()),
    nk.Sequential(nk.Conv(3), nk.Flatten(), nk.Dense()),
    nk.Attention(),
    *[nk.mlp(2), nk.cnn(2), nk.myrtle(5), nk.resnet()],
]
ACTIVATIONS: list[Any] = [
    *[nk.ABReLU(-0.5, 2.0), nk.Abs(), nk.LeakyReLU(0.1), nk.ReLU(), nk.CELU(2.0), nk.ELU(0.5), nk.SELU()],
    *[nk.Erf(0.5, 2.0, 0.25), nk.Exp(1.0, 0.5), nk.Gabor(), nk.Gaussian(1.0, -0.5), nk.GELU(), nk.GELUTanh()],
    *[nk.HardShrink(0.25), nk.HardSigmoid(), nk.HardSwish(), nk.HardTanh(), nk.ReLU6(), nk.SoftShrink(0.25)],
    *[nk.Hermite(3), nk.Identity(), nk.Monomial(2), nk.Polynomial((0.0, 1.0, 0.5)), nk.NormalizedGaussian(0.5)],
    *[nk.RBF(0.3), nk.Cos(1.0, 2.0, 0.5), nk.Sin(2.0), nk.RectifiedMonomial(2), nk.Sign(), nk.Step()],
    *[nk.LogSigmoid(), nk.Mish(), nk.Sigmoid(), nk.SiLU(), nk.Softplus(), nk.Softsign(), nk.Tanh(), nk.Tanhshrink()],
    nk.Elementwise(torch.tanh),
    nk.Elementwise(torch.nn.functional.relu, kinks=(0.0,)),
]
KERNELS: list[Any] = [
    nk.NTK(nk.mlp(1), memory_budget=10**9, progress=True),
    2 * nk.NTK(nk.mlp(1)) + nk.Laplace(0.5) * nk.NNGP(nk.mlp(2)) + 0.1,
    nk.GammaExponential(0.5, 1.5),
    nk.PolynomialKernel(2, 0.5, 0.25),
    nk.FlipAverage(nk.NTK(nk.cnn(1))),
]
METHODS: list[Any] = [
    nk.AdaptiveSampling(ridge=1e-3),
    nk.LayerwiseLandmarks(32, residual=8),
    nk.Nystrom("uniform"),
    nk.PolynomialSketch(),
    nk.PolynomialSketch(degree=3),
    nk.RandomFeatures("gaussian"),
    nk.ZonalFeatures(anchors=8),
]
SOLVERS: list[Any] = [nk.solvers.Automatic(), nk.solvers.Cholesky(), nk.solvers.Spectral()]
SKETCHES: list[Any] = [
    nk.sketches.CountSketch(5, 8, seed=1),
    nk.sketches.OSNAP(5, 8, seed=1),
    nk.sketches.PolySketch(5, 8, 3, seed=1),
    nk.sketches.SRHT(5, 8, seed=1),
    nk.sketches.TensorSketch(5, 8, 3, seed=1),
    nk.sketches.TensorSRHT(5, 4, 8, seed=1),
]
