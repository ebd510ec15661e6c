"""Others read these files, and these are read in later versions; skops takes the estimators, too."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import safetensors
import skops.io as skops
from sklearn.base import clone
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from saved_samples import stored_objects, stored_rows

STORED = Path(__file__).parents[1] / "data" / "saved_format_1.safetensors"


def test_a_file_of_format_1_is_read():
    """Descriptions are equal; predictions are those that were stored, to the rounding of other machines."""
    held, now, x = nk.load(STORED), stored_objects(), stored_rows()
    for name in ("network", "kernel", "methods"):
        assert held[name] == now[name]
    for name, stored in held["results"].items():
        model = held[name]
        result = (getattr(model, "predict", None) or getattr(model, "transform", None) or model)(x)
        if stored.dtype.kind == "U":
            assert result.tolist() == stored.tolist()
        else:
            np.testing.assert_allclose(result, stored, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(held["moments"].solve(0.1)[0], now["moments"].solve(0.1)[0], rtol=1e-9)


def test_files_are_safetensors(tmp_path):
    model = nk.NeuralKernelRegressor().fit(stored_rows(), stored_rows()[:, 0])
    nk.save(model, tmp_path / "model.safetensors")
    with safetensors.safe_open(tmp_path / "model.safetensors", framework="np") as file:
        about, names = file.metadata(), list(file.keys())
        shapes = {tuple(file.get_slice(name).get_shape()) for name in names}
        assert any(np.array_equal(file.get_tensor(name), model.X_fit_) for name in names)
    assert about["format"] == "neural_kernels"
    assert json.loads(about["description"])["objects"][-1][0] == "NeuralKernelRegressor"
    assert model.X_fit_.shape in shapes


OF_ROWS = [
    nk.NeuralKernelRegressor(),
    nk.NeuralKernelRegressor(nk.mlp(2, "erf"), kernel="nngp"),
    nk.NeuralKernelClassifier(kernel=nk.Laplace() + 0.5 * nk.NTK(nk.mlp(1))),
    nk.FeatureLearning(nk.NeuralKernelClassifier(), iterations=1, power=1.0),
    nk.TableRegressor(),
    nk.TableClassifier(),
    Pipeline([("scale", nk.TableScaler()), ("model", nk.NeuralKernelRegressor())]),
    Pipeline([("encode", nk.TableEncoder()), ("model", nk.NeuralKernelRegressor())]),
    nk.NeuralFeatureRegressor(n_components=8),
    nk.NeuralFeatureRegressor(nk.mlp(2), method=nk.ZonalFeatures(anchors=2), n_components=32),
    nk.NeuralFeatureRegressor(method=nk.RandomFeatures(), n_components=16),
    nk.NeuralFeatureRegressor(method=nk.PolynomialSketch(), n_components=16),
    nk.NeuralFeatureRegressor(kernel=nk.PolynomialKernel(2), method=nk.AdaptiveSampling(), n_components=16),
    nk.NeuralFeatureRegressor(kernel=nk.Laplace(), n_components=8),
    nk.NeuralFeatureClassifier(n_components=8),
    nk.NeuralFeatureLogisticClassifier(n_components=8),
    Pipeline([("map", nk.NeuralFeatures(n_components=8)), ("model", nk.NeuralKernelRegressor())]),
]


@pytest.mark.parametrize("model", OF_ROWS, ids=repr)
def test_skops_brings_pipelines_back(model, tmp_path):
    x, y = stored_rows(), (stored_rows()[:, 0] > 0).astype(int)
    comes_back(make_pipeline(StandardScaler(), clone(model)).fit(x, y), x, tmp_path)


@pytest.mark.parametrize("network", [nk.cnn(2), nk.cnn(2, pooling="flatten")], ids=repr)
def test_skops_brings_models_of_images_back(network, tmp_path):
    x = np.random.default_rng(0).normal(size=(24, 1, 6, 6)).astype(np.float32)
    model = nk.NeuralFeatureClassifier(network, n_components=16, alpha=1e-2)
    comes_back(make_pipeline(nk.ImageScaler(), model).fit(x, np.arange(24) % 2), x, tmp_path)


def comes_back(model, x, folder):
    """Read what skops wrote of a fitted pipeline, and compare predictions."""
    skops.dump(model, folder / "model.skops")
    trusted = skops.get_untrusted_types(file=folder / "model.skops")
    own = ("neural_kernels.", "torch.nn.modules.")
    assert all(name.startswith(own) for name in trusted), "nothing else has to be trusted"
    again = skops.load(folder / "model.skops", trusted=trusted)
    assert np.array_equal(again.predict(x), model.predict(x))
