"""Graph classification: the graph neural tangent kernel (GNTK) beside two plain methods, on MUTAG or a synthetic set.

Run: ``python examples/graphs_mutag.py [--folder PATH]``

MUTAG (Debnath et al. 1991) holds 188 molecules, 125 of them mutagenic; nodes are atoms of seven kinds. ``--folder``
names an ``.npz`` file, or a folder with ``MUTAG.npz``, whose array ``txt`` holds the bytes of the usual text format:
the number of graphs; for every graph a line ``nodes class`` and for every node a line ``kind degree neighbours...``.
Without it the graphs are made here: cycles with chords; in class 1 neighbours are more often of one kind.

The GNTK (Du et al. 2019, arXiv 1905.13192) is the NTK of a graph network: sums over neighbours, two dense layers with
ReLU, and again; the units of all blocks are joined ("jumping knowledge") and summed over the nodes. The number of
blocks and alpha are chosen by exact leave-one-out, the settings of the others by cross-validation, all on the training
graphs alone.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold, StratifiedShuffleSplit, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from tqdm import tqdm

import neural_kernels as nk

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ALPHAS = np.logspace(-6, 1, 15)
PENALTIES = np.logspace(-2, 3, 6)

Split = tuple[np.ndarray, np.ndarray]  # training rows, test rows
Score = Callable[[np.ndarray, np.ndarray], float]  # of training rows and test rows


@dataclass(frozen=True)
class GraphSet:
    """Symmetric adjacency matrices without loops, the kinds of the nodes, and the classes of the graphs."""

    adjacency: list[np.ndarray]
    kinds: list[np.ndarray]
    y: np.ndarray


def read(path: Path) -> GraphSet:
    with np.load(path / "MUTAG.npz" if path.is_dir() else path) as arrays:
        numbers = iter(np.array(arrays["txt"].tobytes().split(), np.int64).tolist())
    adjacency, kinds, classes = [], [], []
    for _ in range(next(numbers)):
        nodes = next(numbers)
        classes.append(next(numbers))
        matrix, kind = np.zeros((nodes, nodes), np.float32), np.zeros(nodes, np.int64)
        for node in range(nodes):
            kind[node] = next(numbers)
            for _ in range(next(numbers)):
                matrix[node, next(numbers)] = 1
        adjacency.append(matrix)
        kinds.append(kind)
    return GraphSet(adjacency, kinds, np.array(classes))


def synthesise(count: int, seed: int = 0) -> GraphSet:
    """Cycles of 8 to 14 nodes of 3 kinds, with chords; class 1 prefers neighbours of one kind."""
    rng = np.random.default_rng(seed)
    adjacency, kinds = [], []
    y = np.arange(count) % 2
    for label in y:
        nodes = int(rng.integers(8, 15))
        kind = rng.integers(0, 3, nodes)
        if label:
            kind[1::2] = np.where(rng.random(nodes // 2) < 0.9, kind[0 : nodes - 1 : 2], kind[1::2])
        matrix = np.roll(np.eye(nodes, dtype=np.float32), 1, axis=1)
        matrix[rng.integers(0, nodes, 2), rng.integers(0, nodes, 2)] = 1
        matrix = np.maximum(matrix, matrix.T)
        np.fill_diagonal(matrix, 0)
        adjacency.append(matrix)
        kinds.append(kind)
    return GraphSet(adjacency, kinds, y)


def pad(data: GraphSet) -> nk.Graphs:
    """One-hot kinds and adjacency with self-loops, float64: sums over nodes spread the kernel's eigenvalues widely."""
    sizes = np.array([len(kind) for kind in data.kinds])
    nodes, count = sizes.max(), len(sizes)
    x = np.zeros((count, nodes, 1 + max(kind.max() for kind in data.kinds)))
    adjacency = np.zeros((count, nodes, nodes))
    for i, (matrix, kind) in enumerate(zip(data.adjacency, data.kinds, strict=True)):
        x[i, np.arange(len(kind)), kind] = 1
        adjacency[i, : len(kind), : len(kind)] = matrix + np.eye(len(kind))
    return nk.Graphs(x, adjacency, sizes)


def graph_network(blocks: int) -> nk.Sequential:
    """Blocks of neighbours' sums and two dense layers; Concat keeps the units of every block beside the next ones."""
    block = [nk.GraphAggregate(), nk.Dense(), nk.ReLU(), nk.Dense(2.0), nk.ReLU()]
    net = nk.Sequential(*block)
    for _ in range(blocks - 1):
        net = nk.Sequential(*block, nk.Concat(nk.Identity(), net))
    return nk.Sequential(net, nk.GlobalSumPool(), nk.Dense())


def gntk(data: GraphSet, blocks: list[int]) -> Score:
    """Every number of blocks, as it is and as cosines (all graphs of length 1); the best leave-one-out score wins."""
    graphs = pad(data)
    grams = [nk.NTK(graph_network(count))(graphs) for count in blocks]
    lengths = [np.sqrt(np.diagonal(gram)) for gram in grams]
    grams += [gram / np.outer(length, length) for gram, length in zip(grams, lengths, strict=True)]

    def fit(gram: np.ndarray, train: np.ndarray) -> nk.NeuralKernelClassifier:
        model = nk.NeuralKernelClassifier(kernel="precomputed", alpha=ALPHAS)
        return model.fit(gram[np.ix_(train, train)], data.y[train])

    def score(train: np.ndarray, test: np.ndarray) -> float:
        models = [fit(gram, train) for gram in grams]
        best = int(np.argmax([model.loo_scores_.max() for model in models]))
        return float(np.mean(models[best].predict(grams[best][np.ix_(test, train)]) == data.y[test]))

    return score


