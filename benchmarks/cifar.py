"""CIFAR-10 from pixels to accuracy: a feature map of a convolutional kernel, and ridge regression; prints JSON.

Images (JPEG-coded, of the data folder) are standardised or whitened, and their features written to a float32 file:
plain, or averaged over an image and its mirror image. Features of several networks lie side by side, all of the same
mean norm. Ridge regression on centred features takes one pass over the files for each number of columns; fewer columns
than a map has are its leading ones. Alpha, in units of the mean squared norm, is chosen on the last fifth of the
training images, and the model solved anew with all of them; with one alpha there is nothing to choose.

Sections: features (the above); exact (the exact kernel's classifier and that of features on the same few images of the
lossless part, with the times).

Run: ``python benchmarks/cifar.py [--data FOLDER] [--network NAME] [--columns 1024 4096] [--whiten 0.5] ...``
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import load_module

import neural_kernels as nk

BLOCK = 2000  # images
ALPHAS = [10.0**power for power in range(-10, -2)]


def smooth(depth: int) -> nk.Sequential:
    """A Myrtle network with means over 3 x 3 in place of 2 x 2: the windows overlap."""
    layers = nk.myrtle(depth).layers
    pool = nk.AvgPool(3, stride=2, padding="same")
    return nk.Sequential(*(pool if isinstance(layer, nk.AvgPool) else layer for layer in layers))


def early() -> nk.Sequential:
    """Windows of 5 x 5 first, and the first mean right behind them."""
    relu, conv, pool = nk.ReLU(), nk.Conv(3, weight_var=2.0), nk.AvgPool(3, stride=2, padding="same")
    body = [nk.Conv(5), relu, pool, conv, relu, conv, relu, pool, conv, relu]
    return nk.Sequential(*body, nk.GlobalAvgPool(), nk.Dense())


def broad() -> nk.Sequential:
    """Three convolutions, windows of 5 x 5 behind each mean."""
    relu, conv, pool = nk.ReLU(), nk.Conv(5, weight_var=2.0), nk.AvgPool(3, stride=2, padding="same")
    return nk.Sequential(nk.Conv(3), relu, pool, conv, relu, pool, conv, relu, nk.GlobalAvgPool(), nk.Dense())


def patches(*behind: nk.Layer) -> nk.Sequential:
    """First a Gaussian kernel of normalised patches, of width .6 (convolutional kernel networks; Bietti, ICLR 2022)."""
    pool = nk.AvgPool(3, stride=2, padding="same")
    return nk.Sequential(nk.Conv(3), GAUSSIAN, pool, *behind, nk.GlobalAvgPool(), nk.Dense())


GAUSSIAN = nk.NormalizedGaussian(1 / 0.6**2)
WIDE = (nk.Conv(5, weight_var=2.0), nk.ReLU())
NETS = {
    "cnn3": lambda: nk.cnn(3),
    "flat3": lambda: nk.cnn(3, pooling="flatten"),
    "myrtle5": lambda: nk.myrtle(5),
    "myrtle7": lambda: nk.myrtle(7),
    "myrtle10": lambda: nk.myrtle(10),
    "smooth5": lambda: smooth(5),
    "smooth7": lambda: smooth(7),
    "early5": early,
    "broad3": broad,
    "patches2": lambda: patches(nk.Conv(5), GAUSSIAN),
    "patches3": lambda: patches(*WIDE, nk.AvgPool(3, stride=2, padding="same"), *WIDE),
}


@dataclass
class Parts:
    """Images of bytes and labels, for training and testing."""

    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    @classmethod
    def of(cls, split: Any, train: int, test: int) -> Parts:
        """The first so many of each."""
        return cls(split.x_train[:train], split.y_train[:train], split.x_test[:test], split.y_test[:test])


def slices(start: int, stop: int) -> Iterator[slice]:
    """Blocks of rows."""
    return (slice(first, min(first + BLOCK, stop)) for first in range(start, stop, BLOCK))


@dataclass
class Beside:
    """Features of several networks side by side, each of them in a file and multiplied by a number.

    Parameters
    ----------
    files : list of ndarray
    scales : list of float
    """

    files: list[np.ndarray]
    scales: list[float]

    def rows(self, columns: int, rows: slice) -> np.ndarray:
        """The leading columns of each."""
        return np.concatenate([file[rows, :columns] * s for file, s in zip(self.files, self.scales, strict=True)], 1)

    def add(self, sums: nk.Moments, targets: np.ndarray, columns: int, rows: slice) -> None:
        """Add products of rows."""
        for block in slices(rows.start, rows.stop):
            sums.update(self.rows(columns, block), targets[block], overwrite=True)

    def accuracy(self, model: tuple[np.ndarray, np.ndarray], columns: int, labels: np.ndarray, start: int = 0) -> float:
        """Share of the rows, from one on, whose largest output is that of their label."""
        coefficients, intercept = model[0].astype(np.float32), model[1]
        right = 0
        for block in slices(start, len(labels)):
            outputs = self.rows(columns, block) @ coefficients + intercept
            right += int((outputs.argmax(1) == labels[block]).sum())
        return right / (len(labels) - start)


def ridge(train: Beside, test: Beside, parts: Parts, columns: int, alphas: Sequence[float] = ALPHAS) -> dict[str, Any]:
    """Choose alpha on a fifth of the training rows, if there are several, and test what is learned from all."""
    start = time.perf_counter()
    n = len(parts.labels)
    targets = np.where(parts.labels[:, None] == np.arange(parts.labels.max() + 1), 1.0, -1.0)
    held = n - n // 5
    sums = nk.Moments(columns * len(train.files), targets.shape[1])
    train.add(sums, targets, columns, slice(0, held))
    best, score = alphas[0], None
    if len(alphas) > 1:
        scores: dict[float, float] = {}
        for alpha in alphas:
            try:
                model = sums.solve(alpha * np.trace(sums.scatter))
            except np.linalg.LinAlgError:
                continue
            scores[alpha] = train.accuracy(model, columns, parts.labels, held)
        best = max(scores, key=scores.__getitem__)
        score = scores[best]
    train.add(sums, targets, columns, slice(held, n))
    found = test.accuracy(sums.solve(best * np.trace(sums.scatter)), columns, parts.test_labels)
    seconds = round(time.perf_counter() - start, 1)
    return {"columns": columns, "alpha": f"{best:g}", "held out": score, "accuracy": found, "ridge s": seconds}


def peak() -> float:
    """Largest resident memory so far, in GiB; pages of the file of features count while they are resident."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def learning(parts: Parts, given: argparse.Namespace) -> None:
    """Print a line for each number of columns, plain and flipped."""
    method = nk.LayerwiseLandmarks(given.landmarks, given.values, given.windows, given.last, sample=given.sample)
    scaler = nk.ImageScaler(whiten=given.whiten).fit(parts.train)
    about = {"whiten": given.whiten, "method": repr(method)}
    kernels = given.kernel * len(given.network) if len(given.kernel) == 1 else given.kernel
    with tempfile.TemporaryDirectory() as folder:
        for view in given.views:
            files: dict[str, list[np.ndarray]] = {"train": [], "test": []}
            for network, kernel in zip(given.network, kernels, strict=True):
                maker = nk.NeuralFeatures(
                    NETS[network](), kernel=kernel, n_components=max(given.columns), method=method,
                    augment=None if view == "plain" else "flip", random_state=given.seed,
                )  # fmt: skip
                start = time.perf_counter()
                maker.fit(scaler.transform(parts.train[:BLOCK]))
                fit, start = time.perf_counter() - start, time.perf_counter()
                for part, images in (("train", parts.train), ("test", parts.test)):
                    path = Path(given.keep or folder) / f"{network}-{kernel}-{view}-{part}.npy"
                    make = lambda x, maker=maker: maker.transform(scaler.transform(x))  # noqa: E731
                    files[part].append(nk.transform_to_disk(make, images, path, progress=True))
                seconds = time.perf_counter() - start
                images = len(parts.train) + len(parts.test)
                row = {
                    "network": network,
                    "kernel": kernel,
                    "view": view,
                    "fit s": round(fit, 1),
                    "features s": round(seconds, 1),
                }
                print(
                    json.dumps(about | row | {"ms": round(seconds / images * 1e3, 2), "peak GiB": peak()}), flush=True
                )
            scales = [1 / float(np.linalg.norm(file[:BLOCK], axis=1).mean()) for file in files["train"]]
            train, test = (Beside(files[part], scales) for part in ("train", "test"))
            for columns in given.columns:
                row = ridge(train, test, parts, columns, given.alphas)
                print(json.dumps({"networks": given.network, "view": view} | row | {"peak GiB": peak()}), flush=True)


