"""Randomness by address: what is drawn depends on a seed and a path, never on what was drawn before."""

from __future__ import annotations

from hashlib import blake2b
from numbers import Integral

import numpy as np
import torch
from torch import Tensor


def derive_seed(seed: int, *path: int | str) -> int:
    """Return the seed of one part of something that has a seed.

    The first 63 bits of BLAKE2b of the seed and the path: the same in every process, on every machine, and
    independent of its siblings for all practical purposes.

    Parameters
    ----------
    seed : int
        Of the whole.
    *path : int or str
        The address of the part.

    Raises
    ------
    TypeError
        For a seed that is no integer, or an address that is neither integer nor string.

    Examples
    --------
    >>> from neural_kernels.sketches import derive_seed
    >>> derive_seed(0, "layer", 3) == derive_seed(0, "layer", 3)
    True
    >>> derive_seed(0, "layer", 3) == derive_seed(0, "layer", "3")
    False
    """
    return int.from_bytes(_digest(seed, path)[:8], "little") >> 1


def draw_bits(count: int, seed: int, *path: int | str) -> np.ndarray:
    """Uniform 64-bit integers of a counter-based generator (Philox), whose stream no release of NumPy changes."""
    return np.random.Philox(key=int.from_bytes(_digest(seed, path), "little")).random_raw(count)


def draw_signs(count: int, seed: int, *path: int | str) -> Tensor:
    """Draw independent signs, 1 and -1 with equal probability, as int8."""
    return torch.from_numpy(_signs(draw_bits(count, seed, *path)))


def draw_buckets(count: int, buckets: int, seed: int, *path: int | str) -> tuple[Tensor, Tensor]:
    """Independent buckets, uniform to 2^-32 of their number, as int32, and independent signs."""
    bits = draw_bits(count, seed, *path)
    places = (bits >> np.uint64(32)) * np.uint64(buckets) >> np.uint64(32)
    return torch.from_numpy(places.astype(np.int32)), torch.from_numpy(_signs(bits))


def draw_order(count: int, seed: int, *path: int | str) -> Tensor:
    """Draw a random order of the numbers below `count`, all orders with equal probability."""
    return torch.from_numpy(np.argsort(draw_bits(count, seed, *path), kind="stable"))


def draw_normal(count: int, seed: int, *path: int | str) -> Tensor:
    """Independent standard normal numbers, in float64: the inverse distribution at the middles of 2^53 cells."""
    cells = torch.from_numpy((draw_bits(count, seed, *path) >> np.uint64(11)).astype(np.float64))
    return torch.special.ndtri((cells + 0.5) * 2.0**-53)


def draw_rotation(size: int, seed: int, *path: int | str) -> Tensor:
    """Draw an orthogonal matrix uniformly, in float64 (Mezzadri 2007: without the signs it would not be uniform)."""
    q, r = torch.linalg.qr(draw_normal(size * size, seed, *path).view(size, size))
    return q * r.diagonal().sign()


def _signs(bits: np.ndarray) -> np.ndarray:
    return (1 - 2 * (bits & np.uint64(1)).astype(np.int8)).astype(np.int8)


def _digest(seed: int, path: tuple[int | str, ...]) -> bytes:
    parts = []
    for part in (seed, *path):
        if isinstance(part, Integral):
            parts.append(int(part))
        elif isinstance(part, str) and parts:
            parts.append(part)
        else:
            raise TypeError(f"expected an integer seed and a path of integers and strings; got {(seed, *path)!r}")
    return blake2b(repr(parts).encode(), digest_size=16).digest()
