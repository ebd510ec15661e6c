"""What methods scored on tables: one line of JSON for a set, split and method, and what the lines say together."""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

MARGINS = {"r2": 0.002, "log_loss": 0.005, "accuracy": 0.002}  # closer than that, a set counts for neither
LOWER_IS_BETTER = {"log_loss"}
BINS = 15
LEAST = 1e-15  # probabilities are cut off at this


class Results:
    """Lines of all ``FOLDER/*.jsonl``, or in memory only; new ones go to ``results.jsonl``.

    So runs at once, with a folder each, are joined by laying their files beside each other.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / "results.jsonl" if folder else None
        self.lines: list[dict[str, Any]] = []
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
            for file in sorted(folder.glob("*.jsonl")):
                self.lines += _whole_lines(file)

    def __contains__(self, key: dict[str, Any]) -> bool:
        return any(key.items() <= line.items() for line in self.lines)

    def add(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if self._file:
            cut = self._file.exists() and not self._file.read_bytes().endswith(b"\n")
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write("\n" * cut + json.dumps(line) + "\n")


def _whole_lines(file: Path) -> list[dict[str, Any]]:
    """All lines but those that a run which was cut off left unfinished."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines


def regression_scores(y: np.ndarray, found: np.ndarray, mean: float) -> dict[str, float]:
    """R^2 and RMSE, and the R^2 of the training targets' mean."""
    square, spread = float(np.mean((y - found) ** 2)), float(np.var(y)) or np.finfo(float).tiny
    return {"r2": 1 - square / spread, "rmse": square**0.5, "r2_mean": 1 - float(np.mean((y - mean) ** 2)) / spread}


