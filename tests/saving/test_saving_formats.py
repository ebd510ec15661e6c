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


WITHOUT_TENSORS = [
    nk.NeuralKernelRegressor(),
    nk.NeuralKernelRegressor(nk.mlp(2, "erf"), kernel="nngp"),
    nk.NeuralKernelClassifier(kernel=nk.Laplace() + 0.5 * nk.NTK(nk.mlp(1))),
    nk.FeatureLearning(nk.NeuralKernelClassifier(), iterations=1, power=1.0),
    nk.TableRegressor(),
    nk.TableClassifier(),
    Pipeline([("scale", nk.TableScaler()), ("model", nk.NeuralKernelRegressor())]),
    Pipeline([("encode", nk.TableEncoder()), ("model", nk.NeuralKernelRegressor())]),
]


@pytest.mark.parametrize("model", WITHOUT_TENSORS, ids=repr)
def test_skops_brings_pipelines_back(model, tmp_path):
    x, y = stored_rows(), (stored_rows()[:, 0] > 0).astype(int)
    model = make_pipeline(StandardScaler(), clone(model)).fit(x, y)
    skops.dump(model, tmp_path / "model.skops")
    trusted = skops.get_untrusted_types(file=tmp_path / "model.skops")
    assert all(name.startswith("neural_kernels.") for name in trusted), "nothing else has to be trusted"
    again = skops.load(tmp_path / "model.skops", trusted=trusted)
    assert np.array_equal(again.predict(x), model.predict(x))
