"""Pixels as they come, NaN, black, copied, of extreme scales: a right result or a clear error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_bad_images import NETS, X, Z, assert_equal, both_loops, every_net, results

import neural_kernels as nk

HOMOGENEOUS = ("gap", "flatten", "myrtle", "circular")  # their kernels grow with the square of the scale


@both_loops
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_pixel_is_named(name: str, bad: float, tmp_path: Path) -> None:
    x, net = X.copy(), NETS[name]
    x[1, 2, 3, 4] = bad
    message = r"1 of 576 entries are NaN or infinite, the first at row 1, place \(2, 3, 4\)"
    for wrong in (x, x.astype(np.float32), torch.from_numpy(x), np.asfortranarray(x), x.tolist()):
        good = torch.from_numpy(Z) if isinstance(wrong, torch.Tensor) else Z
        for argument, call in (
            ("x1", lambda wrong=wrong: nk.NTK(net)(wrong)),
            ("x1", lambda wrong=wrong, good=good: nk.NNGP(net)(wrong, good)),
            ("x2", lambda wrong=wrong, good=good: nk.kernels(net, good, wrong)),
            ("x", lambda wrong=wrong: nk.NTK(net).diag(wrong)),
        ):
            with pytest.raises(ValueError, match=f"^{argument}: {message}"):
                call()
    with pytest.raises(ValueError, match=message):
        nk.NTK(net).to_disk(tmp_path / "k.npy", X, x)
    assert list(tmp_path.iterdir()) == []


@every_net
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_black_images(name: str, dtype: type) -> None:
    """All zero, one among others, or all but one pixel."""
    net, x = NETS[name], X.astype(dtype)
    for kernel in nk.kernels(net, 0 * x):
        assert np.isfinite(kernel).all()
        assert np.ptp(kernel) == 0
        assert (kernel[0, 0] > 0) == (name == "biases")
    x[2], x[3, :, :, 1:] = 0, 0
    kernels = results(net, x, Z.astype(dtype))
    assert all(np.isfinite(kernel).all() for kernel in kernels)
    assert np.linalg.eigvalsh(kernels[1].astype(np.float64))[0] > -1e-6 * np.abs(kernels[1]).max()
    assert_equal([kernel[:2, :2] for kernel in kernels[:2]], list(nk.kernels(net, x[:2])), 1e-6)
    gradient_of = torch.from_numpy(x).requires_grad_()
    (gradient,) = torch.autograd.grad(nk.NTK(net)(gradient_of).sum(), gradient_of)
    assert gradient.isfinite().all()


@every_net
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-12)])
def test_copies_have_equal_rows(name: str, dtype: type, tolerance: float) -> None:
    x = X[[0, 1, 0, 2, 1]].astype(dtype)
    if (
        name == "myrtle"
    ):  # sums of coincident units, by pools in the middle, cancel to rounding, their angles to its root
        tolerance = {1e-6: 2e-4, 1e-12: 1e-7}[tolerance]
    for kernel in nk.kernels(NETS[name], x):
        assert np.array_equal(kernel, kernel.T)
        np.testing.assert_allclose(kernel[0], kernel[2], rtol=tolerance)
        np.testing.assert_allclose(kernel[1], kernel[4], rtol=tolerance)
        np.testing.assert_allclose(kernel[0, 2], kernel[0, 0], rtol=tolerance)


@pytest.mark.parametrize("name", HOMOGENEOUS)
@pytest.mark.parametrize("scale", [1e-15, 1e-8, 1e-3, 1e6, 1e15, 1e18])
def test_kernels_scale_with_the_square(name: str, scale: float) -> None:
    net, scaled = NETS[name], (X * scale).astype(np.float32)
    expected = [kernel * scale**2 for kernel in nk.kernels(net, scaled.astype(np.float64) / scale)]
    assert_equal(list(nk.kernels(net, scaled)), expected, 1e-5)
    both = nk.kernels(net, scaled, (Z / scale).astype(np.float32))
    assert_equal(list(both), list(nk.kernels(net, X, Z)), 1e-5)


RANGES = [(1e-25, np.float32), (1e19, np.float32), (1e25, np.float32), (1e-160, np.float64), (1e160, np.float64)]


@every_net
@pytest.mark.parametrize(("scale", "dtype"), RANGES)
def test_out_of_range_is_right_or_refused(name: str, scale: float, dtype: type) -> None:
    """Every pair in one call; a kernel that left the range would be 0, infinity or NaN."""
    net, x = NETS[name], (X * scale).astype(dtype)
    for second in (None, (Z * scale).astype(dtype)):
        kernels, message = (), ""
        try:
            kernels = nk.kernels(net, x, second)
        except OverflowError as error:
            message = str(error)
        assert kernels or "Scale the inputs" in message
        assert all(np.isfinite(kernel).all() and kernel.any() for kernel in kernels)


@pytest.mark.parametrize("name", HOMOGENEOUS)
@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_a_diagonal_out_of_range_is_refused(name: str, scale: float) -> None:
    with pytest.raises(OverflowError, match="Scale the inputs"):
        nk.NTK(NETS[name]).diag((X * scale).astype(np.float32))


@every_net
@pytest.mark.parametrize("scale", [1e-18, 1e15])
def test_images_of_different_scales(name: str, scale: float) -> None:
    """Bright or dark images do not spoil the others."""
    x = np.concatenate([X[:2], X[2:] * scale])
    single, double = (nk.kernels(NETS[name], x.astype(dtype)) for dtype in (np.float32, np.float64))
    for a, b in zip(single, double, strict=True):
        std = np.sqrt(np.diag(b))
        assert (np.abs(a - b) <= 1e-5 * np.outer(std, std)).all()


@every_net
@pytest.mark.parametrize("scale", [1e-30, 1e12])
def test_one_pixel_of_another_scale(name: str, scale: float) -> None:
    x = X.copy()
    x[1, :, 2, 3] *= scale
    single, double = (nk.kernels(NETS[name], x.astype(dtype)) for dtype in (np.float32, np.float64))
    for a, b in zip(single, double, strict=True):
        std = np.sqrt(np.diag(b))
        assert (np.abs(a - b) <= 1e-5 * np.outer(std, std)).all()