def classification_scores(y: np.ndarray, classes: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """Accuracy and log-loss in nats; calibration error (ECE) of the most probable class, in bins of equal width."""
    truth = np.searchsorted(classes, y)
    p = p / p.sum(axis=1, keepdims=True)
    top, right = p.max(axis=1), p.argmax(axis=1) == truth
    cell = (BINS * top).astype(int).clip(max=BINS - 1)
    gaps = np.bincount(cell, right - top, minlength=BINS)
    return {
        "accuracy": float(right.mean()),
        "log_loss": -float(np.log(p[np.arange(len(truth)), truth].clip(LEAST)).mean()),
        "ece": float(np.abs(gaps).sum() / len(truth)),
    }


def scores(lines: Iterable[dict[str, Any]], score: str, methods: list[str]) -> pd.DataFrame:
    """Sets by methods, means over splits, of the sets that all methods have done; infinitely bad where one failed."""
    worst = np.inf if score in LOWER_IS_BETTER else -np.inf
    rows = [(line["set"], line["split"], line["method"], line.get(score, worst)) for line in lines]
    table = pd.DataFrame(rows, columns=["set", "split", "method", "score"])
    wide = table.pivot_table(index=["set", "split"], columns="method", values="score", sort=False)
    complete = wide.reindex(columns=methods).dropna()
    return pd.DataFrame(complete.groupby(level="set", sort=False).mean())


def ranks(table: pd.DataFrame, score: str) -> pd.DataFrame:
    """1 is the best of a set; equals share the mean."""
    return table.rank(axis=1, ascending=score in LOWER_IS_BETTER)


def critical_difference(methods: int, sets: int) -> float:
    """Of mean ranks, by Nemenyi's test at 5 % (J. Demsar, JMLR 2006, section 3.2.2)."""
    spread: Any = stats.studentized_range
    return float(spread.ppf(0.95, methods, np.inf)) / 2**0.5 * (methods * (methods + 1) / (6 * sets)) ** 0.5


def summary(lines: list[dict[str, Any]], score: str, methods: list[str], ours: str | None) -> str:
    """The table of one score as text."""
    table = scores(lines, score, methods)
    if table.empty:
        return f"{score}: no set that all of {', '.join(methods)} have done"
    ranked, sign = ranks(table, score), -1 if score in LOWER_IS_BETTER else 1
    done = [line for line in lines if line["set"] in table.index]
    rows = []
    for method in ranked.mean().sort_values().index:
        own = [line for line in done if line["method"] == method and "error" not in line]
        row: dict[str, Any] = {
            "method": method,
            "mean": table[method].mean(),
            "median": table[method].median(),
            "rank": ranked[method].mean(),
        }
        for name in ("fit_seconds", "predict_seconds", "ece", "coverage", "gp_coverage"):
            values = [line[name] for line in own if name in line]
            middle = np.median if name.endswith("seconds") else np.mean  # a first call compiles
            row[name] = middle(values) if values else None
        if score == "r2":
            row["below_mean"] = sum(line["r2"] < line["r2_mean"] for line in own)
        if ours in methods:
            gain = sign * (table[ours] - table[method])
            row["won:lost"] = f"{(gain > MARGINS[score]).sum()}:{(gain < -MARGINS[score]).sum()}"
            row["ahead"], row["+-"] = gain.mean(), gain.std() / len(gain) ** 0.5
        rows.append(row)
    shown = pd.DataFrame(rows).dropna(axis=1, how="all")
    text = shown.to_string(index=False, float_format=lambda v: f"{v:.3f}", na_rep="")
    head = f"{score}, {len(table)} sets that all methods have done"
    if len(methods) > 2 and len(table) > 1:
        test = stats.friedmanchisquare(*(table[method] for method in methods))
        head += f"; critical difference of ranks {critical_difference(len(methods), len(table)):.2f}"
        head += f", Friedman p = {test.pvalue:.2g}"
    if ours in methods:
        head += f"; won and lost by {ours} by more than {MARGINS[score]}"
        head += ", and how far it is ahead in the mean, with the standard error"
    failed = sorted({f"{line['method']} on {line['set']}" for line in done if "error" in line})
    return "\n".join([head, text, *([f"failed: {', '.join(failed)}"] if failed else [])])


def behind(lines: list[dict[str, Any]], score: str, methods: list[str], ours: str, count: int = 8) -> str:
    """The sets where ours is furthest behind the best method, as text."""
    table = scores(lines, score, methods)
    worse: Any = (table if score in LOWER_IS_BETTER else -table).astype(float)
    gaps = (worse[ours] - worse.min(axis=1)).sort_values(ascending=False)
    far = gaps[gaps > MARGINS[score]]
    rows = [
        f"  {name}: {ours} {table.loc[name, ours]:.3f}, {best} {table.loc[name, best]:.3f}"
        for name, best in worse.idxmin(axis=1)[far.index[:count]].items()
    ]
    return "\n".join([f"{ours} is behind the best by more than {MARGINS[score]} on {len(far)} sets; furthest:", *rows])


def draw(lines: list[dict[str, Any]], score: str, methods: list[str], file: Path) -> None:
    """Mean ranks on a line; bars join methods that are no further apart than the critical difference."""
    import matplotlib.pyplot as plt

    table = scores(lines, score, methods)
    mean = ranks(table, score).mean().sort_values()
    reach = critical_difference(len(methods), len(table))
    figure, axes = plt.subplots(figsize=(7, 0.8 + 0.3 * len(mean)))
    for height, (method, rank) in enumerate(mean.items()):
        axes.plot(rank, -height, "o", color="black")
        axes.annotate(f"{method}  {rank:.2f}", (rank, -height), (6, -3), textcoords="offset points")
        axes.plot([rank, rank + reach], [-height, -height], color="0.7", zorder=0)
    axes.set(xlim=(0.8, len(mean) + 1), yticks=[], xlabel=f"mean rank by {score}, {len(table)} sets")
    axes.set_title(f"grey: critical difference, {reach:.2f}", fontsize="medium")
    axes.spines[["left", "right", "top"]].set_visible(False)
    figure.savefig(file, bbox_inches="tight", dpi=150)
    plt.close(figure)
