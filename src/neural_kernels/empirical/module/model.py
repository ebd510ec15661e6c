"""A torch module as a function of parameters and examples, checked where it enters.

A module, a choice of parameters and a function that calls the module go in; a `Model` comes out, whose outputs are
(n, o) at the present parameters or at any others. The states of torch under which kernels compute stand here as well.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.parameter import is_lazy

from neural_kernels.empirical.module.batches import Place, copy_of, dtypes_of
from neural_kernels.empirical.module.parameters import Selection, select

Forward = Callable[[nn.Module, Any], Tensor]
_PRECISIONS = torch.float32, torch.float64


def call(module: nn.Module, batch: Any) -> Any:
    """Call a module: a tuple holds positional arguments, a mapping keyword arguments; all else is the one argument."""
    if isinstance(batch, tuple):
        try:
            return module(*batch)
        except TypeError as error:
            error.add_note(
                f"the batch holds {len(batch)} arrays, the module's positional arguments. If some are labels, "
                "pass forward=lambda module, batch: module(batch[0])."
            )
            raise
    return module(**batch) if isinstance(batch, dict) else module(batch)


class CalledModule(nn.Module):
    """A module and the function that calls it, as one module: so that `functional_call` reaches both."""

    def __init__(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.module, self._forward = module, forward

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function on the module and the arguments."""
        return self._forward(self.module, *args, **kwargs)

    def at(self, values: Mapping[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """Call it with other values of some parameters; buffers and arguments are copies, which it may write over."""
        tensors = {**values, **{name: buffer.clone() for name, buffer in self.module.named_buffers()}}
        renamed = {f"module.{name}": tensor for name, tensor in tensors.items()}
        return functional_call(self, renamed, copy_of(args), copy_of(kwargs))


@dataclass(frozen=True)
class Model:
    """A module as a function of its parameters and of a batch.

    Parameters
    ----------
    module : Module
        The user's own: what it holds is never changed.
    forward : callable
        ``forward(module, batch)`` gives a tensor with the examples first.
    parameters : dict
        Those to differentiate by, by name; each parameter once, under its first name.
    """

    module: nn.Module
    forward: Forward
    parameters: dict[str, nn.Parameter]
    _called: CalledModule = field(repr=False)

    @classmethod
    def of(cls, module: nn.Module, selection: Selection, forward: Forward | None) -> Model:
        """Check a module, and choose its parameters.

        Raises
        ------
        TypeError, ValueError
            It is none, has no trainable parameters or some of several precisions or devices, or couples or randomises
            its examples.
        """
        if not isinstance(module, nn.Module):
            raise TypeError(
                f"expected a torch module; got {type(module).__name__} (an architecture of this library becomes one by "
                "net.to_torch(...); its infinite-width kernel is nk.NTK)"
            )
        for name, part in module.named_modules():
            _refuse_training(name, part)
        _check_place(module)
        forward = forward or call
        called = CalledModule(module, forward)
        called.training = module.training
        return cls(module, forward, select(module, selection), called)

    @property
    def place(self) -> Place:
        """The device and the precision of the module's parameters."""
        first = next(iter(self.parameters.values()))
        return Place(first.device, first.dtype)

    def __call__(self, batch: Any, count: int) -> Tensor:
        """The outputs of a batch of `count` examples at the present parameters, shape (n, o)."""
        return check_outputs(self.forward(self.module, copy_of(batch)), count).to(self.place.dtype)

    def at(self, values: dict[str, Tensor], batch: Any, count: int) -> Tensor:
        """The outputs of a batch of `count` examples at other values of some parameters, shape (n, o)."""
        try:
            outputs = self._called.at(values, batch)
        except RuntimeError as error:
            _explain(error, dtypes_of(batch), self.place.dtype)
            raise
        return check_outputs(outputs, count).to(self.place.dtype)

    def check_dependence(self, batch: Any, count: int) -> None:
        """Refuse a module none of whose outputs depends on the parameters by autograd."""
        with torch.enable_grad():
            values = {name: p.detach().requires_grad_() for name, p in self.parameters.items()}
            if not self.at(values, batch, count).requires_grad:
                raise ValueError(
                    f"no output has a gradient by {', '.join(list(values)[:4])}, ...: look for detach() and no_grad() "
                    "in the module, or choose other parameters"
                )


def snapshot(module: nn.Module) -> nn.Module:
    """Copy a module with all that it holds.

    Raises
    ------
    ValueError
        It holds the result of a computation that autograd follows, which torch does not copy.
    """
    try:
        return deepcopy(module)
    except RuntimeError as error:
        raise ValueError(
            f"{type(module).__name__} cannot be copied: {error}. Detach what it keeps from a forward pass; in place of "
            "torch.nn.utils.weight_norm use torch.nn.utils.parametrizations.weight_norm."
        ) from error


def check_outputs(outputs: Any, count: int) -> Tensor:
    """Check what a module gave for `count` examples, and flatten it to (n, o)."""
    if not isinstance(outputs, Tensor):
        raise TypeError(
            f"the module returns {type(outputs).__name__}; expected one tensor. Say which with, for example, "
            "forward=lambda module, batch: module(**batch).logits"
        )
    if count > 1 and (outputs.ndim == 0 or len(outputs) != count):
        raise ValueError(
            f"the module returns shape {tuple(outputs.shape)} for {count} examples; expected the examples first, "
            f"({count}, ...). A loss or a mean over the batch has no kernel between examples."
        )
    if outputs.dtype not in _PRECISIONS:
        raise TypeError(
            f"the module returns dtype {outputs.dtype}; expected real numbers (logits, not classes), of float32 or "
            "float64"
        )
    if outputs.numel() == 0:
        raise ValueError(f"the module returns no outputs: shape {tuple(outputs.shape)} for {count} examples")
    return outputs.reshape(count, -1)


def check_finite(values: Tensor, rows: slice, what: str = "outputs") -> None:
    """Refuse values (n, ...) of the examples `rows` that are not finite, and name the first bad example."""
    bad = ~values.detach().flatten(1).isfinite().all(1)
    if bad.any():
        raise ValueError(
            f"the module's {what} are NaN or infinite for {int(bad.sum())} examples, the first of them number "
            f"{rows.start + int(bad.nonzero()[0])}. Check its weights and those examples."
        )


def _check_place(module: nn.Module) -> None:
    """Refuse parameters, those held fixed included, without values, on several devices, or of several precisions."""
    lazy = [name for name, p in module.named_parameters() if is_lazy(p)]
    if lazy:
        raise ValueError(f"{lazy[0]} has no shape yet: call the module once on examples, module(x)")
    dtypes = {p.dtype for p in module.parameters() if p.is_floating_point() or p.is_complex()}
    if len(dtypes) > 1 or not dtypes <= {*_PRECISIONS}:
        raise TypeError(
            f"the module's parameters are of {' and '.join(sorted(map(str, dtypes)))}; expected all of float32, or all "
            "of float64. Call module.float() or module.double(), of a copy.deepcopy(module) if you need it as it is."
        )
    devices = {p.device for p in module.parameters()}
    if len(devices) > 1 or any(device.type == "meta" for device in devices):
        raise ValueError(
            f"the module's parameters are on {' and '.join(sorted(map(str, devices)))}; expected all of them with "
            "values and on one device. Call module.to(device), or load its weights."
        )


def _explain(error: RuntimeError, dtypes: set[torch.dtype], expected: torch.dtype) -> None:
    """Add to torch's message on tensors of different dtypes which of them these are: it does not tell."""
    others = dtypes - {expected}
    if others:
        error.add_note(
            f"The examples hold {' and '.join(sorted(map(str, others)))}, the module's parameters are {expected}: "
            f"tensors and integers are passed to the module as they are. If it wants its own dtype: x.to({expected})."
        )


def _refuse_training(name: str, part: nn.Module) -> None:
    """Refuse layers that couple the examples of a batch, or draw at random."""
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
def refuse_random(place: Place) -> Iterator[None]:
    """Refuse a module that draws random numbers while this context lasts."""
    state = torch.cuda.get_rng_state if place.device.type == "cuda" else torch.get_rng_state
    before = state()
    yield
    if not torch.equal(before, state()):
        raise ValueError(
            "the module draws random numbers when it is called, so its outputs depend on chance and have no kernel. "
            "Call module.eval(); look for functional.dropout(x) without training=self.training."
        )


@contextmanager
def plain_autograd() -> Iterator[None]:
    """Leave inference mode, which has no gradients, autocast, which rounds, and compiled code, which hides layers."""
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # else nothing can be compiled, and loading it takes seconds
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.no_grad())
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield
