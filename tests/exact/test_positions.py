"""Layers on positions: geometry against torch, laws between layers, graphs with missing nodes, errors."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import neural_kernels as nk
from neural_kernels.layers import windows as _windows

IMAGES = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
OTHERS = np.random.default_rng(1).standard_normal((2, 2, 5, 4))
SEQUENCES = np.random.default_rng(2).standard_normal((3, 4, 6))
VECTORS = np.random.default_rng(3).standard_normal((3, 4))


def same(first: nk.Layer, second: nk.Layer, x1: Any = IMAGES, x2: Any = OTHERS, tolerance: float = 1e-12) -> None:
    for others in (x2, None):
        for a, b in zip(nk.kernels(first, x1, others), nk.kernels(second, x1, others), strict=True):
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# ---- geometry ----


def apply(index: Tensor, weights: Tensor, x: Tensor) -> Tensor:
    """Sum over the places of a window of its weight times what it reads."""
    return sum(w * torch.where(row >= 0, x[row.clamp(min=0)], 0) for w, row in zip(weights, index, strict=True))


@pytest.mark.parametrize(
    ("window", "stride", "dilation", "pad"), list(product((1, 2, 3, 5), (1, 2, 3), (1, 2), (0, 1, 2)))
)
def test_windows_are_those_of_torch(window: int, stride: int, dilation: int, pad: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(9, generator=generator), torch.randn(window, generator=generator)
    index = _windows.windows(9, window, stride, dilation, (pad, pad))
    expected = functional.conv1d(x[None, None], w[None, None], stride=stride, padding=pad, dilation=dilation)
    torch.testing.assert_close(apply(index, w, x), expected[0, 0])
    if stride == 1 and dilation * (window - 1) % 2 == 0:  # otherwise torch warns of a copy
        expected = functional.conv1d(x[None, None], w[None, None], padding="same", dilation=dilation)
        torch.testing.assert_close(apply(_windows.windows(9, window, 1, dilation), w, x), expected[0, 0])
    if pad < window + stride - 1:
        index = _windows.transposed(9, window, stride, dilation, (pad, pad))
        expected = functional.conv_transpose1d(
            x[None, None], w[None, None], stride=stride, padding=pad, dilation=dilation
        )
        torch.testing.assert_close(apply(index, w, x), expected[0, 0])


def test_same_and_circular_windows() -> None:
    """TensorFlow's rule: the odd cell of padding is behind the data."""
    assert _windows.windows(4, 3, 2).tolist() == [[0, 2], [1, 3], [2, -1]]
    assert _windows.windows(4, 2).tolist() == [[0, 1, 2, 3], [1, 2, 3, -1]]
    assert _windows.windows(4, 3, padding="circular").tolist() == [[3, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, 0]]
    assert _windows.windows(5, 1, 3, padding="circular").tolist() == [[0, 3]]
    assert _windows.windows(2, 5).tolist() == [[-1, -1], [-1, 0], [0, 1], [1, -1], [-1, -1]]
    assert _windows.transposed(2, 3, 1, 1, "circular").tolist() == [[1, 0], [0, 1], [1, 0]]


@pytest.mark.parametrize("kwargs", [{}, {"padding": 1}, {"padding": 1, "count_padding": False}, {"stride": 1}])
def test_average_pools_are_those_of_torch(kwargs: dict[str, Any]) -> None:
    torch_kwargs = {("count_include_pad" if k == "count_padding" else k): v for k, v in kwargs.items()}
    pooled = functional.avg_pool2d(torch.from_numpy(IMAGES), 3, **torch_kwargs).numpy()
    expected = np.einsum("nchw,mcij->nmhwij", pooled, pooled) / 2
    np.testing.assert_allclose(nk.NNGP(nk.AvgPool(3, **kwargs))(IMAGES), expected, atol=1e-14)


@pytest.mark.parametrize("after", [(3, 4), (10, 7), (5, 4), (1, 9)])
@pytest.mark.parametrize(("method", "antialias"), [("linear", True), ("linear", False), ("nearest", True)])
def test_resizing_is_that_of_torch(after: tuple[int, int], method: str, antialias: bool) -> None:
    x = torch.from_numpy(IMAGES)
    if method == "nearest":
        resized = functional.interpolate(x, after, mode="nearest-exact").numpy()
    else:
        resized = functional.interpolate(x, after, mode="bilinear", align_corners=False, antialias=antialias).numpy()
    expected = np.einsum("nchw,mcij->nmhwij", resized, resized) / 2
    np.testing.assert_allclose(nk.NNGP(nk.Resize(after, method, antialias))(IMAGES), expected, atol=1e-14)


