"""The pseudo-NTK of a CNN on thousands of Fashion-MNIST images, on disk, and what is predicted with it; JSON.

The network is the CNN of `benchmarks/empirical.py`, trained for some epochs on the same images. Its kernel is taken at
initialisation and after training; accuracies are of test images, beside the network's own.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _empirical_modules import cnn
from _features import in_new_process, load_module, memory
from torch import nn

import neural_kernels as nk


def images(folder: Path, n: int, tests: int) -> tuple[torch.Tensor, ...]:
    """The first images of both parts, with mean 0 and variance 1 over all pixels, and their labels."""
    x, y, x_test, y_test = load_module(folder).fashion_mnist()
    x, x_test = (part.reshape(-1, 1, 28, 28).astype(np.float32) for part in (x[:n], x_test[:tests]))
    mean, std = x.mean(), x.std()
    parts = (x - mean) / std, y[:n].astype(np.int64), (x_test - mean) / std, y_test[:tests].astype(np.int64)
    first, labels, second, test_labels = (torch.from_numpy(part) for part in parts)
    return first, labels, second, test_labels


def train(module: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int) -> None:
    """Stochastic gradient descent with momentum and a rate that falls to zero."""
    rate, batch = 0.02, 64
    optimizer = torch.optim.SGD(module.parameters(), rate, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, max(1, epochs * -(-len(x) // batch)))
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
            scheduler.step()


def run(folder: str, n: int, tests: int, epochs: int, path: str) -> dict[str, Any]:
    """Seconds, bytes and accuracies."""
    torch.manual_seed(0)
    x, y, x_test, y_test = images(Path(folder), n, tests)
    module = cnn(1, 28)
    result: dict[str, Any] = {"n": n, "tests": tests}
    for name, passes in (("initialisation", 0), ("trained", epochs)):
        train(module, x, y, passes)
        kernel = nk.PseudoNTK(module.eval(), progress=True)
        before, _ = memory(reset=True)
        start = time.perf_counter()
        gram = kernel.to_disk(Path(path) / f"{name}.npy", x)
        taken = {"kernel s": time.perf_counter() - start, "kernel GiB": (memory()[1] - before) / 2**30}
        start = time.perf_counter()
        model = nk.LinearizedPredictor(module, kernel, alpha=1e-3).fit(x, y, gram)
        taken["fit s"] = time.perf_counter() - start
        start = time.perf_counter()
        taken["accuracy"] = model.score(x_test, y_test)
        taken["predict s"] = time.perf_counter() - start
        with torch.no_grad():
            own = torch.cat([module(part).argmax(1) for part in x_test.split(500)])
        taken["network's accuracy"] = float((own == y_test).float().mean())
        taken["peak GiB"] = memory()[1] / 2**30
        result[name] = taken
    return result


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", required=True, help="a folder with load.py, whose fashion_mnist() gives the images")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--tests", type=int, default=2_000)
    parser.add_argument("--epochs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as path:
        result = in_new_process(run, arguments.folder, arguments.n, arguments.tests, arguments.epochs, path)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
