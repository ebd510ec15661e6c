"""A torch module as a function of parameters and examples, checked where it enters."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from neural_kernels.empirical.batches import Place
from neural_kernels.empirical.parameters import Selection, select

Forward = Callable[[nn.Module, Any], Tensor]


def call(module: nn.Module, batch: Any) -> Any:
    """A tuple holds positional arguments, a mapping keyword arguments; all else is the one argument."""
    if isinstance(batch, tuple):
        return module(*batch)
    return module(**batch) if isinstance(batch, dict) else module(batch)


class _Whole(nn.Module):
    """The user's module and the function that calls it, as one module: so that `functional_call` reaches both."""

    def __init__(self, module: nn.Module, forward: Forward) -> None:
        super().__init__()
        self.module = module
        self._forward = forward

    def forward(self, batch: Any) -> Any:
        return self._forward(self.module, batch)


@dataclass(frozen=True)
class Model:
    """A module, how it is called, and the parameters that count."""

    module: nn.Module
    forward: Forward
    parameters: dict[str, nn.Parameter]
    _whole: _Whole = field(repr=False)

    @classmethod
    def of(cls, module: nn.Module, selection: Selection, forward: Forward | None) -> Model:
        """Check a module.

        Raises
        ------
        TypeError, ValueError
            It is none, has no trainable parameters, or couples or randomises its examples.
        """
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"expected a torch module; got {type(module).__name__} (an architecture of this library becomes one by "
                "net.to_torch(...); its infinite-width kernel is nk.NTK)"
            )
        for name, part in module.named_modules():
            _refuse_training(name, part)
        forward = forward or call
        parameters = select(module, selection)
        training = module.training
        whole = _Whole(module, forward)
        whole.training = training
        return cls(module, forward, parameters, whole)

    @property
    def place(self) -> Place:
        """Where the module is, and its precision."""
        first = next(iter(self.parameters.values()))
        return Place(first.device, first.dtype)

    def __call__(self, batch: Any, count: int) -> Tensor:
        """Outputs of `count` examples, shape (n, o)."""
        return check_outputs(self.forward(self.module, batch), count)

    def at(self, values: dict[str, Tensor], batch: Any, count: int) -> Tensor:
        """The same with other values of the parameters, shape (n, o)."""
        renamed = {f"module.{name}": value for name, value in values.items()}
        return check_outputs(functional_call(self._whole, renamed, (batch,)), count)


def check_outputs(outputs: Any, count: int) -> Tensor:
    """What a module gave for `count` examples, as (n, o)."""
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the module returns {type(outputs).__name__}; expected one tensor. Say which with, for example, "
            "forward=lambda module, batch: module(**batch).logits"
        )
    if outputs.ndim == 0 or len(outputs) != count:
        raise ValueError(
            f"the module returns shape {tuple(outputs.shape)} for {count} examples; expected the examples first, "
            f"({count}, ...). A loss or a mean over the batch has no kernel between examples."
        )
    if not outputs.is_floating_point():
        raise TypeError(f"the module returns dtype {outputs.dtype}; expected real numbers (logits, not classes)")
    return outputs.reshape(count, -1)


def check_finite(outputs: Tensor, rows: slice) -> None:
    """Refuse what would spoil a kernel without a word."""
    bad = ~outputs.detach().isfinite().all(1)
    if bad.any():
        raise ValueError(
            f"the module's outputs are NaN or infinite for {int(bad.sum())} examples, the first of them number "
            f"{rows.start + int(bad.nonzero()[0])}. Check its weights and those examples."
        )


def _refuse_training(name: str, part: nn.Module) -> None:
    """Layers that couple the examples of a batch, or draw at random."""
    name = f"{name or 'the module'} ({type(part).__name__})"
    if isinstance(part, nn.modules.batchnorm._BatchNorm):
        if part.training:
            raise ValueError(f"{name} is in training mode and couples the examples of a batch: call module.eval()")
        if part.running_mean is None:
            raise ValueError(f"{name} keeps no running statistics and couples the examples of a batch: no kernel")
    rates = [getattr(part, rate, 0) for rate in ("p", "dropout") if isinstance(getattr(part, rate, 0), float)]
    random = isinstance(part, nn.modules.dropout._DropoutNd | nn.MultiheadAttention | nn.RNNBase)
    if random and part.training and any(rates):
        raise ValueError(f"{name} is in training mode and drops entries at random: call module.eval()")


@contextmanager
def unfused() -> Iterator[None]:
    """Without kernels for inference alone, which have no derivatives of the kinds needed here."""
    attention = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.nn.attention.sdpa_kernel([torch.nn.attention.SDPBackend.MATH]):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(attention)


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Torch's own operations in the place of oneDNN's, which cannot be differentiated twice (LSTM)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "TF32 acceleration")  # torch speaks of Intel's GPUs whenever this is set
        with torch.backends.mkldnn.flags(enabled=False):
            yield
