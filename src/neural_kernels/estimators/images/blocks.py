"""Arrays of images in memory or on disk, of which no more than a block is ever in hand as floating-point numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.estimators.images.dataset import DatasetImages
from neural_kernels.runtime.boundary import as_array, precision_of
from neural_kernels.runtime.types import Shape

_NUMBERS = 2**21  # in a block


@dataclass(frozen=True)
class ImageBlocks:
    """Images of shape (n, channels, *positions), which are read when they are asked for.

    Parameters
    ----------
    data : ndarray (a memmap, too), Tensor or DatasetImages
    dtype : numpy.dtype
        What their numbers become: float32 for bytes, which it holds exactly, else by the policy of all estimators.
    """

    data: Any
    dtype: np.dtype

    @classmethod
    def of(cls, X: Any) -> ImageBlocks:
        """Check what a user gives, but for its numbers.

        Raises
        ------
        TypeError, ValueError
            No array of numbers; no images, or no positions in them.
        """
        if DatasetImages.describes(X):
            data = DatasetImages(X)
        else:
            data = X if isinstance(X, Tensor) else as_array(X, "X")
        shape = tuple(data.shape)
        if len(shape) < 3 or 0 in shape[1:]:
            flat = " Flat images are reshaped: X.reshape(-1, channels, height, width)." if len(shape) == 2 else ""
            raise ValueError(f"X: expected images, shape (n, channels, height, width); got shape {shape}.{flat}")
        return cls(data, np.dtype(np.float32) if data.dtype.itemsize == 1 else precision_of(data))

    def __len__(self) -> int:
        return self.data.shape[0]

    @property
    def shape(self) -> Shape:
        """Of one image."""
        return tuple(self.data.shape[1:])

    def slices(self) -> Iterator[slice]:
        """The rows of one block after the other."""
        step = max(1, _NUMBERS // math.prod(self.shape))
        return (slice(start, min(start + step, len(self))) for start in range(0, len(self), step))

    def __getitem__(self, rows: slice) -> np.ndarray:
        """Some images as floating-point numbers, in memory of their own.

        Raises
        ------
        ValueError
            NaN or infinity among them.
        """
        part = self.data[rows]
        if isinstance(part, Tensor):
            part = part.detach().to("cpu", torch.float32 if self.dtype == np.float32 else torch.float64).numpy()
        block = np.array(part, dtype=self.dtype)
        if not np.isfinite(block).all():
            bad = rows.start + int(np.argwhere(~np.isfinite(block))[0][0])
            raise ValueError(f"X: image {bad} holds NaN or infinity. Leave it out, or impute its pixels")
        return block
