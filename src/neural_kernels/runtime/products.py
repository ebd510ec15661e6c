"""Large products of matrices into memory that is there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def multiply(left: Tensor, right: Tensor, out: Tensor) -> None:
    """Write left @ right into `out`, which lies in neither, on the CPU by NumPy; no gradients.

    NumPy brings OpenBLAS, torch MKL, which was 1.6 times as slow on the AMD processors that this was tried on.

    Parameters
    ----------
    left : Tensor, shape (n, k)
    right : Tensor, shape (k, m)
    out : Tensor, shape (n, m)
        Of the same dtype and device.
    """
    if out.device.type == "cpu":
        with np.errstate(all="ignore"):  # infinities are for those to judge who look at the result
            np.matmul(left.numpy(), right.numpy(), out=out.numpy())
    else:
        torch.mm(left, right, out=out)
