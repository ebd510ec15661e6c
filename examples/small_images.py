"""Learning curves on small images: exact convolutional kernels, an RBF support vector machine, a trained CNN.

Run: ``python examples/small_images.py --data digits|fashion-mnist|cifar10 [--folder PATH] [--sizes 10 30 100 300]``

Without ``--folder`` the images are those of ``sklearn.datasets.fetch_openml``. A folder, or the file itself, holds one
``.npz`` or ``.npz.xz`` with uint8 ``x_train`` and ``x_test``, (n, height, width) or (n, height, width, 3), and labels
``y_train`` and ``y_test``. Pixels are scaled to [0, 1] and every channel is standardised on the training images.

All methods see the same draws of training images, balanced in the classes, and the same test images. The kernel's alpha
is chosen by exact leave-one-out, C and gamma of the support vector machine by cross-validation, both on the training
images alone; the CNN has one recipe for all sizes. The kernel of all images is computed once. Of 32 x 32 images, in a
network that ends in a global pool, that takes 4 to 5 milliseconds a pair on two cores: ten minutes for 300 training and
300 test images, two hours for 1,000 of each. ``--to-disk FOLDER`` keeps what is computed, and the same command goes on
where it was stopped. Without the pool ("cnn-flatten") thousands of images take a minute.
"""

from __future__ import annotations

import argparse
import io
import lzma
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import SVC
from torch import nn
from tqdm import tqdm

import neural_kernels as nk

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NETWORKS = {
    "cnn": nk.cnn(3),
    "cnn-flatten": nk.cnn(3, pooling="flatten"),
    "myrtle5": nk.myrtle(5),
    "myrtle7": nk.myrtle(7),
    "myrtle10": nk.myrtle(10),
}
OPENML = {"fashion-mnist": ("Fashion-MNIST", (1, 28, 28), 60_000), "cifar10": ("CIFAR_10", (3, 32, 32), 50_000)}
ALPHAS = np.logspace(-6, 0, 7)

Raw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
Predictor = Callable[[np.ndarray, int], np.ndarray]  # from rows of the training images and a seed, labels of the test


