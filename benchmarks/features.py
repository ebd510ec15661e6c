"""Feature maps of the NTK at 4096 columns: relative Frobenius errors of the Gram matrix, and microseconds a row; JSON.

Rows of norm 1 in 784 dimensions, isotropic (cosines near 0) and in ten sparse clusters. "centred" is the error of the
doubly centred matrices, the part that a model with an intercept sees. `--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
import time

import numpy as np
import torch

import neural_kernels as nk

METHODS = {
    "zonal": nk.ZonalFeatures(),
    "zonal, 1000 anchors": nk.ZonalFeatures(anchors=1000),
    "random": nk.RandomFeatures(),
}


def rows(kind: str, n: int, seed: int = 0) -> np.ndarray:
    """Unit rows, shape (n, 784)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 784))
    if kind == "clustered":
        centres = np.abs(rng.standard_normal((10, 784))) * (rng.random((10, 784)) < 0.2)
        assigned = rng.integers(0, 10, n)
        noise = 0.5 * np.abs(rng.standard_normal((n, 784)))
        x = centres[assigned] + noise * (rng.random((n, 784)) < 0.2)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def errors(features: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Of the Gram matrix, raw and centred, and of its diagonal."""

    def centred(k: np.ndarray) -> np.ndarray:
        return k - k.mean(0) - k.mean(1)[:, None] + k.mean()

    z = features.astype(np.float64)
    gram = z @ z.T
    return {
        "raw": float(np.linalg.norm(gram - exact) / np.linalg.norm(exact)),
        "centred": float(np.linalg.norm(centred(gram - exact)) / np.linalg.norm(centred(exact))),
        "diagonal": float(np.abs(np.diag(gram) / np.diag(exact) - 1).mean()),
    }


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    n, columns, seeds, rounds = (200, 1024, 1, 1) if parser.parse_args().quick else (2000, 4096, 3, 5)
    accuracy: dict[str, dict[str, dict[str, float]]] = {}
    for kind in ("isotropic", "clustered"):
        x = rows(kind, n)
        for depth in (1, 3):
            net = nk.mlp(depth)
            exact = nk.NTK(net)(x.astype(np.float64))
            for name, method in METHODS.items():
                maps = (nk.feature_map(net, n_components=columns, method=method, seed=seed) for seed in range(seeds))
                found = [errors(phi.fit(x)(x), exact) for phi in maps]
                means = {key: float(np.mean([each[key] for each in found])) for key in found[0]}
                accuracy.setdefault(f"{kind}, depth {depth}", {})[name] = means
    x = torch.from_numpy(rows("isotropic", 4 * n))
    weights, out = torch.randn(784, columns), torch.empty(len(x), columns)
    work = {"dense product": lambda: torch.mm(x, weights, out=out)}
    for depth in (1, 3):
        for name in ("zonal", "random"):
            phi = nk.feature_map(nk.mlp(depth), n_components=columns, method=METHODS[name])
            work[f"{name}, depth {depth}"] = lambda phi=phi: phi(x)
    times: dict[str, list[float]] = {name: [] for name in work}
    for k in range(rounds + 1):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            if k:
                times[name].append(time.perf_counter() - start)
    speed = {name: 1e6 * float(np.median(values)) / len(x) for name, values in times.items()}
    print(json.dumps({"threads": torch.get_num_threads(), "errors": accuracy, "microseconds_per_row": speed}, indent=1))


if __name__ == "__main__":
    main()
