"""float32 against float64 where it is hardest: exact, near and scaled duplicates, at any depth."""

from __future__ import annotations

import numpy as np
import pytest

import neural_kernels as nk


def rows_with_duplicates(n: int = 2000, d: int = 50) -> np.ndarray:
    """A quarter of the rows each: independent, exact copies, copies at distances 1e-7 to 1e-2, multiples."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal((n // 4, d))
    distance = 10 ** rng.uniform(-7, -2, (n // 4, 1))
    step = rng.standard_normal((n // 4, d))
    near = base + distance * step / np.linalg.norm(step, axis=1, keepdims=True)
    scaled = base * rng.uniform(0.2, 3, (n // 4, 1))
    return np.concatenate([base, base, near, scaled]).astype(np.float32)


NETWORKS = {
    **{f"relu {depth}": nk.mlp(depth) for depth in (1, 3, 10)},
    "relu with biases": nk.mlp(10, bias_var=0.1),
    "abs": nk.mlp(3, nk.Abs()),
    "erf": nk.mlp(3, nk.Erf()),
    "erf then relu": nk.Sequential(
        nk.Dense(), nk.Erf(), nk.Dense(2.0), nk.ReLU(), nk.Dense(2.0), nk.ReLU(), nk.Dense()
    ),
    "elu": nk.mlp(1, nk.ELU()),
    "residual": nk.Sequential(
        nk.Dense(), *[nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(1.0, 0.1)))] * 5, nk.ReLU(), nk.Dense()
    ),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_agrees_with_float64(name: str) -> None:
    x = rows_with_duplicates(2000 if name != "elu" else 200)
    single = nk.kernels(NETWORKS[name], x)
    double = nk.kernels(NETWORKS[name], x.astype(np.float64))
    for a, b in zip(single, double, strict=True):
        scale = np.sqrt(np.diag(b))
        assert a.dtype == np.float32
        assert b.dtype == np.float64
        assert np.abs(a - b).max(initial=0, where=np.ones_like(a, bool)) < np.inf
        assert (np.abs(a - b) / (scale[:, None] * scale)).max() <= 1e-5
        assert np.array_equal(a, a.T)
        assert np.array_equal(b, b.T)


@pytest.mark.parametrize("depth", [1, 3, 10])
def test_positive_semidefinite_to_rounding(depth: int) -> None:
    for kernel in nk.kernels(nk.mlp(depth), rows_with_duplicates()):
        eigenvalues = np.linalg.eigvalsh(kernel)
        assert eigenvalues[0] >= -1e-6 * eigenvalues[-1]


def test_exact_copies_are_exact() -> None:
    """Between a row and its copy the kernel is that of the row with itself, not the square root of a rounding off."""
    x = np.random.default_rng(1).standard_normal((20, 30)).astype(np.float32)
    for net in (nk.mlp(10), nk.mlp(10, bias_var=0.3)):
        kernel = nk.NTK(net)
        assert np.allclose(np.diag(kernel(x, x.copy())), kernel.diag(x), rtol=3e-7)


def test_multiples_of_a_row_are_exact() -> None:
    """The angle between x and 3 x is 0: a homogeneous network's kernel scales."""
    x = np.random.default_rng(1).standard_normal((20, 30)).astype(np.float32)
    kernel = nk.NTK(nk.mlp(10))
    assert np.allclose(np.diag(kernel(x, 3 * x)), 3 * kernel.diag(x), rtol=1e-6)