@dataclass(frozen=True)
class Images:
    """Images, float32 (n, channels, height, width), and labels 0, 1, ..."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: np.ndarray) -> Images:
        return Images(self.x[rows], self.y[rows])


def read(name: str, folder: Path | None) -> tuple[Images, Images]:
    """Training and test images with pixels in [0, 1]."""
    x, y, x_test, y_test = read_file(folder) if folder else read_scikit_learn(name)
    labels = np.unique(y)
    return Images(x, np.searchsorted(labels, y)), Images(x_test, np.searchsorted(labels, y_test))


def read_file(path: Path) -> Raw:
    if path.is_dir():
        path = next(file for file in sorted(path.iterdir()) if file.name.endswith((".npz", ".npz.xz")))
    content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    with np.load(io.BytesIO(content)) as arrays:
        x, x_test = (channels_first(arrays[part]) for part in ("x_train", "x_test"))
        return x, arrays["y_train"], x_test, arrays["y_test"]


def channels_first(x: np.ndarray) -> np.ndarray:
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    return (x / np.float32(255)).astype(np.float32)


def read_scikit_learn(name: str) -> Raw:
    if name == "digits":
        pixels, y = map(np.asarray, load_digits(return_X_y=True))
        x = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
        train, test = train_test_split(np.arange(len(x)), train_size=1000, stratify=y, random_state=0)
        return x[train], y[train], x[test], y[test]
    title, shape, count = OPENML[name]
    rows, y = map(np.asarray, fetch_openml(title, version=1, return_X_y=True, as_frame=False))
    x = (rows / 255).astype(np.float32).reshape(-1, *shape)
    return x[:count], y[:count], x[count:], y[count:]


def balanced(y: np.ndarray, n: int, seed: int) -> np.ndarray:
    """Rows of n random examples, as many of every class as of any other."""
    order = np.random.default_rng(seed).permutation(len(y))
    rank = np.empty(len(y), int)
    for label in np.unique(y):
        members = np.flatnonzero(y[order] == label)
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank, kind="stable")[:n]]


def standardise(train: Images, test: Images) -> tuple[Images, Images]:
    """Every channel by its mean and standard deviation over the training images."""
    mean = train.x.mean(axis=(0, 2, 3), keepdims=True)
    std = train.x.std(axis=(0, 2, 3), keepdims=True)
    return Images((train.x - mean) / std, train.y), Images((test.x - mean) / std, test.y)


def whiten(train: Images, test: Images, strength: float) -> tuple[Images, Images]:
    """ZCA: divide along principal axes by the root of (variance + strength * mean variance of the training images)."""
    rows = vectors(train).astype(np.float64)
    mean = rows.mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(rows.T))
    scale = 1 / np.sqrt(variance.clip(min=0) + strength * variance.mean())
    matrix = (axes * scale) @ axes.T

    def apply(images: Images) -> Images:
        white = (vectors(images) - mean) @ matrix
        return Images(white.astype(np.float32).reshape(images.x.shape), images.y)

    return apply(train), apply(test)


def flipped(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x[..., ::-1])


def with_flips(images: Images) -> Images:
    return Images(np.concatenate([images.x, flipped(images.x)]), np.concatenate([images.y] * 2))


def vectors(images: Images) -> np.ndarray:
    return images.x.reshape(len(images), -1)


@dataclass(frozen=True)
class Kernel:
    """The exact NTK of a network, averaged over horizontal flips if wanted, kept on disk if there is a folder.

    The networks here treat left and right alike, so that a mean over the flips of one argument is one over those of
    both. Ridge regression with it is that on all images and their mirror images.
    """

    name: str
    flips: bool
    folder: Path | None

    def __call__(self, part: str, x: np.ndarray, z: np.ndarray | None = None) -> np.ndarray:
        """Of images x and z, float32; a symmetric matrix without z. The part names the file."""
        gram = self._one(part, x, z)
        if not self.flips:
            return gram
        gram = (gram + self._one(f"{part}-flipped", flipped(x), x if z is None else z)) / 2
        return (gram + gram.T) / 2 if z is None else gram

    def _one(self, part: str, x: np.ndarray, z: np.ndarray | None) -> np.ndarray:
        kernel = nk.NTK(NETWORKS[self.name], progress=True)
        if self.folder is None:
            return kernel(x, z)
        self.folder.mkdir(parents=True, exist_ok=True)
        return np.array(kernel.to_disk(self.folder / f"{self.name}-{part}.npy", x, z))


def kernel_machine(kernel: Kernel, train: Images, test: Images) -> Predictor:
    """Alpha by leave-one-out; without, 1e-4, where a class has one example, which leaving it out takes away."""
    gram, cross = kernel("train", train.x), kernel("test", test.x, train.x)

    def predict(rows: np.ndarray, seed: int) -> np.ndarray:
        alpha = ALPHAS if np.bincount(train.y[rows]).min() > 1 else 1e-4
        model = nk.NeuralKernelClassifier(kernel="precomputed", alpha=alpha)
        return model.fit(gram[np.ix_(rows, rows)], train.y[rows]).predict(cross[:, rows])

    return predict


def support_vector_machine(train: Images, test: Images, flips: bool) -> Predictor:
    """C and gamma by cross-validation of at most five folds; without any, C = 10, where a class has one example."""
    gammas = np.logspace(-1.5, 1, 6) / (train.x[0].size * train.x.var())

    def predict(rows: np.ndarray, seed: int) -> np.ndarray:
        part, machine = train[rows], SVC(C=10)
        folds = min(5, np.bincount(part.y).min())
        if folds > 1:
            search = GridSearchCV(machine, {"C": [1, 10, 100], "gamma": gammas}, cv=folds, refit=False)
            machine.set_params(**search.fit(vectors(part), part.y).best_params_)
        part = with_flips(part) if flips else part
        return machine.fit(vectors(part), part.y).predict(vectors(test))

    return predict


def trained_cnn(train: Images, test: Images, flips: bool, steps: int) -> Predictor:
    classes = int(train.y.max()) + 1

    def predict(rows: np.ndarray, seed: int) -> np.ndarray:
        part = with_flips(train[rows]) if flips else train[rows]
        return train_cnn(part, classes, steps, seed)(torch.as_tensor(test.x)).argmax(1).numpy()

    return predict


def train_cnn(images: Images, classes: int, steps: int, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Three convolutions with normalisation and max pooling; AdamW with a cosine schedule, batches of at most 64."""
    torch.manual_seed(seed)
    x, y = torch.as_tensor(images.x), torch.as_tensor(images.y)
    layers: list[nn.Module] = []
    for before, after in ((x.shape[1], 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    positions = (x.shape[2] // 8) * (x.shape[3] // 8)
    model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * positions, classes))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.randperm(len(x))[:64]
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    return torch.no_grad()(model)


def curves(
    methods: dict[str, Predictor], train: Images, test: Images, sizes: list[int], seeds: int
) -> list[np.ndarray]:
    """Accuracies of every size, shape (methods, draws); all training images can be drawn in one way only."""
    draws = [1 if n == len(train) else seeds for n in sizes]
    accuracies = []
    with tqdm(total=len(methods) * sum(draws), unit="fit") as bar:
        for n, count in zip(sizes, draws, strict=True):
            accuracy = np.empty((len(methods), count))
            for seed in range(count):
                rows = balanced(train.y, n, seed)
                for k, (name, predict) in enumerate(methods.items()):
                    bar.set_description(f"n = {n}: {name}")
                    accuracy[k, seed] = (predict(rows, seed) == test.y).mean()
                    bar.update()
            accuracies.append(accuracy)
    return accuracies


def show(methods: list[str], sizes: list[int], accuracies: list[np.ndarray]) -> None:
    print("{:>6}{:>7}".format("n", "draws") + "".join(f"{name:>20}" for name in methods))
    for n, accuracy in zip(sizes, accuracies, strict=True):
        cells = (f"{values.mean():.3f} ± {values.std():.3f}" for values in accuracy)
        print(f"{n:>6}{accuracy.shape[1]:>7}" + "".join(f"{cell:>20}" for cell in cells))
    print("accuracy on the test images, mean and standard deviation over draws of the training images")


def draw(path: Path, title: str, methods: list[str], sizes: list[int], accuracies: list[np.ndarray]) -> None:
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    means, stds = (np.stack([getattr(a, moment)(axis=1) for a in accuracies], axis=1) for moment in ("mean", "std"))
    for name, mean, std in zip(methods, means, stds, strict=True):
        axis.errorbar(sizes, mean, std, fmt="o-", capsize=3, label=name)
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(n) for n in sizes])
    axis.minorticks_off()
    axis.set(title=title, xlabel="training images", ylabel="test accuracy")
    axis.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def run(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    train, test = read(options.data, options.folder)
    train = train[balanced(train.y, max(options.sizes), seed=0)]
    test = test[balanced(test.y, options.test, seed=1)]
    train, test = standardise(train, test)
    if options.zca is not None:
        train, test = whiten(train, test, options.zca)
    methods: dict[str, Predictor] = {}
    for name in options.network:
        begin = time.perf_counter()
        kernel = Kernel(name, options.flips, options.to_disk)
        methods[f"NTK {name}"] = kernel_machine(kernel, train, test)
        print(f"kernel of {name}: {time.perf_counter() - begin:.0f} s")
    methods["RBF SVM"] = support_vector_machine(train, test, options.flips)
    methods["trained CNN"] = trained_cnn(train, test, options.flips, options.steps)
    accuracies = curves(methods, train, test, options.sizes, options.seeds)
    title = f"{options.data}, {len(test)} test images"
    print(title + (", flips" if options.flips else "") + ("" if options.zca is None else f", ZCA {options.zca:g}"))
    show(list(methods), options.sizes, accuracies)
    draw(options.figure, title, list(methods), options.sizes, accuracies)
    print(f"figure: {options.figure}; {time.perf_counter() - start:.0f} s in all")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["digits", *OPENML], default="digits")
    parser.add_argument("--folder", type=Path, help="a .npz or .npz.xz file, or a folder with one")
    parser.add_argument("--network", choices=list(NETWORKS), nargs="+", default=["cnn"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 30, 100, 300], help="numbers of training images")
    parser.add_argument("--test", type=int, default=300, help="number of test images")
    parser.add_argument("--seeds", type=int, default=5, help="draws of training images of each size")
    parser.add_argument("--flips", action="store_true", help="horizontal flips: averaged by kernels, added for others")
    parser.add_argument("--zca", type=float, metavar="STRENGTH", help="whiten; 0.1 is a usual regularisation")
    parser.add_argument("--steps", type=int, default=200, help="training steps of the CNN")
    parser.add_argument("--to-disk", type=Path, metavar="FOLDER", help="keep the kernels there, and resume them")
    parser.add_argument("--figure", type=Path, default=Path("small_images.png"))
    parser.add_argument("--quick", action="store_true", help="a few seconds: digits, n = 10 and 30, 50 test images")
    options = parser.parse_args()
    if options.quick:
        options.data, options.folder, options.sizes, options.test = "digits", None, [10, 30], 50
        options.seeds, options.steps = 2, 30
    run(options)


if __name__ == "__main__":
    main()
