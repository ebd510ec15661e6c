"""Landmarks layer by layer on images of 32 x 32 x 3: milliseconds an image, and errors of the kernel; prints JSON.

Errors are on 48 held-out images of the lossless part of CIFAR-10 in the data folder, channels standardised, against the
exact NTK in float32: "raw" of the entries off the diagonal, "centred" of the doubly centred Gram matrix, both relative
in the Frobenius norm. Times are medians of several passes over 200 images with two torch threads, one to warm up.

- table: networks and columns, fitted to training images; the exact kernel's time for a pair beside them;
- without data: maps that have seen no image;
- spectrum: eigenvalues of the centred Gram matrix of 300 training images, exact, by landmarks, with residual columns;
- pixels: time by the side of the image, and the exponent in the number of pixels;
- memory: peak resident memory of a pass over many images less that before it, and less the result (Linux);
- oblivious: the methods that know no data, which take a while; errors are roots of mean squares over several draws.

Run: ``python benchmarks/image_features.py [--data FOLDER] [--only SECTION ...] [--quick]``
"""

from __future__ import annotations

import argparse
import ctypes
import json
import math
import statistics
import time
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import load_module
from timing import seconds

import neural_kernels as nk
from neural_kernels.features.natural import natural_images

CONV, RELU = nk.Conv(3, weight_var=2.0), nk.ReLU()
BLOCK = nk.Residual(nk.Sequential(RELU, CONV))
STRIDED = nk.Sequential(
    nk.Conv(3), BLOCK, RELU, nk.Conv(3, stride=2, weight_var=2.0), BLOCK, RELU, nk.GlobalAvgPool(), nk.Dense()
)
NETS = {
    "cnn(3)": nk.cnn(3),
    "myrtle(5)": nk.myrtle(5),
    "cnn(3, flatten)": nk.cnn(3, pooling="flatten"),
    "GELU with biases": nk.cnn(3, nk.GELU(), bias_var=0.1),
    "Erf": nk.cnn(3, nk.Erf()),
    "strided residual": STRIDED,
    "resnet(1, 1, 1)": nk.resnet((1, 1, 1)),
}
TABLE = [(name, 1024) for name in NETS] + [("cnn(3)", 4096), ("myrtle(5)", 4096), ("cnn(3, flatten)", 4096)]
DRAWS = 8  # of a method that knows no data
SIDES = 8, 16, 32, 64, 96
EIGENVALUES = 1, 2, 4, 11, 31


class Images:
    """Standardised training images, and others."""

    def __init__(self, folder: Path) -> None:
        x = load_module(folder).cifar10_lossless().x_train.astype(np.float32) / 255
        mean, std = x[:5000].mean((0, 2, 3), keepdims=True), x[:5000].std((0, 2, 3), keepdims=True)
        x = (x - mean) / std
        self.train, self.others = x[:5000], x[5000:5200]
        self.held_out = x[5000:5048]

    @cache  # noqa: B019
    def exact(self, name: str) -> tuple[np.ndarray, float]:
        """The exact kernel of the held-out images, and the milliseconds of a pair."""
        start = time.perf_counter()
        gram = np.asarray(nk.NTK(NETS[name])(self.held_out), dtype=np.float64)
        pairs = len(gram) * (len(gram) + 1) / 2
        return gram, (time.perf_counter() - start) / pairs * 1e3


