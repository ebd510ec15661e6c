"""Rows that come in parts."""

from __future__ import annotations

import numpy as np
import pytest

from neural_kernels.estimators import accumulation, built


@pytest.fixture
def noisy_rows():
    """600 training rows with some copies, 200 test rows, and a target with noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((800, 4))
    X[500:550] = X[:50]
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 5 + 0.3 * rng.standard_normal(800)
    return X[:600], y[:600], X[600:], y[600:]


@pytest.fixture
def few_are_kept(monkeypatch):
    """Bounds that the data exceed: the map learns from the first 200 rows, and so many judge."""
    monkeypatch.setattr(accumulation, "_SAMPLE", 200)
    monkeypatch.setattr(accumulation, "_FEWEST", 100)
    monkeypatch.setattr(accumulation, "block_rows", lambda columns: 128)
    monkeypatch.setattr(built, "block_rows", lambda columns: 128)
