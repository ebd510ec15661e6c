"""Data sets whose items are images, or pairs of an image and a label, as an array of which slices are read."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from torch import Tensor

from neural_kernels.runtime.digests import hash_data
from neural_kernels.runtime.types import Shape


class DatasetImages:
    """The images of a data set, read when they are asked for: what has a shape, a dtype and slices, as an array has.

    Parameters
    ----------
    dataset : object with ``__len__`` and ``__getitem__``
        Items are images or tuples that begin with one: arrays or tensors of shape (channels, height, width), or
        pictures of PIL, channels last.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        if not len(dataset):
            raise ValueError("X: expected one image at least, got an empty data set")
        first = self._image(0)
        self.shape: Shape = (len(dataset), *first.shape)
        self.dtype = first.dtype

    @staticmethod
    def describes(X: Any) -> bool:
        """Whether an object is a data set, and no array or list of numbers."""
        indexed = hasattr(X, "__len__") and hasattr(X, "__getitem__")
        return indexed and not (hasattr(X, "shape") or hasattr(X, "__array__") or isinstance(X, (list, tuple, str)))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> np.ndarray:
        images = [self._image(index) for index in range(*rows.indices(len(self)))]
        wrong = [image.shape for image in images if image.shape != self.shape[1:]]
        if wrong:
            raise ValueError(f"X: images of shapes {self.shape[1:]} and {wrong[0]} in one data set; resize them")
        return np.stack(images) if images else np.empty((0, *self.shape[1:]), self.dtype)

    def identity(self) -> str:
        """A digest of some images from beginning to end: all would have to be decoded twice."""
        some = np.unique(np.linspace(0, len(self) - 1, 16).astype(int))
        return hash_data(np.stack([self._image(index) for index in some.tolist()]))

    def _image(self, index: int) -> np.ndarray:
        item = self._dataset[operator.index(index)]
        image = item[0] if isinstance(item, tuple | list) else item
        if isinstance(image, Tensor):
            return image.detach().cpu().numpy()
        array = np.asarray(image)
        if hasattr(image, "getbands"):  # a picture of PIL
            array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
        if array.ndim < 2 or array.dtype.kind not in "biuf":
            raise TypeError(
                f"X: item {index} of the data set is {type(image).__name__}, no image: expected arrays or tensors of "
                "shape (channels, height, width), pictures of PIL, or tuples that begin with one"
            )
        return array