def errors(features: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Raw and centred."""
    gram = features.astype(np.float64) @ features.astype(np.float64).T
    off, centre = ~np.eye(len(exact), dtype=bool), np.eye(len(exact)) - 1 / len(exact)
    raw = np.linalg.norm((gram - exact)[off]) / np.linalg.norm(exact[off])
    centred = np.linalg.norm(centre @ (gram - exact) @ centre) / np.linalg.norm(centre @ exact @ centre)
    return {"raw": round(float(raw), 4), "centred": round(float(centred), 4)}


def milliseconds(phi: nk.FeatureMap, x: np.ndarray, rounds: int) -> float:
    """Median time of an image."""
    phi(x)
    return round(statistics.median(seconds(lambda: phi(x)) for _ in range(rounds)) / len(x) * 1e3, 2)


def table(images: Images, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Time, errors and fit of every network."""
    rows = []
    for name, columns in TABLE[:1] if quick else TABLE:
        exact, pair = images.exact(name)
        start = time.perf_counter()
        phi = nk.feature_map(NETS[name], n_components=columns).fit(images.train)
        fit = time.perf_counter() - start
        row = {"network": name, "columns": columns, "ms": milliseconds(phi, images.others, rounds)}
        row |= errors(phi(images.held_out), exact) | {"fit s": round(fit, 1), "exact ms a pair": round(pair, 2)}
        rows.append(row)
        print(row, flush=True)
    return rows


def without_data(images: Images) -> dict[str, float]:
    """Errors of a map that has seen no image."""
    phi = nk.feature_map(nk.cnn(3), n_components=1024)
    return errors(phi(images.held_out), images.exact("cnn(3)")[0])


def spectrum(images: Images, quick: bool) -> dict[str, list[float]]:
    """Eigenvalues of centred Gram matrices, in shares of the exact one's trace."""
    x = images.train[: 40 if quick else 300]
    centre = np.eye(len(x)) - 1 / len(x)

    def values(gram: np.ndarray) -> np.ndarray:
        return np.linalg.eigvalsh(centre @ gram @ centre)[::-1]

    exact = values(np.asarray(nk.NTK(nk.cnn(3))(x), dtype=np.float64))
    result = {"exact": exact}
    methods = {
        "landmarks": nk.LayerwiseLandmarks(),
        "residual": nk.LayerwiseLandmarks(landmarks=256, values=128, windows=192, residual=512),
    }
    for name, method in methods.items():
        features = nk.feature_map(nk.cnn(3), n_components=1024, method=method).fit(images.train)(x).astype(np.float64)
        result[name] = values(features @ features.T)
    return {name: [round(float(each[k - 1] / exact.sum()), 6) for k in EIGENVALUES] for name, each in result.items()}


def pixels(rounds: int, quick: bool) -> dict[str, Any]:
    """Time by the side of the image."""
    times = {}
    for side in SIDES[:2] if quick else SIDES:
        x = natural_images(max(8, 2**15 // side**2), 3, (side, side), 0).float().numpy()
        times[side] = milliseconds(nk.feature_map(nk.cnn(3), n_components=1024), x, rounds)
    sides, values = np.log(list(times)), np.log(list(times.values()))
    return {"ms": times, "exponent": round(float(np.polyfit(2 * sides, values, 1)[0]), 3)}


def memory(images: Images, quick: bool) -> dict[str, float]:
    """Peak memory of a pass beside what was there and the result, in MiB, as Linux counts it."""
    phi = nk.feature_map(nk.cnn(3), n_components=4096).fit(images.train)
    x = np.tile(images.others, (2 if quick else 20, 1, 1, 1))
    phi(x[:100])
    return {"images": len(x), "MiB": beside(phi, x)}


def beside(phi: nk.FeatureMap, x: np.ndarray) -> float:
    """MiB at the peak of a pass beside what was there and the result."""
    ctypes.CDLL(None).malloc_trim(0)  # what other sections have freed would be used again, and not be seen
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status("VmRSS")
    result = phi(x)
    return round(_status("VmHWM") - before - result.nbytes / 2**20, 1)


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def oblivious(images: Images, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """The methods that learn from no data: time, memory, and errors over several draws."""
    rows = []
    for method in (nk.RandomFeatures(), nk.PolynomialSketch(2)):
        for columns in (1024,) if quick else (1024, 4096):
            make = partial(nk.feature_map, nk.cnn(3), n_components=columns, method=method)
            maps = [make(seed=seed) for seed in range(1 if quick else DRAWS)]
            found = [errors(phi(images.held_out), images.exact("cnn(3)")[0]) for phi in maps]
            row = {"method": repr(method), "columns": columns, "ms": milliseconds(maps[0], images.held_out, rounds)}
            row |= {
                name: round(math.hypot(*(each[name] for each in found)) / len(found) ** 0.5, 4) for name in found[0]
            }
            rows.append(row | {"draws": len(found), "MiB": beside(maps[0], images.held_out)})
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Print the sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    sections = "table", "without data", "spectrum", "pixels", "memory", "oblivious"
    parser.add_argument("--only", nargs="+", choices=sections, default=list(sections))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(2)
    images = Images(given.data)
    work = {
        "table": lambda: table(images, given.rounds, given.quick),
        "without data": lambda: without_data(images),
        "spectrum": lambda: spectrum(images, given.quick),
        "pixels": lambda: pixels(given.rounds, given.quick),
        "memory": lambda: memory(images, given.quick),
        "oblivious": lambda: oblivious(images, given.rounds, given.quick),
    }
    print(json.dumps({name: work[name]() for name in given.only}, indent=1))


if __name__ == "__main__":
    main()
