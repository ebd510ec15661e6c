"""What was tried for a table, what was chosen, and why."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neural_kernels.exact import Kernel
from neural_kernels.runtime.types import Array
from neural_kernels.tables.candidates import Candidate, Candidates


@dataclass(frozen=True)
class Choice:
    """What a search has found.

    Parameters
    ----------
    search : Candidates
        Over which rows.
    candidates : list of Candidate
    scores, shares : ndarray of shape (k,)
        Of the candidates; shares are weights of their kernels in the model.
    kernel : Kernel
        The sum.
    whole : Candidate
        The sum as a candidate, judged by the same rows.
    score : float
        Its score.
    seconds : float
        From the beginning of the fit to this choice.
    complete : bool
        Whether the time sufficed for all.
    """

    search: Candidates
    candidates: list[Candidate]
    scores: Array
    shares: Array
    kernel: Kernel
    whole: Candidate
    score: float
    seconds: float
    complete: bool


@dataclass(frozen=True)
class TableReport:
    """How a model of a table came about; ``print(model.report_)`` shows it.

    Parameters
    ----------
    rows, columns : int
        Of the table, and of what became of its columns.
    searched : int
        Distinct rows that kernels were judged by.
    criterion : str
        What scores are: the larger, the better.
    score : float
        Of the model, by exact leave-one-out of those rows. Metrics have seen the targets, so that it is optimistic.
    candidates : list of dict
        All kernels tried: family, iteration and power of the metric, alpha, score, and the weight in the model.
    reason : str
        How the model solves.
    seconds : float
        Until the kernel was chosen: columns and search, not the last fit.
    complete : bool
        False where the time budget ended the search.
    """

    rows: int
    columns: int
    searched: int
    criterion: str
    score: float
    candidates: list[dict[str, float | str]] = field(repr=False)
    reason: str
    seconds: float
    complete: bool

    @classmethod
    def of(cls, choice: Choice, shape: tuple[int, ...], criterion: str, reason: str) -> TableReport:
        """Of numbers of that shape."""
        search = choice.search
        tried = zip(choice.candidates, choice.scores, choice.shares, strict=True)
        lines = [_line(found, float(score), float(share)) for found, score, share in tried]
        rows, columns = shape
        return cls(
            rows, columns, len(search.X), criterion, choice.score, lines, reason, choice.seconds, choice.complete
        )

    def __str__(self) -> str:
        head = (
            f"{self.rows:,} rows, {self.columns} columns of numbers; {len(self.candidates)} kernels judged by exact "
            f"leave-one-out of {self.searched:,} rows in {self.seconds:.1f} s"
            + ("" if self.complete else ", which the time budget ended")
        )
        plain = [line for line in self.candidates if not line["iteration"]]
        used = sorted((line for line in self.candidates if line["weight"]), key=lambda line: -float(line["weight"]))
        lines = [f"{head}.", "", f"{'weight':>6}  {self.criterion:>9}  kernel"]
        lines += [f"{line['weight']:6.2f}  {line['score']:9.4f}  {_named(line)}" for line in used]
        lines += [f"{'-':>6}  {line['score']:9.4f}  {_named(line)}" for line in plain if not line["weight"]]
        lines += ["", f"Together: {self.criterion} {self.score:.4f}. {self.reason[:1].upper()}{self.reason[1:]}."]
        return "\n".join(lines)


def _line(found: Candidate, score: float, weight: float) -> dict[str, float | str]:
    power = found.power if found.iteration else np.nan
    place: dict[str, float | str] = {"family": found.family, "iteration": found.iteration, "power": power}
    return place | {"alpha": found.alpha, "score": score, "weight": weight}


def _named(line: dict[str, float | str]) -> str:
    if not line["iteration"]:
        return f"{line['family']}, all columns alike"
    return f"{line['family']}, metric learnt {line['iteration']} times, power {line['power']:g}"
