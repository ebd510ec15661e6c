"""A module around its present parameters: its outputs there, its kernel, and what coefficients of it add."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import nn

from neural_kernels.empirical.base import EmpiricalKernel
from neural_kernels.empirical.kernels import EmpiricalNTK
from neural_kernels.empirical.module.batches import ExampleSource, read
from neural_kernels.empirical.module.model import Model, check_finite, snapshot
from neural_kernels.exact.kernel import Kernel, len_of
from neural_kernels.runtime.types import Array

_PASS = 256  # examples that pass through the module at a time
_STRIP = 1 << 28  # bytes of kernel rows at a time, unless the kernel's memory_budget is smaller


@dataclass(frozen=True)
class Expansion:
    """A module, a kernel, and whether the kernel's entries are matrices over the outputs."""

    module: nn.Module
    kernel: Kernel
    full: bool

    @classmethod
    def of(cls, module: nn.Module, kernel: Any) -> Expansion:
        """Of a copy of the module, so that later training changes nothing.

        Raises
        ------
        TypeError, ValueError
            `kernel` gives no kernel, one of another module, or one of combinations of outputs.
        """
        copy = snapshot(module)
        if isinstance(kernel, Kernel):
            own = _of_copy(kernel, module, copy)
        else:
            own = kernel(copy) if callable(kernel) else kernel
        if not isinstance(own, Kernel):
            raise TypeError(f"kernel: expected nk.PseudoNTK, nk.TraceNTK, nk.EmpiricalNTK or a kernel; got {kernel!r}")
        outputs = own.outputs if isinstance(own, EmpiricalNTK) else 0
        if outputs is not None and np.ndim(outputs) > 1:
            raise ValueError("kernel: of combinations of outputs it cannot predict each of them; leave out outputs=V")
        return cls(copy, own, outputs is None)

    @property
    def model(self) -> Model:
        """The module, as the kernel has it: with its way to call it, if the kernel is, in some part, of the module."""
        for part in _parts(self.kernel):
            if isinstance(part, EmpiricalKernel):
                return Model.of(part.module, part.parameters, part.forward)
        return Model.of(self.module, None, None)

    @property
    def memory_budget(self) -> int | None:
        """Bytes that the kernel allows its results and gradients, if it sets a limit."""
        return getattr(self.kernel, "memory_budget", None)

    def read(self, X: Any) -> ExampleSource:
        """Examples of any kind that the module takes, on its device and in its precision."""
        return read(X, "X", self.model.place)

    def outputs(self, source: ExampleSource) -> Array:
        """The module's outputs f_0 in float64, shape (n, o)."""
        model, parts = self.model, []
        for rows, batch in source.blocks(_PASS):
            parts.append(model(batch, rows.stop - rows.start))
            check_finite(parts[-1], rows)
        return as_array(torch.cat(parts)).astype(np.float64)

    def combine(self, coefficients: Array, X: Any, centres: Any) -> Array:
        """What the coefficients at the centres add to the outputs: k(X, centres) coefficients, shape (m, o)."""
        if self.full:  # one direction in the space of parameters, and the module's derivative along it
            kernel: Any = self.kernel
            return as_array(kernel.matvec(coefficients, X, centres))
        strips = self._strips(X, len(coefficients))
        return np.concatenate([as_array(self.kernel(strip, centres)) @ coefficients for strip in strips])

    def _strips(self, X: Any, columns: int) -> Iterator[Any]:
        """Parts of X, each as many examples as memory allows: for each one the centres pass through anew."""
        budget = min(_STRIP, int((self.memory_budget or 4 * _STRIP) // 4))
        size = max(1, budget // (self.model.place.dtype.itemsize * columns))
        if not isinstance(self.kernel, EmpiricalKernel):  # others take arrays, not batches
            yield from (X[start : start + size] for start in range(0, len_of(X), size))
            return
        strip, start = [], 0
        for rows, batch in self.read(X).blocks(size):
            if rows.stop - start > size:
                yield strip
                strip, start = [], rows.start
            strip.append(batch)
        yield strip


def _parts(kernel: Kernel) -> Iterator[Kernel]:
    """The kernel, and those that it is made of."""
    yield kernel
    for part in _fields(kernel).values():
        yield from _parts(part)


def _of_copy(kernel: Kernel, module: nn.Module, copy: nn.Module) -> Kernel:
    """The same kernel of a copy of the module."""
    if isinstance(kernel, EmpiricalKernel):
        if kernel.module is not module:
            raise ValueError("kernel is of another module; expected one of `module`, or a class: nk.TraceNTK")
        return replace(kernel, module=copy)
    parts = {name: _of_copy(part, module, copy) for name, part in _fields(kernel).items()}
    return replace(kernel, **parts) if parts else kernel  # pyright: ignore[reportArgumentType, reportCallIssue, reportUnknownVariableType]


def _fields(kernel: Kernel) -> dict[str, Kernel]:
    """Kernels that a sum, a product or a multiple holds."""
    return {name: part for name, part in vars(kernel).items() if isinstance(part, Kernel)}


def as_array(values: Any) -> np.ndarray:
    """The same numbers as a NumPy array, brought to the CPU and without history."""
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
