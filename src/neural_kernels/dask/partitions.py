"""Collections of rows as partitions, each of which can be computed alone, in any process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask.base import is_dask_collection
from dask.delayed import Delayed
from dask.local import get_sync
from dask.optimization import cull
from dask.utils import ensure_dict

from neural_kernels.runtime.boundary import require_whole_rows

_EXPECTED = (
    "expected a Dask array chunked by rows, a Dask data frame, or a list of delayed parts (arrays, CSR matrices, data "
    "frames)"
)


@dataclass(frozen=True)
class Partition:
    """Some rows, to be computed by `load` where they are wanted.

    Parameters
    ----------
    number : int
        Its place in the collection.
    keys : tuple
        Of X, y and sample_weight in the graph; None for what is not given.
    graph : dict
        All that these depend on, but for what is in the memory of a cluster.
    held : dict
        Futures of what is, by key; beside the graph, for Dask replaces them by values where it sees them.
    """

    number: int
    keys: tuple[Any, ...]
    graph: Mapping[Any, Any]
    held: Mapping[Any, Any]

    def load(self, values: Mapping[Any, Any]) -> tuple[Any, Any, Any]:
        """Compute X, y and sample_weight in this thread; `values` are those of `held`."""
        graph = {**self.graph, **{key: (partial(_itself, value),) for key, value in values.items()}}
        asked = [key for key in self.keys if key is not None]
        found = dict(zip(asked, get_sync(graph, asked), strict=True))
        parts = [None if key is None else found[key] for key in self.keys]
        if isinstance(parts[0], tuple):  # a delayed (X, y) or (X, y, sample_weight)
            if len(parts[0]) not in (2, 3) or parts[1] is not None:
                raise ValueError(f"a tuple of {len(parts[0])}: expected (X, y) or (X, y, sample_weight), and y=None")
            parts = [*parts[0], *parts[len(parts[0]) :]]
        return parts[0], parts[1], parts[2]


def read_partitions(X: Any, y: Any = None, sample_weight: Any = None) -> list[Partition]:
    """Partitions of a collection, and of targets and weights that are chunked as it is.

    Raises
    ------
    TypeError
        What is no such collection.
    ValueError
        Columns in chunks; other partitions of y or of the weights than of X.
    """
    given = {"X": X, "y": y, "sample_weight": sample_weight}
    given = {name: _aligned(name, value, X) for name, value in given.items()}
    futures = {key: future for value in given.values() if value is not None for key, future in _futures(value)}
    columns = {name: None if value is None else _parts(value) for name, value in given.items()}
    count = len(columns["X"] or ())
    for name, parts in columns.items():
        if parts is not None and len(parts) != count:
            raise ValueError(f"{name} has {len(parts)} partitions, X has {count}: repartition them alike")
    graph: dict[Any, Any] = {}
    for one in _distinct(
        part.__dask_graph__() for parts in columns.values() for part in parts or () if not is_future(part)
    ):
        graph.update(ensure_dict(one))
    graph.update(dict.fromkeys(futures))
    return [
        _partition(k, tuple(None if parts is None else parts[k].key for parts in columns.values()), graph, futures)
        for k in range(count)
    ]


def is_array(X: Any) -> bool:
    """Whether X is a Dask array, of either library that has them."""
    return not isinstance(X, Delayed) and hasattr(X, "map_blocks") and hasattr(X, "chunks")


def is_frame(X: Any) -> bool:
    """Whether X is a Dask data frame or series."""
    # A delayed object has any attribute that it is asked for.
    return not isinstance(X, Delayed) and hasattr(X, "map_partitions") and hasattr(X, "to_delayed") and not is_array(X)


def require_collection(X: Any, name: str = "X") -> None:
    """Require what can be read as partitions."""
    parts = isinstance(X, list | tuple) and len(X) > 0 and all(isinstance(p, Delayed) or is_future(p) for p in X)
    if not (parts or is_array(X) or is_frame(X)):
        raise TypeError(f"{name}: got {type(X).__name__}; {_EXPECTED}")


def _aligned(name: str, value: Any, X: Any) -> Any:
    """The collection; an array in the chunks of X, where they are known and others."""
    if value is None:
        return None
    require_collection(value, name)
    if not is_array(value):
        return value
    require_whole_rows(value, name)
    known = value is not X and is_array(X) and value.shape[0] == X.shape[0]
    return value.rechunk({0: X.chunks[0]}) if known and value.chunks[0] != X.chunks[0] else value


def is_future(value: Any) -> bool:
    """Whether a value is, or will be, in the memory of a cluster."""
    return hasattr(value, "key") and hasattr(value, "add_done_callback") and not is_dask_collection(value)


def _futures(value: Any) -> Iterator[tuple[Any, Any]]:
    """What of a collection is in a cluster's memory, by key."""
    for part in value if isinstance(value, list | tuple) else [value]:
        graph = {part.key: part} if is_future(part) else ensure_dict(part.__dask_graph__())
        yield from ((key, held) for key, held in graph.items() if is_future(held))


def _parts(value: Any) -> list[Any]:
    """The parts of a collection, each with a key."""
    if isinstance(value, list | tuple):
        return list(value)
    parts = value.to_delayed()
    return list(parts.ravel()) if is_array(value) else list(parts)


def _distinct(graphs: Iterable[Any]) -> list[Any]:
    """Each graph once: the parts of a collection share theirs."""
    return list({id(graph): graph for graph in graphs}.values())


def _partition(number: int, keys: tuple[Any, ...], graph: dict[Any, Any], futures: dict[Any, Any]) -> Partition:
    needed, _ = cull(graph, [key for key in keys if key is not None])
    held = {key: futures[key] for key in needed if key in futures}
    return Partition(number, keys, {key: task for key, task in needed.items() if key not in held}, held)


def _itself(value: Any) -> Any:
    return value
