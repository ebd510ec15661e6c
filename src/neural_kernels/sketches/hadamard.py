"""The fast Hadamard transform."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from neural_kernels.sketches.blocks import over_blocks
from neural_kernels.sketches.checked_rows import Rows, dense, dress, read, read_out

_BITS = 5  # of the largest Kronecker factor, 32 x 32
_NARROW = 16  # columns of a block that one product transforms


def hadamard(x: Any, out: Any = None) -> Any:
    r"""Multiply every row by the Hadamard matrix in Sylvester's order, unnormalised.

    .. math:: (H x)_i = \sum_j (-1)^{\langle i, j \rangle} x_j, \qquad H_{2^k} = H_2 \otimes \dots \otimes H_2,

    with :math:`\langle i, j \rangle` the number of ones that i and j share in binary; :math:`H^2 = 2^k I`.

    Parameters
    ----------
    x : array-like or sparse matrix of shape (n, 2^k)
        Of any make that the sketches take.
    out : Tensor or ndarray of shape (n, 2^k), optional
        Memory for the result, of x's precision, apart from x's. Fresh memory costs as much as the transform.

    Returns
    -------
    array of shape (n, 2^k)
        `out`, or of the make of `x`.

    Raises
    ------
    ValueError
        If the number of columns is no power of two.

    Notes
    -----
    On the CPU a product with H_16 and butterflies, two levels a pass, on blocks of rows of about 1 MB, one thread a
    block. Elsewhere, and for gradients, H is a Kronecker product of ceil(k / 5) factors of nearly equal size: at 8192 =
    32 x 16 x 16, 64 multiplications and additions an entry, all in matrix products.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import hadamard
    >>> hadamard(np.array([[1.0, 2.0, 3.0, 4.0]]))
    array([[10., -2., -4.,  0.]])
    """
    rows = read(x, "x")
    size = rows.shape[1]
    if size & (size - 1):
        raise ValueError(f"x: expected 2^k columns; got {size}. Pad with zeros to {padded(size)}.")
    target = read_out(out, rows, size)
    result = over_blocks(_transform_rows, rows, width=size, shape=(size,), out=target)
    return dress(result, x) if out is None else out


def padded(size: int) -> int:
    """The smallest power of two that is at least `size`."""
    return 1 << (size - 1).bit_length()


def transform(x: Float[Tensor, "n size"], out: Float[Tensor, "n size"] | None = None) -> Float[Tensor, "n size"]:
    """H x for all rows of checked x at once, on the caller's thread."""
    if x.device.type == "cpu" and not x.requires_grad:
        return _compiled(x, out)
    result = _products(x)
    return result if out is None else out.copy_(result)


def transform_signed(
    x: Float[Tensor, "n d"], signs: Float[Tensor, "b d"], out: Float[Tensor, "n b size"] | None = None
) -> Float[Tensor, "n b size"]:
    """H D_b x for all rows and b, the rows filled up with zeros to a power of two."""
    size = padded(x.shape[1])
    if x.device.type == "cpu" and not x.requires_grad:
        from neural_kernels.sketches.loops import signed_copies

        start = x.new_empty(len(x), len(signs), size)
        signed_copies(x.numpy(), signs.numpy(), start.numpy())
    else:
        start = torch.nn.functional.pad(x[:, None, :] * signs.to(x.dtype), (0, size - x.shape[1]))
    return transform(start.view(-1, size), None if out is None else out.view(-1, size)).view(start.shape)


def _compiled(x: Tensor, out: Tensor | None) -> Tensor:
    """H x by a product for the levels too narrow for vector instructions, and butterflies for the others."""
    from neural_kernels.sketches.loops import butterflies

    out = torch.empty_like(x) if out is None else out
    narrow = min(_NARROW, x.shape[1])
    torch.mm(x.view(-1, narrow), _matrix(narrow, x.dtype, x.device), out=out.view(-1, narrow))
    butterflies(out.numpy(), narrow)
    return out


def _products(x: Tensor) -> Tensor:
    """H x by matrix products, one with each Kronecker factor: differentiable, on any device."""
    n, size = x.shape
    stride = 1
    for factor in _factors(size.bit_length() - 1):
        matrix = _matrix(factor, x.dtype, x.device)
        x = x.reshape(-1, factor) @ matrix if stride == 1 else matrix @ x.view(-1, factor, stride)
        stride *= factor
    return x.reshape(n, size)


def _transform_rows(rows: Rows, out: Tensor | None) -> Tensor:
    return transform(dense(rows), out)


def _factors(bits: int) -> list[int]:
    """Powers of two with that many bits in all, nearly equal, the largest first."""
    count = -(-bits // _BITS)
    return [1 << (bits + k) // count for k in reversed(range(count))]


@cache
def _matrix(size: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        pair = torch.tensor([[1, 1], [1, -1]], dtype=dtype, device=device)
        matrix = torch.ones(1, 1, dtype=dtype, device=device)
        while len(matrix) < size:
            matrix = torch.kron(matrix, pair)
        return matrix
