"""Integers and numbers that operations of a program read besides its vectors, in one array each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class Pools:
    """Both arrays, as they are put together."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._integers: list[np.ndarray] = []
        self._floats: list[Tensor] = []
        self._counts = [0, 0]

    def add_integers(self, parts: Sequence[Tensor]) -> int:
        """Append integers; where they begin."""
        place = self._counts[0]
        self._integers += [part.numpy() for part in parts]
        self._counts[0] += sum(part.numel() for part in parts)
        return place

    def add_floats(self, *parts: Tensor) -> int:
        """Append numbers; where they begin."""
        place = self._counts[1]
        self._floats += parts
        self._counts[1] += sum(part.numel() for part in parts)
        return place

    def integers(self) -> np.ndarray:
        """All integers."""
        return np.concatenate([*self._integers, np.zeros(0, np.int64)])

    def floats(self) -> np.ndarray:
        """All numbers, in the working precision."""
        return torch.cat([*self._floats, torch.zeros(0, dtype=torch.float64)]).to(self.dtype).numpy()
