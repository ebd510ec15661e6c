"""How much memory models take, as Dask asks it of what lies in its workers' memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from dask.sizeof import sizeof
from torch import Tensor

from neural_kernels.dask.part_sums import PartSums
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.estimators.survey import Survey


@sizeof.register(FeatureModel)
@sizeof.register(PartSums)
@sizeof.register(Survey)
def size_of(value: Any) -> int:
    """Bytes of the arrays that an object holds, each counted once.

    By them Dask decides what to send where and when to write to disk; of other objects than arrays it knows nothing.
    """
    return _size_of(value, set())


def _size_of(value: Any, seen: set[int]) -> int:
    if id(value) in seen:
        return 0
    seen.add(id(value))
    if isinstance(value, np.ndarray | Tensor):
        return value.nbytes
    if isinstance(value, list | tuple | set):
        return sum(_size_of(part, seen) for part in value)
    parts = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return sum(_size_of(part, seen) for part in parts.values())
