"""PolySketch: all powers of a row up to a degree, by one binary tree of sketches of degree 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from math import sqrt
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad
from typing_extensions import override

from neural_kernels.sketches.blocks import over_blocks
from neural_kernels.sketches.checked_rows import Rows, dense, dress, read, require_range
from neural_kernels.sketches.hadamard import padded
from neural_kernels.sketches.osnap import OSNAP
from neural_kernels.sketches.seeds import derive_seed
from neural_kernels.sketches.sketch import Sketch, require_degree
from neural_kernels.sketches.tensor_srht import TensorSRHT, entry_products


class PolySketch(Sketch):
    r"""Sketch tensor powers of a row: features of :math:`\langle x, y \rangle^p` for all p up to a degree q.

    .. math:: U_p = V(0, p), \qquad V(i, 1) = \mathrm{OSNAP}_i(x) \text{ if } d > m \text{ else } x, \qquad
        V(i, p) = \mathrm{TensorSRHT}_{i, h}(V(i, h), V(i + h, p - h)),

    with h the largest power of two below p: the tree of [1]_ whose leaves from p on hold e_1, and whose nodes pass on
    the one child that holds data, which is exact and adds no variance. So :math:`E \langle U_p(x), U_p(y) \rangle =
    \langle x, y \rangle^p` for every p, whole subtrees are shared between powers, and the powers do not depend on q.

    Parameters
    ----------
    in_features : int
        Width d of the rows.
    n_components : int
        Width m of every node, and of the features of one power; a power of two wastes no padding.
    degree : int
        The highest power q, at least 1.
    seed : int
        The map depends on it and on the sizes, and on nothing else.

    Attributes
    ----------
    leaves : ModuleList of OSNAP
        Empty if d <= m, where every leaf is the row itself with zeros behind it: unlike in [1]_, no error arises there.
    nodes : ModuleDict of TensorSRHT
        By their first leaf i and their left child's number h of leaves, ``"i_h"``.

    Raises
    ------
    TypeError, ValueError
        For sizes that are no positive integers, and for inputs of another width. The power 0 is the constant 1:
        append a column of ones, or call `polynomial`.

    Notes
    -----
    For all powers at once, (q / 2) log2(q) + q - 1 Hadamard transforms of width m a row, and if d > m, q leaves of
    4 nnz + m operations; for one power, 2 (q - 1) transforms and the leaves. Memory: 20 q d bytes if d > m, 10 q m in
    any case, and about 3 q blocks of 1 MB a thread.

    References
    ----------
    .. [1] T. D. Ahle, M. Kapralov, J. B. T. Knudsen, R. Pagh, A. Velingker, D. Woodruff, A. Zandieh, "Oblivious
       sketching of high-degree polynomial kernels", SODA 2020, arXiv:1909.01410.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.sketches import PolySketch
    >>> sketch = PolySketch(in_features=4, n_components=1024, degree=3)
    >>> x = np.full((1, 4), 0.5)
    >>> [bool(abs(u @ u.T - 1) < 0.3) for u in sketch.powers(x)]
    [True, True, True]
    >>> sketch.polynomial(x, [1.0, 0.5, 0.0, 0.25]).shape  # 1 + 0.5 c + 0.25 c^3: 1 and x itself, then 1024 columns
    (1, 1029)
    """

    def __init__(self, in_features: int, n_components: int, degree: int, seed: int = 0):
        super().__init__(in_features, n_components, seed)
        require_degree(self, degree)
        in_features, n_components, seed = self.sizes
        self.degree = degree = int(degree)
        nonzeros, leaves = min(4, n_components), degree if in_features > n_components else 0
        self.leaves = nn.ModuleList(
            OSNAP(in_features, n_components, nonzeros, derive_seed(seed, "leaf", i)) for i in range(leaves)
        )
        addresses = {address for p in range(1, degree + 1) for address in _nodes(0, p)}
        self.nodes = nn.ModuleDict(
            {
                f"{i}_{h}": TensorSRHT(n_components, n_components, n_components, derive_seed(seed, "node", i, h))
                for i, h in sorted(addresses)
            }
        )

    def powers(self, x: Any) -> list[Any]:
        """Return the sketches of all powers 1 to q, each of shape (n, m), in the input's make and precision.

        Parameters
        ----------
        x : as in `forward`
        """
        return [dress(power, x) for power in self._powers(self._read(x), range(1, self.degree + 1))]

    def polynomial(self, x: Any, coefficients: Sequence[float]) -> Any:
        r"""Return features of the kernel :math:`\sum_j a_j \langle x, y \rangle^j`.

        The concatenation of :math:`\sqrt{a_j} U_j(x)` over the j with a_j > 0; a_0 takes one constant column and a_1 x
        itself if d <= m, both exact.

        Parameters
        ----------
        x : as in `forward`
        coefficients : sequence of float
            a_0, a_1, ..., none negative, at most q + 1 of them.

        Raises
        ------
        ValueError
            For negative or too many coefficients.
        """
        if len(coefficients) > self.degree + 1:
            raise ValueError(
                f"PolySketch: built for degree {self.degree}, got {len(coefficients)} coefficients, degree "
                f"{len(coefficients) - 1}; build it with degree={len(coefficients) - 1}"
            )
        if not all(a >= 0 for a in coefficients):
            raise ValueError(f"PolySketch: expected coefficients of at least 0, got {list(coefficients)}")
        rows = self._read(x)
        columns = {j: sqrt(a) for j, a in enumerate(coefficients) if a > 0}
        exact = {}
        if 0 in columns:
            exact[0] = torch.ones(rows.shape[0], 1, dtype=rows.dtype, device=rows.device)
        if 1 in columns and self.in_features <= self.n_components:
            exact[1] = dense(rows)
        others = [j for j in columns if j not in exact]
        sketched = self._powers(rows, others) if others else []
        features = exact | dict(zip(others, sketched, strict=True))
        parts = [scale * features[j] for j, scale in columns.items()]
        return dress(
            torch.cat(parts, 1) if parts else torch.empty(rows.shape[0], 0, dtype=rows.dtype, device=rows.device), x
        )

    @property
    @override
    def working_width(self) -> int:
        return padded(self.n_components)

    @override
    def sketch(self, rows: Rows, out: Float[Tensor, "n m"] | None = None) -> Float[Tensor, "n m"]:
        """The sketch of the highest power, of all at once, on the caller's thread."""
        result = self._stack(rows, [self.degree], None if out is None else out[None])
        return result[0]

    @override
    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, degree={self.degree}"

    def _read(self, x: Any) -> Rows:
        return read(x, "x", self.in_features, self.device)

    def node(self, i: int, h: int) -> TensorSRHT:
        """The node of h leaves from i on and those behind."""
        return cast(TensorSRHT, self.nodes[f"{i}_{h}"])

    def leaf(self, rows: Rows, i: int) -> Float[Tensor, "n m"]:
        """The i-th sketch of degree 1: rows as they are, with zeros behind, where there are no fewer components."""
        if self.leaves:
            return cast(OSNAP, self.leaves[i]).sketch(rows)
        x = dense(rows)
        return pad(x, (0, self.n_components - self.in_features))

    def _powers(self, rows: Rows, powers: Sequence[int]) -> Sequence[Tensor]:
        compute = partial(self._stack, powers=powers)
        return over_blocks(compute, rows, width=self.working_width, shape=(len(powers), self.n_components)).unbind()

    def _stack(
        self, rows: Rows, powers: Sequence[int], out: Float[Tensor, "k n m"] | None = None
    ) -> Float[Tensor, "k n m"]:
        """Some powers, one behind the other on the first axis; what they share is computed once."""
        tree = Tree(self, rows)
        return require_range(torch.stack([tree.interval(0, p) for p in powers], out=out))


