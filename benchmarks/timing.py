"""Timing of alternatives in turns, so that the machine's moods hit all of them; medians of ratios."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(
    baseline: Callable[[], object], others: dict[str, Callable[[], object]], rounds: int
) -> dict[str, dict[str, float]]:
    """Median seconds of each, and the median over rounds of its ratio to the baseline in the same round."""
    baseline()
    for work in others.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in ["baseline", *others]}
    for _ in range(rounds):
        times["baseline"].append(seconds(baseline))
        for name, work in others.items():
            times[name].append(seconds(work))
    table = {"baseline": {"seconds": statistics.median(times["baseline"])}}
    for name in others:
        paired = [t / base for t, base in zip(times[name], times["baseline"], strict=True)]
        table[name] = {"seconds": statistics.median(times[name]), "ratio": statistics.median(paired)}
    return table
