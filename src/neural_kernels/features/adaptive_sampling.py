"""Features that are monomials of the rows, sampled by what they contribute to the kernel of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.checks import require_number
from neural_kernels.engine.inputs import DenseRows, Rows, SparseRows
from neural_kernels.features.distinct import distinct, held_out
from neural_kernels.features.method import BuiltMap, Method, Task
from neural_kernels.features.monomials.expansion import DegreeExpansion, expansion_of
from neural_kernels.features.monomials.monomials import Monomials, unit_rows
from neural_kernels.features.monomials.selection import Sample, select
from neural_kernels.runtime.numerics import safe_sqrt
from neural_kernels.runtime.workers import share_out
from neural_kernels.sketches import derive_seed

_ROWS = 1024  # of the data, by which monomials are chosen
_FEW = 64  # of which all are taken, so that none are left to measure the error by
_BLOCK = 1 << 20  # numbers of a block of features


@dataclass(frozen=True)
class AdaptiveSampling(Method):
    r"""Sampled monomials: columns that are products of a few coordinates, chosen by the kernel of the data.

    For kernels with a power series, :math:`k(x, y) = \sum_p c_p(x)\, c_p(y)\, (\hat x \cdot \hat y)^p` with rows
    :math:`\hat x` of norm 1: polynomial (`nk.PolynomialKernel`), Gaussian (`nk.GammaExponential(gamma, 2.0)`), and
    kernels of networks that are functions of the angle (homogeneous activations without biases, or rows of one norm).
    Every monomial of degree p is a feature of the kernel; a column is one of them,

    .. math:: \phi_j(x) = c_p(x)\, s_j \prod_{l \le p} \hat x_{i_{jl}},

    with the scale s_j one over the root of the probability that it was chosen.

    Parameters
    ----------
    ridge : float, optional
        The ridge :math:`\lambda` for which the columns are chosen, as a share of the trace of the data's kernel matrix
        K. Monomials are kept in proportion to their leverage, :math:`r^T (K + \lambda I)^{-1} r` for the column r that
        they are on the data. Leverages add up to the statistical dimension,
        :math:`s = \mathrm{tr}\, K (K + \lambda I)^{-1}`.
        By default the least ridge for which there are 16 columns for every dimension.

    Notes
    -----
    Spectral guarantee: with s log(s) / eps^2 columns, up to a constant, :math:`\phi\phi^T + \lambda I` lies between
    (1 - eps) and (1 + eps) times :math:`K + \lambda I` on the data with high probability. So few columns serve data
    whose kernel matrix has few large eigenvalues; on isotropic data nothing is gained.
    :class:`~neural_kernels.Nystrom` is nearer at equal width, and many times slower on sparse rows.

    In two rounds: candidates, eight for a column, are drawn by their squares on up to 1024 distinct rows; of these the
    columns are kept by their leverage, in even steps along it, those with a share of more than one column for certain.
    [1]_ goes there in a logarithmic number of rounds with a decreasing ridge, and draws coordinate by coordinate from
    sketches; the kernel matrix of the sample stands in their place here. The estimate is unbiased for monomials that
    do not vanish on all rows of the sample. What then makes a row's columns of one degree larger than c_p(x), which
    they should have as their norm, is scaled back: a rare product of large coordinates that the sample hardly has
    would otherwise outweigh everything in its row. This is where a small bias towards 0 comes from.

    Kernels of networks are taken up to degree 8 and Gaussian ones up to 16 at most, with all higher degrees added to
    the last two; but of a network's, the highest of all are left out as far as they have no more than 3 % of the
    diagonal together, as with :class:`~neural_kernels.PolynomialSketch`.

    Cost to build: n^2 d + n^3 + 8 n^2 m operations for n <= 1024 rows and m columns. To map a row: its non-zeros, and
    of the columns those whose rarest coordinate is not 0, up to p products each; beside that, m zeros are written.

    References
    ----------
    .. [1] D. Woodruff, A. Zandieh, "Near input sparsity time kernel embeddings via adaptive sampling", 2020,
       arXiv:2007.03927.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> x = np.random.default_rng(0).random((200, 10))
    >>> kernel = nk.PolynomialKernel(degree=3)
    >>> phi = nk.feature_map(kernel=kernel, n_components=256, method=nk.AdaptiveSampling()).fit(x)
    >>> bool(np.abs(phi(x) @ phi(x).T / kernel(x) - 1).mean() < 0.05)
    True
    """

    ridge: float | None = None

    def __post_init__(self) -> None:
        if self.ridge is not None:
            require_number(self, ridge=self.ridge)
            if self.ridge == 0:
                raise ValueError("ridge=0: expected a positive share of the trace, or None")

    @property
    @override
    def needs_data(self) -> bool:
        return True

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        expansion = expansion_of(task, sample)
        order = distinct(sample, task.seed)
        chosen = order[: min(_ROWS, max(len(order) - held_out(len(order)), _FEW))]
        rows = SparseRows.of(_as_csr(sample[chosen]))
        squares = expansion.squares(rows.std).clamp(min=0).numpy()
        if not np.isfinite(squares.sum()):
            raise OverflowError("features of the rows to fit are not finite: they are too large. Scale them down")
        unit = rows.unit(slice(None))
        rng = np.random.default_rng(derive_seed(task.seed, "monomials"))
        largest = squares.max()
        if largest == 0:  # rows of zeros alone, of a kernel that is 0 there
            factors, scales = np.empty((0, squares.shape[1] - 1), dtype=np.int64), np.empty(0)
        else:
            factors, scales = select(Sample(unit, squares / largest), task.n_components, self.ridge, rng)
        usual = np.bincount(unit.indices, minlength=task.in_features).astype(float)
        return MonomialMap(expansion, Monomials(task.in_features, factors, scales, usual, task.dtype))


class MonomialMap(BuiltMap):
    """Monomials of rows of norm 1, capped, times the coefficients of their degrees.

    Parameters
    ----------
    expansion : DegreeExpansion
    monomials : Monomials
    """

    def __init__(self, expansion: DegreeExpansion, monomials: Monomials) -> None:
        super().__init__()
        self.expansion, self.monomials = expansion, monomials
        self.columns = len(monomials.scales)

    @override
    def forward(self, x: Any) -> Tensor:
        rows = DenseRows.of(x) if isinstance(x, Tensor) else SparseRows.of(x)
        if isinstance(x, Tensor) and (x.requires_grad or x.device.type != "cpu"):
            return self.monomials.capped(unit_rows(rows), self._weights(rows))
        out = torch.empty((len(rows), self.columns), dtype=rows.dtype)
        self.fill(x, out)
        return out

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        if out.device.type != "cpu":
            out.copy_(self(x))
            return
        step = max(16, _BLOCK // max(1, self.columns))
        blocks = [slice(start, start + step) for start in range(0, x.shape[0], step)]
        share_out(blocks, lambda block, memory: self._fill_block(x[block], out[block].numpy()))

    def _fill_block(self, x: Any, out: np.ndarray) -> None:
        rows = DenseRows.of(x) if isinstance(x, Tensor) else SparseRows.of(x)
        self.monomials.fill_capped(unit_rows(rows), self._weights(rows), out)

    def _weights(self, rows: Rows) -> Tensor:
        return safe_sqrt(self.expansion.squares(rows.std))


def _as_csr(x: Any) -> Any:
    return x.astype(np.float64) if not isinstance(x, Tensor) else _csr(x.detach().cpu().double().numpy())


def _csr(*arguments: Any) -> Any:
    from scipy import sparse

    return sparse.csr_matrix(*arguments)
