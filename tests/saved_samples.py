"""Objects for files: one or more of every class that users describe things with, and what a file of old holds."""

from __future__ import annotations

from pathlib import Path
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
    nk.MetricKernel(nk.Laplace(), [1.0, 0.5, 2.0]),
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
SOLVERS: list[Any] = [
    *[nk.solvers.Automatic(), nk.solvers.Cholesky(), nk.solvers.Spectral()],
    nk.solvers.ConjugateGradient(nk.solvers.RPCholesky(64), tol=1e-4, checkpoint=Path("state.npz")),
    nk.solvers.ConjugateGradient(None, max_iterations=50),
]
SKETCHES: list[Any] = [
    nk.sketches.CountSketch(5, 8, seed=1),
    nk.sketches.OSNAP(5, 8, seed=1),
    nk.sketches.PolySketch(5, 8, 3, seed=1),
    nk.sketches.SRHT(5, 8, seed=1),
    nk.sketches.TensorSketch(5, 8, 3, seed=1),
    nk.sketches.TensorSRHT(5, 4, 8, seed=1),
]


def stored_rows() -> np.ndarray:
    """What the models of `stored_objects` are fitted to."""
    return np.sin(np.arange(60.0)).reshape(20, 3)


def stored_objects() -> dict[str, Any]:
    """What is in `data/saved_format_1.safetensors`, with the models' results on their rows."""
    x, chosen = stored_rows(), {"alpha": 1e-2, "random_state": 0}
    y, labels = x[:, 0] * x[:, 1], np.array(["no", "yes"])[(x[:, 2] > 0).astype(int)]
    models = {
        "regressor": nk.NeuralKernelRegressor(nk.mlp(2), alpha=1e-2).fit(x, y),
        "classifier": nk.NeuralKernelClassifier(alpha=1e-2).fit(x, labels),
        "one pass": nk.NeuralFeatureRegressor(n_components=12, **chosen).fit(x, y),
        "classes": nk.NeuralFeatureClassifier(n_components=12, **chosen).fit(x, labels),
    }
    maps = {
        "features": nk.NeuralFeatures(n_components=8, method=nk.RandomFeatures(), random_state=0).fit(x),
        "map": nk.feature_map(nk.mlp(1), n_components=8, method=nk.Nystrom()).fit(x),
    }
    results = {name: model.predict(x) for name, model in models.items()}
    results |= {"features": maps["features"].transform(x), "map": maps["map"](x)}
    described = {
        "network": nk.Sequential(
            nk.Conv(3, stride=2, weight_var=2.0, bias_var=0.5),
            nk.LeakyReLU(0.25),
            nk.Conv(3),
            nk.Residual(nk.Sequential(nk.Elementwise(torch.tanh), nk.Conv(1))),
            nk.GlobalAvgPool(),
            nk.Dense(trained=False),
        ),
        "kernel": 2 * nk.NTK(nk.mlp(2)) + nk.Laplace(0.5) * nk.NNGP(nk.mlp(1, nk.Erf())) + 0.1,
        "methods": [nk.Nystrom(), nk.RandomFeatures("gaussian"), nk.PolynomialSketch(degree=3)],
        "moments": nk.Moments(3, 1).update(x, y[:, None]),
    }
    return described | models | maps | {"results": results}