def weisfeiler_lehman(data: GraphSet, rounds: int) -> list[np.ndarray]:
    """Histograms of the kinds, and of what they become by joining each with the multiset of its neighbours'."""
    kinds, histograms = data.kinds, []
    for _ in range(rounds + 1):
        size = 1 + max(kind.max() for kind in kinds)
        histograms.append(np.stack([np.bincount(kind, minlength=size) for kind in kinds]).astype(np.float64))
        names: dict[tuple[int, ...], int] = {}
        signed = [
            [(kind[i], *sorted(kind[matrix[i] > 0])) for i in range(len(kind))]
            for matrix, kind in zip(data.adjacency, kinds, strict=True)
        ]
        kinds = [np.array([names.setdefault(name, len(names)) for name in graph]) for graph in signed]
    return histograms


def subtree_kernel(data: GraphSet, rounds: int) -> Score:
    """Inner products of the histograms (Shervashidze et al. 2011); rounds and C by inner cross-validation."""
    histograms = weisfeiler_lehman(data, rounds)
    grams = np.cumsum([h @ h.T for h in histograms], axis=0)
    lengths = np.sqrt(np.diagonal(grams, axis1=1, axis2=2))
    grams = grams / (lengths[:, :, None] * lengths[:, None, :])

    def score(train: np.ndarray, test: np.ndarray) -> float:
        best = max(
            ((gram, SVC(C=C, kernel="precomputed")) for gram in grams for C in PENALTIES),
            key=lambda pair: cross_val_score(pair[1], pair[0][np.ix_(train, train)], data.y[train], cv=5).mean(),
        )
        gram, model = best
        model.fit(gram[np.ix_(train, train)], data.y[train])
        return float(np.mean(model.predict(gram[np.ix_(test, train)]) == data.y[test]))

    return score


def histogram_machine(data: GraphSet) -> Score:
    """An RBF support vector machine on the counts of the nodes' kinds: no edges."""
    (histogram,) = weisfeiler_lehman(data, 0)
    grid = {"svc__C": PENALTIES, "svc__gamma": np.logspace(-2, 1, 4)}

    def score(train: np.ndarray, test: np.ndarray) -> float:
        search = GridSearchCV(make_pipeline(StandardScaler(), SVC()), grid, cv=5)
        search.fit(histogram[train], data.y[train])
        return float(np.mean(search.predict(histogram[test]) == data.y[test]))

    return score


def measure(methods: dict[str, Score], splits: list[Split], description: str) -> np.ndarray:
    """Accuracies, shape (methods, splits)."""
    steps = tqdm(splits, desc=description, unit="split")
    return np.array([[score(*split) for score in methods.values()] for split in steps]).T


def learning_curves(methods: dict[str, Score], y: np.ndarray, sizes: list[int], draws: int) -> np.ndarray:
    """Accuracies on all graphs that were not drawn, shape (sizes, methods, draws)."""
    splits = [list(StratifiedShuffleSplit(draws, train_size=n, random_state=0).split(y, y)) for n in sizes]
    return np.stack([measure(methods, split, f"n = {n}") for n, split in zip(sizes, splits, strict=True)])


def draw(path: Path, methods: list[str], sizes: list[int], accuracy: np.ndarray) -> None:
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    for k, name in enumerate(methods):
        axis.errorbar(sizes, accuracy[:, k].mean(axis=1), accuracy[:, k].std(axis=1), fmt="o-", capsize=3, label=name)
    axis.set(xlabel="training graphs", ylabel="accuracy on the others")
    axis.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def show(title: str, methods: list[str], accuracy: np.ndarray) -> None:
    values = (f"{name} {a.mean():.3f} ± {a.std():.3f}" for name, a in zip(methods, accuracy, strict=True))
    print(f"{title:<26}" + "   ".join(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, help="an .npz file, or a folder with MUTAG.npz; default: synthetic graphs"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100, 150], help="numbers of training graphs")
    parser.add_argument("--draws", type=int, default=10, help="draws of training graphs of each size")
    parser.add_argument("--repeats", type=int, default=3, help="repetitions of the ten folds")
    parser.add_argument("--figure", type=Path, default=Path("graphs.png"))
    parser.add_argument("--quick", action="store_true", help="a few seconds: 60 synthetic graphs, few splits")
    options = parser.parse_args()
    if options.quick:
        options.folder, options.sizes, options.draws, options.repeats = None, [40], 2, 1
    folds = 2 if options.quick else 10
    start = time.perf_counter()
    data = read(options.folder) if options.folder else synthesise(60 if options.quick else 188)
    methods = {
        "GNTK": gntk(data, [1, 2] if options.quick else [1, 2, 3, 4, 5]),
        "WL subtree + SVM": subtree_kernel(data, rounds=2 if options.quick else 5),
        "histogram + RBF SVM": histogram_machine(data),
    }
    print(f"{len(data.y)} graphs; kernels: {time.perf_counter() - start:.1f} s")
    splits = [
        split
        for seed in range(options.repeats)
        for split in StratifiedKFold(folds, shuffle=True, random_state=seed).split(data.y, data.y)
    ]
    show(f"{folds}-fold cross-validation", list(methods), measure(methods, splits, "folds"))
    accuracy = learning_curves(methods, data.y, options.sizes, options.draws)
    for n, values in zip(options.sizes, accuracy, strict=True):
        show(f"n = {n}", list(methods), values)
    draw(options.figure, list(methods), options.sizes, accuracy)
    print(f"figure: {options.figure}; {time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
