"""Digests of texts and of arrays, by which a later process tells whether something is the same."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

_CHUNK = 1 << 24  # bytes of data in hand at a time


def dtype_name(x: Any) -> str:
    """The name of an array's precision, the same for NumPy and torch."""
    return str(x.dtype).removeprefix("torch.")


def hash_text(text: str) -> str:
    """The digest of a text of any length."""
    return hashlib.sha256(text.encode()).hexdigest()


def hash_data(x: Any) -> str:
    """The digest of an array's bytes in C order; of a CSR matrix that of its three arrays, with their shapes."""
    if not isinstance(x, np.ndarray | np.generic | Tensor):
        parts = x.indptr.astype(np.int64), x.indices.astype(np.int64), x.data
        return hash_text(f"[{', '.join(map(describe_data, parts))}]")
    digest = hashlib.sha256()
    rows = x.reshape(1) if x.ndim == 0 else x
    step = max(1, _CHUNK * len(rows) // max(1, rows.nbytes))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        if isinstance(part, Tensor):
            part = part.detach().cpu().contiguous().view(torch.uint8).numpy()
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def describe_data(x: Any) -> str:
    """Shape, precision and digest of an array or CSR matrix."""
    return f"{tuple(x.shape)} {dtype_name(x)} {hash_data(x)}"
