"""Networks of the zoo know how they were written: short names, arguments, activations by name."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import neural_kernels as nk

NETWORKS = [
    (nk.mlp(3), "mlp(3)"),
    (nk.mlp(np.int64(2), bias_var=np.float64(0.5)), "mlp(2, bias_var=0.5)"),
    (nk.mlp(depth=2, activation=nk.Tanh()), "mlp(2, activation=Tanh())"),
    (nk.cnn(2, "gelu", pooling="flatten"), "cnn(2, activation='gelu', pooling='flatten')"),
    (nk.myrtle(), "myrtle(5)"),
    (nk.resnet((1, 2)), "resnet((1, 2))"),
    (nk.Sequential(nk.mlp(1), nk.ReLU()), "Sequential(mlp(1), ReLU())"),
]


@pytest.mark.parametrize(("net", "name"), NETWORKS, ids=[name for _, name in NETWORKS])
def test_short_names_are_calls(net, name):
    assert repr(net) == name
    assert eval(name, {known: getattr(nk, known) for known in nk.__all__}) == net


@pytest.mark.parametrize("net", [net for net, _ in NETWORKS], ids=repr)
def test_copies_know_as_much(net, tmp_path):
    nk.save(net, tmp_path / "net")
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), nk.load(tmp_path / "net")):
        assert other == net
        assert repr(other) == repr(net)
        assert other.arguments == net.arguments


def test_arguments_are_all_of_the_function():
    net = nk.cnn(2, pooling="flatten")
    assert net.arguments == {
        "depth": 2,
        "activation": None,
        "pooling": "flatten",
        "bias_var": 0.0,
        "readout_trained": True,
    }
    assert net.with_arguments(depth=3, activation="erf") == nk.cnn(3, nk.Erf(), pooling="flatten")
    assert net == nk.cnn(2, pooling="flatten"), "descriptions are values: they stay"


def test_equal_layers_are_equal_networks(tmp_path):
    net = nk.mlp(2)
    plain = nk.Sequential(*net.layers)
    assert net == plain
    assert hash(net) == hash(plain)
    assert plain.arguments == {}
    x = np.random.default_rng(0).normal(size=(20, 3))
    gram = nk.NTK(net).to_disk(tmp_path / "gram", x)
    assert np.array_equal(nk.NTK(plain).to_disk(tmp_path / "gram", x), gram), "the same task, done already"


def test_another_network_has_another_name():
    """Of a network that is made of one of the zoo, the call does not say what it is."""
    net = nk.mlp(1)
    assert repr(net.rescaled(2.0, 1.0)) == "Sequential(Dense(weight_var=2.0), ReLU(), Dense(weight_var=2.0))"
    assert net.rescaled(2.0, 1.0).arguments == {}


def test_activations_by_name():
    for name, activation in {
        "relu": nk.ReLU(),
        "GELU": nk.GELU(),
        "leaky_relu": nk.LeakyReLU(),
        "tanh": nk.Tanh(),
        "silu": nk.SiLU(),
    }.items():
        assert nk.mlp(2, name) == nk.mlp(2, activation)
        assert nk.resnet((1,), name) == nk.resnet((1,), activation)
    with pytest.raises(ValueError, match=r"mlp\(activation='swish'\): expected one of 'celu', .*'silu'"):
        nk.mlp(2, "swish")
    with pytest.raises(TypeError, match="expected an activation such as"):
        nk.mlp(2, torch.tanh)  # pyright: ignore[reportArgumentType]


def test_unknown_arguments_are_refused():
    with pytest.raises(ValueError, match="mlp has no argument 'width'; it has depth, activation, bias_var"):
        nk.mlp(2).with_arguments(width=100)
    with pytest.raises(ValueError, match="written layer by layer"):
        nk.Sequential(nk.Dense()).with_arguments(depth=2)
    with pytest.raises(ValueError, match="expected a positive integer"):
        nk.mlp(2).with_arguments(depth=0)
