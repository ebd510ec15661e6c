"""Plain functions that write out the usual architectures."""

from __future__ import annotations

import torch

from neural_kernels.activations import BivariateNormal, Dual, ReLU
from neural_kernels.layer import Layer
from neural_kernels.layers import _validate
from neural_kernels.layers.containers import Sequential
from neural_kernels.layers.dense import Dense


def mlp(depth: int, activation: Dual | None = None, bias_var: float = 0.0) -> Sequential:
    """A fully connected network that preserves the variance of its units at 1.

    Parameters
    ----------
    depth : int
        Number of hidden (activated) layers, at least 1.
    activation : Dual
        Default `ReLU()`.
    bias_var : float
        Variance of every layer's biases.

    Returns
    -------
    Sequential
        ``Dense(1), activation, [Dense(v), activation] * (depth - 1), Dense(1)`` with ``v = 1 / E[activation(z)^2]``,
        z standard normal.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.mlp(2)
    Sequential(Dense(), ReLU(), Dense(weight_var=2.0), ReLU(), Dense())
    """
    _validate.count("mlp", "depth", depth)
    _validate.number("mlp", "bias_var", bias_var)
    activation = ReLU() if activation is None else activation
    if not isinstance(activation, Dual):
        raise TypeError(
            f"mlp(activation={activation!r}): expected an activation such as nk.ReLU(), or nk.Elementwise(fn)"
        )
    hidden = Dense(_critical(activation), bias_var)
    body: list[Layer] = [Dense(1.0, bias_var), activation]
    for _ in range(depth - 1):
        body += [hidden, activation]
    return Sequential(*body, Dense(1.0, bias_var))


def _critical(activation: Dual) -> float:
    """1 / E[activation(z)^2], the weight variance that keeps the variance at 1."""
    one = torch.ones(1, dtype=torch.float64)
    moment = activation.dual(BivariateNormal(one, one, 0 * one)).item()
    if moment == 0:
        raise ValueError(f"{activation!r} vanishes on standard normal input: no weight variance preserves it")
    return 1 / moment
