"""Any function as an activation."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.expectations.pieces import Pieces
from neural_kernels.activations.numeric import NumericActivation


@dataclass(frozen=True, init=False, repr=False)
class Elementwise(NumericActivation):
    """Any function of a tensor, entry by entry.

    Without kinks the dual and its slope are within 1e-8 of ``sqrt(kappa(p, p) kappa(q, q))`` for variances from 1e-4
    to 1e2 if the function changes on the scale of 1 or slower, as tanh does. With kinks and polynomial pieces they are
    in closed form. With other pieces they are integrated pair by pair, to 1e-9 at any norm for such functions, and a
    warning gives the accuracy where the pieces vary faster; kernels of hundreds of vectors come from tables of such
    integrals, to 1e-8. For gradients, and on other devices than the CPU, a series of at most 8192 terms takes their
    place, with a warning where that is worse than 1e-8: the ELU is within 3e-9 up to standard deviation 10, but
    max(tanh(x), 1/2), whose higher derivatives jump more, within 1e-9, 1e-7 and 5e-5 at standard deviations 1, 3, 10.

    Parameters
    ----------
    fn : callable
        Differentiable by autograd, and analytic but at the kinks; also in float64. With kinks it must have repeated
        derivatives by autograd. What it holds, such as a module's parameters, must not change.
    kinks : sequence of float
        Where it or one of its derivatives jumps. A kink that is not named costs accuracy.

    Warns
    -----
    UserWarning
        When a kernel is computed, if the pieces between kinks vary too fast.

    Raises
    ------
    TypeError
        Where ``fn`` is not a function of a tensor that returns a tensor.
    ValueError
        Where ``fn`` does not keep shape and dtype, is not finite, or has kinks and no second derivative by autograd.

    Examples
    --------
    >>> import torch
    >>> from neural_kernels.activations import BivariateNormal
    >>> Elementwise(torch.tanh).dual(BivariateNormal(*torch.tensor([1.0, 1.0, 0.5])))
    tensor(0.1863)
    """

    function: Callable[[Tensor], Tensor]
    places: tuple[float, ...]

    def __init__(self, fn: Callable[[Tensor], Tensor], kinks: Iterable[float] = ()) -> None:
        if not callable(fn):
            raise TypeError(f"Elementwise(fn={fn!r}): expected a callable of one tensor")
        places = tuple(sorted({float(a) for a in kinks}))
        if not all(math.isfinite(a) for a in places):
            raise ValueError(f"Elementwise(kinks={places}): expected finite numbers")
        _check_function(fn)
        if places:
            Pieces.of(fn, places)  # refuses a function without the derivatives that its kinks ask for
        object.__setattr__(self, "function", fn)
        object.__setattr__(self, "places", places)

    @override
    def __hash__(self) -> int:
        """As equality has it, also for a callable object without a hash."""
        return hash((self.function if isinstance(self.function, Hashable) else None, self.places))

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", None) or repr(self.function)
        return f"Elementwise({name}, kinks={self.places})" if self.places else f"Elementwise({name})"

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return self.places

    @override
    def fn(self, x: Tensor) -> Tensor:
        return self.function(x)


def _check_function(fn: Callable[[Tensor], Tensor]) -> None:
    """Refuse what does not map tensors entry by entry to finite numbers."""
    for dtype in (torch.float32, torch.float64):
        x = torch.linspace(-5.9, 6.1, 64, dtype=dtype).reshape(8, 8)
        value = _value(fn, x)
        if not isinstance(value, Tensor):
            raise TypeError(f"fn must return a tensor, not {type(value).__name__}")
        if value.shape != x.shape or value.dtype != dtype:
            raise ValueError(
                f"fn must keep shape and dtype: {tuple(x.shape)}, {dtype} became {tuple(value.shape)}, {value.dtype}"
            )
        if not bool(value.isfinite().all()):
            raise ValueError("fn must be finite on the whole line, and is not at some point of [-5.9, 6.1]")


def _value(fn: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply it to a tensor that asks for gradients, which functions of NumPy, SciPy and `math` do not take."""
    try:
        return fn(x.requires_grad_().clone())
    except (TypeError, ValueError, RuntimeError) as error:
        name = getattr(fn, "__name__", "")
        known = f"torch.{name}" if hasattr(torch, name) else "torch.tanh"
        raise TypeError(
            f"Elementwise(fn={fn!r}): expected a function of a torch tensor; of a tensor it raises {error!r}. Give a "
            f"torch function such as {known}, or a function made of them"
        ) from error
