"""Small images for tests of feature maps."""

from __future__ import annotations

import numpy as np

CHANNELS = 2


def images(n=6, shape=(CHANNELS, 3, 4), seed=0):
    """Some images, one of them black and one with a black border."""
    x = np.random.default_rng(seed).normal(size=(n, *shape))
    if n > 3 and len(shape) > 2:
        x[2] = 0
        x[3, :, 0] = 0
    return x


def natural(n, size=8, channels=3, seed=0):
    """Images with smooth shades."""
    x = np.random.default_rng(seed).normal(size=(n, channels, size, size)).cumsum(2).cumsum(3)
    return x / x.std()
