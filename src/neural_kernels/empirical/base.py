"""What all kernels of a torch module share: the road from a call to the entries, and the other ways to use a kernel.

A module is given once; batches go in with every call, and entries, a diagonal or products with vectors come out.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError
from tqdm.auto import tqdm

from neural_kernels.checks import require_budget
from neural_kernels.empirical.capture.discover import discover
from neural_kernels.empirical.capture.structure import ModuleStructure
from neural_kernels.empirical.factored.gram_blocks import diagonal, fill
from neural_kernels.empirical.factored.plan import GradientPlan
from neural_kernels.empirical.matvec import multiply
from neural_kernels.empirical.module.batches import ExampleSource, read, tensor_of
from neural_kernels.empirical.module.jacobian import differentiable_diagonal, differentiable_gram
from neural_kernels.empirical.module.model import Forward, Model, plain_autograd, refuse_random
from neural_kernels.empirical.module.outputs import OutputProjection
from neural_kernels.empirical.module.parameters import Selection
from neural_kernels.empirical.module_on_disk import ModuleTask
from neural_kernels.exact.kernel import Kernel
from neural_kernels.storage.matrix import fill_file

_WORKING = 1 << 30  # bytes for gradients and passes where the user sets no budget


@dataclass(frozen=True, eq=False)
class EmpiricalKernel(Kernel):
    """A tangent kernel of a torch module, as a function of two batches.

    Parameters as :class:`EmpiricalNTK` describes them. What is found out about the module is kept for every shape of
    examples and choice of parameters, so that later calls need not probe it again; no gradients are kept.
    """

    module: nn.Module
    parameters: Selection = None
    forward: Forward | None = None
    memory_budget: int | None = None
    progress: bool = False
    method: Literal["factored", "jacobian"] = "factored"
    _structures: dict[Any, ModuleStructure] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        require_budget(self.memory_budget)
        if self.method not in ("factored", "jacobian"):
            raise ValueError(f"method={self.method!r}: expected 'factored' or 'jacobian'")
        Model.of(self.module, self.parameters, self.forward)

    @property
    def _options(self) -> list[Any]:
        """What entries depend on, besides the module and its parameters."""
        return [self.forward, self.method, None]

    @abstractmethod
    def _projection(self, outputs: int, like: Tensor) -> OutputProjection:
        """The combinations that count of this many outputs, of the precision and on the device of `like`."""

    @property
    @abstractmethod
    def _scalar(self) -> bool:
        """Whether an entry is a number, not a matrix over outputs."""

    @plain_autograd()
    def __call__(self, x1: Any, x2: Any = None, out: Any = None) -> Any:
        """The Gram matrix.

        Parameters
        ----------
        x1, x2 : array, Tensor, tuple, mapping, list or DataLoader
            Examples as the module takes them, along the first axis: one array; a tuple of positional arguments; a
            mapping of keyword arguments; a list or `DataLoader` of such batches, which are loaded when needed. None for
            `x2` means `x1`, at half the work. NumPy arrays are brought to the module's device and precision.
        out : array, optional
            Filled and returned; a `numpy.memmap` for results larger than memory.

        Returns
        -------
        array
            Of the shape that the class says; a tensor for tensors, else NumPy. For tensors that require gradients,
            differentiable with respect to them.

        Raises
        ------
        ValueError, TypeError
            Examples or outputs that fit no kernel, with what to do.
        MemoryError
            The result exceeds `memory_budget`; says by how much.
        """
        model, first = self._open(x1, "x1")
        second = None if x2 is None or x2 is x1 else read(x2, "x2", model.place)
        structure, projection = self._discovered(model, first)
        if out is None and (first.differentiable() or (second is not None and second.differentiable())):
            return self._shape(differentiable_gram(model, first, second, projection))
        n1, n2 = first.length, first.length if second is None else second.length
        target, memory = self._target(out, (n1, n2, projection.kept, projection.kept), model)
        plan = GradientPlan.smallest(model, structure, projection, memory // 4)
        with torch.no_grad(), tqdm(total=n1 * n2, unit="pair", disable=not self.progress) as bar:
            fill(plan, first, second, target, memory - plan.room, bar)
        return out if out is not None else self._returned(self._shape(target), first, second)

    def to_disk(self, path: Any, x1: Any, x2: Any = None, resume: bool = True, block: int | None = None) -> np.memmap:
        """The Gram matrix in a ``.npy`` file, block by block; a call that was killed is resumed by the same call.

        Processes of one machine that make the same call at the same time share the blocks; each returns when all are
        done, and what one that dies has left is taken over by the others.

        Parameters
        ----------
        path : path-like
            Of the file. What is done stands in a small journal beside it, ``path + ".journal"``, which stays.
        x1, x2 : as for a call, but not in batches
        resume : bool
            False: start anew, over a file of `to_disk` itself.
        block : int, optional
            Rows of a block, at most 2048 by default. A resumed computation keeps its own.

        Returns
        -------
        numpy.memmap
            Read-only, of the shape that the class says. At once, if the file is complete.

        Raises
        ------
        ValueError
            The file is of another module, other parameters or data, or not by `to_disk`; or it was cut off.
        BlockingIOError
            Another thread computes it; or another process, with ``resume=False`` or on Windows.
        OSError
            The disk is too small, or its file system has no locks.
        TypeError
            `forward` holds something that cannot be compared between processes.
        """
        model, quiet = Model.of(self.module, self.parameters, self.forward), replace(self, progress=False)
        task = ModuleTask(quiet, model, self._options, x1, x2, self.progress)
        return fill_file(task, path, resume, block)

    @plain_autograd()
    def diag(self, x: Any) -> Any:
        """k(x, x) for every example: the Gram matrix's diagonal, without the rest."""
        model, source = self._open(x, "x")
        structure, projection = self._discovered(model, source)
        if source.differentiable():
            return self._shape(differentiable_diagonal(model, source, projection))
        memory = self.memory_budget or _WORKING
        plan = GradientPlan.smallest(model, structure, projection, memory // 4)
        with torch.no_grad():
            entries = diagonal(plan, source, memory - plan.room)
        return self._returned(self._shape(entries), source, None)

    @plain_autograd()
    def matvec(self, vector: Any, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix times a vector, without the matrix: two passes through the module for every column.

        Parameters
        ----------
        vector : array, shape (n2,) or (n2, o), or with one more axis for several vectors
            A number for every column of the matrix: for every example of `x2` (and every output, where an entry is a
            matrix).
        x1, x2 : as for a call

        Returns
        -------
        array, shape (n1,) or (n1, o), likewise
        """
        model, first = self._open(x1, "x1")
        second = first if x2 is None else read(x2, "x2", model.place)
        _, projection = self._discovered(model, first)
        values = tensor_of(vector, "vector").to(model.place.device, model.place.dtype)
        expected = (second.length,) if self._scalar else (second.length, projection.kept)
        if tuple(values.shape[: len(expected)]) != expected or values.ndim > len(expected) + 1:
            raise ValueError(f"vector: expected shape {expected} or {(*expected, 'm')}; got {tuple(values.shape)}")
        if not values.isfinite().all():
            raise ValueError("vector holds NaN or infinite numbers; expected finite ones")
        columns = values.reshape(second.length, projection.kept, math.prod(values.shape[len(expected) :]))
        result = multiply(model, projection, columns, first, second)
        return self._returned(result.reshape(first.length, *values.shape[1:]), first, second)

    def _open(self, x: Any, name: str) -> tuple[Model, ExampleSource]:
        model = Model.of(self.module, self.parameters, self.forward)
        return model, read(x, name, model.place)

    def _discovered(self, model: Model, source: ExampleSource) -> tuple[ModuleStructure, OutputProjection]:
        """How the module works, found out once for every shape of examples, and the outputs that count."""
        key = tuple((name, id(p)) for name, p in model.parameters.items()), source.signature()
        if key not in self._structures:
            self._structures[key] = self._discover(model, source)
        structure = self._structures[key]
        like = next(iter(model.parameters.values())).detach()
        return structure, self._projection(structure.outputs, like)

    def _discover(self, model: Model, source: ExampleSource) -> ModuleStructure:
        with refuse_random(model.place):
            model.check_dependence(source.pick([0, 1]), 2)
            try:
                return discover(model, source, self.method == "factored")
            except CheckpointError:  # layers are called again in the backward pass, out of sight
                return discover(model, source, layered=False)

    def _target(self, out: Any, shape: tuple[int, ...], model: Model) -> tuple[Any, int]:
        """Where entries go, as (n1, n2, k, k), and the bytes left for all else."""
        like = torch.empty(0, dtype=model.place.dtype, device=model.place.device)
        budget = self.memory_budget
        if out is None:
            size = math.prod(shape) * like.element_size()
            if budget is not None and size >= budget:
                raise MemoryError(
                    f"the result takes {size:,} bytes, memory_budget is {budget:,}. Pass out= a numpy.memmap."
                )
            return like.new_empty(shape), _WORKING if budget is None else budget - size
        expected = shape[:2] if self._scalar else shape
        if not isinstance(out, np.ndarray | Tensor):
            raise TypeError(f"out: expected a NumPy array, memmap or torch tensor; got {type(out).__name__}")
        if tuple(out.shape) != expected:
            raise ValueError(f"out: expected shape {expected}, got {tuple(out.shape)}")
        if str(out.dtype).removeprefix("torch.") != str(like.dtype).removeprefix("torch."):
            raise TypeError(f"out: expected dtype {like.dtype}, that of the module; got {out.dtype}")
        if isinstance(out, np.ndarray) and not out.flags.writeable:
            raise ValueError("out is read-only; expected an array to be filled, such as a memmap opened with mode 'r+'")
        return (out[:, :, None, None] if self._scalar else out), budget or _WORKING

    def _shape(self, entries: Tensor) -> Tensor:
        """Drop the axes of outputs, (..., 1, 1), where entries are numbers."""
        return entries[..., 0, 0] if self._scalar else entries

    def _returned(self, result: Tensor, first: ExampleSource, second: ExampleSource | None) -> Any:
        """A tensor if any examples are tensors, else a NumPy array."""
        wanted = first.torch or (second is not None and second.torch)
        return result if wanted else result.detach().cpu().numpy()
