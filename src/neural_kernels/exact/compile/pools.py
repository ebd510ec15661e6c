"""What operations of a program read: numbers of single examples, and integers and numbers of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neural_kernels.exact.expressions.pairs import PerUnit


class Pools:
    """The integers and the numbers, in one array each, as they are put together."""

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


@dataclass
class UnitVectors:
    """Numbers per example, stacked for both sides."""

    dtype: torch.dtype
    left: list[Tensor] = field(default_factory=list)
    right: list[Tensor] = field(default_factory=list)

    def add(self, *vectors: PerUnit) -> int:
        """Append vectors; the index of the first."""
        first = len(self.left)
        for sides in vectors:
            self.left.append(sides[0])
            self.right.append(sides[-1])
        return first

    def stacked(self) -> tuple[np.ndarray, np.ndarray]:
        """Both tables, (vectors, n1) and (vectors, n2)."""
        left = torch.stack([v.to(self.dtype) for v in self.left]).numpy()
        if all(a is b for a, b in zip(self.left, self.right, strict=True)):
            return left, left
        return left, torch.stack([v.to(self.dtype) for v in self.right]).numpy()
