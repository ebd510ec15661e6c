"""Inputs so large that features or sketches leave the range of their precision are refused, as kernels refuse them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels import sketches

X = np.random.default_rng(0).normal(size=(12, 6))
HUGE = {"float64": X * 1e200, "float32": (X * 1e25).astype(np.float32)}
PRECISIONS = pytest.mark.parametrize("precision", HUGE)
SKETCHES: dict[str, Any] = {
    "tensor sketch": sketches.TensorSketch(6, 8, 2),
    "polynomial": sketches.PolySketch(6, 8, 2),
    "powers": sketches.PolySketch(6, 8, 3).powers,
    "coefficients": lambda x: sketches.PolySketch(6, 8, 3).polynomial(x, [1.0, 1.0, 1.0]),
    "product": lambda x: sketches.TensorSRHT(6, 6, 8)(x, x),
    "complex product": lambda x: sketches.TensorSRHT(6, 6, 8, complex_signs=True)(x, x),
}
METHODS = [nk.RandomFeatures(), nk.PolynomialSketch(degree=2), nk.ZonalFeatures(), nk.AdaptiveSampling()]


@PRECISIONS
@pytest.mark.parametrize("name", SKETCHES)
def test_products_of_rows_are_refused(name: str, precision: str) -> None:
    assert np.isfinite(np.asarray(SKETCHES[name](X.astype(precision)))).all()
    with pytest.raises(OverflowError, match=f"products of entries of x are not finite in {precision}.* Scale"):
        SKETCHES[name](HUGE[precision])


@PRECISIONS
@pytest.mark.parametrize("kind", [sketches.CountSketch, sketches.OSNAP, sketches.SRHT])
def test_linear_sketches_take_them(kind: Any, precision: str) -> None:
    assert np.isfinite(kind(6, 8)(HUGE[precision])).all()


@PRECISIONS
@pytest.mark.parametrize("net", [nk.mlp(1), nk.mlp(1, bias_var=0.1), nk.mlp(1, nk.Abs())], ids=["relu", "bias", "abs"])
@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_features_are_finite_or_refused(method: Any, net: nk.Layer, precision: str) -> None:
    x = HUGE[precision]
    for fitted in (x, X.astype(precision)):
        try:
            features = nk.feature_map(net, n_components=32, method=method).fit(fitted)(x)
        except (OverflowError, nk.UnsuitableError):
            continue
        assert np.isfinite(features).all()


def test_random_features_say_that_inputs_are_too_large() -> None:
    x = HUGE["float64"]
    phi = nk.feature_map(nk.mlp(1), n_components=32, method=nk.RandomFeatures())
    with pytest.raises(OverflowError, match="rows to fit are not finite"):
        phi.fit(x)
    phi.fit(X)
    for given in (x, torch.from_numpy(x), torch.from_numpy(x).requires_grad_()):
        with pytest.raises(OverflowError, match="not finite in float64: x is too large"):
            phi(given)
    with pytest.raises(OverflowError, match="not finite"):
        phi.project(x, np.ones((32, 2)))


def test_estimators_on_features_refuse_them_too() -> None:
    model = nk.NeuralFeatureRegressor(n_components=16, method=nk.RandomFeatures(), random_state=0).fit(X, X[:, 0])
    with pytest.raises(OverflowError, match=r"not finite|would overflow"):
        model.predict(HUGE["float64"])
    with pytest.raises(OverflowError, match=r"not finite|would overflow"):
        nk.NeuralFeatures(n_components=16, method=nk.RandomFeatures()).fit(HUGE["float64"])


@PRECISIONS
@pytest.mark.parametrize("scale", [10, 100])
@pytest.mark.parametrize("end", [nk.GlobalAvgPool(), nk.Flatten()], ids=["mean", "flat"])
def test_landmarks_say_which_activation_overflows(end: nk.Layer, scale: float, precision: str) -> None:
    net = nk.Sequential(nk.Conv(3), nk.Exp(), nk.Conv(3), nk.Exp(), end, nk.Dense())
    images = np.random.default_rng(0).normal(size=(20, 3, 6, 6)).astype(precision)
    phi = nk.NeuralFeatures(net, n_components=16, method=nk.LayerwiseLandmarks(16), random_state=0)
    with pytest.raises(OverflowError, match=r"^Exp\(.*not finite in float\d\d where its input has standard deviation"):
        phi.fit(scale * images)
    assert np.isfinite(phi.fit_transform(images)).all()
