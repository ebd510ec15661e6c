"""What a model has seen, as arrays and a few plain values: to be stored, and taken up again beside the same map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
from scipy import sparse

from neural_kernels.estimators.accumulation import Accumulation
from neural_kernels.estimators.built import Built, ClassesApart
from neural_kernels.estimators.region import Region
from neural_kernels.estimators.row_table import RowTable, joined
from neural_kernels.solvers.moments import Moments

_FLAGS = "_single", "_named"
_PARTS = "indptr", "indices", "data"


def state_of(model: Any) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What is to be stored of a model that has a map; of the map itself nothing.

    Returns
    -------
    values : dict
        For JSON.
    arrays : dict
    """
    seen, region = model._accumulation, model._region
    parts = seen.built.parts if isinstance(seen.built, ClassesApart) else (seen.built,)
    arrays = {"limit": np.array(seen.limit, np.uint64), "centre": region.centre}
    for k, part in enumerate(parts):
        arrays |= {f"sums {k} {name}": value for name, value in part.moments.state().items()}
        arrays[f"sums {k} squares"] = np.array(part.squares)
    for name in ("kept", "waiting"):
        arrays |= {f"{name} {key}": value for key, value in _from_tables(getattr(seen, name)).items()}
    values: dict[str, Any] = {"parts": len(parts), "radius": float(region.radius), "rows": region.rows}
    values |= {name: bool(vars(model)[name]) for name in _FLAGS if name in vars(model)}
    if hasattr(model, "classes_"):
        arrays["classes"] = model.classes_.astype(str) if model.classes_.dtype == object else model.classes_
        values["classes are objects"] = model.classes_.dtype == object
    return values, arrays


def restore(model: Any, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Take up what was stored, with the map that the model has."""
    seen: Accumulation = model._accumulation
    assert seen.built is not None
    first: Any = seen.built.parts[0] if isinstance(seen.built, ClassesApart) else seen.built
    parts = tuple(_built(first, _named(arrays, f"sums {k}")) for k in range(values["parts"]))
    model._accumulation = replace(
        seen,
        kept=_to_tables(_named(arrays, "kept")),
        waiting=_to_tables(_named(arrays, "waiting")),
        limit=int(arrays["limit"]),
        built=ClassesApart(parts) if seen.apart else parts[0],
    )
    model._region = Region(arrays["centre"], values["radius"], values["rows"])
    vars(model).update({name: values[name] for name in _FLAGS if name in values})
    if "classes" in arrays:
        model.classes_ = arrays["classes"].astype(object) if values["classes are objects"] else arrays["classes"]


def _built(like: Built, arrays: dict[str, np.ndarray]) -> Built:
    squares = float(arrays.pop("squares"))
    return replace(like, moments=Moments.from_state(arrays), squares=squares)


def _named(arrays: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    return {key.removeprefix(f"{name} "): value for key, value in arrays.items() if key.startswith(f"{name} ")}


def _from_tables(tables: tuple[RowTable, ...]) -> dict[str, np.ndarray]:
    """All tables in one, and how long each is: where they are cut counts for what is rounded later."""
    arrays = {"lengths": np.array([len(table) for table in tables], dtype=np.int64)}
    if not tables:
        return arrays
    every = joined(tables)
    arrays |= {field.name: getattr(every, field.name) for field in fields(every) if field.name != "data"}
    if sparse.issparse(every.data):
        return arrays | {part: getattr(every.data, part) for part in _PARTS} | {"shape": np.array(every.data.shape)}
    return arrays | {"data": every.data}


def _to_tables(arrays: dict[str, Any]) -> tuple[RowTable, ...]:
    lengths = arrays.pop("lengths")
    if not len(lengths):
        return ()
    if "shape" in arrays:
        indptr, indices, data = (arrays.pop(part) for part in _PARTS)
        arrays["data"] = sparse.csr_matrix((data, indices, indptr), tuple(arrays.pop("shape")))
    every = RowTable(**arrays)
    ends = np.cumsum(lengths)
    return tuple(every.take(slice(end - length, end)) for end, length in zip(ends, lengths, strict=True))
