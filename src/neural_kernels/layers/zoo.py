"""Plain functions that write out the usual architectures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import cache, wraps
from inspect import isabstract, signature
from typing import ParamSpec

import numpy as np
import torch

from neural_kernels import activations
from neural_kernels.activations import BivariateNormal, Dual, ReLU
from neural_kernels.algebra import Layer
from neural_kernels.checks import require_choice, require_integer, require_number
from neural_kernels.layers.call import FUNCTIONS, Call
from neural_kernels.layers.containers import Residual
from neural_kernels.layers.convolution import Conv
from neural_kernels.layers.dense import Dense
from neural_kernels.layers.normalization import LayerNorm
from neural_kernels.layers.pooling import AvgPool, Flatten, GlobalAvgPool
from neural_kernels.layers.sequential import Sequential

_P = ParamSpec("_P")


def _remembered(function: Callable[_P, Sequential]) -> Callable[_P, Sequential]:
    """The function, whose networks know the call that wrote them out."""

    @wraps(function)
    def written(*args: _P.args, **kwargs: _P.kwargs) -> Sequential:
        net, given = function(*args, **kwargs), signature(function).bind(*args, **kwargs).arguments
        return Sequential(*net.layers, call=Call(function.__name__, {k: _plain(value) for k, value in given.items()}))

    FUNCTIONS[function.__name__] = written
    return written


def _plain(value: object) -> object:
    """Numbers of NumPy as those of Python, and lists as tuples."""
    if isinstance(value, np.generic):
        return value.item()
    return tuple(map(_plain, value)) if isinstance(value, (tuple, list)) else value


@_remembered
def mlp(depth: int, activation: Dual | str | None = None, bias_var: float = 0.0) -> Sequential:
    """A fully connected network that preserves the variance of its units at 1.

    Parameters
    ----------
    depth : int
        Number of hidden (activated) layers, at least 1.
    activation : Dual or str
        Default `ReLU()`; or the name of an activation of the library, such as "gelu", in its default form.
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
    mlp(2)
    >>> nk.Sequential(*nk.mlp(2).layers)
    Sequential(Dense(), ReLU(), Dense(weight_var=2.0), ReLU(), Dense())
    """
    require_integer("mlp", depth=depth)
    require_number("mlp", bias_var=bias_var)
    activation = _activation("mlp", activation)
    hidden = Dense(_critical(activation), bias_var)
    body: list[Layer] = [Dense(1.0, bias_var), activation]
    for _ in range(depth - 1):
        body += [hidden, activation]
    return Sequential(*body, Dense(1.0, bias_var))


def _critical(activation: Dual) -> float:
    """Return 1 / E[activation(z)^2], z standard normal: the weight variance that keeps the variance at 1."""
    one = torch.ones(1, dtype=torch.float64)
    moment = activation.dual(BivariateNormal(one, one, 0 * one)).item()
    if moment == 0:
        raise ValueError(f"{activation!r} vanishes on standard normal input: no weight variance preserves it")
    return 1 / moment


@_remembered
def cnn(
    depth: int,
    activation: Dual | str | None = None,
    *,
    pooling: str = "avg",
    bias_var: float = 0.0,
    readout_trained: bool = True,
) -> Sequential:
    """A plain convolutional network: 3 x 3 convolutions that keep the size, then one readout.

    Parameters
    ----------
    depth : int
        Number of hidden (activated) layers, at least 1.
    activation : Dual or str
        Default `ReLU()`; or the name of an activation of the library, such as "gelu", in its default form.
    pooling : {"avg", "flatten"}
        "avg": a mean over all positions, at a cost of O(positions^2) for a pair of examples; "flatten": none, at
        O(positions).
    bias_var : float
        Variance of every layer's biases.
    readout_trained : bool
        Whether the last layer's weights are trained; Arora et al. 2019 (arXiv 1904.11955) define the CNTK without.

    Returns
    -------
    Sequential
        ``Conv(3), activation, [Conv(3, weight_var=v), activation] * (depth - 1)``, then ``GlobalAvgPool(), Dense()`` or
        ``Flatten(), Dense()``; v as for :func:`mlp`.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> nk.Sequential(*nk.cnn(2, pooling="flatten").layers)
    Sequential(Conv(kernel_size=3), ReLU(), Conv(kernel_size=3, weight_var=2.0), ReLU(), Flatten(), Dense())
    """
    require_integer("cnn", depth=depth)
    require_number("cnn", bias_var=bias_var)
    require_choice("cnn", ("avg", "flatten"), pooling=pooling)
    activation = _activation("cnn", activation)
    pool = GlobalAvgPool() if pooling == "avg" else Flatten()
    first, hidden = (Conv(3, weight_var=v, bias_var=bias_var) for v in (1.0, _critical(activation)))
    body = [first, activation, *[hidden, activation] * (depth - 1)]
    return Sequential(*body, pool, Dense(1.0, bias_var, trained=readout_trained))


@_remembered
def myrtle(depth: int = 5, activation: Dual | str | None = None, bias_var: float = 0.0) -> Sequential:
    """A Myrtle network: three groups of 3 x 3 convolutions, means over 2 x 2 between them and over all pixels behind.

    Parameters
    ----------
    depth : {5, 7, 10}
        Number of layers with weights; 2, 1, 1 or 2, 2, 2 or 3, 3, 3 convolutions, and the readout.
    activation : Dual or str
        Default `ReLU()`; or the name of an activation of the library, such as "gelu", in its default form.
    bias_var : float
        Variance of every layer's biases.

    Returns
    -------
    Sequential
        For images of at least 4 x 4 pixels; those of the paper are 32 x 32.

    References
    ----------
    Shankar, Fang, Guo, Fridovich-Keil, Schmidt, Ragan-Kelley, Recht 2020, arXiv 2003.02237.

    Examples
    --------
    >>> import neural_kernels as nk
    >>> len(nk.myrtle(10).layers)  # 9 convolutions and activations, 2 pools, the last pool, the readout
    22
    """
    groups = {5: (2, 1, 1), 7: (2, 2, 2), 10: (3, 3, 3)}
    if depth not in groups:
        raise ValueError(f"myrtle(depth={depth!r}): expected 5, 7 or 10")
    require_number("myrtle", bias_var=bias_var)
    activation = _activation("myrtle", activation)
    first, hidden = (Conv(3, weight_var=v, bias_var=bias_var) for v in (1.0, _critical(activation)))
    body: list[Layer] = []
    for count in groups[depth]:
        body += [*[hidden, activation] * count, AvgPool(2)]
    return Sequential(first, *body[1:-1], GlobalAvgPool(), Dense(1.0, bias_var))


@_remembered
def resnet(
    blocks: tuple[int, ...] = (1, 1, 1), activation: Dual | str | None = None, bias_var: float = 0.0
) -> Sequential:
    """A residual network after the wide ResNet, with layer normalisation where that has batch normalisation.

    Every block adds ``LayerNorm, activation, Conv(3), LayerNorm, activation, Conv(3)`` to its input; the first block of
    every group but the first halves the image, with a strided 1 x 1 convolution as its shortcut.

    Parameters
    ----------
    blocks : tuple of int
        Number of blocks in each group.
    activation : Dual or str
        Default `ReLU()`; or the name of an activation of the library, such as "gelu", in its default form.
    bias_var : float
        Variance of every layer's biases.

    Returns
    -------
    Sequential
        Its activations see variance 1; the sums' variance grows by 1 a block, and the normalisation takes that away.

    References
    ----------
    Zagoruyko, Komodakis 2016, arXiv 1605.07146.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> nk.NNGP(nk.resnet())(np.ones((2, 3, 8, 8))).shape
    (2, 2)
    """
    if not isinstance(blocks, (tuple, list)) or not blocks:
        raise ValueError(f"resnet(blocks={blocks!r}): expected a tuple with the number of blocks in each group")
    for count in blocks:
        require_integer("resnet", blocks=count)
    require_number("resnet", bias_var=bias_var)
    activation = _activation("resnet", activation)
    variance = _critical(activation)
    norm = LayerNorm(over="all")
    body: list[Layer] = [Conv(3, bias_var=bias_var)]
    for group, count in enumerate(blocks):
        for block in range(count):
            stride = 2 if group and not block else 1
            first, second = (Conv(3, s, weight_var=variance, bias_var=bias_var) for s in (stride, 1))
            shortcut = Conv(1, stride) if stride > 1 else None
            body.append(Residual(Sequential(norm, activation, first, norm, activation, second), shortcut))
    return Sequential(*body, norm, activation, GlobalAvgPool(), Dense(1.0, bias_var))


def _activation(owner: str, activation: Dual | str | None) -> Dual:
    """Check and return the activation, ReLU where none is given."""
    if activation is None:
        return ReLU()
    if isinstance(activation, str):
        name = activation.replace("_", "").lower()
        require_choice(owner, tuple(_named()), activation=name)
        return _named()[name]
    if not isinstance(activation, Dual):
        raise TypeError(
            f"{owner}(activation={activation!r}): expected an activation such as nk.ReLU(), its name, or "
            "nk.Elementwise(fn)"
        )
    return activation


@cache
def _named() -> dict[str, Dual]:
    """Activations that need no arguments, by the names of their classes in lower case."""
    exported = (getattr(activations, name) for name in activations.__all__)
    kinds = [kind for kind in exported if issubclass(kind, Dual) and not isabstract(kind)]
    return {
        kind.__name__.lower(): kind()
        for kind in kinds
        if all(field.default is not MISSING for field in fields(kind))  # pyright: ignore[reportArgumentType]
    }
