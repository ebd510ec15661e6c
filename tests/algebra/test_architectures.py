"""Descriptions: what is refused, with advice; what they say of themselves."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch

import neural_kernels as nk

X = np.random.default_rng(0).standard_normal((6, 4))


@pytest.mark.parametrize(
    ("net", "advice"),
    [
        (nk.ReLU(), "Put a Dense in front"),
        (nk.Sequential(nk.ReLU(), nk.Dense()), "Put a Dense in front"),
        (nk.Sequential(nk.Dense(), nk.ReLU(), nk.Tanh()), "Put a Dense in front"),
        (nk.Sequential(nk.Dense(), nk.ReLU(), nk.LayerNorm(), nk.Dense()), "Dense, LayerNorm, ReLU"),
        (nk.Sequential(nk.LayerNorm(), nk.Dense()), "Dense"),
        (nk.Sequential(nk.Dense(), nk.Dropout(0.5), nk.ReLU()), "Put a Dense in front"),
        (nk.Sequential(nk.Dropout(0.5), nk.Dense()), "stands on the input"),
        (nk.Sequential(nk.Dense(), nk.Residual(nk.ReLU())), "new affine map"),
        (nk.Sequential(nk.Dense(), nk.Residual(nk.ReLU(), nk.Tanh())), "new affine map"),
        (nk.Sequential(nk.Dense(), nk.ReLU(), nk.Residual(nk.Sequential(nk.Dense(), nk.ReLU()))), "non-zero mean"),
        (
            nk.Sequential(nk.Residual(nk.Sequential(nk.Dense(), nk.ReLU()), nk.Sequential(nk.Dense(), nk.ReLU()))),
            "mean",
        ),
        (nk.Sequential(nk.Dense(), nk.ReLU(), nk.Residual(nk.Dense()), nk.ReLU()), "Put a Dense in front"),
        (nk.Sequential(nk.Dense(), nk.Product(nk.ReLU(), nk.Tanh())), "new affine map"),
        (nk.Sequential(nk.Concat(nk.Dense(), nk.Dense()), nk.ReLU()), "Put a Dense in front"),
        (nk.Sequential(nk.Product(nk.Dense(), nk.Dense()), nk.ReLU()), "Put a Dense in front"),
    ],
)
def test_what_is_no_network_of_this_kind_is_refused(net: nk.Layer, advice: str) -> None:
    with pytest.raises(nk.ArchitectureError, match=advice):
        nk.NTK(net)
    with pytest.raises(nk.ArchitectureError, match=advice):
        nk.kernels(net, X)


@pytest.mark.parametrize(
    "net",
    [
        nk.Identity(),
        nk.Dense(),
        nk.Sequential(nk.Identity(), nk.Dense(), nk.Identity(), nk.ReLU()),
        nk.Sequential(nk.Dense(), nk.ReLU(), nk.Residual(nk.Dense()), nk.Dense(), nk.ReLU()),
        nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.Dense(), nk.Tanh())), nk.Dense()),
        nk.Sequential(nk.Dense(), nk.LayerNorm(), nk.ReLU(), nk.Dropout(0.1), nk.Dense(), nk.ReLU()),
        nk.Residual(nk.Dense()),
        nk.Sequential(nk.Dense(), nk.Product(nk.Identity(), nk.Sequential(nk.Dense(), nk.Sigmoid())), nk.Dense()),
        nk.Sequential(nk.Dense(), nk.Concat(nk.Identity(), nk.ReLU()), nk.Dense(), nk.ReLU()),
    ],
)
def test_what_is_one_is_accepted(net: nk.Layer) -> None:
    for kernel in nk.kernels(net, X):
        assert np.linalg.eigvalsh(kernel)[0] >= -1e-12 * np.abs(kernel).max()


def test_kernels_follow_from_the_pieces() -> None:
    """Sums, means and products of what the branches give alone, on the input kernel x.y / d."""
    linear = X @ X.T / 4
    assert np.allclose(nk.NNGP(nk.Identity())(X), linear)
    assert np.allclose(nk.NTK(nk.Identity())(X), 0)
    a, b = nk.Sequential(nk.Dense(), nk.ReLU()), nk.Sequential(nk.Dense(0.5, 0.2), nk.Erf())
    (ka, ta), (kb, tb) = nk.kernels(a, X), nk.kernels(b, X)
    for net, nngp, ntk in (
        (nk.Concat(a, b), (ka + kb) / 2, (ta + tb) / 2),
        (nk.Concat(a, b, weights=(3, 1)), 0.75 * ka + 0.25 * kb, 0.75 * ta + 0.25 * tb),
        (nk.Product(a, b), ka * kb, ta * kb + tb * ka),
        (nk.Residual(a, b), ka + kb, ta + tb),
        (nk.Sequential(a, nk.Dense(2.0, 0.1)), 2 * ka + 0.1, 2 * ka + 0.1 + 2 * ta),
        (nk.Dense(3.0, 0.5), 3 * linear + 0.5, 3 * linear + 0.5),
    ):
        ours = nk.kernels(net, X)
        assert np.allclose(ours[0], nngp, rtol=1e-12, atol=1e-14)
        assert np.allclose(ours[1], ntk, rtol=1e-12, atol=1e-14)


def test_the_zoo_keeps_the_variance_at_one() -> None:
    x = X / np.sqrt((X**2).mean(1, keepdims=True))
    for activation in (nk.ReLU(), nk.Tanh(), nk.GELU(), nk.Erf(), nk.Cos(), nk.ELU(), nk.Elementwise(torch.sin)):
        hidden = nk.Sequential(*nk.mlp(5, activation).layers[:-2])
        assert np.allclose(nk.NNGP(hidden).diag(x), 1, rtol=1e-8)


def test_descriptions_are_values() -> None:
    assert nk.mlp(3) == nk.mlp(3)
    assert nk.mlp(3) != nk.mlp(2)
    net = nk.Sequential(nk.Residual(nk.Sequential(nk.Dense(), nk.Erf(), nk.Dense()), nk.Dense()), nk.Concat(nk.Dense()))
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other == net
        assert hash(other) == hash(net)
    assert eval(repr(net), {name: getattr(nk, name) for name in nk.__all__}) == net


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nk.Dense(-1.0), ValueError),
        (lambda: nk.Dense(float("nan")), ValueError),
        (lambda: nk.Dense("2"), TypeError),
        (lambda: nk.Dense(1.0, -0.1), ValueError),
        (lambda: nk.Dense(parametrization="other"), ValueError),
        (lambda: nk.Dense(width=0), ValueError),
        (lambda: nk.Dropout(1.0), ValueError),
        (lambda: nk.Dropout(-0.1), ValueError),
        (lambda: nk.LayerNorm("rows"), ValueError),
        (lambda: nk.Sequential(), ValueError),
        (lambda: nk.Sequential(nk.ReLU), TypeError),
        (lambda: nk.Concat(), ValueError),
        (lambda: nk.Concat(nk.Dense(), weights=(1, 2)), ValueError),
        (lambda: nk.Concat(nk.Dense(), weights=(0,)), ValueError),
        (lambda: nk.Product(), ValueError),
        (lambda: nk.Residual("x"), TypeError),
        (lambda: nk.mlp(0), ValueError),
        (lambda: nk.mlp(2.0), TypeError),
        (lambda: nk.mlp(2, bias_var=-1), ValueError),
        (lambda: nk.mlp(2, "rectified"), ValueError),
        (lambda: nk.mlp(2, nk.ReLU), TypeError),
    ],
)
def test_bad_parameters(make, error: type[Exception]) -> None:
    with pytest.raises(error):
        make()


def test_the_standard_parametrization_needs_the_width_before() -> None:
    net = nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense(parametrization="standard"))
    with pytest.raises(ValueError, match="width"):
        nk.NTK(net)(X)


def test_to_torch_refuses_what_has_no_finite_network() -> None:
    with pytest.raises(TypeError, match="no finite network"):
        nk.mlp(1, nk.NormalizedGaussian(1.0)).to_torch(4, 16)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="width"):
        nk.mlp(1).to_torch(4, 0)
    with pytest.raises(ValueError, match="cannot be added"):
        nk.Residual(nk.Sequential(nk.Dense(), nk.ReLU(), nk.Dense()), nk.Identity()).to_torch(4, 16)


def test_to_torch_is_reproducible_and_typed() -> None:
    first, second, third = (nk.mlp(2).to_torch(4, 16, 3, seed=seed) for seed in (1, 1, 2))
    x = torch.from_numpy(X).float()
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), third(x))
    assert first(x).shape == (6, 3)
