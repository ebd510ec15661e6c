"""Rows of norm 1, random estimates over seeds, and how far their mean is off."""

from __future__ import annotations

import math

import numpy as np
import torch


def pair(cosine, seed=0, d=12):
    """Two rows of norm 1."""
    rows = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, 2)))[0].T
    return torch.from_numpy(np.stack([rows[0], cosine * rows[0] + math.sqrt(1 - cosine**2) * rows[1]]))


def units(n, d, seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)


def standardised(estimates, expected):
    """The largest mean error, in standard errors."""
    standard = estimates.std(0) / len(estimates) ** 0.5
    return float(((estimates.mean(0) - expected).abs() / (standard + 1e-12)).max())


def products(make, seeds):
    features = torch.stack([make(seed) for seed in range(seeds)])
    return features @ features.mT
