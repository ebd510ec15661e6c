"""Features from landmarks: Nystrom's approximation on the exact kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.features.distinct import distinct, held_out
from neural_kernels.features.method import BuiltMap, KernelValues, Method, Task
from neural_kernels.runtime.products import multiply
from neural_kernels.solvers.rpcholesky import pivots

_FACTOR = 2**28  # numbers that the factor of RPCholesky may hold
_STRIP = 512  # columns at a time of a product with a triangle


@dataclass(frozen=True)
class Nystrom(Method):
    r"""Nystrom features: the exact kernel with m rows of the data, the landmarks L, whitened. They serve any kernel.

    .. math:: \phi(x) = k(x, L) R^{-T}, \qquad R R^T = k(L, L) + j I.

    Their kernel is that of the best predictor of f(x) from f(L), for f the Gaussian process of k: never above k (the
    difference is positive semi-definite), exact at the landmarks up to the jitter j, and with every distinct row as a
    landmark exact on the data. The first columns alone are the features of the first landmarks.

    Parameters
    ----------
    landmarks : {"uniform", "rpcholesky"}
        How they are drawn from the distinct rows given to `fit`. "uniform": each set is as likely as any other.
        "rpcholesky": randomly pivoted Cholesky [1]_, one after the other in proportion to what the ones before do not
        explain of k(x, x): better where the data have clusters of unequal sizes; on images, "uniform" learns as well
        for less.

    Notes
    -----
    Fewer distinct rows than columns (or a kernel of lower rank, for "rpcholesky"): all of them are landmarks and the
    remaining columns are 0. Landmarks do not depend on the order of the rows, on copies, or on whether they are
    sparse.

    The jitter is :math:`8 (\epsilon + m\,\epsilon_{64})` times the mean of k(l, l): `eps` of the data's precision,
    below which kernel entries are noise, and of float64, in which R is made.

    Cost: m^2 kernel entries in float64 and 2 m^3 / 3 operations to build, the m (m - 1) / 2 numbers of R^-T and the
    landmarks (sparse ones stay sparse) to keep; m kernel entries and m^2 operations a row. RPCholesky adds n m kernel
    entries, n m^2 operations and n m numbers while it runs; of more than 2^28 / m rows, it sees a uniform sample of so
    many (at least 2 m). It draws pivots in blocks by rejection [2]_, which follows the distribution of [1]_ exactly.

    References
    ----------
    .. [1] Y. Chen, E. Epperly, J. Tropp, R. Webber, "Randomly pivoted Cholesky: practical approximation of a kernel
       matrix with few entry evaluations", 2022, arXiv:2207.06503, algorithm 1.
    .. [2] E. Epperly, J. Tropp, R. Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly
       pivoted Cholesky", 2024, arXiv:2410.03969, algorithms 2.1 and 2.2.
    .. [3] C. Williams, M. Seeger, "Using the Nystrom method to speed up kernel machines", 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.features import Nystrom, feature_map
    >>> from neural_kernels.exact import NTK
    >>> from neural_kernels.layers import mlp
    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> phi = feature_map(mlp(2), n_components=50, method=Nystrom()).fit(x)
    >>> bool(np.allclose(phi(x) @ phi(x).T, NTK(mlp(2))(x)))
    True
    """

    landmarks: Literal["uniform", "rpcholesky"] = "uniform"

    def __post_init__(self) -> None:
        if self.landmarks not in ("uniform", "rpcholesky"):
            raise ValueError(f'landmarks={self.landmarks!r}: expected "uniform" or "rpcholesky"')

    @property
    @override
    def needs_data(self) -> bool:
        return True

    @property
    @override
    def nested(self) -> bool:
        return self.landmarks == "uniform"  # pivots are drawn in blocks whose size depends on the number of columns

    @override
    def used_columns(self, n_components: int, rows: int) -> int:
        return min(n_components, rows)

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        kernel = task.values
        kernel.diag(sample[:1])
        m, rows = task.n_components, distinct(sample, task.seed)
        if self.landmarks == "rpcholesky" and m < len(rows):
            most = max(len(rows) - held_out(len(rows)), m)
            rows = rows[: min(most, max(_FACTOR // m, 2 * m))]
            pool = sample[rows]
            chosen = rows[pivots(kernel, pool, m, np.random.default_rng(task.seed))]
        else:
            chosen = rows[:m]
        features = LandmarkFeatures(kernel, sample[chosen], task.dtype)
        features.learned = chosen
        return features


class LandmarkFeatures(BuiltMap):
    """k(x, L) R^-T, with as many columns as landmarks.

    Parameters
    ----------
    kernel : KernelValues
    landmarks : Tensor or CSR matrix, shape (m, d)
    dtype : torch.dtype
        Of the whitening matrix R^-T.
    """

    def __init__(self, kernel: KernelValues, landmarks: Any, dtype: torch.dtype) -> None:
        super().__init__()
        self.kernel = kernel
        self.columns = landmarks.shape[0]
        self._shape = tuple(landmarks.shape)
        if isinstance(landmarks, Tensor):
            self.register_buffer("rows", landmarks.detach().clone())
        else:
            for name in ("data", "indices", "indptr"):
                self.register_buffer(name, torch.from_numpy(getattr(landmarks, name).copy()))
        self.register_buffer("whitening", _whitening(kernel, landmarks, dtype))

    # The landmarks as they were, told by their buffer and its version, and the kernel made ready for them.
    _bound: tuple[Tensor, int, Callable[[Any], Tensor]] | None = None

    @property
    def landmarks(self) -> Any:
        """The landmarks as they were given: a tensor, or a CSR matrix."""
        if "rows" in self._buffers:
            return self.rows
        from scipy import sparse

        data, indices, indptr = (self._buffers[name].cpu().numpy() for name in ("data", "indices", "indptr"))  # pyright: ignore[reportOptionalMemberAccess]
        return sparse.csr_matrix((data, indices, indptr), self._shape)

    def cross(self, x: Any) -> Tensor:
        """Compute k(x, L), shape (n, m)."""
        held = self._buffers["rows" if "rows" in self._buffers else "data"]
        assert held is not None
        if self._bound is None or self._bound[0] is not held or self._bound[1] != held._version:
            self._bound = held, held._version, self.kernel.bind(self.landmarks)
        return self._bound[2](x)

    def __getstate__(self) -> dict[str, Any]:
        """Without the kernel that was made ready."""
        state = super().__getstate__()
        state.pop("_bound", None)
        return state

    @override
    def forward(self, x: Any) -> Tensor:
        assert isinstance(self.whitening, Tensor)
        cross = self.cross(x).to(self.whitening)
        return torch.cat([cross[:, : s.stop] @ self.whitening[: s.stop, s] for s in self._strips], dim=1)

    @override
    def fill(self, x: Any, out: Tensor) -> None:
        assert isinstance(self.whitening, Tensor)
        if out.dtype != self.whitening.dtype:
            super().fill(x, out)
            return
        cross = self.cross(x).to(self.whitening)
        for s in self._strips:
            multiply(cross[:, : s.stop], self.whitening[: s.stop, s], out[:, s])

    @override
    def readout(self, weights: Tensor) -> tuple[Callable[[Any], Tensor], Tensor]:
        """Give k(x, L) and R^-T W, whose product is features times W without m^2 operations a row."""
        assert isinstance(self.whitening, Tensor)
        return self.cross, torch.cat([self.whitening[s].to(weights) @ weights for s in self._strips])

    @property
    def _strips(self) -> list[slice]:
        return [slice(start, min(start + _STRIP, self.columns)) for start in range(0, self.columns, _STRIP)]


def _whitening(kernel: KernelValues, landmarks: Any, dtype: torch.dtype) -> Tensor:
    """Compute R^-T, upper triangular, in float64; the jitter is that of the precision the landmarks are used in."""
    wide = landmarks.to(torch.float64) if isinstance(landmarks, Tensor) else landmarks.astype(np.float64)
    gram = kernel(wide).to(torch.float64)
    mean = gram.diagonal().mean()
    jitter = 8 * (torch.finfo(dtype).eps + len(gram) * torch.finfo(torch.float64).eps) * mean
    gram.diagonal().add_(jitter if mean > 0 else 1.0)
    root = torch.linalg.cholesky(gram)
    inverse = torch.eye(len(root), out=gram)
    torch.linalg.solve_triangular(root, inverse, upper=False, out=inverse)
    return inverse.T.to(dtype).contiguous()
