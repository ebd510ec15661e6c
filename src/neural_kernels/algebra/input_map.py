"""What a network sees of its input: a fixed linear map in front of it, and the metric that it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.types import Array, Shape

_ROUNDING = 1e-8  # of the largest entry: what a matrix may lack of symmetry, and its eigenvalues of being positive


@dataclass(frozen=True, eq=False, repr=False)
class Metric:
    r"""A positive semi-definite matrix M, by which a first layer multiplies inputs: :math:`x^T M z / d`.

    Parameters
    ----------
    matrix : array-like of shape (d, d) or (d,)
        The matrix, or the diagonal of one. The identity, all ones, leaves everything as it is.

    Raises
    ------
    ValueError
        For another shape, numbers that are not finite, a matrix that is not symmetric and positive semi-definite.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> first = nk.Dense(metric=[1.0, 0.0])
    >>> nk.NTK(nk.Sequential(first, nk.ReLU(), nk.Dense()))([[1.0, 5.0]], [[1.0, -5.0]])
    array([[0.5]])
    """

    matrix: Any

    def __post_init__(self) -> None:
        try:
            matrix = np.array(self.matrix, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"metric={self.matrix!r}: expected numbers, shape (d, d) or (d,)") from None
        if matrix.ndim not in (1, 2) or matrix.size == 0 or matrix.shape[0] != matrix.shape[-1]:
            raise ValueError(f"metric has shape {matrix.shape}: expected a matrix (d, d), or a diagonal (d,)")
        if not np.isfinite(matrix).all():
            raise ValueError("metric holds NaN or infinity: expected finite numbers")
        noise = _ROUNDING * np.abs(matrix).max()
        if matrix.ndim == 1 and (matrix < 0).any():
            raise ValueError(f"metric: expected a diagonal of numbers at least 0, got {matrix.min()}")
        if matrix.ndim == 2:
            if np.abs(matrix - matrix.T).max() > noise:
                raise ValueError("metric: expected a symmetric matrix; (M + M.T) / 2 is one")
            matrix = (matrix + matrix.T) / 2
            if (least := float(np.linalg.eigvalsh(matrix)[0])) < -noise:
                raise ValueError(f"metric: expected a positive semi-definite matrix, its least eigenvalue is {least}")
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)

    def __len__(self) -> int:
        return len(self.matrix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Metric) and np.array_equal(self.matrix, other.matrix)

    def __hash__(self) -> int:
        return hash((self.matrix.shape, self.matrix.tobytes()))

    def __repr__(self) -> str:
        return f"Metric({' x '.join(map(str, self.matrix.shape))})"

    @cached_property
    def root(self) -> Array:
        """The symmetric positive semi-definite root, or its diagonal."""
        if self.matrix.ndim == 1:
            return np.sqrt(self.matrix)
        values, vectors = np.linalg.eigh(self.matrix)
        return (vectors * np.sqrt(values.clip(0))) @ vectors.T


def as_metric(value: Metric | npt.ArrayLike | None) -> Metric | None:
    """Read the parameter `metric` of a layer."""
    return value if value is None or isinstance(value, Metric) else Metric(value)


class InputMap(ABC):
    """A fixed linear map of examples: the root of a metric, applied to the channels, or to windows.

    Parameters
    ----------
    metric : Metric
    """

    metric: Metric

    @abstractmethod
    def __call__(self, x: Tensor) -> Tensor:
        """Map examples, (n, channels, *positions), in their own precision; differentiable."""

    @abstractmethod
    def sparse(self, x: Any) -> Any:
        """Map the rows of a SciPy CSR matrix; to one, or to an ndarray."""

    @abstractmethod
    def after(self, shape: Shape) -> Shape:
        """The shape of an example of that shape, once mapped.

        Raises
        ------
        ValueError
            Such an example does not fit.
        """


@dataclass(frozen=True)
class ChannelMap(InputMap):
    """The root of a metric applied to the features, or to the channels at every position.

    Parameters
    ----------
    metric : Metric
    """

    metric: Metric

    @override
    def __call__(self, x: Tensor) -> Tensor:
        self.after(tuple(x.shape[1:]))
        root = torch.from_numpy(self.metric.root).to(x.device)
        channels = x.movedim(1, -1).to(torch.float64)
        mapped = channels * root if root.ndim == 1 else channels @ root
        return mapped.movedim(-1, 1).to(x.dtype)

    @override
    def sparse(self, x: Any) -> Any:
        self.after((x.shape[1],))
        root = self.metric.root
        if root.ndim == 2:
            return np.asarray(x @ root, dtype=x.dtype)
        from scipy import sparse

        return sparse.csr_matrix(((x.data * root[x.indices]).astype(x.dtype), x.indices, x.indptr), x.shape)

    @override
    def after(self, shape: Shape) -> Shape:
        if shape[0] != len(self.metric):
            raise ValueError(
                f"the metric of the first layer is one of {len(self.metric)} features or channels; examples have the "
                f"shape {shape}"
            )
        return shape
