"""Agreement with neural-tangents 0.6.5 on every reference case with positions; see tests/data/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import neural_kernels as nk
from specs import network

DATA = Path(__file__).parents[1] / "data"
SPECS = json.loads((DATA / "golden_positions.json").read_text())
GOLDEN = np.load(DATA / "golden_positions.npz")
RAW = "cntk_raw_spatial_L2"
CASES = [case for case in SPECS if case != RAW]


def data(case: str, side: int) -> Any:
    """One set of a case's examples, channels first."""
    name = SPECS[case]["inputs"]
    x = GOLDEN[f"{name}_x{side}"]
    return nk.Graphs(x, GOLDEN[f"graph_p{side}"]) if name == "graph" else np.moveaxis(x, -1, 1)


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    """Frobenius norm of the difference by that of the reference."""
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("case", CASES)
def test_kernels_between_two_sets(case: str) -> None:
    ours = nk.kernels(network(SPECS[case]["spec"]), data(case, 1), data(case, 2))
    for name, kernel in zip(("nngp", "ntk"), ours, strict=True):
        assert kernel.dtype == np.float64
        assert relative(kernel, GOLDEN[f"{case}/{name}_12"]) <= 1e-10, name


@pytest.mark.parametrize("case", [case for case in CASES if SPECS[case]["inputs"] not in ("img32", "graph")])
def test_differentiable_kernels(case: str) -> None:
    """The formulas in torch, which no compiled code stands in for where gradients are wanted."""
    x1, x2 = (torch.from_numpy(data(case, side)).requires_grad_() for side in (1, 2))
    ours = nk.kernels(network(SPECS[case]["spec"]), x1, x2)
    for name, kernel in zip(("nngp", "ntk"), ours, strict=True):
        assert kernel.requires_grad
        assert relative(kernel.detach().numpy(), GOLDEN[f"{case}/{name}_12"]) <= 1e-10, name
    ours[1].sum().backward()
    assert x1.grad is not None
    assert x1.grad.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_kernels_of_one_set(case: str) -> None:
    ours = nk.kernels(network(SPECS[case]["spec"]), data(case, 1))
    off = ~np.eye(len(ours[0]), dtype=bool)
    for name, kernel in zip(("nngp", "ntk"), ours, strict=True):
        reference = GOLDEN[f"{case}/{name}_11"]
        assert np.array_equal(kernel, kernel.T), name
        assert relative(kernel[off], reference[off]) <= 1e-10, name
        # On the diagonal the reference's own kinked slopes are off by up to 1e-7 (rounding of arccos near 1).
        assert relative(np.diag(kernel), np.diag(reference)) <= 2e-7, name


def test_kernels_without_a_readout() -> None:
    net, x = network(SPECS[RAW]["spec"]), data(RAW, 1)
    between, among = nk.kernels(net, x[:1], data(RAW, 2)[:1]), nk.kernels(net, x[:2])
    for name, kernel, own in zip(("nngp", "ntk"), between, among, strict=True):
        for ours, which in ((kernel, "12"), (own[:1, 1:], "11")):
            reference = GOLDEN[f"{RAW}/{name}_{which}"].transpose(0, 1, 2, 4, 3, 5)
            assert ours.shape == (1, 1, 8, 8, 8, 8)
            assert relative(ours, reference) <= 1e-10, (name, which)
