"""The kernels of a network: what users call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from typing_extensions import override

from neural_kernels.algebra import Graph, K, KernelPair, Layer, Nothing, Traits
from neural_kernels.checks import require_budget
from neural_kernels.engine.inputs import Rows
from neural_kernels.exact.arrays import Batch, dress, graph, read, read_pair
from neural_kernels.exact.bound import BoundNetwork
from neural_kernels.exact.expressions.nodes import Expression
from neural_kernels.exact.gram import Gram, propagate
from neural_kernels.exact.kernel import Kernel
from neural_kernels.exact.lazy import diagonal_by_blocks, gram_by_blocks
from neural_kernels.exact.results import gram_matrices, largest_entry, require_range


@dataclass(frozen=True)
class NetworkKernel(Kernel):
    """A kernel of an infinitely wide network, as a function of two batches."""

    net: Layer
    memory_budget: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        _check_network(self.net)
        require_budget(self.memory_budget)

    @abstractmethod
    def expression(self, sides: Sequence[Rows], graph: Graph | None = None) -> Expression:
        """This kernel, of one or two batches as the network sees them: mapped, if its first layer has a metric."""

    @abstractmethod
    def represent(self, data: K, features: int) -> K:
        """This kernel in another representation than entries: what the network's layers make of that of the input.

        Parameters
        ----------
        data : Representation
            The kernel of the input, x.y / d.
        features : int
            d: columns of the input, or its channels.
        """

    @property
    @override
    def takes_sparse(self) -> bool:
        """Whether examples are known to be taken as sparse matrices."""
        return True

    @gram_by_blocks
    def __call__(self, x1: Any, x2: Any = None, out: Any = None) -> Any:
        """The Gram matrix.

        Parameters
        ----------
        x1, x2 : array, shape (n1, d) and (n2, d)
            NumPy, torch (CPU or CUDA), SciPy sparse or CSR of torch, pandas, polars, lists, Dask arrays chunked by
            rows; None for `x2` means `x1`, at half the work. float32 is kept, half precision becomes float32, all else
            float64. Two vectors of shape (d,) give one number.
        out : array, shape (n1, n2), optional
            Filled and returned; a `numpy.memmap` for results larger than memory.

        Returns
        -------
        array, shape (n1, n2)
            Of the kind, device and precision of `x1`; lazy for Dask arrays, differentiable for torch inputs that are.

        Raises
        ------
        ValueError, TypeError
            Shapes that do not fit, NaN or infinity, numbers that are none.
        MemoryError
            The result exceeds `memory_budget`; says by how much.
        OverflowError
            The kernel leaves the range of the precision.
        """
        first, second = _seen(self.net, *read_pair(x1, x2))
        kernel = self.expression(*_sides(first, second))
        outs = None if out is None else [out]
        (result,) = gram_matrices([kernel], (first, second), outs, self.memory_budget, self.progress)
        return out if out is not None else dress(result, first, second)

    @override
    def bind(self, x2: Any) -> Callable[[Any], Any]:
        return BoundNetwork(self, read(x2, "x2"))

    @diagonal_by_blocks
    def diag(self, x: Any) -> Any:
        """k(x, x) for every row, shape (n,), in O(n d); exact to rounding."""
        batch = read(x, "x").seen(self.net.split()[1])
        kernel = self.expression([batch.rows], graph([batch]))
        require_range(largest_entry(kernel), batch.rows.dtype)
        return batch.dress(kernel.stds[0].square().to(batch.rows.dtype))

    def to_disk(self, path: Any, x1: Any, x2: Any = None, resume: bool = True, block: int | None = None) -> np.memmap:
        """The Gram matrix in a ``.npy`` file, block by block; a call that was killed is resumed by the same call.

        Processes of one machine that make the same call at the same time share the blocks; each returns when all are
        done, and what one that dies has left is taken over by the others.

        Parameters
        ----------
        path : path-like
            Of the file. What is done stands in a small journal beside it, ``path + ".journal"``, which stays.
        x1, x2 : array, shape (n1, d) and (n2, d)
            As for a call. The file is the same bit for bit, however often the computation was interrupted (on one
            machine, with one number of torch threads).
        resume : bool
            False: start anew, over a file of `to_disk` itself.
        block : int, optional
            Rows of a block; chosen for about a second of work. A resumed computation keeps its own.

        Returns
        -------
        numpy.memmap, shape (n1, n2)
            Read-only. At once, if the file is complete.

        Raises
        ------
        ValueError
            The file is of another network, other data or not by `to_disk`; or it was cut off.
        BlockingIOError
            Another thread computes it; or another process, with ``resume=False`` or on Windows.
        OSError
            The disk is too small, or its file system has no locks.
        TypeError
            An activation holds something that cannot be compared between processes.
        """
        from neural_kernels.exact.on_disk import BatchTask  # with the first file
        from neural_kernels.runtime.digests import hash_text
        from neural_kernels.storage.fingerprint import describe
        from neural_kernels.storage.matrix import fill_file

        identity = {"kernel": type(self).__name__, "network": hash_text(describe(self.net, (Layer,)))}
        task = BatchTask(replace(self, progress=False), identity, (x1, x2), self.memory_budget, self.progress)
        return fill_file(task, path, resume, block)


@dataclass(frozen=True)
class NTK(NetworkKernel):
    r"""Neural tangent kernel of an infinitely wide network, in the NTK parametrisation.

    .. math:: \Theta(x, y) = \lim_{width \to \infty} \langle \partial_\theta f(x), \partial_\theta f(y) \rangle

    Parameters
    ----------
    net : Layer
        The description, for example ``nk.mlp(3)``.
    memory_budget : int, optional
        Bytes that a result may take.
    progress : bool
        Show a progress bar.

    Notes
    -----
    Costs one matrix product of the inputs and a few nanoseconds per entry and layer; half of it if `x2` is None. Scale
    the inputs first (`StandardScaler` or `Normalizer`): a kernel of unscaled columns is one of their largest.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, arXiv 1806.07572; Lee et al. 2019, arXiv 1902.06720.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> x = np.eye(2)
    >>> nk.NTK(nk.mlp(1))(x).round(4)
    array([[0.5   , 0.0796],
           [0.0796, 0.5   ]])
    """

    @override
    def expression(self, sides: Sequence[Rows], graph: Graph | None = None) -> Expression:
        """The NTK's component of the recursion, by entries."""
        return _both(propagate(self.net.split()[0], sides, graph))[1]

    def represent(self, data: K, features: int) -> K:
        """The NTK's component of the recursion."""
        ntk = self.net.propagate(KernelPair(data, data.zero(), features)).ntk
        assert not isinstance(ntk, Nothing)
        return ntk


