"""Images as they come, small, empty, strided in memory, of integers: a right result or a clear error.

Right means equal to formulas written out below in NumPy, with a matrix of zeros and ones for every tap of a window.
"""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk

RELU, GAP, DENSE = nk.ReLU(), nk.GlobalAvgPool(), nk.Dense()
NETS = {
    "gap": nk.cnn(2),
    "flatten": nk.cnn(2, pooling="flatten"),
    "myrtle": nk.myrtle(5),
    "resnet": nk.resnet((1, 1)),
    "circular": nk.Sequential(
        *(nk.Conv(3, stride=2, padding="circular"), RELU, nk.Conv(2, padding="circular"), RELU, GAP, DENSE)
    ),
    "biases": nk.Sequential(
        *(nk.Conv(3, stride=2, padding="circular", bias_var=0.1), RELU),
        *(nk.Conv(2, stride=3, bias_var=0.2), RELU, nk.Flatten(), DENSE),
    ),
}
X = np.random.default_rng(0).standard_normal((4, 3, 8, 6))
Z = np.random.default_rng(1).standard_normal((2, 3, 8, 6))
every_net = pytest.mark.parametrize("name", NETS)
both_loops = pytest.mark.parametrize("name", ["gap", "flatten"])  # over all pairs of positions, over equal ones


def results(net: nk.Layer, x: Any, z: Any = Z) -> list[np.ndarray]:
    """NNGP kernel and NTK of x, and of x and z, and the diagonal."""
    return [np.asarray(k) for k in (*nk.kernels(net, x), *nk.kernels(net, x, z), nk.NTK(net).diag(x))]


def assert_equal(actual: list[np.ndarray], expected: list[np.ndarray], rtol: float = 1e-12) -> None:
    for a, b in zip(actual, expected, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(initial=0))


# ---- windows and strides larger than the image, against the formulas ----


def taps(size: int, window: int, stride: int, circular: bool) -> list[np.ndarray]:
    """For every tap of a window, who reads whom: (ceil(size / stride), size), an odd cell of padding behind."""
    places = -(-size // stride)
    before = max((places - 1) * stride + window - size, 0) // 2
    matrices = []
    for tap in range(window):
        matrix = np.zeros((places, size))
        for place in range(places):
            at = place * stride + tap - before
            if circular or 0 <= at < size:
                matrix[place, at % size] = 1
        matrices.append(matrix)
    return matrices


def cntk(x: np.ndarray, layers: list[Any], pool: bool) -> tuple[np.ndarray, np.ndarray]:
    """NNGP kernel and NTK of convolutions, each with a ReLU behind, and a readout, by the recursion of Arora et al."""
    n, shape = len(x), x.shape[2:]
    flat = x.reshape(n, x.shape[1], -1)
    k = np.einsum("ncp,mcq->nmpq", flat, flat) / x.shape[1]
    t = np.zeros_like(k)
    for conv in layers:
        axes = (taps(s, conv.kernel_size, conv.stride, conv.padding == "circular") for s in shape)
        shifts = [np.kron(a, b) for a, b in product(*axes)]
        k, t = (conv.weight_var * np.mean([s @ each @ s.T for s in shifts], 0) for each in (k, t))
        k, t = k + conv.bias_var, t + k + conv.bias_var
        std = np.sqrt(np.einsum("nnpp->np", k))
        scale = std[:, None, :, None] * std[None, :, None, :]
        angle = np.arccos(np.clip(k / np.where(scale > 0, scale, 1), -1, 1))
        k = scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi)
        t = t * (np.pi - angle) / (2 * np.pi)
        shape = tuple(-(-s // conv.stride) for s in shape)
    k, t = (each.mean((2, 3)) if pool else np.einsum("nmpp->nm", each) / each.shape[2] for each in (k, t))
    return k, t + k


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (1, 6), (4, 3)])
@pytest.mark.parametrize(("window", "stride"), [(3, 1), (5, 1), (3, 2), (2, 5), (5, 7)])
@pytest.mark.parametrize("padding", ["same", "circular"])
def test_windows_and_strides_above_the_image(shape: tuple[int, int], window: int, stride: int, padding: str) -> None:
    x = np.random.default_rng(2).standard_normal((3, 2, *shape))
    layers = [nk.Conv(window, stride, padding, bias_var=0.1), nk.Conv(window, 1, padding, weight_var=2.0)]
    for pool in (True, False):
        net = nk.Sequential(layers[0], RELU, layers[1], RELU, GAP if pool else nk.Flatten(), DENSE)
        expected = cntk(x, layers, pool)
        # The arc cosine above loses half of the digits where windows coincide, as they do on one pixel.
        assert_equal(list(nk.kernels(net, x)), list(expected), 1e-7)
        assert_equal(list(nk.kernels(net, x, x[:2].copy())), [k[:, :2] for k in expected], 1e-7)


