"""What positions are worth: features of convolutional kernels beside those of the flat NTK, at equal columns; JSON.

Digits of scikit-learn (8 x 8, a quarter held out), Fashion-MNIST (28 x 28) and CIFAR-10 (JPEG-coded) of the data
folder.
Channels are standardised; the flat network gets the same pixels as a vector of norm 1, which suits it better. Each
classifier is `NeuralFeatureClassifier` with all its defaults but network and columns; seconds are of fit and predict.

Run: ``python benchmarks/image_learning.py [--data FOLDER] [--sets digits fashion cifar] [--columns 1024 4096]``
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _features import load_module
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer

import neural_kernels as nk

NETWORKS = {
    "flat NTK": lambda: nk.mlp(3),
    "cnn(3), flatten": lambda: nk.cnn(3, pooling="flatten"),
    "cnn(3)": lambda: nk.cnn(3),
    "myrtle(5)": lambda: nk.myrtle(5),
}
SETS = "digits", "fashion", "cifar"


def images(name: str, folder: Path, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images and labels, and those of the test."""
    if name == "digits":
        x, y = load_digits(return_X_y=True)
        given = x.reshape(-1, 1, 8, 8).astype(np.float32)
        parts: list[Any] = train_test_split(given, y, test_size=0.25, random_state=0, stratify=y)
        return parts[0], parts[2], parts[1], parts[3]
    data = load_module(folder)
    split = data.fashion_mnist() if name == "fashion" else data.cifar10_jpeg()
    return split.x_train[:rows], split.y_train[:rows], split.x_test, split.y_test


def flattened(x: np.ndarray) -> np.ndarray:
    """Pixels as vectors."""
    return x.reshape(len(x), -1).astype(np.float32)


def classifier(network: str, columns: int) -> Any:
    """Scaling, and the model."""
    model = nk.NeuralFeatureClassifier(NETWORKS[network](), n_components=columns, random_state=0)
    if network == "flat NTK":
        return make_pipeline(FunctionTransformer(flattened), Normalizer(), model)
    return make_pipeline(nk.ImageScaler(), model)


def main() -> None:
    """Print a line for each set, network and number of columns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--sets", choices=SETS, nargs="+", default=list(SETS))
    parser.add_argument("--networks", choices=list(NETWORKS), nargs="+", default=list(NETWORKS))
    parser.add_argument("--columns", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--rows", type=int, default=60_000, help="of training images at most")
    given = parser.parse_args()
    torch.set_num_threads(2)
    for name in given.sets:
        x, y, x_test, y_test = images(name, given.data, given.rows)
        for network in given.networks:
            for columns in given.columns:
                start = time.perf_counter()
                found = float(np.mean(classifier(network, columns).fit(x, y).predict(x_test) == y_test))
                row = {"set": name, "rows": len(x), "network": network, "columns": columns, "accuracy": found}
                print(json.dumps(row | {"seconds": round(time.perf_counter() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
