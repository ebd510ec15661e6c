"""What people write who come from finite networks, and are told."""

from __future__ import annotations

import warnings

import pytest
import torch

import neural_kernels as nk


@pytest.mark.parametrize("layer", [lambda: nk.Dense(64), lambda: nk.Conv(3, weight_var=64)], ids=["dense", "conv"])
def test_a_number_of_units_is_no_variance(layer):
    with pytest.warns(UserWarning, match=r"weight_var=64\): the variance .* width=64.* write 64\.0") as caught:
        layer()
    assert caught[0].filename == __file__


def test_variances_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nk.Dense(64.0), nk.Dense(2), nk.Dense(width=512), nk.Conv(16)


def test_torch_modules_are_described_elsewhere():
    with pytest.raises(TypeError, match=r"argument 1 is ReLU\(\), not a layer \(nk.from_torch describes"):
        nk.Sequential(nk.Dense(), torch.nn.ReLU())
    with pytest.raises(TypeError, match="with parentheses"):
        nk.Sequential(nk.Dense(), nk.ReLU)
