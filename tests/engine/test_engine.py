"""The compiled engine equals the torch formulas, whatever the blocks, threads and layouts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels as nk
from neural_kernels.engine import arc
from neural_kernels.engine.vectors import fill as tiles
from neural_kernels.exact import evaluate
from plain_path import is_compiled, plain_kernels

NETWORKS = {
    "relu": nk.mlp(3),
    "relu with biases": nk.mlp(2, bias_var=0.3),
    "leaky": nk.mlp(2, nk.LeakyReLU(0.3), 0.1),
    "erf": nk.mlp(3, nk.Erf(), 0.1),
    "gelu": nk.mlp(2, nk.GELU()),
    "sin": nk.mlp(2, nk.Sin(1.0, 1.0, 0.3)),
    "tanh": nk.mlp(2, nk.Tanh()),
    "normalized gaussian": nk.mlp(2, nk.NormalizedGaussian(1.0)),
    "erf then relu": nk.Sequential(nk.Dense(1.0, 0.1), nk.Erf(), nk.Dense(2.0), nk.ReLU(), nk.Dense()),
    "residual": nk.Sequential(
        nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense(1.5, 0.2))), nk.ReLU(), nk.Dense()
    ),
    "product": nk.Sequential(
        nk.Product(nk.Dense(), nk.Sequential(nk.Dense(), nk.Erf())), nk.Dense(), nk.ReLU(), nk.Dense()
    ),
    "concat": nk.Sequential(nk.Concat(nk.mlp(1), nk.mlp(1, nk.Erf()), weights=(2, 1)), nk.Dense()),
    "layer norm": nk.Sequential(nk.Dense(2.0, 0.1), nk.LayerNorm(), nk.ReLU(), nk.Dropout(0.2), nk.Dense()),
    "no layers": nk.Identity(),
}


@pytest.mark.parametrize(
    ("dtype", "scale", "tolerance"), [(np.float32, 1, 2e-6), (np.float64, 0.3, 1e-13), (np.float64, 1, 1e-9)]
)
@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_equals_plain(name: str, dtype: type, scale: float, tolerance: float) -> None:
    """Exact by short series; smooth activations of large norms are tables, good to 1e-9."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((300, 20)).astype(dtype), (2 * rng.standard_normal((70, 20))).astype(dtype)
    x[5], x[7], z[3], z[4] = x[4], 2 * x[6], x[0], 0
    x, z = dtype(scale) * x, dtype(scale) * z
    net = NETWORKS[name]
    fast = *nk.kernels(net, x), *nk.kernels(net, x, z), nk.NNGP(net)(x), nk.NTK(net)(x, z)
    slow = [*plain_kernels(net, x), *plain_kernels(net, x, z)]
    slow += slow[0], slow[3]
    for a, b in zip(fast, slow, strict=True):
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_these_networks_take_the_compiled_path(name: str) -> None:
    """Otherwise the comparison above would compare one path with itself."""
    assert is_compiled(NETWORKS[name], torch.linspace(0.5, 2, 200).reshape(10, 20))


@pytest.mark.parametrize("block", [(1, 1), (7, 13), (64, 64), (300, 5)])
def test_blocks_do_not_matter(block: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).standard_normal((61, 9)).astype(np.float32)
    net = nk.mlp(2, bias_var=0.1)
    whole = nk.NTK(net)(x), nk.NTK(net)(x, x[:20] + 1)
    monkeypatch.setattr(tiles, "_dense_block", lambda *_: block)
    monkeypatch.setattr(evaluate, "_BLOCK", block)
    for result in (nk.NTK(net)(x), nk.NTK(net)(x, x[:20] + 1)):
        expected = whole[0] if result.shape == (61, 61) else whole[1]
        assert np.abs(result - expected).max() <= 1e-6 * np.abs(expected).max()  # products of one row round otherwise
    assert np.allclose(plain_kernels(net, x)[1], whole[0], rtol=2e-6)


def test_strips_of_wide_rows() -> None:
    """More columns than one strip of registers holds."""
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((3, 5)), rng.standard_normal((2500, 5))
    kernel = nk.NTK(nk.mlp(2))
    assert np.allclose(kernel(x, z), np.concatenate([kernel(x, z[:700]), kernel(x, z[700:])], 1), rtol=1e-13)


def test_threads_do_not_matter() -> None:
    x = np.random.default_rng(0).standard_normal((1500, 9)).astype(np.float32)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(nk.NTK(nk.mlp(2))(x))
            assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(threads)
    assert np.allclose(*results, rtol=5e-6)


def test_sparse_rows_equal_dense_rows() -> None:
    x = sparse.random(150, 400, density=0.05, random_state=0, format="csr", dtype=np.float32)
    z = sparse.random(40, 400, density=0.1, random_state=1, format="csr", dtype=np.float32)
    x = sparse.vstack([x, x[:5], 2 * x[5:10], sparse.csr_matrix((2, 400), dtype=np.float32)]).tocsr()
    for net in (nk.mlp(3), nk.mlp(2, nk.Erf(), 0.1), nk.mlp(1, nk.ELU())):
        for a, b in ((x, None), (x, z), (x.toarray(), z), (z, x.toarray())):
            ours = nk.NTK(net)(a, b)
            dense = nk.NTK(net)(*(v.toarray() if sparse.issparse(v) else v for v in (a, b)))
            assert ours.dtype == np.float32
            assert np.abs(ours - dense).max() <= 2e-6 * dense.max()


def test_arc_polynomials_against_mpmath() -> None:
    import mpmath

    with mpmath.workdps(30):
        for m in np.linspace(1e-9, 0.5, 41):
            y = mpmath.sqrt(mpmath.mpf(float(m)))
            angle = 2 * mpmath.asin(y)
            lens = (mpmath.sin(angle) - angle * mpmath.cos(angle)) / (mpmath.pi * y**3)
            assert abs(arc.angle(float(m)) - angle / (mpmath.pi * y)) <= 6e-16
            assert abs(arc.lens(float(m)) - lens) <= 6e-16
            single = sum(c * m**k for k, c in enumerate(arc.ANGLE32)), sum(c * m**k for k, c in enumerate(arc.LENS32))
            assert abs(single[0] - angle / (mpmath.pi * y)) <= 2e-8
            assert abs(single[1] - lens) <= 2e-8
