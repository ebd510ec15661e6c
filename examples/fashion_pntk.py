"""A convolutional network on Fashion-MNIST, the tangent kernel it has on its way, and what that kernel alone learns.

Run: ``python examples/fashion_pntk.py --folder PATH [--train 2000] [--test 1000] [--steps 3000]``

A folder, or the file itself, holds one ``.npz`` or ``.npz.xz`` as ``examples/small_images.py`` describes it; without
``--folder`` the images are those of ``sklearn.datasets.fetch_openml``.

The network is trained by stochastic gradient descent on half the mean squared error to coded labels, so that
``nk.LinearizedPredictor`` says what it would be at any time of training if it were linear in its parameters: time is
steps times the learning rate, which is a quarter of the largest that the kernel at the start allows. At some steps the
pseudo-NTK and the trace-NTK of some hundred test images are compared with those images' labels (alignment) and with
themselves at the step before (velocity). At the end kernel regressions on the training images, with the kernels before
and after training, stand beside the network. Their alpha is chosen by leave-one-out before training; afterwards the
kernel knows the labels, and leave-one-out would flatter. 2,000 images and 3,000 steps take some minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import time
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import torch
from small_images import Images, balanced, read, standardise
from torch import Tensor, nn

import neural_kernels as nk
from neural_kernels.solvers import max_learning_rate

matplotlib.use("Agg")
import matplotlib.pyplot as plt

KERNELS = {"pseudo": nk.PseudoNTK, "trace": nk.TraceNTK}
ALPHAS = [1e-4, 1e-3, 1e-2, 1e-1, 1.0]
BATCH = 64
Predictors = dict[str, nk.LinearizedPredictor]


@dataclass(frozen=True)
class Part:
    """Images and labels as tensors."""

    x: Tensor
    y: Tensor

    @classmethod
    def of(cls, images: Images) -> Part:
        """Of images as arrays."""
        return cls(torch.as_tensor(images.x), torch.as_tensor(images.y))

    def accuracy(self, network: nn.Module) -> float:
        """How many of the labels a network predicts."""
        with torch.no_grad():
            return (network(self.x).argmax(1) == self.y).double().mean().item()


@dataclass(frozen=True)
class Look:
    """The network and its kernels at a step of training."""

    step: int
    network: float  # accuracies
    linear: dict[str, float]
    grams: dict[str, Tensor]
    alignment: dict[str, float]
    rank: dict[str, float]


def build(seed: int) -> nn.Module:
    """Three convolutions of stride 2, from one channel to 64, and a readout."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for before, after in ((1, 16), (16, 32), (32, 64)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.LazyLinear(10)).eval()


def train(
    network: nn.Module, data: Part, followed: Part, test: Part, start: Predictors, rate: float, steps: int
) -> list[Look]:
    """Train the network; look at it at 0, 3, 10, 30, 100, ... steps and at the end."""
    when = sorted({0, steps} | {s for k in range(5) for s in (3 * 10**k, 10 ** (k + 1)) if s < steps})
    targets = nn.functional.one_hot(data.y, 10) - 0.1
    kernels = {name: make(network) for name, make in KERNELS.items()}
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    looks = []
    for sooner, later in zip([0, *when], when, strict=False):
        for _ in range(sooner, later):
            batch = torch.randperm(len(data.x))[:BATCH]
            optimizer.zero_grad()
            (nn.functional.mse_loss(network(data.x[batch]), targets[batch]) / 2).backward()
            optimizer.step()
        grams = {name: kernel(followed.x) for name, kernel in kernels.items()}
        linear = {
            name: (model.predict(test.x, time=later * rate) == test.y).double().mean().item()
            for name, model in start.items()
        }
        alignment = {name: nk.analysis.alignment(gram, followed.y).item() for name, gram in grams.items()}
        rank = {name: nk.analysis.effective_rank(gram).item() for name, gram in grams.items()}
        looks.append(Look(later, test.accuracy(network), linear, grams, alignment, rank))
    return looks


def velocities(looks: list[Look], name: str) -> np.ndarray:
    """Of a kernel, a step, between looks."""
    return np.array(
        [nk.analysis.velocity(a.grams[name], b.grams[name], time=b.step - a.step).item() for a, b in pairwise(looks)]
    )


def show_training(looks: list[Look]) -> None:
    titles = ["accuracy if linear", "alignment", "velocity", "effective rank"]
    print(" " * 16 + "".join(f"{title:>20}" for title in titles))
    print(f"{'step':>6}{'accuracy':>10}" + len(titles) * "".join(f"{name:>10}" for name in KERNELS))
    speeds = np.stack([np.insert(velocities(looks, name), 0, np.nan) for name in KERNELS], axis=1)
    for look, speed in zip(looks, speeds, strict=True):
        cells = [f"{value:.3f}" for value in (look.network, *look.linear.values(), *look.alignment.values())]
        cells += [f"{value:.1e}" for value in speed]
        cells += [f"{value:.1f}" for value in look.rank.values()]
        print(f"{look.step:>6}" + "".join(f"{cell:>10}" for cell in cells))


