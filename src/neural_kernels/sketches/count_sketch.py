"""CountSketch: one signed bucket a coordinate."""

from __future__ import annotations

from neural_kernels.sketches.hashing import HashingSketch


class CountSketch(HashingSketch):
    r"""Add every coordinate, with a random sign, to one random bucket.

    .. math:: (S x)_b = \sum_{j: h(j) = b} \sigma_j x_j, \qquad
        E \langle S x, S y \rangle = \langle x, y \rangle, \qquad
        \mathrm{Var} \langle S x, S y \rangle \le \frac 2 m |x|^2 |y|^2

    for a uniform bucket h(j) and a uniform sign, independent for every j [1]_. Linear.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Number m of buckets.
    seed : int
        The map depends on it and on the sizes, and on nothing else.

    Attributes
    ----------
    buckets : Tensor of shape (d, 1), int32
    signs : Tensor of shape (d, 1), int8

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers, and for inputs of another width.

    Notes
    -----
    Time: one addition for every non-zero of a CSR matrix, or d for a dense row, and m to clear the row. Memory: 5 d
    bytes.

    References
    ----------
    .. [1] M. Charikar, K. Chen, M. Farach-Colton, "Finding frequent items in data streams", ICALP 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import CountSketch
    >>> sketch = CountSketch(in_features=5, n_components=3)
    >>> np.abs(sketch(np.eye(5))).sum(1)
    array([1., 1., 1., 1., 1.])
    """

    def __init__(self, in_features: int, n_components: int, seed: int = 0):
        super().__init__(in_features, n_components, 1, seed)
