"""Factors of sample weights by class."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from neural_kernels.runtime.types import Array


def class_factors(given: Any, classes: np.ndarray, label: np.ndarray, weights: Array) -> Array:
    """Positive factors, one for each class, from None, "balanced" or a dict.

    Parameters
    ----------
    given : object
        The parameter `class_weight`.
    classes : ndarray of shape (K,)
    label : ndarray of shape (n,), int
        Positions in `classes`.
    weights : ndarray of shape (n,)
    """
    k = len(classes)
    if given is None:
        return np.ones(k)
    if isinstance(given, str) and given == "balanced":
        return balance(np.bincount(label, weights, k).astype(np.float64))
    if not isinstance(given, Mapping):
        raise ValueError(f'class_weight={given!r}: expected None, "balanced" or a dict')
    labels = classes.tolist()
    unknown = [name for name in given if name not in labels]
    if unknown:
        raise ValueError(f"class_weight names {unknown}, which are not among the classes {labels}")
    factors = np.array([given.get(name, 1.0) for name in labels], dtype=np.float64)
    if not (np.isfinite(factors).all() and (factors > 0).all()):
        raise ValueError(f"class_weight={given!r}: expected positive numbers")
    return factors


def balance(totals: Array) -> Array:
    """Factors that give all classes the same weight, from their weights; of those without any, 1."""
    there = totals > 0
    return np.where(there, totals.sum() / (there.sum() * np.where(there, totals, 1)), 1.0)