class Tree:
    """The nodes of a PolySketch for some rows; what powers share is computed once.

    Parameters
    ----------
    sketch : PolySketch
    rows : Tensor or CSRRows
        Checked.
    """

    def __init__(self, sketch: PolySketch, rows: Rows) -> None:
        self._sketch, self._rows = sketch, rows
        self._done: dict[tuple[str, int, int], Tensor] = {}

    def interval(self, i: int, p: int) -> Float[Tensor, "n m"]:
        """V(i, p), kept if p is a power of two: only those are part of several."""
        if p & (p - 1):
            return self._product(i, p, self._sketch.n_components)
        sketch = self._sketch
        key = "interval", i if p > 1 or sketch.leaves else 0, p  # without sketches all leaves are the same
        if key not in self._done:
            self._done[key] = sketch.leaf(self._rows, i) if p == 1 else self._product(i, p, sketch.n_components)
        return self._done[key]

    def narrow(self, p: int, count: int) -> Float[Tensor, "n count"]:
        """A sketch of the power p from the first columns of V(0, p)."""
        if p & (p - 1):
            return self._product(0, p, count)
        return self.interval(0, p)[:, :count] * sqrt(self._sketch.n_components / count)

    def _product(self, i: int, p: int, count: int) -> Float[Tensor, "n count"]:
        """A sketch of p leaves from i on by so many products of two sketches."""
        h = half(p)
        node = self._sketch.node(i, h)
        left, right = self._left(i, h), node.second.transformed(self.interval(i + h, p - h))
        return entry_products(left, node.first.rows[:count], right, node.second.rows[:count], count**-0.5)

    def _left(self, i: int, h: int) -> Tensor:
        key = "left", i, h
        if key not in self._done:
            self._done[key] = self._sketch.node(i, h).first.transformed(self.interval(i, h))
        return self._done[key]


def half(p: int) -> int:
    """The largest power of two below p."""
    return 1 << ((p - 1).bit_length() - 1)


def _nodes(i: int, p: int) -> Iterator[tuple[int, int]]:
    """Addresses of the nodes of p leaves from i on."""
    if p > 1:
        h = half(p)
        yield i, h
        yield from _nodes(i, h)
        yield from _nodes(i + h, p - h)
