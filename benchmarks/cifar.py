"""CIFAR-10 from pixels to accuracy: a feature map of a convolutional kernel, and ridge regression; prints JSON.

Images (JPEG-coded, of the data folder) are standardised or whitened, and their features written to a float32 file in
blocks: plain, and averaged over an image and its mirror image. Ridge regression on centred features takes one pass over
the file for each number of columns; fewer columns than the map has are its leading ones. Alpha, in units of the mean
squared norm, is chosen on the last fifth of the training images, and the model solved anew with all of them.

Sections: features (the above); exact (the exact kernel's classifier and that of features on the same few images of the
lossless part, with the times and what they mean for 60,000 images).

Run: ``python benchmarks/cifar.py [--data FOLDER] [--network NAME] [--columns 1024 4096] [--whiten 0.5] ...``
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import load_module
from tqdm import tqdm

import neural_kernels as nk

BLOCK = 2000  # images
ALPHAS = 10.0 ** np.arange(-10, -2)


def pooled_by_quarters(depth: int) -> nk.Sequential:
    """A Myrtle network whose last mean is over each quarter of the image."""
    *body, _, dense = nk.myrtle(depth).layers
    return nk.Sequential(*body, nk.AvgPool(4), nk.Flatten(), dense)


NETS = {
    "cnn3": lambda: nk.cnn(3),
    "myrtle5": lambda: nk.myrtle(5),
    "myrtle7": lambda: nk.myrtle(7),
    "myrtle10": lambda: nk.myrtle(10),
    "quarters5": lambda: pooled_by_quarters(5),
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


def slices(n: int, what: str | None = None) -> Iterator[slice]:
    """Blocks of rows."""
    return (slice(start, min(start + BLOCK, n)) for start in tqdm(range(0, n, BLOCK), what, disable=what is None))


def features(phi: nk.FeatureMap, scaler: nk.ImageScaler, images: np.ndarray, files: dict[str, np.ndarray]) -> None:
    """Write features to the files, plain and averaged over flips, those that are wanted."""
    for block in slices(len(images), "features"):
        x = scaler.transform(images[block])
        plain = phi(x)
        if "plain" in files:
            files["plain"][block] = plain
        if "flip" in files:
            files["flip"][block] = (plain + phi(np.ascontiguousarray(x[..., ::-1]))) / 2


def moments(rows: np.ndarray, targets: np.ndarray, columns: int) -> nk.Moments:
    """Sums of products of the leading columns."""
    sums = nk.Moments(columns, targets.shape[1])
    for block in slices(len(rows)):
        sums.update(np.ascontiguousarray(rows[block, :columns]), targets[block])
    return sums


def accuracy(model: tuple[np.ndarray, np.ndarray], rows: np.ndarray, labels: np.ndarray) -> float:
    """Share of the rows whose largest output is that of their label."""
    coefficients, intercept = model[0].astype(rows.dtype), model[1]
    right = [
        (rows[block, : len(coefficients)] @ coefficients + intercept).argmax(1) == labels[block]
        for block in slices(len(rows))
    ]
    return float(np.concatenate(right).mean())


def ridge(train: np.ndarray, test: np.ndarray, parts: Parts, columns: int) -> dict[str, Any]:
    """Choose alpha on a fifth of the training rows, and test what is learned from all."""
    start = time.perf_counter()
    targets = np.where(parts.labels[:, None] == np.arange(parts.labels.max() + 1), 1.0, -1.0)
    held = len(train) - len(train) // 5
    sums = moments(train[:held], targets[:held], columns)
    scores = {}
    for alpha in ALPHAS:
        try:
            model = sums.solve(alpha * np.trace(sums.scatter))
        except np.linalg.LinAlgError:
            continue
        scores[alpha] = accuracy(model, train[held:], parts.labels[held:])
    best = max(scores, key=scores.__getitem__)
    sums.merge(moments(train[held:], targets[held:], columns))
    found = accuracy(sums.solve(best * np.trace(sums.scatter)), test, parts.test_labels)
    seconds = round(time.perf_counter() - start, 1)
    return {"columns": columns, "alpha": best, "held out": scores[best], "accuracy": found, "ridge s": seconds}


def peak() -> float:
    """Largest resident memory so far, in GiB; pages of the file of features count while they are resident."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def learning(parts: Parts, given: argparse.Namespace) -> None:
    """Print a line for each number of columns, plain and flipped."""
    width = max(given.columns)
    method = nk.LayerwiseLandmarks(given.landmarks, given.values, given.windows, given.last, sample=given.sample)
    scaler = nk.ImageScaler(whiten=given.whiten).fit(parts.train)
    start = time.perf_counter()
    phi = nk.feature_map(NETS[given.network](), given.kernel, width, method, given.seed)
    phi.fit(scaler.transform(parts.train[:BLOCK]))
    fit = time.perf_counter() - start
    views = ["plain", "flip"] if given.views == "both" else [given.views]
    with tempfile.TemporaryDirectory(dir=given.scratch) as folder:
        made = {}
        start = time.perf_counter()
        for part, images in (("train", parts.train), ("test", parts.test)):
            shape = len(images), width
            made[part] = {view: np.memmap(f"{folder}/{part}-{view}", np.float32, "w+", shape=shape) for view in views}
            features(phi, scaler, images, made[part])
        seconds = time.perf_counter() - start
        count = (len(parts.train) + len(parts.test)) * (1 if views == ["plain"] else 2)
        about = {"network": given.network, "kernel": given.kernel, "whiten": given.whiten, "method": repr(method)}
        rate = {"fit s": round(fit, 1), "features s": round(seconds, 1), "ms a view": round(seconds / count * 1e3, 2)}
        print(json.dumps(about | rate | {"peak GiB": peak()}), flush=True)
        for view in views:
            for columns in given.columns:
                row = ridge(made["train"][view], made["test"][view], parts, columns)
                print(json.dumps({"view": view} | row | {"peak GiB": peak()}), flush=True)


