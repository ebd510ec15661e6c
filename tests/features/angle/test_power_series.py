"""Kernels as power series of the cosine, against the exact kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.exact import resolve_kernel
from neural_kernels.features.angle.power_series import DEGREE, zonal_series
from neural_kernels.features.method import UnsuitableError

NETS = [
    nk.mlp(1),
    nk.mlp(3),
    nk.mlp(2, bias_var=0.3),
    nk.mlp(2, nk.LeakyReLU(0.1)),
    nk.mlp(2, nk.Abs()),
    nk.mlp(1, nk.Step()),
    nk.mlp(2, nk.Erf()),
    nk.mlp(2, nk.GELU(), bias_var=0.1),
    nk.mlp(2, nk.Tanh()),
    nk.mlp(2, nk.ELU()),
    nk.mlp(2, nk.HardTanh(), bias_var=0.2),
    nk.mlp(2, nk.NormalizedGaussian(1.0)),
    nk.mlp(2, nk.Polynomial((0.1, 1.0, 0.3))),
    nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()),
    nk.Sequential(nk.Dense(), nk.Concat(nk.ReLU(), nk.Erf()), nk.Dense()),
    nk.Sequential(nk.Dense(), nk.LayerNorm(), nk.GELU(), nk.Dense()),
]
COSINES = np.linspace(-0.9, 0.9, 13)


def exact(net: nk.Layer, kernel: str, std: float) -> np.ndarray:
    """On a circle of vectors in the plane; with a gradient, so that no table stands for a dual."""
    angles = np.concatenate([[0.0], np.arccos(COSINES)])
    x = std * math.sqrt(2) * np.stack([np.cos(angles), np.sin(angles)], 1)
    x = torch.from_numpy(x).requires_grad_()
    return (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(x[:1], x)[0].detach().numpy()


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("net", NETS, ids=repr)
def test_equals_the_exact_kernel(net, kernel):
    for std in (0.5, 1.0, 2.0):
        series = zonal_series(resolve_kernel(net, kernel), std, 2)
        values = torch.from_numpy(COSINES)[:, None] ** torch.arange(DEGREE + 1) @ series.coefficients
        expected = exact(net, kernel, std)
        scale = np.abs(expected).max()
        np.testing.assert_allclose(values.numpy(), expected[1:], rtol=0, atol=1e-11 * scale)
        assert series.total == pytest.approx(expected[0], rel=1e-9)
        assert (series.coefficients >= 0).all()
        assert float(series.coefficients.sum()) <= series.total * (1 + 1e-9)


def test_positions_are_refused():
    with pytest.raises((UnsuitableError, ValueError), match="positions"):
        zonal_series(nk.NTK(nk.cnn(1)), 1.0, 3)
