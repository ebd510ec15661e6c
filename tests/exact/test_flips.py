"""Kernels averaged over flips: against the sum they are defined by, and what follows from it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import neural_kernels as nk
from neural_kernels.estimators import settings

RNG = np.random.default_rng(0)
X, Z = RNG.standard_normal((7, 2, 4, 5)), RNG.standard_normal((3, 2, 4, 5))
NET = nk.cnn(2, pooling="flatten")
ONE_SIDED = nk.Sequential(nk.Conv(3, padding=((0, 0), (2, 0))), nk.ReLU(), nk.Flatten(), nk.Dense())


def flip(images: np.ndarray) -> np.ndarray:
    return images[..., ::-1].copy()


@pytest.mark.parametrize("net", [NET, nk.cnn(2), ONE_SIDED], ids=["flatten", "gap", "one-sided"])
@pytest.mark.parametrize("kind", [nk.NTK, nk.NNGP])
def test_the_mean_over_both_images_flipped_or_not(net: nk.Layer, kind: Any) -> None:
    kernel = kind(net)
    expected = np.mean([kernel(a, b) for a in (X, flip(X)) for b in (Z, flip(Z))], axis=0)
    average = nk.FlipAverage(kernel)
    assert_allclose(average(X, Z), expected, rtol=1e-12)
    assert_allclose(average(flip(X), Z), expected, rtol=1e-12)
    assert_allclose(average(X), average(X, X.copy()), rtol=1e-9)
    assert_allclose(average.diag(X), average(X).diagonal(), rtol=1e-9)
    assert_array_equal(average(X), average(X).T)
    assert np.linalg.eigvalsh(average(np.concatenate([X, flip(X)]))).min() > -1e-12


def test_arrays_of_any_make_and_of_no_rows() -> None:
    average = nk.FlipAverage(nk.NTK(NET))
    tensor = torch.from_numpy(X)
    assert isinstance(average(tensor), torch.Tensor)
    assert_allclose(average(tensor), average(X), rtol=1e-12)
    assert average(X.astype(np.float32)).dtype == np.float32
    assert_allclose(average(X.tolist()), average(X), rtol=1e-12)
    assert average.diag(X[:0]).shape == (0,)
    assert average.diag(tensor).dtype == torch.float64


def test_kernel_estimators_take_it() -> None:
    labels = np.arange(7) % 2
    model = nk.NeuralKernelClassifier(kernel=nk.FlipAverage(nk.NTK(NET)), alpha=1e-3).fit(X, labels)
    assert_allclose(model.decision_function(flip(Z)), model.decision_function(Z), rtol=1e-9)


def test_deviations_are_those_of_an_ensemble_of_networks() -> None:
    """Of images that are their own mirror images, averaging changes nothing."""
    symmetric, other, y = X + flip(X), Z + flip(Z), np.arange(7.0)
    plain = nk.NeuralKernelRegressor(NET, alpha=1e-2).fit(symmetric, y)
    average = nk.NeuralKernelRegressor(kernel=nk.FlipAverage(nk.NTK(NET)), alpha=1e-2).fit(symmetric, y)
    for options in ({}, {"noise": False}):
        deviations = [model.predict(other, return_std=True, **options)[1] for model in (average, plain)]
        assert_allclose(*deviations, rtol=1e-6)
    process = nk.FlipAverage(nk.NNGP(NET))
    assert settings.prior(process) is process


def test_refusals() -> None:
    with pytest.raises(ValueError, match="flips are of images"):
        nk.FlipAverage(nk.NTK(nk.mlp(1)))(X.reshape(7, -1))
    given: Any = NET
    with pytest.raises(TypeError, match="expected a kernel"):
        nk.FlipAverage(given)
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(40, 2)).double()
    with pytest.raises(TypeError, match=r"nk\.TraceNTK"):
        nk.FlipAverage(nk.EmpiricalNTK(module))(X)
