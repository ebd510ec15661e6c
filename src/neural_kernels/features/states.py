"""Tensors of a built map, its `state_dict`, in a map that is not built yet."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from torch import Tensor

_OWN = "map."  # what the names of a built map's tensors begin with


def landmarks_of(state: Mapping[str, Tensor], prefix: str) -> Tensor | None:
    """Dense landmarks of a map, which tell all of its make; None of a map that has not been built.

    Raises
    ------
    ValueError
        The tensors are those of a map that they do not tell.
    """
    names: Collection[str] = [name for name in state if name.startswith(prefix + _OWN)]
    if prefix + _OWN + "rows" in names:
        return state[prefix + _OWN + "rows"]
    if names:
        raise ValueError(
            "these are tensors of a map of which they do not tell the make, as landmarks in a dense array do. Build "
            "this map before: call it, or its fit(x), on the rows that the other was called or fitted with; or take "
            "nk.save and nk.load, which keep all of a map"
        )
    return None
