"""Wide finite networks on images, sequences and graphs against the kernels, an oracle that shares no code with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import neural_kernels as nk
from finite_oracle import assert_agree, empirical, exact, examples, gap, mean_off
from usual import others_are_slow

HEAD = (nk.ReLU(), nk.GlobalAvgPool(), nk.Dense())
FLAT = (nk.ReLU(), nk.Flatten(), nk.Dense())


def chain(*layers: nk.Layer) -> nk.Layer:
    return nk.Sequential(*layers)


NETWORKS = {
    "plain": chain(nk.Conv(3, bias_var=0.2), nk.ReLU(), nk.Conv(3, weight_var=2.0), *FLAT),
    "pooled": chain(nk.Conv(3, bias_var=0.2), nk.ReLU(), nk.Conv(3, weight_var=2.0), *HEAD),
    "strided": chain(nk.Conv(3, stride=2), nk.ReLU(), nk.Conv((3, 2), stride=(1, 2), bias_var=0.1), *HEAD),
    "even kernels": chain(nk.Conv(2), nk.ReLU(), nk.Conv((4, 2)), *HEAD),
    "integer padding": chain(nk.Conv(3, stride=2, padding=1), nk.ReLU(), nk.Conv(2, padding=1), *HEAD),
    "pairs of padding": chain(nk.Conv(3, padding=((1, 0), (2, 1))), nk.ReLU(), nk.Conv(3), *HEAD),
    "circular": chain(nk.Conv(3, padding="circular"), nk.ReLU(), nk.Conv(4, stride=2, padding="circular"), *HEAD),
    "valid and dilated": chain(
        nk.Conv(2, padding="valid", dilation=2), nk.ReLU(), nk.Conv((3, 1), dilation=(2, 1)), *HEAD
    ),
    "average pool": chain(nk.Conv(3), nk.ReLU(), nk.AvgPool(2), nk.Conv(2), *HEAD),
    "pool over the edge": chain(
        nk.Conv(3), nk.AvgPool(3, stride=2, padding="same"), nk.ReLU(), nk.AvgPool(2, stride=1, padding=1), nk.Conv(2),
        *HEAD,
    ),
    "pool of cells inside": chain(
        nk.Conv(3), nk.AvgPool(3, stride=2, padding="same", count_padding=False), nk.ReLU(),
        nk.AvgPool(3, stride=1, padding=1, count_padding=False), nk.Conv(2), *FLAT,
    ),
    "circular pool": chain(nk.Conv(3), nk.AvgPool(3, stride=2, padding="circular"), nk.ReLU(), nk.Conv(2), *HEAD),
    "sums": chain(nk.Conv(3), nk.SumPool((2, 3), stride=1), nk.ReLU(), nk.GlobalSumPool(), nk.Dense(0.1)),
    "residual": chain(
        nk.Conv(3),
        nk.Residual(chain(nk.ReLU(), nk.Conv(3, stride=2), nk.ReLU(), nk.Conv(3)), nk.Conv(1, stride=2)),
        nk.Residual(chain(nk.ReLU(), nk.Conv(3, weight_var=1.5))), *HEAD,
    ),
    "local": chain(nk.LocalConv(3, bias_var=0.2), nk.ReLU(), nk.LocalConv(2, stride=2, padding="valid"), *HEAD),
    "shared then local": chain(nk.Conv(3), nk.ReLU(), nk.LocalConv(3, padding=1), nk.ReLU(), nk.Conv(2), *HEAD),
    "transposed": chain(nk.Conv(3, stride=2), nk.ReLU(), nk.ConvTranspose(3, stride=2, bias_var=0.1), *HEAD),
    "transposed, valid": chain(
        nk.Conv(3, stride=2), nk.ReLU(), nk.ConvTranspose((2, 3), stride=(3, 2), padding="valid"), nk.ReLU(),
        nk.Conv(2), *HEAD,
    ),
    "resize": chain(nk.Conv(3), nk.Resize((4, 7)), nk.ReLU(), nk.Conv(2), nk.Resize((3, 3), "nearest"), *HEAD),
    "resize without antialias": chain(nk.Conv(3), nk.ReLU(), nk.Resize((2, 9), antialias=False), nk.Conv(2), *HEAD),
    "norm of channels": chain(nk.Conv(3, weight_var=2.0), nk.LayerNorm(), nk.ReLU(), nk.Conv(3), *HEAD),
    "norm of all": chain(nk.Conv(3, weight_var=2.0), nk.LayerNorm("all"), nk.ReLU(), nk.Conv(3), *HEAD),
    "norm of sums": chain(
        nk.Conv(3), nk.AvgPool(2, stride=1), nk.LayerNorm("all", eps=0.1), nk.Erf(), nk.Conv(2), *HEAD
    ),
    "erf": chain(nk.Conv(3, bias_var=0.1), nk.Erf(), nk.Conv(3), nk.Erf(), nk.Flatten(), nk.Dense()),
    "dense on pixels": chain(nk.Dense(), nk.ReLU(), nk.Conv(3), nk.ReLU(), nk.Dense(bias_var=0.3), *FLAT),
    "dense on vectors": chain(nk.Conv(3), *FLAT, nk.ReLU(), nk.Dense(2.0, 0.1)),
    "concat": chain(
        nk.Concat(chain(nk.Conv(3), nk.ReLU()), chain(nk.Conv(1), nk.Erf()), weights=(3, 1)), nk.Conv(2), *HEAD
    ),
    "product": chain(nk.Product(nk.Conv(3), chain(nk.Conv(2), nk.Sigmoid())), nk.Conv(3), *HEAD),
    "dense on flat data": chain(nk.Flatten(), nk.Dense(), nk.ReLU(), nk.Dense()),
}  # fmt: skip
SHAPES = {
    "sequence": (chain(nk.Conv(3, stride=2, padding="circular"), nk.ReLU(), nk.AvgPool(2), nk.Conv(2), *HEAD), (3, 11)),
    "volume": (chain(nk.Conv((2, 1, 3)), nk.ReLU(), nk.Conv(2, padding="valid"), *HEAD), (2, 3, 2, 4)),
}
CASES = {**{name: (net, (2, 6, 5)) for name, net in NETWORKS.items()}, **SHAPES}


ATTENTION = {
    "softmax": nk.Attention(bias_var=0.2, value_var=1.5, key_var=3.0),
    "identity": nk.Attention("identity", query_var=2.0, out_var=0.5),
    "relu": nk.Attention("relu", key_var=2.0),
    "abs": nk.Attention("abs"),
    "sum of positions": nk.Attention(key_var=2.0, positions=nk.Positions("sum", 0.7)),
    "smooth positions": nk.Attention(positions=nk.Positions("sum", 0.7, length=1.5, values=True)),
    "positions beside": nk.Attention(positions=nk.Positions("concat", 0.7, channels=512)),
    "positions beside values": nk.Attention(
        positions=nk.Positions("concat", 0.7, length=1.0, channels=512, values=True)
    ),
}
ATTENTION_SQRT = {
    "plain": nk.Attention("identity", "sqrt", bias_var=0.2, value_var=1.5, key_var=0.5),
    "sum of positions": nk.Attention("identity", "sqrt", positions=nk.Positions("sum", 0.7)),
    "positions in values": nk.Attention("identity", "sqrt", positions=nk.Positions("sum", 0.7, values=True)),
}


def narrow(net: nk.Layer) -> bool:
    """Whether filters of every place's own make width dear."""
    return "LocalConv" in repr(net)


