"""OSNAP: a few signed buckets a coordinate."""

from __future__ import annotations

from typing_extensions import override

from neural_kernels.sketches.hashing import HashingSketch


class OSNAP(HashingSketch):
    r"""Add every coordinate, with random signs, to one random bucket in each of s blocks of the output.

    .. math:: (S x)_b = \frac 1 {\sqrt s} \sum_{j, t: h_t(j) = b} \sigma_{jt} x_j, \qquad
        E \langle S x, S y \rangle = \langle x, y \rangle

    with h_t(j) uniform in the t-th of s nearly equal blocks of the m components: the block construction of the
    oblivious sparse norm-approximating projections of [1]_. Linear. With s = 1 it is `CountSketch`; more entries a
    column leave the variance as it is and make large errors rarer, those of rows with few non-zeros above all.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Width m of the result.
    nonzeros : int
        Number s of buckets of a coordinate, at most m.
    seed : int
        The map depends on it and on the sizes, and on nothing else.

    Attributes
    ----------
    buckets : Tensor of shape (d, s), int32
    signs : Tensor of shape (d, s), int8

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers, more non-zeros than components, and inputs of another width.

    Notes
    -----
    Time: s additions for every non-zero of a CSR matrix, or s d for a dense row, and m to clear the row. Memory: 5 s d
    bytes.

    References
    ----------
    .. [1] J. Nelson, H. L. Nguyen, "OSNAP: Faster numerical linear algebra algorithms via sparser subspace embeddings",
       FOCS 2013, arXiv:1211.1002.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import OSNAP
    >>> OSNAP(in_features=5, n_components=8, nonzeros=4)(np.eye(5)).__abs__().sum(1)
    array([2., 2., 2., 2., 2.])
    """

    def __init__(self, in_features: int, n_components: int, nonzeros: int = 4, seed: int = 0):
        super().__init__(in_features, n_components, nonzeros, seed)

    @override
    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, nonzeros={self.nonzeros}"
