"""Sampled monomials beside other features at equal width: spectral errors, and what sparse rows cost; JSON.

- spectral: the least eps with (1 - eps)(K + l I) <= Z Z^T + l I <= (1 + eps)(K + l I) for the features Z of n rows of
  norm 1, with the ridge l as a share of the trace of K; means over seeds. On ten sparse clusters in 784 dimensions, on
  a9a (binary columns), and on further rows of a9a, of which `fit` saw none. Kernels: the NTK of one and of three hidden
  layers, (x.y + 1)^3, and the Gaussian exp(-|x - y|^2). scikit-learn's oblivious features stand where the library
  has none. Landmarks of all the rows that are measured give the exact kernel.
- csr: seconds of a map of the NTK, 4096 columns, into memory that is there: rows with 10, 100 and 1000 non-zeros
  among 50,000 columns, and three numbers of rows with 100. "zeros" is the time of writing zeros to the same memory.
  "exponent" is the slope of log seconds by log non-zeros, with the zeros' time taken off where the density changes.
  Of other methods, rows of 100 non-zeros.

Tables go to stderr. `--quick` takes sizes for a smoke test.

Run: ``python benchmarks/adaptive_sampling.py [--data FOLDER]``
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import Transformer, attempt, chosen, load_module, show, unit
from features_accuracy import rows
from scipy import sparse
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.sparse.linalg import LinearOperator, eigsh
from sklearn.kernel_approximation import PolynomialCountSketch, RBFSampler
from timing import seconds

import neural_kernels as nk
from neural_kernels.features.method import Method

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
SHARES = (1e-2, 1e-3)
WIDE, NON_ZEROS, COLUMNS = 50_000, (10, 100, 1000), 4096
FULL = {"rows": 2000, "widths": (512, 2048), "seeds": 3, "csr_rows": 4000, "rounds": 7}
QUICK = {"rows": 300, "widths": (128,), "seeds": 1, "csr_rows": 200, "rounds": 2}

Makers = dict[str, Callable[[], Method]]
ANY: Makers = {
    "adaptive": nk.AdaptiveSampling,
    "adaptive, ridge .01": lambda: nk.AdaptiveSampling(0.01),
    "nystrom": nk.Nystrom,
}
NETWORK: Makers = {**ANY, "polynomial": nk.PolynomialSketch, "zonal": nk.ZonalFeatures}
KERNELS: dict[str, tuple[Any, Makers]] = {
    "ntk-1": (nk.NTK(nk.mlp(1)), NETWORK),
    "ntk-3": (nk.NTK(nk.mlp(3)), NETWORK),
    "cubic": (
        nk.PolynomialKernel(3),
        {
            **ANY,
            "sklearn-countsketch": lambda: Transformer(
                lambda _, m: PolynomialCountSketch(degree=3, coef0=1, n_components=m)
            ),
        },
    ),
    "gaussian": (
        nk.GammaExponential(1.0, 2.0),
        {**ANY, "sklearn-rbfsampler": lambda: Transformer(lambda _, m: RBFSampler(gamma=1.0, n_components=m))},
    ),
}


@dataclass(frozen=True)
class Regularised:
    """A kernel matrix, and the Cholesky factor of it with a ridge."""

    exact: np.ndarray
    root: np.ndarray

    @classmethod
    def of(cls, exact: np.ndarray, share: float) -> Regularised:
        """With a share of the trace as the ridge."""
        return cls(exact, cholesky(exact + share * np.trace(exact) * np.eye(len(exact)), lower=True))

    def distance(self, z: np.ndarray) -> float:
        """The spectral error of features: the largest eigenvalue, in size, of R^-1 (Z Z^T - K) R^-T, by Lanczos."""

        def product(v: np.ndarray) -> np.ndarray:
            v = solve_triangular(self.root, v, lower=True, trans=1)
            return solve_triangular(self.root, z @ (z.T @ v) - self.exact @ v, lower=True)

        n = len(self.root)
        start = np.random.default_rng(0).standard_normal(n)
        values = eigsh(LinearOperator((n, n), product), 1, v0=start, return_eigenvectors=False)
        return float(np.abs(values).max())


def dimension(exact: np.ndarray, share: float) -> float:
    """The statistical dimension tr K (K + l)^-1."""
    values = eigh(exact, eigvals_only=True).clip(0)
    return float((values / (values + share * values.sum())).sum())


def errors(kernel: Any, makers: Makers, x: np.ndarray, sample: np.ndarray, size: dict) -> dict[str, dict[str, Any]]:
    """Spectral errors on x of all methods and widths, fitted to the sample."""
    exact = kernel(x.astype(np.float64))
    regularised = {share: Regularised.of(exact, share) for share in SHARES}

    def measured(make: Callable[[], Method], columns: int) -> dict[str, float]:
        found = []
        for seed in range(size["seeds"]):
            phi = nk.feature_map(kernel=kernel, n_components=columns, method=make(), seed=seed).fit(sample)
            z = phi(x).astype(np.float64)
            found.append([each.distance(z) for each in regularised.values()])
        return {f"ridge {share:g}": float(e) for share, e in zip(SHARES, np.mean(found, 0), strict=True)}

    table: dict[str, dict[str, Any]] = {"dimension": {f"ridge {share:g}": dimension(exact, share) for share in SHARES}}
    for columns in size["widths"]:
        for name, make in makers.items():
            table[f"{name}, {columns}"] = attempt(lambda make=make, columns=columns: measured(make, columns))
    return table


def spectral(folder: Path, kernels: list[str], size: dict) -> dict:
    """All rows and kernels."""
    n = size["rows"]
    clustered = rows("clustered", n)
    a9a = unit(load_module(folder).a9a().x_train[: 2 * n].toarray())
    data = {"clustered": (clustered, clustered), "a9a": (a9a[:n], a9a[:n]), "a9a, new rows": (a9a[n:], a9a[:n])}
    report = {}
    for label, (x, sample) in data.items():
        for name in kernels:
            report[f"{label}, {name}"] = table = errors(*KERNELS[name], x, sample, size)
            show(f"{label}, {name}", table)
    return report


def sparse_rows(n: int, non_zeros: int, seed: int = 0) -> Any:
    """Rows whose columns are as unequal as those of words."""
    rng = np.random.default_rng(seed)
    columns = np.minimum(WIDE * rng.random((n, non_zeros)) ** 3, WIDE - 1).astype(np.int64)
    data = rng.random(n * non_zeros).astype(np.float32)
    matrix = sparse.csr_matrix((data, columns.ravel(), np.arange(n + 1) * non_zeros), (n, WIDE))
    matrix.sum_duplicates()
    return matrix


def slope(points: list[tuple[float, float]]) -> float:
    """The exponent of a power law."""
    x, y = np.log(np.transpose(points))
    return float(np.polyfit(x, y, 1)[0])


def timed(x: Any, rounds: int, method: Method) -> dict[str, float]:
    """Seconds of a map for rows, and of zeros, in turns."""
    phi = nk.feature_map(nk.mlp(1), n_components=COLUMNS, method=method).fit(x[:COLUMNS])
    assert phi.map is not None
    built, out = phi.map, torch.zeros(x.shape[0], COLUMNS)

    def fill() -> None:
        with torch.no_grad():
            built.fill(x, out[:, : built.columns])

    fill()
    found = [(seconds(fill), seconds(out.zero_)) for _ in range(rounds)]
    whole, zeros = (statistics.median(times) for times in zip(*found, strict=True))
    return {
        "non_zeros": x.nnz,
        "seconds": whole,
        "zeros": zeros,
        "us_per_row": 1e6 * whole / x.shape[0],
        "ns_per_non_zero": 1e9 * whole / x.nnz,
    }


def csr(size: dict) -> dict:
    """Seconds by non-zeros of a row, and by rows."""
    n = size["csr_rows"]
    density = {f"{k} non-zeros": timed(sparse_rows(n, k), size["rounds"], nk.AdaptiveSampling()) for k in NON_ZEROS}
    number = {
        f"{m} rows": timed(sparse_rows(m, NON_ZEROS[1]), size["rounds"], nk.AdaptiveSampling())
        for m in (n // 4, n, 4 * n)
    }
    others = {name: timed(sparse_rows(n, NON_ZEROS[1]), 2, make()) for name, make in NETWORK.items()}
    by_density = slope([(t["non_zeros"], t["seconds"] - t["zeros"]) for t in density.values()])
    by_number = slope([(t["non_zeros"], t["seconds"]) for t in number.values()])
    table = density | number | others
    table |= {"by non-zeros of a row": {"exponent": by_density}, "by rows": {"exponent": by_number}}
    show("csr", table)
    return table


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="a folder that holds load.py")
    parser.add_argument("--only", choices=("spectral", "csr"))
    parser.add_argument("--kernels", help=f"of {', '.join(KERNELS)}; default all")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    names = chosen(options.kernels, KERNELS)
    report: dict = {"threads": torch.get_num_threads(), **size}
    if options.only != "spectral":
        report["csr"] = csr(size)
    if options.only != "csr":
        report["spectral"] = spectral(options.data, names, size)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