def regressions(before: nn.Module, after: nn.Module, data: Part, test: Part, alphas: dict[str, float]) -> None:
    print("\nkernel regression, accuracy on the test images")
    print(f"{'kernel':>8}{'alpha':>8}{'start':>10}{'start, f0':>12}{'trained':>10}{'trained, f0':>13}")
    for name, make in KERNELS.items():
        scores = []
        for module in (before, after):
            gram = make(module)(data.x)
            for scale in (math.inf, 1.0):
                model = nk.LinearizedPredictor(module, make, alpha=alphas[name], scale=scale)
                scores.append(model.fit(data.x, data.y, gram=gram).score(test.x, test.y))
        print("{:>8}{:>8g}{:>10.3f}{:>12.3f}{:>10.3f}{:>13.3f}".format(name, alphas[name], *scores))
    print(f"network: {test.accuracy(after):.3f}; on the training images {data.accuracy(after):.3f}")


def draw(path: Path, title: str, looks: list[Look]) -> None:
    figure, axes = plt.subplots(2, 2, figsize=(9, 6.5), layout="constrained", sharex=True)
    figure.suptitle(title)
    steps = [look.step for look in looks]
    axes[0, 0].plot(steps, [look.network for look in looks], "ko-", label="network")
    for name in KERNELS:
        axes[0, 0].plot(steps, [look.linear[name] for look in looks], "--", label=f"if it were linear: {name}")
        axes[0, 1].plot(steps, [look.alignment[name] for look in looks], "o-", label=name)
        axes[1, 0].stairs(velocities(looks, name), steps, baseline=None, linewidth=1.5, label=name)
        axes[1, 1].plot(steps, [look.rank[name] for look in looks], "o-", label=name)
    axes[1, 0].set_yscale("log")
    titles = ["accuracy", "alignment with labels", "velocity of the kernel, a step", "effective rank"]
    for axis, heading in zip(axes.flat, titles, strict=True):
        axis.set_xscale("symlog", linthresh=3)
        axis.set_xlim(-0.3, 1.2 * steps[-1])
        axis.set(title=heading)
        axis.legend()
    for axis in axes[1]:
        axis.set_xlabel("training step")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def run(options: argparse.Namespace) -> None:
    begin = time.perf_counter()
    images, others = read(options.data, options.folder)
    images = images[balanced(images.y, options.train, seed=0)]
    others = others[balanced(others.y, options.test, seed=1)]
    data, test = map(Part.of, standardise(images, others))
    followed = Part(test.x[: options.follow], test.y[: options.follow])

    network = build(options.seed)
    network(data.x[:1])  # gives the last layer its shape
    untrained = deepcopy(network)
    start = {
        name: nk.LinearizedPredictor(untrained, make, alpha=ALPHAS).fit(data.x, data.y)
        for name, make in KERNELS.items()
    }
    rate = 0.25 * max_learning_rate(nk.PseudoNTK(untrained)(data.x), n_outputs=10)
    print(f"{len(data.x)} training, {len(test.x)} test images; learning rate {rate:.3g}")

    looks = train(network, data, followed, test, start, rate, options.steps)
    show_training(looks)
    regressions(untrained, network, data, test, {name: model.alpha_ for name, model in start.items()})
    draw(options.figure, f"{options.data}, {len(data.x)} training images", looks)
    print(f"figure: {options.figure}; {time.perf_counter() - begin:.0f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["fashion-mnist", "digits"], default="fashion-mnist")
    parser.add_argument("--folder", type=Path, help="a .npz or .npz.xz file, or a folder with one")
    parser.add_argument("--train", type=int, default=2000, help="number of training images")
    parser.add_argument("--test", type=int, default=1000, help="number of test images")
    parser.add_argument("--follow", type=int, default=400, help="test images whose kernel is followed through training")
    parser.add_argument("--steps", type=int, default=3000, help=f"training steps, {BATCH} images each")
    parser.add_argument("--seed", type=int, default=0, help="of the network and its batches")
    parser.add_argument("--figure", type=Path, default=Path("fashion_pntk.png"))
    parser.add_argument("--quick", action="store_true", help="a few seconds: 100 digits, 30 steps")
    options = parser.parse_args()
    if options.quick:
        options.data, options.folder, options.train, options.test = "digits", None, 100, 100
        options.follow, options.steps = 50, 30
    run(options)


if __name__ == "__main__":
    main()