@pytest.mark.parametrize("name", ["gap", "flatten", "resnet", "circular", "biases"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 3)])
def test_networks_on_small_images(name: str, shape: tuple[int, int]) -> None:
    x = np.random.default_rng(3).standard_normal((5, 3, *shape))
    for kernel in nk.kernels(NETS[name], x):
        assert np.isfinite(kernel).all()
        assert np.linalg.eigvalsh(kernel)[0] > -1e-12


def test_pools_on_small_images_say_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"AvgPool\(window=2\) on positions \(1, 1\).*fewer pools"):
        nk.kernels(NETS["myrtle"], X[:, :, :3, :3])


# ---- shapes ----


@both_loops
@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (X, Z[:, :2], "x1 has 3 channels, x2 has 2"),
        (X, Z[:, :, :7], r"x1 has positions \(8, 6\), x2 has \(7, 6\).*resize or pad"),
        (X, Z[:, :, 0], r"examples of x1 have shape \(3, 8, 6\), those of x2 \(3, 6\)"),
        (X, Z[0], r"\(3, 8, 6\), those of x2 \(8, 6\)"),
        (X, Z.reshape(2, -1), r"\(3, 8, 6\), those of x2 \(144,\)"),
        (X, Z[:0, :2], "x1 has 3 channels, x2 has 2"),
        (X.reshape(4, -1), None, r"got vectors.*\(n, channels, \*positions\)"),
        (sparse.csr_matrix(X.reshape(4, -1)), None, "got vectors"),
        (X[:, :, :0], None, r"at least one feature and position.*\(4, 3, 0, 6\)"),
        (X[:, :0], Z, r"x1: .*at least one feature and position"),
        (X, Z[..., :0], "x2: .*at least one feature and position"),
        ([[[1.0, 2.0], [3.0]]], None, "x1: expected one array of numbers, all rows of one shape"),
        (X.astype(complex), None, "real numbers"),
        (X.astype(complex).astype(object), None, "dtype object"),
        (X, np.array([["a"]]), "x2: expected real numbers"),
    ],
)
def test_shapes_and_kinds_that_do_not_fit(name: str, x: Any, z: Any, message: str, tmp_path: Path) -> None:
    net = NETS[name]
    for call in (nk.NTK(net), nk.NNGP(net), lambda x, z: nk.kernels(net, x, z)):
        with pytest.raises((ValueError, TypeError), match=message):
            call(x, z)
    if not isinstance(x, list):
        with pytest.raises((ValueError, TypeError), match=message):
            nk.NTK(net).to_disk(tmp_path / "k.npy", x, z)
        assert list(tmp_path.iterdir()) == []


def test_fewer_axes_than_described() -> None:
    net = nk.Sequential(nk.Conv((3, 3)), RELU, GAP, DENSE)
    for x, axes in ((X[:, 0], 1), (X[..., None], 3)):
        with pytest.raises(ValueError, match=rf"described for 2 axes of positions, but its input has {axes}"):
            nk.NTK(net)(x)
    assert nk.NTK(nk.cnn(1))(X[:, 0]).shape == (4, 4)  # 3 means 3 in every axis: sequences of 8 channels


@every_net
def test_empty_batches(name: str, tmp_path: Path) -> None:
    net = NETS[name]
    for x, z, shape in ((X[:0], None, (0, 0)), (X[:0], Z, (0, 2)), (X, Z[:0], (4, 0)), (X[:0], Z[:0], (0, 0))):
        for kernel in (*nk.kernels(net, x, z), nk.NTK(net)(x, z), nk.NNGP(net)(x, z)):
            assert kernel.shape == shape
            assert kernel.dtype == np.float64
    assert nk.NTK(net).diag(X[:0]).shape == (0,)
    leaf = torch.zeros(0, *X.shape[1:], requires_grad=True)
    assert nk.NTK(net)(leaf, torch.from_numpy(Z).float()).shape == (0, 2)
    with pytest.raises(ValueError, match="one example or more"):
        nk.NTK(net).to_disk(tmp_path / "k.npy", X[:0])