USUAL = ("plain", "strided", "residual", "local", "transposed", "norm of all", "product", "sequence")


@pytest.mark.parametrize("name", others_are_slow(CASES, USUAL))
def test_wide_networks_have_these_kernels(name: str) -> None:
    net, shape = CASES[name]
    x, width = examples(3, *shape), 96 if narrow(net) else 256
    assert_agree([empirical(net, x, width, seed) for seed in range(24)], exact(net, x), 0.05)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_error_falls_with_the_root_of_the_width(name: str) -> None:
    net, shape = CASES[name]
    x, widths = examples(3, *shape), (16, 64) if narrow(net) else (48, 256)
    slope = np.log(gap(net, x, widths[1], 100) / gap(net, x, widths[0], 150)) / np.log(widths[1] / widths[0])
    assert (np.abs(slope + 0.5) <= 0.15).all(), slope


@pytest.mark.parametrize("name", others_are_slow(ATTENTION, ("softmax", "sum of positions")))
def test_wide_attention(name: str) -> None:
    """Scores squared in the kernel: the identity is off by 22 / width in the mean, as seen from 128 to 1024."""
    net = chain(nk.Dense(width=768), ATTENTION[name], nk.ReLU(), nk.Dense(), nk.GlobalAvgPool())
    x = examples(3, 3, 5)
    assert_agree([empirical(net, x, 768, seed) for seed in range(16)], exact(net, x), 0.06, bias=0.03)


