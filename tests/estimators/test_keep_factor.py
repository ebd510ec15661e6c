"""What a fitted exact model holds of its kernel matrix, and that it answers the same without."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import neural_kernels as nk
from neural_kernels.estimators import settings

RNG = np.random.default_rng(0)
X, NEW = RNG.normal(size=(40, 3)), RNG.normal(size=(5, 3))
Y = np.sin(X.sum(axis=1)) + 0.1 * RNG.normal(size=40)
NET = nk.mlp(1, bias_var=0.1)


@pytest.mark.parametrize("solver", [nk.solvers.Cholesky(), nk.solvers.Spectral()], ids=["cholesky", "spectral"])
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_a_factor_is_made_when_it_is_asked_for(kernel, solver):
    kept, lean = (
        nk.NeuralKernelRegressor(NET, kernel=kernel, alpha=0.01, solver=solver, keep_factor=keep).fit(X, Y)
        for keep in (True, False)
    )
    assert_allclose(lean.predict(NEW), kept.predict(NEW), rtol=1e-12)
    assert max(np.size(value) for value in vars(lean).values()) < 40**2  # predictions hold no matrix
    assert "_system" not in vars(lean)
    for found, expected in zip(lean.predict(NEW, return_std=True), kept.predict(NEW, return_std=True), strict=True):
        assert_allclose(found, expected, rtol=1e-9)
    assert_allclose(lean.predict_interval(NEW), kept.predict_interval(NEW), rtol=1e-9)
    assert_allclose(lean.predict(NEW, time=3.0), kept.predict(NEW, time=3.0), rtol=1e-9)
    assert_allclose(lean.novelty(NEW), kept.novelty(NEW), rtol=1e-9)


def test_of_a_classifier():
    kept, lean = (nk.NeuralKernelClassifier(NET, alpha=0.1, keep_factor=keep).fit(X, Y > 0) for keep in (None, False))
    assert "_system" in vars(kept)
    assert "_system" not in vars(lean)
    assert_allclose(lean.predict_proba(NEW), kept.predict_proba(NEW), rtol=1e-12)
    assert_allclose(lean.add(NEW, [0, 1, 0, 1, 0]).predict_proba(X), kept.add(NEW, [0, 1, 0, 1, 0]).predict_proba(X))


def test_small_ones_are_kept_unasked():
    assert settings.keeps_factor(None, 5_000, "ntk")
    assert not settings.keeps_factor(None, 6_000, "ntk")
    assert settings.keeps_factor(None, 6_000, "precomputed")
    assert settings.keeps_factor(True, 20_000, "ntk")
    with pytest.raises(ValueError, match="keep_factor"):
        nk.NeuralKernelRegressor(NET, alpha=0.1, keep_factor="auto").fit(X, Y)


def test_a_precomputed_kernel_cannot_be_made_again():
    gram = nk.NTK(NET)(X)
    model = nk.NeuralKernelRegressor(kernel="precomputed", alpha=0.1, keep_factor=False).fit(gram, Y)
    assert_allclose(model.predict(gram), nk.NeuralKernelRegressor(NET, alpha=0.1).fit(X, Y).predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="keep_factor is False; fit it again"):
        model.predict(gram, time=1.0)