# ---- laws ----

TAIL = nk.ReLU(), nk.GlobalAvgPool(), nk.Dense()


@pytest.mark.parametrize("parametrization", ["ntk", "standard"])
def test_a_convolution_of_one_place_is_a_dense_layer(parametrization: str) -> None:
    options = {"weight_var": 1.5, "bias_var": 0.3, "parametrization": parametrization, "width": 7}
    conv, dense = nk.Conv(1, **options), nk.Dense(**options)
    same(conv, dense)
    same(nk.Sequential(conv, nk.ReLU(), conv, *TAIL), nk.Sequential(dense, nk.ReLU(), dense, *TAIL))


def test_flatten_is_the_mean_over_equal_positions() -> None:
    body = nk.Conv(3, bias_var=0.2), nk.ReLU(), nk.Conv(2, stride=2)
    for whole, flat in zip(
        nk.kernels(nk.Sequential(*body), IMAGES), nk.kernels(nk.Sequential(*body, nk.Flatten()), IMAGES), strict=True
    ):
        np.testing.assert_allclose(flat, np.einsum("nmhwhw->nm", whole) / 6, rtol=1e-12)
    same(nk.Sequential(nk.Flatten(), nk.Dense()), nk.Dense(), VECTORS, VECTORS[:2])


def test_unshared_filters_differ_by_the_covariance_of_positions() -> None:
    shared, local = nk.Conv(3, bias_var=0.2, padding=1), nk.LocalConv(3, bias_var=0.2, padding=1)
    flat = nk.ReLU(), nk.Flatten(), nk.Dense()
    same(nk.Sequential(shared, *flat), nk.Sequential(local, *flat))
    positions = np.eye(20).reshape(5, 4, 5, 4)
    for a, b in zip(nk.kernels(shared, IMAGES), nk.kernels(local, IMAGES), strict=True):
        np.testing.assert_allclose(a * positions, b, rtol=1e-12)


def test_relations_between_layers() -> None:
    same(nk.ConvTranspose(3, bias_var=0.1), nk.Conv(3, bias_var=0.1))
    same(nk.ConvTranspose(3, padding="circular"), nk.Conv(3, padding="circular"))
    same(nk.GlobalAvgPool(), nk.Sequential(nk.AvgPool((5, 4)), nk.Flatten()))
    same(nk.Sequential(nk.GlobalSumPool(), nk.Dense(1 / 400)), nk.Sequential(nk.GlobalAvgPool(), nk.Dense()))
    same(nk.SumPool(2), nk.Sequential(nk.AvgPool(2), nk.Resize((2, 2)), nk.SumPool(1)), IMAGES * 0, OTHERS * 0)
    same(nk.Sequential(nk.Conv(1), nk.Resize((5, 4))), nk.Conv(1))
    same(nk.Sequential(nk.Conv(3), *TAIL), nk.Sequential(nk.Conv((3, 3), (1, 1), ((1, 1), (1, 1))), *TAIL))


@pytest.mark.parametrize(
    # A mean over different positions loses the last digits of one minus the correlation, the slope's cusp half of them.
    ("between", "tolerances"),
    [((), (1e-13, 1e-6)), ((nk.AvgPool(2),), (1e-8, 2e-4))],
)
def test_equal_images_at_different_places(between: tuple[nk.Layer, ...], tolerances: tuple[float, float]) -> None:
    x = IMAGES[[0, 1, 0]]
    net = nk.Sequential(nk.Conv(3), nk.ReLU(), *between, nk.Conv(2, bias_var=0.1), *TAIL)
    for dtype, tolerance in zip((np.float64, np.float32), tolerances, strict=True):
        for kernel in nk.kernels(net, x.astype(dtype)):
            np.testing.assert_allclose(kernel[0, 2], kernel[0, 0], rtol=tolerance)
            np.testing.assert_allclose(kernel[1, 2], kernel[1, 0], rtol=tolerance)


