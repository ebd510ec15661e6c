"""The compiled engine for positions equals the torch formulas, in either precision, and float32 keeps near copies."""

from __future__ import annotations

import numpy as np
import pytest

import neural_kernels as nk
from plain_path import is_compiled, plain_kernels

RELU, GAP, DENSE = nk.ReLU(), nk.GlobalAvgPool(), nk.Dense()


def conv(size: int | tuple[int, ...] = 3, **options: object) -> nk.Conv:
    return nk.Conv(size, **{"weight_var": 2.0, **options})


BLOCK = nk.Residual(nk.Sequential(RELU, conv(stride=2), RELU, conv()), conv(1, stride=2))
NETWORKS = {
    "pooled": (conv(), RELU, conv(), RELU, GAP, DENSE),
    "flat": (conv(bias_var=0.1), RELU, conv(bias_var=0.2), RELU, nk.Flatten(), nk.Dense(1.0, 0.1), RELU, DENSE),
    "biases": (conv(bias_var=0.1), RELU, conv(bias_var=0.2), RELU, GAP, nk.Dense(1.0, 0.1)),
    "valid": (conv(padding="valid"), RELU, conv((2, 3), padding="valid"), RELU, GAP, DENSE),
    "circular": (conv(padding="circular"), RELU, conv(), RELU, GAP, DENSE),
    "strided": (conv(stride=2), RELU, conv(), RELU, GAP, DENSE),
    "flat strided circular": (conv(stride=2), RELU, conv(padding="circular"), RELU, nk.Flatten(), DENSE),
    "pools": (conv(), RELU, nk.AvgPool(2), conv(), RELU, nk.AvgPool(2), nk.Flatten(), DENSE),
    "edges": (
        *(conv(bias_var=0.1), RELU, nk.AvgPool(3, 2, padding="same", count_padding=False)),
        *(conv(), RELU, nk.GlobalSumPool(), DENSE),
    ),
    "residual": (conv(), nk.Residual(nk.Sequential(RELU, conv(), RELU, conv())), RELU, GAP, DENSE),
    "strided residual": (conv(), BLOCK, RELU, GAP, DENSE),
    "linear": (conv(), conv(), RELU, conv(), GAP, DENSE),
    "erf": (nk.Conv(3, bias_var=0.1), nk.Erf(), nk.Conv(3), nk.Erf(), GAP, DENSE),
    "gelu": (nk.Conv(3), nk.GELU(), nk.Conv(3), nk.GELU(), nk.Flatten(), DENSE),
    "gelu then relu": (nk.Conv(3), nk.GELU(), nk.Conv(3), RELU, GAP, DENSE),
    "normalized gaussian": (nk.Conv(3), nk.NormalizedGaussian(), nk.Conv(3), nk.NormalizedGaussian(0.5), GAP, DENSE),
    "dropout": (conv(), RELU, nk.Dropout(0.3), conv(), RELU, GAP, DENSE),
    "layer norms": (conv(bias_var=0.1), nk.LayerNorm(), RELU, conv(), nk.LayerNorm("all"), RELU, GAP, DENSE),
    "concat": (nk.Concat(nk.Sequential(conv(), RELU), nk.Sequential(conv(5), nk.Erf())), conv(), RELU, GAP, DENSE),
    "dilated": (conv(dilation=2), RELU, conv(), RELU, GAP, DENSE),
    "resized": (conv(), RELU, nk.Resize((4, 3)), conv(), RELU, GAP, DENSE),
    "transposed": (nk.ConvTranspose(3, stride=2, weight_var=2.0), RELU, GAP, DENSE),
    "product": (nk.Product(conv(), nk.Sequential(conv(), nk.Erf())), conv(), RELU, GAP, DENSE),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_equals_plain(name: str, dtype: type) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.random((4, 3, 7, 6)).astype(dtype), rng.random((3, 3, 7, 6)).astype(dtype)
    z[0], x[3], x[2, :, :2] = x[1], 2 * x[2], 0
    net = nk.Sequential(*NETWORKS[name])
    assert is_compiled(net, x)
    assert is_compiled(net, x, z)
    slow = [*plain_kernels(net, x), *plain_kernels(net, x, z)]
    slow.append(slow[2])
    fast = *nk.kernels(net, x), *nk.kernels(net, x, z), nk.NNGP(net)(x, z)
    for one, other in zip(fast, slow, strict=True):
        # coincident windows behind a pool: their angle is the root of a rounding
        assert np.abs(one - other).max() <= (1e-5 if dtype == np.float32 else 1e-9) * np.abs(other).max()


def images(size: int) -> np.ndarray:
    """Constant images, copies and near copies, black borders, checkerboards."""
    rng = np.random.default_rng(0)
    x = rng.random((12, 3, size, size))
    x[0], x[1], x[2] = 0.5, 1.0, 0.5 + 1e-4
    x[4], x[5], x[6] = x[3], x[3] + 1e-3 * rng.standard_normal(x[3].shape), 3 * x[3]
    x[7, :, :3], x[7, :, -3:], x[7, :, :, :3] = 0, 0, 0
    x[8] = x[7]
    x[8, :, 5, 5] += 0.1
    x[9] = np.indices((size, size)).sum(0) % 2
    x[10], x[11] = 0.3 + 0.4 * x[9], x[3] + 1e-6 * rng.standard_normal(x[3].shape)
    return x.astype(np.float32)


@pytest.mark.parametrize(
    "net", [nk.cnn(3), nk.cnn(3, pooling="flatten"), nk.cnn(5, bias_var=0.1), nk.myrtle(5), nk.myrtle(10)], ids=repr
)
def test_float32_keeps_near_copies(net: nk.Layer) -> None:
    x = images(16)
    for single, double in zip(nk.kernels(net, x), nk.kernels(net, x.astype(np.float64)), strict=True):
        scale = np.sqrt(np.diag(double))
        assert (np.abs(single - double) <= 2e-5 * np.outer(scale, scale)).all()
        assert np.array_equal(single, single.T)
        eigenvalues = np.linalg.eigvalsh(single.astype(np.float64))
        assert eigenvalues[0] >= -1e-6 * eigenvalues[-1]