@dataclass(frozen=True)
class NNGP(NetworkKernel):
    r"""Covariance of the outputs of an infinitely wide random network, which is a Gaussian process.

    .. math:: K(x, y) = \lim_{width \to \infty} E[f(x) f(y)]

    Parameters, cost and results as for :class:`NTK`.

    References
    ----------
    Neal 1994; Lee et al. 2018, arXiv 1711.00165; Matthews et al. 2018, arXiv 1804.11271.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.mlp(1)).diag(np.eye(2))
    array([0.25, 0.25])
    """

    @override
    def expression(self, sides: Sequence[Rows], graph: Graph | None = None) -> Expression:
        """The NNGP kernel's component of the recursion, by entries."""
        return propagate(self.net.split()[0], sides, graph, ntk=False).nngp.expression

    def represent(self, data: K, features: int) -> K:
        """The NNGP kernel's component of the recursion, which does without the NTK."""
        return self.net.propagate(KernelPair(data, Nothing(), features)).nngp


def kernels(net: Layer, x1: Any, x2: Any = None, out: tuple[Any, Any] | None = None) -> tuple[Any, Any]:
    """NNGP kernel and NTK in one pass, which costs little more than one of them.

    Parameters
    ----------
    net : Layer
    x1, x2 : array, shape (n1, d) and (n2, d)
        As for :class:`NTK`.
    out : tuple of two arrays, optional
        For the NNGP kernel and the NTK.

    Returns
    -------
    nngp, ntk : array, shape (n1, n2)

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nngp, ntk = nk.kernels(nk.mlp(2), np.eye(3))
    """
    if out is not None and len(out) != 2:
        raise ValueError(f"out: expected two arrays, (nngp, ntk); got {len(out)}")
    _check_network(net)
    first, second = _seen(net, *read_pair(x1, x2))
    both = _both(propagate(net.split()[0], *_sides(first, second)))
    results = gram_matrices(both, (first, second), out, memory_budget=None, progress=False)
    if out is not None:
        return out[0], out[1]
    return dress(results[0], first, second), dress(results[1], first, second)


def _seen(net: Layer, first: Batch, second: Batch) -> tuple[Batch, Batch]:
    """Both batches as the metric of the first layer has them; one batch stays one."""
    _, through = net.split()
    seen = first.seen(through)
    return seen, seen if second is first else second.seen(through)


def _both(pair: KernelPair[Gram]) -> list[Expression]:
    assert not isinstance(pair.ntk, Nothing)
    return [pair.nngp.expression, pair.ntk.expression]


def _check_network(net: object) -> None:
    if not isinstance(net, Layer):
        hint = " (nk.from_torch reads a torch module)" if isinstance(net, torch.nn.Module) else ""
        raise TypeError(f"expected a description of a network, such as nk.mlp(3); got {net!r}{hint}")
    net.check(Traits.of_input())


def _sides(first: Batch, second: Batch) -> tuple[list[Rows], Graph | None]:
    """Rows and graphs of both batches, of one batch once."""
    batches = [first] if first is second else [first, second]
    return [batch.rows for batch in batches], graph(batches)