def test_an_untrained_layer_lacks_its_term() -> None:
    for parametrization in ("ntk", "standard"):
        options = {"weight_var": 1.5, "parametrization": parametrization}
        for make in (nk.Dense, lambda **rest: nk.Conv(3, **rest)):
            body = nk.Conv(3, bias_var=0.1, width=8), nk.ReLU()
            before = nk.NTK(nk.Sequential(*body, *([nk.Conv(3)] if make is not nk.Dense else [])))
            net = nk.Sequential(*body, make(trained=False, **options))
            expected = 1.5 * before(IMAGES)
            if make is not nk.Dense:
                expected -= 1.5 * nk.NNGP(nk.Sequential(*body, nk.Conv(3)))(IMAGES)
            np.testing.assert_allclose(nk.NTK(net)(IMAGES), expected, rtol=1e-11, atol=1e-12)
    trained, untrained = (nk.kernels(nk.cnn(2, readout_trained=t), IMAGES) for t in (True, False))
    np.testing.assert_allclose(trained[0], untrained[0])
    np.testing.assert_allclose(trained[1] - untrained[1], trained[0], rtol=1e-12)
    module = nk.Dense(trained=False).to_torch(4, 8)
    assert not any(parameter.requires_grad for parameter in module.parameters())


def test_layer_norm_over_all_averages_the_variance() -> None:
    body = nk.Conv(3, bias_var=0.1)
    nngp, ntk = nk.kernels(body, IMAGES)
    scale = np.einsum("nnhwhw->n", nngp) / 20
    for kernel, after in zip(
        (nngp, ntk), nk.kernels(nk.Sequential(body, nk.LayerNorm("all", eps=0)), IMAGES), strict=True
    ):
        expected = kernel / np.sqrt(scale[:, None] * scale)[..., None, None, None, None]
        np.testing.assert_allclose(after, expected, rtol=1e-12, atol=1e-14)


EMBEDDINGS = [
    nk.Positions("sum", 0.4),
    nk.Positions("sum", 0.4, length=1.5, values=True),
    nk.Positions("concat", 0.4, channels=5),
    nk.Positions("concat", 0.4, channels=5, length=0.7, values=True),
]


@pytest.mark.parametrize("scaling", ["linear", "sqrt"])
@pytest.mark.parametrize("positions", EMBEDDINGS)
def test_embedded_positions(positions: nk.Positions, scaling: str) -> None:
    """Against the formulas of Hron et al. 2020, written out."""
    similarity = "softmax" if scaling == "linear" else "identity"
    attention = nk.Attention(similarity, scaling, 1.1, 0.7, 1.3, 0.9, 0.2, positions)
    body = nk.Sequential(nk.Dense(1.2, 0.1), nk.ReLU(), nk.Dense(1.1, width=15))
    k, t = nk.kernels(body, SEQUENCES)
    place = np.arange(6)
    r = np.eye(6) if positions.length is None else np.exp(-(((place[:, None] - place) / positions.length) ** 2) / 2)
    share, weight = (1, 0.4) if positions.kind == "sum" else (15 / 20, 0.4 * 5 / 20)
    seen, seen_t = share * k + weight * r, share * t
    values, values_t = (seen, seen_t) if positions.values else (k, t)
    if scaling == "linear":
        scores = np.exp(np.sqrt(1.1 * 0.7) * np.einsum("nnpq->npq", seen))
        a = scores / scores.sum(-1, keepdims=True)
        both = (1.3 * 0.9 * np.einsum("npi,nmij,mqj->nmpq", a, kernel, a) for kernel in (values, values_t))
        nngp, ntk = both
        ntk = ntk + 2 * nngp
    else:
        g = 1.1 * 0.7 * 1.3 * 0.9
        size, change = (x.sum((2, 3), keepdims=True) for x in (seen * values, seen * values_t + seen_t * values))
        nngp, ntk = g * size * seen, g * (change * seen + size * (seen_t + 4 * seen))
    ours = nk.kernels(nk.Sequential(body, attention), SEQUENCES)
    np.testing.assert_allclose(ours[0], nngp + 0.2, rtol=1e-11)
    np.testing.assert_allclose(ours[1], ntk + 0.2, rtol=1e-11)


