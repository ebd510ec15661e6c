"""Each image by itself: centred, and of root mean square 1."""

from __future__ import annotations

import numpy as np


def unit_contrast(images: np.ndarray) -> np.ndarray:
    """Each image less its mean, divided by the root mean square of what is left; constant images become 0."""
    flat = _of_unit_maximum(images)
    flat = flat - flat.mean(axis=1, keepdims=True, dtype=np.float64).astype(flat.dtype)
    size = _root_mean_square(flat)
    varies = size > 4 * np.finfo(flat.dtype).eps  # and not by rounding alone
    return np.where(varies, flat / np.where(varies, size, 1), 0).reshape(images.shape)


def unit_norm(images: np.ndarray) -> np.ndarray:
    """Each image divided by its root mean square; those that are 0 remain so."""
    flat = _of_unit_maximum(images)
    size = _root_mean_square(flat)
    return (flat / np.where(size > 0, size, 1)).reshape(images.shape)


def _of_unit_maximum(images: np.ndarray) -> np.ndarray:
    """Each image flat, divided by its largest number, so that no square leaves the range."""
    flat = images.reshape(len(images), -1)
    largest = np.abs(flat).max(axis=1, keepdims=True)
    return flat / np.where(largest > 0, largest, 1)


def _root_mean_square(flat: np.ndarray) -> np.ndarray:
    squares = np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
    return np.sqrt(squares / flat.shape[1]).astype(flat.dtype)[:, None]
