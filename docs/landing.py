"""Draw the picture of the landing pages: ``python docs/landing.py`` writes docs/landing.png.

On the left a Gaussian process of an infinitely wide network, fitted here; on the right the mean ranks of ten methods on
44 tables, read from the table in docs/tables.rst. The background is transparent: all colours are seen on white and on
black.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

import neural_kernels as nk

HERE = Path(__file__).parent
GREY, BLUE, ORANGE = "#808080", "#3d85d6", "#e07b28"


def read_ranks() -> dict[str, float]:
    """Mean rank of every method in the table of docs/tables.rst."""
    page = (HERE / "tables.rst").read_text(encoding="utf-8")
    rows = re.findall(r"^(\S.*?)  +-?\d\.\d{3} +-?\d\.\d{3} +(\d\.\d\d) ", page, re.MULTILINE)
    return {method.replace("``", ""): float(rank) for method, rank in rows}


def draw_process(axis: Axes) -> None:
    """A function of one number, some noisy values of it, and what the model makes of them."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-2, -0.4, 14), rng.uniform(0.8, 2, 10)])[:, None]
    y = np.sin(3 * x[:, 0]) + 0.1 * rng.standard_normal(len(x))
    grid = np.linspace(-3, 3, 200)[:, None]

    net = nk.Sequential(nk.Dense(4.0, 4.0), nk.Erf(), nk.Dense(2.0, 0.1), nk.Erf(), nk.Dense(2.0))
    model = nk.NeuralKernelRegressor(net, kernel="nngp").fit(x, y)
    mean, std = model.predict(grid, return_std=True)
    for reach, opacity in ((1.96, 0.2), (1.0, 0.3)):
        axis.fill_between(grid[:, 0], mean - reach * std, mean + reach * std, color=BLUE, alpha=opacity, linewidth=0)
    axis.plot(grid[:, 0], mean, BLUE, linewidth=2)
    axis.plot(grid[:, 0], np.sin(3 * grid[:, 0]), ":", color=GREY)
    axis.plot(x[:, 0], y, "o", color=ORANGE, markersize=4)
    axis.set_title("24 rows: prediction, 68 % and 95 %", color=GREY, fontsize=10)
    axis.set(xlim=(-3, 3), xticks=[], yticks=[])


def draw_ranks(axis: Axes) -> None:
    """A bar for each method."""
    ranks = read_ranks()
    place = np.arange(len(ranks))
    colours = [BLUE if "Table" in method else ORANGE if "NTK" in method else GREY for method in ranks]
    bars = axis.barh(place, list(ranks.values()), color=colours, height=0.7)
    axis.bar_label(bars, fmt="%.1f", padding=3, color=GREY, fontsize=8)
    axis.set_yticks(place, list(ranks), fontsize=8)
    axis.set(xticks=[], xlim=(0, 9))
    axis.invert_yaxis()
    axis.set_title("44 tables: mean rank (1 is the best)", color=GREY, fontsize=10)


def draw(path: Path) -> None:
    """Both panels, as a picture of some kilobytes."""
    figure, axes = plt.subplots(1, 2, figsize=(8.4, 2.9), layout="constrained")
    draw_process(axes[0])
    draw_ranks(axes[1])
    for axis in axes:
        axis.tick_params(colors=GREY, length=0)
        axis.set_facecolor("none")
        for spine in axis.spines.values():
            spine.set_visible(False)
    figure.savefig(path, dpi=110, transparent=True)
    plt.close(figure)


if __name__ == "__main__":
    draw(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "landing.png")
