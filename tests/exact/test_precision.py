"""float32 against float64 where it is hardest: exact, near and scaled duplicates, at any depth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import neural_kernels as nk
from plain_path import is_compiled, plain_kernels


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


OPPOSITE = {
    **{f"relu {depth}": nk.mlp(depth) for depth in (1, 3)},
    "relu with biases": nk.mlp(1, bias_var=0.1),
    "leaky": nk.mlp(1, nk.LeakyReLU(0.1)),
    "abs": nk.mlp(3, nk.Abs()),
    "two slopes": nk.mlp(1, nk.ABReLU(-0.5, 1.0)),
    "residual": nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()),
    "step": nk.mlp(1, nk.Step()),
    "sign": nk.mlp(1, nk.Sign()),
    "square of relu": nk.mlp(1, nk.RectifiedMonomial(2)),
}


def relative_errors(single: tuple[np.ndarray, ...], double: tuple[np.ndarray, ...]) -> list[float]:
    """The largest errors relative to sqrt(K_ii K_jj)."""
    scales = (np.sqrt(np.outer(np.diag(b), np.diag(b))) for b in double)
    return [float((np.abs(a - b) / scale).max()) for a, b, scale in zip(single, double, scales, strict=True)]


@pytest.mark.parametrize("features", [1, 2, 10, 100])
@pytest.mark.parametrize("name", OPPOSITE)
def test_nearly_opposite_rows(name: str, features: int) -> None:
    """Beside x, -x and what lies within 1e-7 to 1e-1 of it: one plus the correlation has a root there."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, features))
    near = -x * (1 + 10 ** rng.uniform(-7, -1, (40, 1)) * rng.standard_normal(x.shape))
    rows = np.concatenate([x, -x, near]).astype(np.float32)
    net = OPPOSITE[name]
    double = nk.kernels(net, rows.astype(np.float64))
    makes = [nk.kernels(net, rows), plain_kernels(net, rows), nk.kernels(net, sparse.csr_matrix(rows))]
    for single in makes:
        assert max(relative_errors(single, double)) <= 2e-6


def test_opposite_rows_in_float64() -> None:
    """By hand: cos = -1 gives the ReLU kernels 0, where a root of rounding would leave 1e-9."""
    x = np.random.default_rng(0).standard_normal((30, 7))
    assert is_compiled(nk.mlp(1), x)
    for kernels in (nk.kernels(nk.mlp(1), x, -x), plain_kernels(nk.mlp(1), x, -x)):
        for kernel in kernels:
            assert np.abs(np.diag(kernel)).max() < 1e-15


@pytest.mark.parametrize("seed", range(5))
def test_one_column_of_float32_can_be_fitted(seed: int) -> None:
    x = np.random.default_rng(seed).standard_normal((32, 1)).astype(np.float32)
    model = nk.NeuralKernelRegressor(nk.mlp(1), alpha=1e-4).fit(x, np.sin(x[:, 0]))
    assert np.isfinite(model.predict(x)).all()