@pytest.mark.parametrize("name", ATTENTION_SQRT)
def test_attention_of_many_heads(name: str) -> None:
    """Scores over the root of the heads' size stay random: heavy tails, and thus slow means.

    And off in the mean by 6 / width, seen from 32 to 2048: the kernel is a cubic in the covariances of the units in
    front, whose third moments are off by as much. Averaged over Wishart matrices the formula is off by the same.
    """
    net = chain(nk.Dense(), ATTENTION_SQRT[name], nk.GlobalAvgPool(), nk.Dense())
    x = examples(3, 3, 4)
    assert_agree([empirical(net, x, 192, seed) for seed in range(48)], exact(net, x), 0.06)


def test_attention_of_many_heads_is_right_in_the_mean() -> None:
    """On data itself nothing in front is random, and means over draws are the kernels at any number of heads."""
    attention, x = nk.Attention("identity", "sqrt", bias_var=0.2, value_var=1.5, key_var=0.5), examples(3, 3, 4)
    net = chain(attention, nk.GlobalAvgPool(), nk.Dense())
    assert_agree([empirical(net, x, 48, seed) for seed in range(300)], exact(net, x), 0.03)


def test_attention_in_the_end_and_on_data() -> None:
    """Its heads are as wide as the network though its outputs are few."""
    net, x = chain(nk.Attention(), nk.GlobalAvgPool()), examples(3, 3, 2, 3)
    assert_agree([empirical(net, x, 512, seed) for seed in range(24)], exact(net, x), 0.06)


@pytest.mark.parametrize(
    "net",
    [
        chain(nk.Conv(2, bias_var=0.1), nk.ReLU(), nk.Conv((1, 2), weight_var=2.0)),
        chain(nk.Conv(2), nk.Erf(), nk.LocalConv(2, bias_var=0.3), nk.Resize((2, 2))),
        chain(nk.Conv(2, stride=2), nk.ReLU(), nk.ConvTranspose(2, stride=2, padding="circular")),
    ],
    ids=str,
)
def test_every_pair_of_positions(net: nk.Layer) -> None:
    x = examples(2, 2, 3, 2)
    assert_agree([empirical(net, x, 192, seed) for seed in range(32)], exact(net, x), 0.06)


def test_untrained_layers() -> None:
    net = chain(nk.Conv(3), nk.ReLU(), nk.Conv(2, trained=False, bias_var=0.1), *HEAD)
    x = examples(3, 2, 5, 4)
    assert_agree([empirical(net, x, 256, seed) for seed in range(24)], exact(net, x), 0.05)


def test_standard_parametrization() -> None:
    net = chain(
        nk.Conv(3, bias_var=0.1, parametrization="standard", width=128), nk.ReLU(),
        nk.Conv(2, stride=2, bias_var=None, parametrization="standard", width=192), nk.ReLU(), nk.GlobalAvgPool(),
        nk.Dense(1.0, 0.2, "standard", 1),
    )  # fmt: skip
    x = examples(3, 2, 5, 4)
    samples = [(empirical(net, x, 1, seed)[1],) for seed in range(24)]
    distance, expected = mean_off([sample for (sample,) in samples], exact(net, x)[1])
    assert expected <= 0.05
    assert distance <= 2.5 * expected


def test_dropout_in_training_mode() -> None:
    """Every unit of every position has a mask of its own."""
    net = chain(nk.Conv(3), nk.ReLU(), nk.Dropout(0.4), nk.Conv(2), nk.ReLU(), nk.Dropout(0.2), nk.GlobalAvgPool())
    net, x = chain(net, nk.Dense()), examples(3, 2, 3, 2)
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = [net.to_torch((2, 3, 2), 512, 512, seed).double()(x) for seed in range(32)]
    assert_agree([((f @ f.T / f.shape[1]).numpy(),) for f in outputs], exact(net, x)[:1], 0.03)


