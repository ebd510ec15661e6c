"""scikit-learn's kernel machines with a kernel of ours, against the same precomputed; prints JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.cluster import SpectralClustering
from sklearn.decomposition import KernelPCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import pairwise_kernels
from sklearn.svm import SVC
from timing import ratios

import neural_kernels as nk

MACHINES: dict[str, Callable[[Any], Any]] = {
    "KernelRidge": lambda kernel: KernelRidge(kernel=kernel),
    "KernelPCA": lambda kernel: KernelPCA(5, kernel=kernel),
    "SpectralClustering": lambda kernel: SpectralClustering(3, affinity=kernel, random_state=0),
    "SVC": lambda kernel: SVC(kernel=kernel),
}


def main() -> None:
    """Fits, the Gram matrix counted in both; of the Gaussian process against the ridge that its mean is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n, rounds = (178, 15) if parser.parse_args().quick else (2000, 3)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, 13)), rng.integers(0, 3, n)
    kernel = nk.NTK(nk.mlp(2, bias_var=0.1))

    def pairs() -> object:
        return pairwise_kernels(x, metric=kernel)  # pyright: ignore[reportArgumentType]

    def process() -> object:
        options: dict[str, Any] = {"alpha": 1.0, "optimizer": None}
        return GaussianProcessRegressor(nk.sklearn_kernel(kernel), **options).fit(x, y)

    table: dict[str, Any] = {"rows": n, "pairwise_kernels": ratios(lambda: kernel(x), {"ours": pairs}, rounds)}
    for name, machine in MACHINES.items():
        fits = {"ours": lambda machine=machine: machine(kernel).fit(x, y)}
        table[name] = ratios(lambda machine=machine: machine("precomputed").fit(kernel(x), y), fits, rounds)
    ridge = MACHINES["KernelRidge"]
    table["GaussianProcessRegressor"] = ratios(
        lambda: ridge("precomputed").fit(kernel(x), y), {"ours": process}, rounds
    )
    print(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