def exact(parts: Parts, given: argparse.Namespace) -> None:
    """Print accuracies and times of the exact kernel and of features on the same images."""
    net, scaler = NETS[given.network[0]](), nk.ImageScaler(whiten=given.whiten).fit(parts.train)
    x, z = scaler.transform(parts.train), scaler.transform(parts.test)
    features: Any = nk.NeuralFeatureClassifier(
        net, kernel=given.kernel[0], n_components=max(given.columns), random_state=given.seed
    )
    start = time.perf_counter()
    report("features", features.fit(x, parts.labels).predict(z), parts, start)
    kernel = {"ntk": nk.NTK, "nngp": nk.NNGP}[given.kernel[0]](net, progress=True)
    with tempfile.TemporaryDirectory() as folder:  # the matrices in files: an interrupted run goes on, in some hours
        name, start = Path(given.keep or folder) / f"exact-{given.network[0]}-{given.kernel[0]}", time.perf_counter()
        gram = kernel.to_disk(f"{name}-train.npy", x)
        cross = kernel.to_disk(f"{name}-test.npy", z, x)
        model: Any = nk.NeuralKernelClassifier(kernel="precomputed")
        report("exact", model.fit(gram, parts.labels).predict(cross), parts, start)


def report(name: str, labels: np.ndarray, parts: Parts, start: float) -> None:
    """Print how many labels are right, and the seconds since the start."""
    found = float(np.mean(labels == parts.test_labels))
    row = {"model": name, "accuracy": found, "standard error": round((found * (1 - found) / len(labels)) ** 0.5, 4)}
    print(json.dumps(row | {"seconds": round(time.perf_counter() - start, 1)}), flush=True)


def main() -> None:
    """Read the arguments, and print a section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--section", choices=["features", "exact"], default="features")
    parser.add_argument("--network", choices=list(NETS), nargs="+", default=["myrtle5"], help="several: side by side")
    parser.add_argument("--kernel", choices=["ntk", "nngp"], nargs="+", default=["ntk"], help="of all, or one each")
    parser.add_argument("--columns", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--alphas", type=float, nargs="+", default=ALPHAS)
    parser.add_argument("--whiten", type=float, help="ZCA with this share of the mean eigenvalue; standardised without")
    parser.add_argument("--views", choices=["plain", "flip"], nargs="+", default=["plain", "flip"])
    parser.add_argument("--landmarks", type=int, default=128)
    for name in ("values", "windows", "last"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--sample", type=int, default=128)
    parser.add_argument("--train", type=int, default=50000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder where the features stay, and an interrupted run goes on")
    given = parser.parse_args()
    torch.set_num_threads(2)
    data = load_module(given.data)
    split = data.cifar10_jpeg() if given.section == "features" else data.cifar10_lossless()
    {"features": learning, "exact": exact}[given.section](Parts.of(split, given.train, given.test), given)


if __name__ == "__main__":
    main()