def exact(parts: Parts, given: argparse.Namespace) -> None:
    """Print accuracies and times of the exact kernel and of features on the same images."""
    net, scaler = NETS[given.network](), nk.ImageScaler(whiten=given.whiten).fit(parts.train)
    x, z = scaler.transform(parts.train), scaler.transform(parts.test)
    models = {
        "exact": nk.NeuralKernelClassifier(net, kernel=given.kernel, alpha=ALPHAS),
        "features": nk.NeuralFeatureClassifier(
            net, kernel=given.kernel, n_components=max(given.columns), alpha=ALPHAS, random_state=given.seed
        ),
    }
    for name, model in models.items():
        start = time.perf_counter()
        found = float(np.mean(model.fit(x, parts.labels).predict(z) == parts.test_labels))
        row = {"model": name, "accuracy": found, "standard error": round((found * (1 - found) / len(z)) ** 0.5, 4)}
        print(json.dumps(row | {"seconds": round(time.perf_counter() - start, 1)}), flush=True)


def main() -> None:
    """Read the arguments, and print a section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--section", choices=["features", "exact"], default="features")
    parser.add_argument("--network", choices=list(NETS), default="myrtle5")
    parser.add_argument("--kernel", choices=["ntk", "nngp"], default="ntk")
    parser.add_argument("--columns", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--whiten", type=float, help="ZCA with this share of the mean eigenvalue; standardised without")
    parser.add_argument("--views", choices=["plain", "flip", "both"], default="both")
    parser.add_argument("--landmarks", type=int, default=128)
    for name in ("values", "windows", "last"):
        parser.add_argument(f"--{name}", type=int)
    parser.add_argument("--sample", type=int, default=128)
    parser.add_argument("--train", type=int, default=50000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", type=Path, help="folder for the files of features")
    given = parser.parse_args()
    torch.set_num_threads(2)
    data = load_module(given.data)
    split = data.cifar10_jpeg() if given.section == "features" else data.cifar10_lossless()
    {"features": learning, "exact": exact}[given.section](Parts.of(split, given.train, given.test), given)


if __name__ == "__main__":
    main()