# ---- memory ----


def layouts() -> dict[str, Any]:
    """The same numbers as X."""
    last = np.ascontiguousarray(np.moveaxis(X, 1, -1))
    every_other = np.zeros((8, 3, 16, 12))
    every_other[::2, :, ::2, ::2] = X
    read_only = X.copy()
    read_only.flags.writeable = False
    return {
        "channels last": np.moveaxis(last, -1, 1),
        "torch, channels last": torch.from_numpy(last).permute(0, 3, 1, 2),
        "torch.channels_last": torch.from_numpy(X).to(memory_format=torch.channels_last),
        "Fortran": np.asfortranarray(X),
        "transposed": np.ascontiguousarray(X.T).T,
        "negative strides": np.ascontiguousarray(X[::-1, ::-1, ::-1, ::-1])[::-1, ::-1, ::-1, ::-1],
        "every other": every_other[::2, :, ::2, ::2],
        "every other, torch": torch.from_numpy(every_other)[::2, :, ::2, ::2],
        "read-only": read_only,
        "the other byte order": X.astype(X.dtype.newbyteorder()),
        "lists": X.tolist(),
    }


@both_loops
@pytest.mark.parametrize("layout", layouts())
def test_layouts_do_not_matter(name: str, layout: str, tmp_path: Path) -> None:
    net, x = NETS[name], layouts()[layout]
    z = torch.from_numpy(Z) if isinstance(x, torch.Tensor) else Z
    expected = results(net, X)
    assert_equal(results(net, x, z), expected)
    assert nk.NTK(net)(z, x).dtype == z.dtype
    assert_equal([nk.NTK(net).to_disk(tmp_path / "k.npy", x, block=3)], expected[1:2])
    backwards = x[::-1] if isinstance(x, list) else x[[3, 2, 1, 0]]
    assert_equal([nk.NTK(net)(backwards)], [expected[1][::-1, ::-1]])


@both_loops
def test_one_image_repeated_without_a_copy(name: str) -> None:
    repeated = torch.from_numpy(X[:1]).expand(4, -1, -1, -1)
    assert_equal(results(NETS[name], repeated, torch.from_numpy(Z)), results(NETS[name], X[[0, 0, 0, 0]]))


@both_loops
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", ">f4", ">i2", "longdouble"])
def test_other_numbers(name: str, dtype: str) -> None:
    net, x = NETS[name], (np.abs(X) * 60).astype(dtype)
    expected = np.float32 if dtype in ("float16", ">f4") else np.float64
    both = nk.kernels(net, x)
    assert all(kernel.dtype == expected for kernel in both)
    assert_equal(list(both), list(nk.kernels(net, x.astype(expected))))
    if dtype in ("uint8", "bool", "float16", "int64"):
        tensor = torch.from_numpy(x)
        assert_equal([nk.NTK(net)(tensor).numpy()], [both[1]])
    # pixels of up to 240: float32 loses nothing that matters
    assert_equal(list(both), list(nk.kernels(net, x.astype(np.float64))), 1e-5)


@both_loops
def test_two_precisions_give_the_wider(name: str) -> None:
    single = X.astype(np.float32)
    for kernel in (nk.NTK(NETS[name]), nk.NNGP(NETS[name])):
        mixed = kernel(single, Z)
        assert mixed.dtype == np.float64
        assert_equal([mixed, kernel(Z, single).T], [kernel(single.astype(np.float64), Z)] * 2)


@both_loops
def test_results_into_any_array(name: str, tmp_path: Path) -> None:
    net = NETS[name]
    square, pair = nk.NTK(net)(X), nk.NTK(net)(X, Z)
    mapped = np.memmap(tmp_path / "k", np.float64, "w+", shape=(4, 2))
    for out in (np.full((4, 2), np.nan, order="F"), np.full((4, 6), np.nan)[:, ::3], mapped):
        assert nk.NTK(net)(X, Z, out=out) is out
        np.testing.assert_array_equal(out, pair)
    out = np.full((4, 4), np.nan, order="F")
    np.testing.assert_array_equal(nk.NTK(net)(X, out=out), square)
