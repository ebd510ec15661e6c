"""How a model comes to see all partitions: a look at each for labels and a sample, then sums over all rows."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from neural_kernels.dask import sizes  # noqa: F401  (registered where models are results of tasks)
from neural_kernels.dask.part_sums import PartSums
from neural_kernels.dask.partitions import Partition
from neural_kernels.dask.workers import merge_in_pairs, run_on_each, submit_at
from neural_kernels.estimators.survey import Survey, map_of

Load = Callable[[Partition], tuple[Any, Any, Any]]
Begun = tuple[Any, list[Warning]]  # a model, and what was said while it was made


def survey(client: Any, model: Any, partitions: Sequence[Partition]) -> tuple[str, Any]:
    """On each worker a look at its partitions; return where they are merged, and the future."""
    return merge_in_pairs(client, run_on_each(client, look, partitions, model), merge_surveys)


def sums(client: Any, begun: Any, partitions: Sequence[Partition]) -> Any:
    """On each worker one model for its partitions; return the future of the model of all of them, solved."""
    parts = run_on_each(client, take_in, partitions, begun)
    address, merged = merge_in_pairs(client, parts, merge_sums, begun)
    return submit_at(client, address, solve, merged, begun)


def load_here(partition: Partition) -> tuple[Any, Any, Any]:
    """Load a partition in this process, which has no cluster."""
    return partition.load({})


def look(load: Load, partitions: Sequence[Partition], model: Any) -> Survey | None:
    """Survey partitions one after the other; None where all are empty."""
    found = None
    for partition in partitions:
        with _named(partition):
            X, y, weight = load(partition)
            if X.shape[0]:
                found = merge_surveys(found, Survey.of(model, X, y, weight))
    if found is not None:
        found.sample.rows()  # no more travel than are drawn
    return found


def merge_surveys(one: Survey | None, other: Survey | None) -> Survey | None:
    """Of the partitions of both."""
    return one.merge(other) if one and other else one or other


def begin(found: Survey | None, model: Any) -> Begun:
    """The model with a map and no rows."""
    if found is None:
        raise ValueError("X has no rows: expected one at least")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        begun = found.begin(model)
    return begun, [warning.message for warning in said if isinstance(warning.message, Warning)]


def take_in(load: Load, partitions: Sequence[Partition], begun: Begun) -> PartSums:
    """Of the rows of these partitions alone."""
    model = copy.copy(begun[0])  # models replace what they hold, and never change it in place
    for partition in partitions:
        with _named(partition):
            X, y, weight = load(partition)
            if X.shape[0]:
                model.partial_fit(X, y, sample_weight=weight)
    return PartSums(model)


def merge_sums(one: PartSums, other: PartSums, begun: Begun) -> PartSums:
    """Of the rows of both, which stay as they are."""
    fitted = map_of(begun[0])
    return PartSums(copy.copy(one.model(fitted)).merge(other.model(fitted)))


def solve(whole: PartSums, begun: Begun) -> Any:
    """The model of all rows, ready to predict."""
    return copy.copy(whole.model(map_of(begun[0]))).finalize()


@contextmanager
def _named(partition: Partition) -> Iterator[None]:
    """What is wrong with a partition is said with its number."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise type(error)(f"partition {partition.number}: {error}") from error
