"""What is subtracted from images and what they are multiplied by, found from images in parts."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from typing_extensions import override

from neural_kernels.estimators.images.scatter import Scatter
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array, Shape

BlockMap = Callable[[np.ndarray], np.ndarray]

_NOISE = 1e-13  # of a mean: what rounding leaves of the deviation of a constant


@dataclass(frozen=True, eq=False)
class Scaling(ABC):
    """An affine map of images, immutable.

    Parameters
    ----------
    shape : tuple of int
        Of one image.
    scatter : Scatter
        Of what was seen.
    """

    shape: Shape
    scatter: Scatter

    def with_images(self, blocks: Iterable[np.ndarray]) -> Self:
        """The map for these images, too."""
        return replace(self, scatter=self.scatter.with_rows(self._rows(block) for block in blocks))

    @property
    @abstractmethod
    def mean(self) -> Array:
        """What is subtracted."""

    @property
    @abstractmethod
    def count(self) -> int:
        """Images seen so far."""

    @abstractmethod
    def _rows(self, images: np.ndarray) -> np.ndarray:
        """Images as the rows that the scatter is of."""

    @abstractmethod
    def forward(self, dtype: np.dtype) -> BlockMap:
        """What scales blocks of images of a precision."""

    @abstractmethod
    def inverse(self, dtype: np.dtype) -> BlockMap:
        """What gives blocks of images of those that they were scaled to."""


@dataclass(frozen=True, eq=False)
class ChannelScaling(Scaling):
    """Mean 0 and variance 1 for each channel, over images and positions."""

    @classmethod
    def empty(cls, shape: Shape) -> ChannelScaling:
        """Of no images."""
        return cls(shape, Scatter.empty(shape[0], full=False))

    @property
    @override
    def mean(self) -> Array:
        return self.scatter.mean

    @property
    def scale(self) -> Array:
        """The deviations; 1 where a channel does not vary."""
        deviation = np.sqrt(self.scatter.covariance)
        return np.where(deviation > _NOISE * np.abs(self.mean), deviation, 1.0)

    @property
    @override
    def count(self) -> int:
        return self.scatter.count // math.prod(self.shape[1:])

    @override
    def _rows(self, images: np.ndarray) -> np.ndarray:
        return np.moveaxis(images, 1, -1).reshape(-1, self.shape[0]).astype(np.float64)

    @override
    def forward(self, dtype: np.dtype) -> BlockMap:
        mean, scale = self._along(self.mean, dtype), self._along(self.scale, dtype)
        return lambda images: (images - mean) / scale

    @override
    def inverse(self, dtype: np.dtype) -> BlockMap:
        mean, scale = self._along(self.mean, dtype), self._along(self.scale, dtype)
        return lambda images: images * scale + mean

    def _along(self, values: Array, dtype: np.dtype) -> np.ndarray:
        return values.astype(dtype).reshape(-1, *(1 for _ in self.shape[1:]))


@dataclass(frozen=True, eq=False)
class Whitening(Scaling):
    r""":math:`(C + r \bar\lambda I)^{-1/2} (x - \bar x)`, with the mean eigenvalue of the covariance C of all pixels.

    Parameters
    ----------
    ridge : float
        r.
    """

    ridge: float

    @classmethod
    def empty(cls, shape: Shape, ridge: float) -> Whitening:
        """Of no images."""
        return cls(shape, Scatter.empty(math.prod(shape), full=True), ridge)

    @property
    @override
    def mean(self) -> Array:
        return self.scatter.mean.reshape(self.shape)

    @property
    @override
    def count(self) -> int:
        return self.scatter.count

    @cached_property
    def matrix(self) -> Array:
        """What images less their mean are multiplied by, (d, d); I where they are all the same."""
        return self._power(-0.5)

    @override
    def _rows(self, images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1)

    @override
    def forward(self, dtype: np.dtype) -> BlockMap:
        mean, matrix = self.scatter.mean.astype(dtype), self.matrix.astype(dtype)
        return lambda images: ((self._rows(images) - mean) @ matrix).reshape(images.shape)

    @override
    def inverse(self, dtype: np.dtype) -> BlockMap:
        mean, root = self.scatter.mean.astype(dtype), self._power(0.5).astype(dtype)
        return lambda images: (self._rows(images) @ root + mean).reshape(images.shape)

    def _power(self, exponent: float) -> Array:
        values, vectors = np.linalg.eigh(self.scatter.covariance)
        mean = values.clip(min=0).mean()
        if not mean > np.square(_NOISE * self.mean).mean():
            return np.eye(len(values))
        return (vectors * (values.clip(min=0) + self.ridge * mean) ** exponent) @ vectors.T
