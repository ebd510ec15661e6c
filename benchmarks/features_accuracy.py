"""Errors of feature maps of the NTK: of the Gram matrix, relative, in the Frobenius norm; JSON, tables to stderr.

"centred" is the error of the doubly centred matrices, the part that a model with an intercept sees; "diagonal" the mean
of |z.z / k - 1|. All rows have norm 1; means over seeds.

- synthetic: rows in 784 dimensions, isotropic (cosines near 0) and in ten sparse clusters, 4096 columns. What learns
  from data sees those rows. With `--folder` also Fashion-MNIST, held out as below.
- real: by number of columns, scikit-learn's digits (what learns from data sees all of them, and widths above their
  number say nothing of landmarks), and with `--folder` (one that holds load.py) Fashion-MNIST: 2000 rows to measure,
  the next `--fit-rows` to learn from. Widths above the rows to learn from are left out for landmarks.

`--quick` takes sizes for a smoke test.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from _features import METHODS, attempt, chosen, load_module, show, unit
from sklearn.datasets import load_digits

import neural_kernels as nk

WIDTHS = (512, 1024, 2048, 4096, 8192, 16384)
FULL, QUICK = {"rows": 2000, "columns": 4096, "seeds": 3}, {"rows": 200, "columns": 1024, "seeds": 1}
SYNTHETIC = ("zonal", "anchors", "random", "polynomial")
LANDMARKS = ("nystrom", "sklearn-nystroem")


def rows(kind: str, n: int, seed: int = 0) -> np.ndarray:
    """Unit rows, shape (n, 784)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 784))
    if kind == "clustered":
        centres = np.abs(rng.standard_normal((10, 784))) * (rng.random((10, 784)) < 0.2)
        assigned = rng.integers(0, 10, n)
        noise = 0.5 * np.abs(rng.standard_normal((n, 784)))
        x = centres[assigned] + noise * (rng.random((n, 784)) < 0.2)
    return unit(x)


def centred(k: np.ndarray) -> np.ndarray:
    return k - k.mean(0) - k.mean(1)[:, None] + k.mean()


def errors(features: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Of the Gram matrix, raw and centred, and of its diagonal."""
    z = features.astype(np.float64)
    gram = z @ z.T
    return {
        "raw": float(np.linalg.norm(gram - exact) / np.linalg.norm(exact)),
        "centred": float(np.linalg.norm(centred(gram - exact)) / np.linalg.norm(centred(exact))),
        "diagonal": float(np.abs(np.diag(gram) / np.diag(exact) - 1).mean()),
    }


class Case:
    """Rows to measure on, rows to learn from, and the exact kernel of a depth.

    Parameters
    ----------
    x, sample : ndarray of shape (n, d), (n_fit, d)
    depth : int
    """

    def __init__(self, x: np.ndarray, sample: np.ndarray, depth: int) -> None:
        self.x, self.sample, self.net = x, sample, nk.mlp(depth)
        self.exact = nk.NTK(self.net)(x.astype(np.float64))

    def mean_errors(self, name: str, columns: int, seeds: int) -> dict:
        """Of one method."""

        def measured() -> dict[str, float]:
            maps = (nk.feature_map(self.net, "ntk", columns, METHODS[name](), seed) for seed in range(seeds))
            found = [errors(phi.fit(self.sample)(self.x), self.exact) for phi in maps]
            return {key: float(np.mean([each[key] for each in found])) for key in found[0]}

        return attempt(measured)


def fashion(folder: Path, n: int, n_fit: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to measure on, and others to learn from."""
    x = unit(load_module(folder).fashion_mnist().x_train[: n + n_fit])
    return x[:n], x[n:]


def synthetic(
    data: dict[str, tuple[np.ndarray, np.ndarray]], depths: Sequence[int], names: list[str], size: dict
) -> dict:
    """One width, by rows and depth."""
    report = {}
    for label, pair in data.items():
        for depth in depths:
            case = Case(*pair, depth)
            table = {name: case.mean_errors(name, size["columns"], size["seeds"]) for name in names}
            report[f"{label}, depth {depth}"] = table
            show(f"{label}, depth {depth}", table)
    return report


def real(
    data: dict[str, tuple[np.ndarray, np.ndarray]],
    depths: Sequence[int],
    names: list[str],
    widths: Sequence[int],
    seeds: int,
) -> dict:
    """Many widths."""
    report = {}
    for label, pair in data.items():
        for depth in depths:
            case = Case(*pair, depth)
            table: dict[str, dict[int, dict]] = {}
            for name in names:
                most = len(pair[1]) if name in LANDMARKS else max(widths)
                table[name] = {m: case.mean_errors(name, m, seeds) for m in widths if m <= most}
            report[f"{label}, depth {depth}"] = table
            for key in ("raw", "centred"):
                shown = {
                    name: {f"{m}": e.get(key, next(iter(e))) for m, e in row.items()} for name, row in table.items()
                }
                show(f"{label}, depth {depth}, {key}", shown)
    return report


def main() -> None:
    """Run all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("synthetic", "real"))
    parser.add_argument("--methods", help=f"of {', '.join(METHODS)}; default all that a section is for")
    parser.add_argument("--widths", help=f"default {','.join(map(str, WIDTHS))}")
    parser.add_argument("--depths", default="1,3")
    parser.add_argument("--folder", type=Path, help="one that holds load.py")
    parser.add_argument("--fit-rows", type=int, default=8000)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    size = QUICK if options.quick else FULL
    depths = [int(depth) for depth in options.depths.split(",")]
    widths = [int(m) for m in options.widths.split(",")] if options.widths else WIDTHS[: 2 if options.quick else None]
    held_out = {}
    if options.folder:
        n_fit = min(options.fit_rows, 1500) if options.quick else options.fit_rows
        held_out["Fashion-MNIST, held out"] = fashion(options.folder, size["rows"], n_fit)
    report: dict = {"threads": torch.get_num_threads(), **size}
    if options.only != "real":
        data = {kind: (x, x) for kind in ("isotropic", "clustered") for x in [rows(kind, size["rows"])]}
        names = chosen(options.methods or ",".join(SYNTHETIC), METHODS)
        report["synthetic"] = synthetic(data | held_out, depths, names, size)
    if options.only != "synthetic":
        digits = unit(np.asarray(load_digits(return_X_y=True)[0]))
        names = chosen(options.methods, METHODS)
        report["real"] = real({"digits": (digits, digits)} | held_out, depths, names, widths, size["seeds"])
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
