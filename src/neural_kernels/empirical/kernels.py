"""The three kernels: of all outputs, averaged over outputs, and of their sum; each says which outputs count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.empirical.base import EmpiricalKernel
from neural_kernels.empirical.module.batches import tensor_of
from neural_kernels.empirical.module.outputs import OutputProjection


@dataclass(frozen=True, eq=False)
class EmpiricalNTK(EmpiricalKernel):
    r"""Empirical neural tangent kernel of a torch module, at its present parameters.

    .. math:: K(x, y)_{ab} = \langle \partial_\theta f_a(x), \partial_\theta f_b(y) \rangle

    Calls return shape (n1, n2, o, o) for a module with o outputs.

    Parameters
    ----------
    module : torch.nn.Module
        In `eval` mode; examples come first in what it takes and returns. Its outputs are flattened to (n, o).
    parameters : str, sequence of str, callable or None
        Those to differentiate by, of the trainable ones: name patterns (``"head.*"``, ``"*lora*"``), or a function of
        the module that gives names, such as ``nk.LastLayers(2)``. None: all.
    forward : callable, optional
        How a batch becomes one tensor: ``lambda module, batch: module(**batch).logits``. By default a tuple holds
        positional arguments, a mapping keyword arguments.
    memory_budget : int, optional
        Bytes for the result, if it is not given as ``out``, and for gradients (1 GiB without a budget); what one pass
        through the module takes comes on top.
    progress : bool
        Show a progress bar.
    method : "factored" or "jacobian"
        "jacobian" differentiates example by example (`torch.func`) and multiplies: slow, for comparison.
    outputs : int, array of shape (o,) or (o, k), optional
        One output or one combination of outputs v: entries are the numbers v'Kv, shape (n1, n2); or combinations V:
        entries V'KV, shape (n1, n2, k, k).

    Notes
    -----
    One forward pass and o backward passes by what layers write, not by parameters; the products of a layer's gradients
    come from what it read and the gradients by what it wrote, in the cheapest order. Parameters that no layer's rule
    explains are found by a check against autograd and differentiated example by example.

    On a CPU with several threads, blocks of examples pass at the same time through copies of the module
    (``copy.deepcopy``) that share its parameters and buffers; one after the other if it cannot be copied, or with
    ``torch.set_num_threads(1)``.

    References
    ----------
    Jacot, Gabriel, Hongler 2018, arXiv 1806.07572; Novak, Sohl-Dickstein, Schoenholz 2022, arXiv 2206.08720.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    >>> nk.EmpiricalNTK(module)(torch.ones(4, 3)).shape
    torch.Size([4, 4, 2, 2])
    """

    outputs: Any = None

    @property
    @override
    def _options(self) -> list[Any]:
        return [self.forward, self.method, self.outputs]

    @override
    def _projection(self, outputs: int, like: Tensor) -> OutputProjection:
        if self.outputs is None:
            return OutputProjection(torch.eye(outputs).to(like))
        if isinstance(self.outputs, int | np.integer) and not isinstance(self.outputs, bool):
            if not -outputs <= self.outputs < outputs:
                raise ValueError(
                    f"outputs={self.outputs}: expected 0 to {outputs - 1}, for the module has {outputs} outputs"
                )
            return OutputProjection(torch.eye(outputs).to(like)[:, int(self.outputs), None])
        columns = tensor_of(self.outputs, "outputs")
        if columns.ndim not in (1, 2) or len(columns) != outputs or columns.numel() == 0:
            raise ValueError(
                f"outputs: expected a number, or combinations of the module's {outputs} outputs of shape ({outputs},) "
                f"or ({outputs}, k); got shape {tuple(columns.shape)}"
            )
        if not columns.isfinite().all():
            raise ValueError("outputs: the combinations hold NaN or infinite numbers; expected finite ones")
        return OutputProjection(columns.to(like).reshape(outputs, -1))

    @property
    @override
    def _scalar(self) -> bool:
        return self.outputs is not None and np.ndim(self.outputs) < 2


@dataclass(frozen=True, eq=False)
class TraceNTK(EmpiricalKernel):
    r"""Empirical NTK averaged over a module's outputs, shape (n1, n2).

    .. math:: k(x, y) = \frac{1}{o} \sum_a \langle \partial_\theta f_a(x), \partial_\theta f_a(y) \rangle

    The nearest kernel of numbers to the full one, ``k (x) I``, entry by entry; costs o backward passes where
    :class:`PseudoNTK` needs one. Parameters as for :class:`EmpiricalNTK`.

    References
    ----------
    Engel et al. 2024, arXiv 2305.14585.
    """

    @override
    def _projection(self, outputs: int, like: Tensor) -> OutputProjection:
        return OutputProjection(torch.eye(outputs).to(like), averaged=True)

    @property
    @override
    def _scalar(self) -> bool:
        return True


@dataclass(frozen=True, eq=False)
class PseudoNTK(EmpiricalKernel):
    r"""Pseudo-NTK of a torch module: the kernel of the normalised sum of its outputs, shape (n1, n2).

    .. math:: k(x, y) = \langle \partial_\theta g(x), \partial_\theta g(y) \rangle, \quad g = o^{-1/2} \sum_a f_a

    Stands for the full kernel as ``k (x) I``, at one backward pass whatever the number of outputs; the difference falls
    as the inverse root of the width before the readout. Parameters as for :class:`EmpiricalNTK`.

    References
    ----------
    Mohamadi, Bae, Sutherland 2023, arXiv 2206.12543.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> import torch
    >>> module = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))
    >>> nk.PseudoNTK(module)(torch.ones(4, 3)).shape
    torch.Size([4, 4])
    """

    @override
    def _projection(self, outputs: int, like: Tensor) -> OutputProjection:
        return OutputProjection(like.new_full((outputs, 1), outputs**-0.5))

    @property
    @override
    def _scalar(self) -> bool:
        return True
