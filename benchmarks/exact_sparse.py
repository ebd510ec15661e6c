"""The exact kernel of sparse rows, block by block, against SciPy's sparse product of the same blocks; prints JSON."""

from __future__ import annotations

import argparse
import json

import numpy as np
from scipy import sparse
from timing import ratios

import neural_kernels as nk


def rows(n: int, d: int, non_zeros: int) -> sparse.csr_matrix:
    """Rows with `non_zeros` entries each at random places."""
    rng = np.random.default_rng(0)
    columns = np.sort(np.stack([rng.choice(d, non_zeros, replace=False) for _ in range(n)]), 1)
    values = rng.standard_normal((n, non_zeros)).astype(np.float32)
    return sparse.csr_matrix((values.ravel(), columns.ravel(), np.arange(0, n * non_zeros + 1, non_zeros)), (n, d))


def main() -> None:
    """Blocks of rows against all rows, the dense output reused."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    n, d, block, rounds = (2000, 5000, 500, 2) if quick else (20_000, 50_000, 1000, 3)
    x = rows(n, d, 100)
    kernel, out = nk.NTK(nk.mlp(3)), np.zeros((block, n), np.float32)

    def product() -> None:
        for start in range(0, n, block):
            _ = x[start : start + block] @ x.T

    def ntk() -> None:
        for start in range(0, n, block):
            kernel(x[start : start + block], x, out=out)

    print(json.dumps({"rows": n, "columns": d, **ratios(product, {"ntk": ntk}, rounds)}, indent=1))


if __name__ == "__main__":
    main()