def test_without_an_ntk() -> None:
    """Every layer works where no NTK was asked for."""
    conv = nk.Conv(3, padding="circular"), nk.LayerNorm("all"), nk.ReLU(), nk.Resize(4), nk.ConvTranspose(2, 2)
    net = nk.Sequential(*conv, nk.Attention(positions=EMBEDDINGS[0]), nk.LocalConv(2), nk.AvgPool(2), nk.Flatten())
    np.testing.assert_allclose(nk.NNGP(net)(SEQUENCES), nk.kernels(net, SEQUENCES)[0], rtol=1e-13)
    sqrt = nk.Attention("identity", "sqrt", positions=EMBEDDINGS[1])
    net = nk.Sequential(nk.Dense(), sqrt, nk.SumPool(2), nk.GlobalSumPool())
    np.testing.assert_allclose(nk.NNGP(net)(SEQUENCES), nk.kernels(net, SEQUENCES)[0], rtol=1e-13)


# ---- graphs ----

GRAPH_NETS = [
    nk.GlobalAvgPool(),
    nk.Sequential(nk.GraphAggregate(), nk.GlobalAvgPool()),
    nk.Sequential(nk.Dense(1.2, 0.3), nk.Cos(), nk.GraphAggregate(), nk.Dense(1.1, 0.2), nk.ReLU(), nk.GlobalSumPool()),
    nk.Sequential(nk.Dense(1.2, 0.3), nk.LayerNorm("all"), nk.ReLU(), nk.GlobalAvgPool(), nk.Dense()),
    nk.Sequential(nk.Dense(1.2, 0.3), nk.ReLU(), nk.Attention(bias_var=0.2), nk.ReLU(), nk.GlobalAvgPool()),
    nk.Sequential(nk.Attention(positions=None), nk.GlobalAvgPool()),
    nk.Sequential(nk.Dense(), nk.Attention("abs", positions=EMBEDDINGS[1]), nk.ReLU(), nk.GlobalAvgPool()),
    nk.Sequential(nk.Dense(), nk.Attention("identity", "sqrt", positions=EMBEDDINGS[1]), nk.ReLU(), nk.GlobalSumPool()),
    nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(1.0, 0.5))), nk.GlobalSumPool()),
]


@pytest.mark.parametrize("net", GRAPH_NETS)
def test_missing_nodes_do_not_matter(net: nk.Layer) -> None:
    random = np.random.default_rng(0)
    sizes = np.array([3, 5, 4])
    x, adjacency = random.standard_normal((3, 7, 2)), random.integers(0, 2, (3, 7, 7)).astype(float)
    padded = nk.Graphs(x, adjacency, sizes)
    alone = [nk.Graphs(x[i : i + 1, :n], adjacency[i : i + 1, :n, :n]) for i, n in enumerate(sizes)]
    for k, kernel in enumerate(nk.kernels(net, padded)):
        np.testing.assert_allclose(kernel, nk.kernels(net, padded, padded[np.arange(3)])[k], rtol=1e-7, atol=1e-12)
        for i, graph in enumerate(alone):
            np.testing.assert_allclose(kernel[i, i], nk.kernels(net, graph)[k][0, 0], rtol=1e-12)
        smaller = nk.Graphs(x[:, :5], adjacency[:, :5, :5], sizes)
        np.testing.assert_allclose(kernel, nk.kernels(net, smaller)[k], rtol=1e-12, atol=1e-14)


# ---- architectures ----


@pytest.mark.parametrize("net", [nk.cnn(2, nk.GELU()), nk.cnn(2, pooling="flatten"), nk.myrtle(7), nk.resnet((1, 2))])
def test_architectures(net: nk.Layer) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8))
    nngp, ntk = nk.kernels(net, x)
    assert nngp.shape == ntk.shape == (2, 2)
    assert np.linalg.eigvalsh(nngp).min() > 0
    assert (np.diag(ntk) >= np.diag(nngp)).all()


def test_variance_is_preserved() -> None:
    constant = np.ones((1, 3, 8, 8))
    for activation in (nk.ReLU(), nk.Erf()):
        for layer in range(1, 4):
            circular = [
                nk.Conv(3, padding="circular", weight_var=each.weight_var) if isinstance(each, nk.Conv) else each
                for each in nk.cnn(layer, activation).layers[:-3]
            ]
            np.testing.assert_allclose(nk.NNGP(nk.Sequential(*circular, nk.Flatten()))(constant), 1, rtol=1e-12)
