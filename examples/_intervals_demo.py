"""The demo's two panels on uncertainty: intervals of held-out rows, and how often they hold what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
from _data_demo import Data
from matplotlib.axes import Axes
from scipy.stats import norm
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk


def draw_intervals(intervals: Axes, coverage: Axes, data: Data) -> None:
    """Draw 90 % intervals of the held-out rows in the order of their predictions, and coverage at every level."""
    scaler = StandardScaler().fit(data.train[0])
    x, y = scaler.transform(data.train[0]), data.train[1]
    rows, targets = np.asarray(scaler.transform(data.test[0])), data.test[1]
    models = {kernel: nk.NeuralKernelRegressor(kernel=kernel).fit(x, y) for kernel in ("nngp", "ntk")}
    mean, std = models["nngp"].predict(rows, return_std=True)
    order, place = np.argsort(mean), np.arange(len(targets))
    reach = norm.ppf(0.95) * std[order]
    inside = np.mean(np.abs(targets - mean) <= norm.ppf(0.95) * std)
    intervals.fill_between(place, mean[order] - reach, mean[order] + reach, alpha=0.25, label="90 % interval")
    intervals.plot(place, mean[order], label="mean")
    intervals.plot(place, targets[order], "k.", markersize=4, label="held out")
    intervals.set(title=f"{data.name}, NNGP: {100 * inside:.0f} % inside", xlabel="row, by its mean", ylabel="target")
    intervals.legend(fontsize=8)
    levels = np.linspace(0.05, 0.95, 19)
    coverage.plot([0, 1], [0, 1], "k:", linewidth=1)
    for name, model in models.items():
        found = [share_inside(model, rows, targets, level) for level in levels]
        coverage.plot(levels, found, label=f"{name.upper()}, deviations")
    bounds = [models["ntk"].predict_interval(rows, level).T for level in levels]
    jackknife = [np.mean((lower <= targets) & (targets <= upper)) for lower, upper in bounds]
    coverage.plot(levels, jackknife, label="NTK, jackknife+")
    coverage.set(title=f"Coverage of held-out rows, {data.name}", xlabel="promised", ylabel="found")
    coverage.legend(fontsize=8)


def share_inside(model: Any, rows: np.ndarray, targets: np.ndarray, level: float) -> float:
    """Share of targets within as many deviations as a normal distribution has this share in."""
    mean, std = model.predict(rows, return_std=True)
    return float(np.mean(np.abs(targets - mean) <= norm.ppf(0.5 + level / 2) * std))
