"""An activation that gives its slopes is treated as the arc-cosine kernels are, whatever its class."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.activations import Activation

KNOWN = nk.ABReLU(-0.5, 2.0)


@dataclass(frozen=True)
class Bent(Activation):
    """-x / 2 below 0 and 2 x above; knows nothing of the library's own piecewise linear activations."""

    @property
    def slopes(self):
        return -0.5, 2.0

    @property
    def kinks(self):
        return (0.0,)

    def fn(self, x):
        return torch.where(x > 0, 2 * x, -0.5 * x)

    def dual(self, normal):
        return KNOWN.dual(normal)

    def dual_slope(self, normal):
        return KNOWN.dual_slope(normal)

    def std(self, std):
        return KNOWN.std(std)

    def slope_std(self, std):
        return KNOWN.slope_std(std)


@pytest.mark.parametrize("method", [None, nk.RandomFeatures(), nk.ZonalFeatures()])
def test_kernels_and_features_are_those_of_the_same_function(method):
    x = np.random.default_rng(0).standard_normal((40, 6))
    bent, known = (nk.Sequential(nk.Dense(), a, nk.Dense(0.5), a, nk.Dense()) for a in (Bent(), KNOWN))
    if method is None:
        assert np.array_equal(nk.NTK(bent)(x), nk.NTK(known)(x))
    else:
        maps = (nk.feature_map(net, n_components=64, method=method) for net in (bent, known))
        first, second = (phi(x) for phi in maps)
        assert np.array_equal(first, second)


@pytest.mark.parametrize(("activation", "cusp"), [(nk.ReLU(), 1.0), (nk.Abs(), 2.0), (nk.LeakyReLU(1.0), 0.0),
                                                  (nk.ABReLU(0.0, 0.0), 0.0), (Bent(), 2.5**2 / 4.25)])  # fmt: skip
def test_the_cusp_follows_from_the_slopes(activation, cusp):
    assert activation.cusp == pytest.approx(cusp, rel=1e-15)


@pytest.mark.parametrize("dual", [nk.Tanh(), nk.Sign(), nk.ELU(), nk.NormalizedGaussian(1.0)], ids=repr)
def test_others_have_no_slopes(dual):
    assert dual.slopes is None
    assert dual.cusp is None
