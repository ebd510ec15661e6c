r"""Sketches of some tensor powers of a row, each with a width of its own: features of :math:`c^p` for the cosine c."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import numpy as np
from torch import Tensor, nn

from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import PolySketch, TensorSRHT, derive_seed
from neural_kernels.sketches.hadamard import padded
from neural_kernels.sketches.poly_sketch import Tree, half

_WIDEST = 1 << 12  # nodes that hold a row as it is
_SHARE = 8  # nodes have at least this part of all columns


class Powers(StoredModule):
    """The tree of PolySketch with roots of different widths: samples of its nodes, or wider ones of their own.

    Parameters
    ----------
    in_features : int
    widths : mapping from int to int
        Columns by power, powers from 2 on.
    seed : int
    """

    def __init__(self, in_features: int, widths: Mapping[int, int], seed: int) -> None:
        super().__init__()
        self.widths = {p: width for p, width in sorted(widths.items()) if width}
        self.inner = inner_width(in_features, sum(self.widths.values()))
        highest = max(self.widths, default=2)
        self.tree = PolySketch(in_features, self.inner, highest, derive_seed(seed, "tree"))
        self.roots = nn.ModuleDict(
            {
                str(p): TensorSRHT(self.inner, self.inner, width, derive_seed(seed, "root", p), complex_signs=True)
                for p, width in self.widths.items()
                if width > self.inner
            }
        )

    @property
    def working_width(self) -> int:
        """Columns of the largest temporary, by which the size of blocks of rows is chosen."""
        return max([self.inner, *(cast(TensorSRHT, root).first.working_width for root in self.roots.values())])

    def forward(self, unit: Tensor) -> dict[int, Tensor]:
        """Sketches by power, shapes (n, width), of rows of shape (n, in_features)."""
        tree, powers = Tree(self.tree, unit), {}
        for p, width in self.widths.items():
            if str(p) in self.roots:
                h = half(p)
                powers[p] = cast(TensorSRHT, self.roots[str(p)]).sketch(tree.interval(0, h), tree.interval(h, p - h))
            else:
                powers[p] = tree.narrow(p, width)
        return powers


def inner_width(in_features: int, columns: int) -> int:
    """Return how many columns the nodes below the roots have, for so many in all."""
    return max(min(padded(in_features), _WIDEST), padded(-(-columns // _SHARE)))


def variance(p: int, cosine: np.ndarray, inner: int) -> tuple[np.ndarray, np.ndarray]:
    r"""Bound the variance of the sketched power p at cosines: v and w, so that with m columns it is v / m + w.

    A product of two vectors with inner products a and b, sketched with m columns of real signs, has the variance
    :math:`[(1 + 2 a^2)(1 + 2 b^2) - a^2 b^2] / m`, with complex ones :math:`[(1 + a^2)(1 + b^2) + 2 a^2 b^2] / m`; what
    errs below counts times the other's square.
    """
    h = half(p)
    a, b = cosine ** (2 * h), cosine ** (2 * (p - h))
    return (1 + a) * (1 + b) + 2 * a * b, _below(h, cosine, inner) * b + _below(p - h, cosine, inner) * a


def _below(p: int, cosine: np.ndarray, inner: int) -> np.ndarray:
    """Bound the variance of an inner node of p leaves."""
    if p == 1:
        return np.zeros_like(cosine)
    h = half(p)
    a, b = cosine ** (2 * h), cosine ** (2 * (p - h))
    own = ((1 + 2 * a) * (1 + 2 * b) - a * b) / inner
    return own + _below(h, cosine, inner) * b + _below(p - h, cosine, inner) * a
