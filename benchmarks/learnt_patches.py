"""What learnt patches are worth on photographs: `FeatureLearning` beside the image model it wraps; JSON lines.

Images of CIFAR-10 (the lossless part), channels standardised or whitened by ``nk.ImageScaler``, features of a small
network with a bias. A metric on its 3 x 3 windows is learnt from the training images, diagonal or full; leave-one-out
chooses its iteration. Accuracy is of the images that follow those for training, with its standard error.

Run: ``python benchmarks/learnt_patches.py [--data FOLDER] [--train 1000] [--test 4000] [--columns 1024]``
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from _features import load_module

import neural_kernels as nk

WHITEN = {"standardised": None, "whitened": 0.5}


def main() -> None:
    """Print a line for each scaling and metric."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--train", type=int, default=1000)
    parser.add_argument("--test", type=int, default=4000)
    parser.add_argument("--columns", type=int, default=1024)
    parser.add_argument("--iterations", type=int, default=3)
    parser.add_argument("--power", type=float, default=0.5)
    given = parser.parse_args()
    data = load_module(given.data).cifar10_lossless()
    (x, x_test, _), (y, y_test, _) = (
        np.split(part, [given.train, given.train + given.test]) for part in (data.x_train, data.y_train)
    )
    network = nk.cnn(3, bias_var=0.1)
    for scaling, whiten in WHITEN.items():
        scaler = nk.ImageScaler(whiten=whiten).fit(x)
        train, test = scaler.transform(x), scaler.transform(x_test)
        plain: Any = nk.NeuralFeatureClassifier(network, n_components=given.columns, random_state=0)
        models: dict[str, Any] = {"none": plain} | {
            name: nk.FeatureLearning(plain, iterations=given.iterations, diag=diag, power=given.power)
            for name, diag in (("diagonal", True), ("full", False))
        }
        for metric, model in models.items():
            start = time.perf_counter()
            found = float(np.mean(model.fit(train, y).predict(test) == y_test))
            row: dict[str, Any] = {"scaling": scaling, "metric": metric, "accuracy": round(found, 4)}
            row["standard error"] = round((found * (1 - found) / len(y_test)) ** 0.5, 4)
            if metric != "none":
                row["leave-one-out"] = [round(stage["score"], 4) for stage in model.history_]
                row["chosen"] = model.best_index_
            print(json.dumps(row | {"seconds": round(time.perf_counter() - start, 1)}), flush=True)


if __name__ == "__main__":
    main()
