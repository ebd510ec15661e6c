"""What layers on positions refuse, and how they say it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import neural_kernels as nk

IMAGES = np.random.default_rng(0).standard_normal((3, 2, 5, 4))
VECTORS = np.random.default_rng(3).standard_normal((3, 4))


@pytest.mark.parametrize(
    "layer",
    [
        *(nk.Conv(3), nk.LocalConv(3), nk.ConvTranspose(3), nk.AvgPool(2), nk.SumPool(2)),
        *(nk.GlobalAvgPool(), nk.GlobalSumPool(), nk.Resize(3), nk.Attention()),
    ],
)
def test_vectors_have_no_positions(layer: nk.Layer) -> None:
    with pytest.raises(ValueError, match=rf"{type(layer).__name__}\(.*got vectors.*\(n, channels, \*positions\)"):
        nk.NNGP(layer)(VECTORS)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (nk.Conv(5, padding="valid"), r"axis of 4 positions is shorter than the window, 5.*padding='same'"),
        (nk.Conv(3, padding="valid", dilation=2), r"axis of 4 positions is shorter than the window, 5"),
        (nk.Conv(7, padding=1), r"axis of 4 positions and 2 of padding is shorter than the window, 7"),
        (nk.AvgPool(5), r"AvgPool\(window=5\) on positions \(5, 4\).*shorter"),
        (nk.ConvTranspose(1, padding=3), r"padding \(3, 3\) leaves nothing"),
        (nk.Conv((3, 3, 3)), r"described for 3 axes of positions, but its input has 2"),
        (nk.Conv(3, padding=(1,)), r"described for 1 axes"),
        (nk.AvgPool(2, (2, 2, 2)), r"described for 3 axes"),
        (nk.Resize((2,)), r"described for 1 axes"),
        (nk.GraphAggregate(), r"data without edges.*nk.Graphs"),
        (nk.Sequential(nk.Conv(3, parametrization="standard"), nk.Conv(3, parametrization="standard")), "width"),
        (nk.Sequential(nk.Conv(3), nk.Attention(positions=nk.Positions("concat", channels=5))), "width"),
    ],
)
def test_data_that_do_not_fit(layer: nk.Layer, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nk.kernels(layer, IMAGES)


def test_nodes_have_no_order() -> None:
    graphs = nk.Graphs(np.ones((1, 3, 2)), np.ones((1, 3, 3)))
    for layer in (nk.Conv(3), nk.AvgPool(2), nk.Resize(2)):
        with pytest.raises(ValueError, match="nodes of a graph have none"):
            nk.NNGP(layer)(graphs)
    with pytest.raises(ValueError, match="in front of pools"):
        nk.NNGP(nk.Sequential(nk.GlobalAvgPool(), nk.GraphAggregate()))(graphs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: nk.Conv(0),
        lambda: nk.Conv(2.5),
        lambda: nk.Conv(True),
        lambda: nk.Conv(()),
        lambda: nk.Conv((3, 0)),
        lambda: nk.Conv(3, stride=0),
        lambda: nk.Conv(3, dilation=-1),
        lambda: nk.Conv(3, padding="reflect"),
        lambda: nk.Conv(3, padding=-1),
        lambda: nk.Conv(3, padding=((1, 2, 3),)),
        lambda: nk.Conv(3, padding=("same", "valid")),
        lambda: nk.Conv(3, weight_var=-1.0),
        lambda: nk.Conv(3, parametrization="mup"),
        lambda: nk.AvgPool(0),
        lambda: nk.SumPool(2, stride=0),
        lambda: nk.Resize(0),
        lambda: nk.Resize(2, "cubic"),
        lambda: nk.LayerNorm("positions"),
        lambda: nk.Attention("tanh"),
        lambda: nk.Attention("softmax", "sqrt"),
        lambda: nk.Attention(key_var=-1.0),
        lambda: nk.Positions("product"),
        lambda: nk.Positions("concat"),
        lambda: nk.Positions("sum", channels=3),
        lambda: nk.Positions("sum", length=0.0),
        lambda: nk.cnn(0),
        lambda: nk.cnn(2, pooling="max"),
        lambda: nk.myrtle(6),
        lambda: nk.resnet(()),
        lambda: nk.resnet((0,)),
    ],
)
def test_bad_arguments(make: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|Use|give"):
        make()


def test_descriptions_that_are_no_networks() -> None:
    with pytest.raises(nk.ArchitectureError, match="Gaussian"):
        nk.NNGP(nk.Sequential(nk.Conv(3), nk.Flatten(), nk.ReLU()))
    with pytest.raises(nk.ArchitectureError, match="embeddings"):
        nk.NNGP(nk.Attention(positions=nk.Positions("sum")))
    with pytest.raises(TypeError, match="Positions"):
        nk.Attention(positions="sum")
    with pytest.raises(TypeError, match="activation"):
        nk.cnn(2, nk.ReLU)
    nk.NNGP(nk.Sequential(nk.Conv(3), nk.AvgPool(2), nk.ReLU(), nk.Conv(3), nk.Resize(2), nk.Erf()))


def test_descriptions_are_values() -> None:
    assert nk.Conv([3, 3], padding=[[1, 2], 1]) == nk.Conv((3, 3), padding=((1, 2), 1))
    assert len({nk.Conv(3), nk.Conv(3), nk.AvgPool(2), nk.Attention(positions=nk.Positions("sum"))}) == 3
    assert repr(nk.Conv(3, stride=2)) == "Conv(kernel_size=3, stride=2)"
    assert repr(nk.GlobalAvgPool()) == "GlobalAvgPool()"
