"""Kernels of inputs seen through a metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.algebra import Metric
from neural_kernels.algebra.input_map import ChannelMap, as_metric
from neural_kernels.exact.arrays import Batch, dress, read
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.lazy import diagonal_by_blocks, gram_by_blocks
from neural_kernels.runtime.boundary import is_of_dask
from neural_kernels.runtime.lazy import cached_property


@dataclass(frozen=True)
class MetricKernel(Kernel):
    r"""A kernel of inputs that were multiplied by the root of a metric.

    .. math:: k_M(x, z) = k(M^{1/2} x, M^{1/2} z)

    What `nk.FeatureLearning` learns is such a metric. For the kernel of a network it is the same as a metric on the
    first layer, ``nk.Dense(metric=M)``; this takes any kernel.

    Parameters
    ----------
    kernel : Kernel
    metric : Metric, or array-like of shape (d, d) or (d,)
        A positive semi-definite matrix, or the diagonal of one.

    Raises
    ------
    TypeError, ValueError
        For what is no kernel, or no metric; and for examples of another number of features.

    Notes
    -----
    Costs the kernel, and n d numbers of mapped examples.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> kernel = nk.MetricKernel(nk.Laplace(), [1.0, 0.0])
    >>> kernel([[1.0, 5.0]], [[1.0, -5.0]])
    array([[1.]])
    """

    kernel: Kernel
    metric: Any

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise TypeError(f"MetricKernel(kernel={self.kernel!r}): expected a kernel such as nk.Laplace()")
        if self.metric is None:
            raise TypeError("MetricKernel(metric=None): expected a metric, shape (d, d) or (d,)")
        object.__setattr__(self, "metric", as_metric(self.metric))

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return self.kernel.takes_sparse

    @cached_property
    def _map(self) -> ChannelMap:
        metric: Metric = self.metric
        return ChannelMap(metric)

    def seen(self, batch: Batch) -> Any:
        """Examples as the kernel sees them: tensors for tensors, else an array or a CSR matrix."""
        data = batch.seen(self._map).data
        return data.numpy() if isinstance(data, Tensor) and not isinstance(batch.array, Tensor) else data

    @override
    @gram_by_blocks
    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, shape (n1, n2), of the kind, device and precision of `x1`."""
        first = read(x1, "x1")
        if x2 is None or x2 is x1:
            return dress(torch.as_tensor(self.kernel(self.seen(first))), first, first)
        second = read(x2, "x2")
        return dress(torch.as_tensor(self.kernel(self.seen(first), self.seen(second))), first, second)

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        second = read(x2, "x2")
        bound = self.kernel.bind(self.seen(second))

        def entries(x1: Any) -> Any:
            if is_of_dask(x1):
                return self(x1, x2)
            first = read(x1, "x1")
            return dress(torch.as_tensor(bound(self.seen(first))), first, second)

        return entries

    @override
    @diagonal_by_blocks
    def diag(self, x: Any) -> Any:
        """k(x, x) of the mapped examples, shape (n,)."""
        batch = read(x, "x")
        return batch.dress(torch.as_tensor(self.kernel.diag(self.seen(batch))))
