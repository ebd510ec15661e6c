"""CIFAR-10 by a finite network of the same description, trained for as long as one likes; prints JSON.

What a user would do instead of features of the kernel: `net.to_torch` at some width, cross-entropy, Adam, mirror images
and shifts by lot, a learning rate that rises for a quarter of the time and falls to zero. Images are those of
``benchmarks/cifar.py``, standardised or whitened in the same way.

Run: ``python benchmarks/cifar_network.py [--data FOLDER] [--network smooth5] [--width 64] [--minutes 10]``
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from _features import load_module
from cifar import NETS, Parts, peak
from torch import Tensor, nn

import neural_kernels as nk

BATCH, SHIFT = 128, 4  # images, pixels


def batches(images: Tensor, labels: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Of all images, again and again, each mirrored or not and shifted at random."""
    height, width = images.shape[2:]
    while True:
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            wider = nn.functional.pad(images[rows], [SHIFT] * 4)
            top, left = torch.randint(0, 2 * SHIFT + 1, (2,), generator=generator).tolist()
            some = wider[:, :, top : top + height, left : left + width]
            mirrored = torch.rand(len(rows), generator=generator) < 0.5
            yield torch.where(mirrored[:, None, None, None], some.flip(-1), some), labels[rows]


def trained(module: nn.Module, images: Tensor, labels: Tensor, seconds: float, rate: float, seed: int) -> float:
    """Train for so long, and say how many times every image was seen."""
    optimizer = torch.optim.Adam(module.parameters(), lr=rate)
    start, steps = time.perf_counter(), 0
    for x, y in batches(images, labels, torch.Generator().manual_seed(seed)):
        spent = (time.perf_counter() - start) / seconds
        if spent >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * min(4 * spent + 0.01, (1 - spent) / 0.75)
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(x), y).backward()
        optimizer.step()
        steps += 1
    return steps * BATCH / len(images)


def accuracy(module: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Of the mean of the outputs of an image and its mirror image."""
    with torch.no_grad():
        parts = zip(images.split(1000), labels.split(1000), strict=True)
        return sum(int(((module(x) + module(x.flip(-1))).argmax(1) == y).sum()) for x, y in parts) / len(labels)


def main() -> None:
    """Train, and print a line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--network", choices=list(NETS), default="smooth5")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=0.02, help="of weights of variance 1: about 1e-3 of torch's own")
    parser.add_argument("--whiten", type=float)
    parser.add_argument("--train", type=int, default=50000)
    parser.add_argument("--test", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(2)
    parts = Parts.of(load_module(given.data).cifar10_jpeg(), given.train, given.test)
    scaler = nk.ImageScaler(whiten=given.whiten).fit(parts.train)
    x, z = (torch.from_numpy(scaler.transform(images)).float() for images in (parts.train, parts.test))
    y, y_test = (torch.from_numpy(labels).long() for labels in (parts.labels, parts.test_labels))
    module = NETS[given.network]().to_torch(tuple(x.shape[1:]), given.width, int(y.max()) + 1, given.seed)
    start = time.perf_counter()
    epochs = trained(module, x, y, 60 * given.minutes, given.rate, given.seed)
    row = {"network": given.network, "width": given.width, "images": len(x), "epochs": round(epochs, 1)}
    row |= {"train s": round(time.perf_counter() - start, 1), "accuracy": accuracy(module, z, y_test)}
    print(json.dumps(row | {"peak GiB": peak()}), flush=True)


if __name__ == "__main__":
    main()
