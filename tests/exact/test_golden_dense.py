"""Agreement with neural-tangents 0.6.5 on every dense reference case; tests/data/README.md says how they were made."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, ndtr

import neural_kernels as nk
from specs import network

DATA = Path(__file__).parents[1] / "data"
SPECS = json.loads((DATA / "golden_dense.json").read_text())
GOLDEN = np.load(DATA / "golden_dense.npz")

EXACT = [case for case in SPECS if "numerical" not in case]
QUADRATURE = [case for case in SPECS if "numerical" in case]


def relative(ours: np.ndarray, reference: np.ndarray) -> float:
    """Frobenius norm of the difference by that of the reference."""
    return float(np.linalg.norm(ours - reference) / np.linalg.norm(reference))


@pytest.mark.parametrize("case", EXACT)
def test_kernels_between_two_sets(case: str) -> None:
    inputs = SPECS[case]["inputs"]
    ours = nk.kernels(network(SPECS[case]["spec"]), GOLDEN[f"{inputs}_x1"], GOLDEN[f"{inputs}_x2"])
    for name, kernel in zip(("nngp", "ntk"), ours, strict=True):
        assert kernel.dtype == np.float64
        assert relative(kernel, GOLDEN[f"{case}/{name}_12"]) <= 1e-10, name


@pytest.mark.parametrize("case", [case for case in EXACT if f"{case}/nngp_11" in GOLDEN.files])
def test_kernels_of_one_set(case: str) -> None:
    inputs = SPECS[case]["inputs"]
    x = GOLDEN[f"{inputs}_x1"]
    ours = nk.kernels(network(SPECS[case]["spec"]), x)
    off = ~np.eye(len(x), dtype=bool)
    for name, kernel in zip(("nngp", "ntk"), ours, strict=True):
        reference = GOLDEN[f"{case}/{name}_11"]
        assert relative(kernel[off], reference[off]) <= 1e-10, name
        # On the diagonal the reference's own kinked slopes are off by up to 1e-7 (rounding of arccos near 1).
        assert relative(np.diag(kernel), np.diag(reference)) <= 2e-7, name


def gauss_hermite(spec: list, x1: np.ndarray, x2: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """The quadrature that the `numerical` cases were made with: a grid of degree^2 nodes for every pair."""
    nodes, weights = np.polynomial.hermite.hermgauss(degree)
    c, p, q = x1 @ x2.T / x1.shape[1], (x1 * x1).mean(1)[:, None], (x2 * x2).mean(1)[None]
    ntk = np.zeros_like(c)
    for name, arguments in spec:
        if name == "Dense":
            w, b = arguments["W_std"] ** 2, (arguments["b_std"] or 0) ** 2
            c, p, q = w * c + b, w * p + b, w * q + b
            ntk = w * ntk + c
        else:
            fn = FUNCTIONS[arguments["fn"]]

            def expect(f, g, p, q, c):
                first = f(np.sqrt(2 * p)[..., None, None] * nodes[:, None])
                rest = np.sqrt(2 * np.maximum(q - c * c / p, 0))[..., None, None] * nodes
                second = g((c * np.sqrt(2 / p))[..., None, None] * nodes[:, None] + rest)
                return (first * second * weights[:, None] * weights).sum((-1, -2)) / np.pi

            slope = expect(fn[1], fn[1], p, q, c)
            c, p, q = expect(fn[0], fn[0], p, q, c), expect(fn[0], fn[0], p, p, p), expect(fn[0], fn[0], q, q, q)
            ntk = ntk * slope
    return c, ntk


def _gelu(x: np.ndarray) -> np.ndarray:
    return x * ndtr(x)


FUNCTIONS = {
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.heaviside(x, 0.5)),
    "softplus": (lambda x: np.logaddexp(0, x), expit),
    "gelu": (_gelu, lambda x: ndtr(x) + x * np.exp(-x * x / 2) / np.sqrt(2 * np.pi)),
    "sigmoid": (expit, lambda x: expit(x) * expit(-x)),
}


@pytest.mark.parametrize("case", QUADRATURE)
def test_quadrature_cases(case: str) -> None:
    """The reference is its own quadrature to rounding, and that quadrature tends to our kernel as its degree grows."""
    spec, inputs = SPECS[case]["spec"], SPECS[case]["inputs"]
    x1, x2 = GOLDEN[f"{inputs}_x1"], GOLDEN[f"{inputs}_x2"]
    degree = spec[1][1]["deg"]
    coarse, fine = gauss_hermite(spec, x1, x2, degree), gauss_hermite(spec, x1, x2, 8 * degree if degree < 50 else 240)
    for k, name in enumerate(("nngp", "ntk")):
        ours = nk.kernels(network(spec), x1, x2)[k]
        assert relative(coarse[k], GOLDEN[f"{case}/{name}_12"]) <= 1e-9, name
        assert relative(fine[k], ours) <= 0.35 * relative(coarse[k], ours) + 1e-8, name
