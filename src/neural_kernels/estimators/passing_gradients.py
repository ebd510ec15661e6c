"""Predictions as functions of torch: of a tensor that requires gradients, a tensor that passes them on."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def passing_gradients(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method of a model with `InputGradients`; of a tensor that requires gradients, its results pass them on."""

    @wraps(method)
    def predict(self: Any, X: Any, *given: Any, **options: Any) -> Any:
        if not (isinstance(X, Tensor) and X.requires_grad):
            return method(self, X, *given, **options)
        if any(given) or any(options.values()):
            raise ValueError(
                f"X requires gradients, which {method.__name__}(X) alone passes on, without deviations and other "
                "options: give X.detach()"
            )
        if method.__name__ == "predict" and hasattr(self, "classes_"):
            raise ValueError("X requires gradients, and labels have none: give X.detach(), or take decision_function")
        return _Prediction.apply(X, lambda rows: method(self, rows), self._input_gradients)

    return predict


class _Prediction(torch.autograd.Function):
    """Outputs, (n,) or (n, k), the last ones of those whose weighted sums' derivatives are known."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, outputs: Callable[[Tensor], Any], gradient: Callable[..., Any]) -> Tensor:
        ctx.save_for_backward(x)
        ctx.gradient = gradient
        return torch.from_numpy(outputs(x.detach().cpu())).to(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x,), (grad,) = ctx.saved_tensors, grads
        along = grad.reshape(len(x), -1).double().cpu().numpy()
        return torch.from_numpy(ctx.gradient(x.detach().cpu(), along)).to(x)[:, 0], None, None