def test_graphs() -> None:
    """Graphs of different sizes, each run apart, against a padded batch of them."""
    net = chain(
        nk.GraphAggregate(), nk.Dense(bias_var=0.3),
        nk.Residual(chain(nk.ReLU(), nk.Dense(2.0), nk.GraphAggregate(), nk.ReLU(), nk.Dense(bias_var=0.1))),
        nk.ReLU(), nk.GraphAggregate(), nk.GlobalSumPool(), nk.Dense(),
    )  # fmt: skip
    x, sizes = examples(3, 5, 4), [4, 2, 3]  # (n, channels, nodes)
    rng = np.random.default_rng(1)
    adjacency = torch.from_numpy((rng.random((3, 4, 4)) < 0.5) * rng.standard_normal((3, 4, 4)))
    kernels = nk.kernels(net, nk.Graphs(x.mT.numpy(), adjacency.numpy(), np.array(sizes)))

    def run(seed: int) -> tuple[np.ndarray, np.ndarray]:
        rows, outputs = [], []
        for features, edges, size in zip(x, adjacency, sizes, strict=True):
            graph = features[None, :, :size], edges[None, :size, :size]
            module = net.to_torch((5, 4), 256, 1, seed).double()
            grads = torch.autograd.grad(module(*graph)[0, 0], list(module.parameters()))
            rows.append(torch.cat([grad.flatten() for grad in grads]))
            outputs.append(net.to_torch((5, 4), 256, 1024, seed).double()(*graph)[0].detach())
        flat, many = torch.stack(rows), torch.stack(outputs)
        return (many @ many.T / many.shape[1]).numpy(), (flat @ flat.T).numpy()

    assert_agree([run(seed) for seed in range(32)], kernels, 0.06)


def test_shapes_are_the_kernels() -> None:
    for net, shape in CASES.values():
        for end in range(1, 1 + len(net.layers)):  # pyright: ignore[reportAttributeAccessIssue]
            part = chain(*net.layers[:end])  # pyright: ignore[reportAttributeAccessIssue]
            x = examples(1, *shape)
            kernel = nk.NNGP(part)(x.numpy()) if not isinstance(net.layers[end - 1], nk.Product) else None  # pyright: ignore
            outputs = part.to_torch(shape, 4, out_features=3).double()(x)
            assert kernel is None or kernel.shape[2:] == tuple(outputs.shape[2:]) * 2, part


@pytest.mark.parametrize("padding", ["same", "circular"])
@pytest.mark.parametrize(("stride", "kernel"), [(1, 3), (2, 3), (3, 2), (2, 5)])
def test_transposed_convolutions_are_transposes(padding: str, stride: int, kernel: int) -> None:
    transposed = nk.ConvTranspose(kernel, stride, padding).to_torch((2, 4, 3), 1, 5)
    convolution = nk.Conv(kernel, stride, padding).to_torch((5, 4 * stride, 3 * stride), 1, 2)
    convolution[0].weight = transposed[0].weight  # pyright: ignore
    x, y = torch.randn(1, 2, 4, 3), torch.randn(1, 5, 4 * stride, 3 * stride)
    left = (transposed(x) * y).sum() / transposed[0].factors[0]  # pyright: ignore
    right = (convolution(y) * x).sum() / convolution[0].factors[0]  # pyright: ignore
    torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding", ["same", "valid", "circular", 1, ((1, 0), (2, 1))])
def test_local_convolutions_with_equal_filters_are_convolutions(padding: Any) -> None:
    settings = (3, 2, padding, (1, 2))
    shared = nk.Conv(*settings, bias_var=0.5).to_torch((2, 6, 5), 4, 4)
    local = nk.LocalConv(*settings, bias_var=0.5).to_torch((2, 6, 5), 4, 4)
    weight, bias = shared[0].weight, shared[0].bias  # pyright: ignore
    local[0].weight.data = weight.data.flatten(2)[:, :, None].expand_as(local[0].weight)  # pyright: ignore
    local[0].bias.data = bias.data[:, None].expand_as(local[0].bias)  # pyright: ignore
    x = torch.randn(3, 2, 6, 5)
    torch.testing.assert_close(local(x), shared(x), rtol=1e-4, atol=1e-5)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="needs positions"):
        nk.Conv(3).to_torch(4, 8)
    with pytest.raises(ValueError, match="4 axes"):
        nk.Conv(1).to_torch((2, 3, 3, 3, 3), 8)
    with pytest.raises(ValueError, match="fit"):
        nk.Conv(5, padding="valid").to_torch((2, 4, 4), 8)
    with pytest.raises(ValueError, match="each of 2 axes"):
        nk.AvgPool((2, 2, 2)).to_torch((2, 4, 4), 8)
    with pytest.raises(ValueError, match="cannot be added"):
        nk.Residual(nk.Conv(3, stride=2)).to_torch((2, 4, 4), 8)
    with pytest.raises(ValueError, match="positions differ"):
        nk.Concat(nk.Conv(3), nk.Conv(3, stride=2)).to_torch((2, 4, 4), 8)
    with pytest.raises(ValueError, match="adjacency"):
        nk.GraphAggregate().to_torch((2, 4), 8)(torch.zeros(1, 2, 4), torch.zeros(1, 3, 3))
