"""Geometry of windows: which positions a layer reads for each position of its output.

The finite modules have a geometry of their own, `finite.geometry`, as the oracle of this one; they share no code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from neural_kernels.algebra import KernelPair, Layer
from neural_kernels.errors import PositionsError

Sizes = int | tuple[int, ...]
Padding = str | int | tuple[int | tuple[int, int], ...]
# Along one axis: a name, or the cells before and behind the data.
AxisPadding = str | tuple[int, int]
# Size, window, stride, dilation and padding of one axis to its table.
Rule = Callable[[int, int, int, int, AxisPadding], Tensor]
_NAMES = ("same", "valid", "circular")


def sizes(owner: str, name: str, value: Any, low: int = 1) -> Sizes:
    """Check and return an integer for all axes of positions, or a tuple with one for each."""
    if _integer(value, low):
        return int(value)
    if isinstance(value, Sequence) and value and all(_integer(each, low) for each in value):
        return tuple(int(each) for each in value)
    raise ValueError(
        f"{owner}({name}={value!r}): expected an integer of at least {low}, or a tuple with one for each axis"
    )


def padding(owner: str, value: Any) -> Padding:
    """Check and return a name, an integer, or a tuple with an integer or a pair (before, behind) for each axis."""
    if isinstance(value, str) and value in _NAMES:
        return value
    if _integer(value, 0):
        return int(value)
    if isinstance(value, Sequence) and value and not isinstance(value, str):
        parts = [int(part) if _integer(part, 0) else _pair(part) for part in value]
        if None not in parts:
            return tuple(parts)  # pyright: ignore[reportReturnType]
    raise ValueError(
        f"{owner}(padding={value!r}): expected one of {', '.join(map(repr, _NAMES))}, an integer of at least 0, or a "
        "tuple that holds for each axis an integer or a pair (before, behind)"
    )


def _integer(value: Any, low: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= low


def _pair(value: Any) -> tuple[int, int] | None:
    fits = isinstance(value, Sequence) and len(value) == 2 and all(_integer(each, 0) for each in value)
    return (int(value[0]), int(value[1])) if fits else None


def positions_of(layer: Layer, pair: KernelPair[Any], ordered: bool = True) -> tuple[int, ...]:
    """Return the positions' shape; raise where there are none, or where they must be ``ordered`` and are nodes."""
    positions = pair.nngp.positions
    if not positions:
        raise PositionsError(
            f"{layer!r} acts on positions, but its input has none: it got vectors. Pass data of shape "
            "(n, channels, *positions), with this layer in front of Flatten or a global pool; on vectors use Dense."
        )
    if ordered and pair.graph is not None:
        raise ValueError(
            f"{layer!r} needs positions in an order, but the nodes of a graph have none. Use GraphAggregate and Dense."
        )
    return positions


@dataclass(frozen=True)
class Geometry:
    """Sizes, strides and padding of windows as a layer states them: for all axes, or for each.

    Parameters
    ----------
    window, stride, dilation : int or tuple of int
    padding : str, int or tuple
    """

    window: Sizes
    stride: Sizes
    dilation: Sizes
    padding: Padding

    def tables(self, layer: Layer, positions: tuple[int, ...], rule: Rule) -> list[Tensor]:
        """Return the table of every axis by a rule, `windows` or `transposed`; errors name the layer."""
        count = len(positions)
        numbers = [each(layer, value, count) for value in (self.window, self.stride, self.dilation)]
        padding = (self.padding,) * count if isinstance(self.padding, (str, int)) else self.padding
        _fits(layer, len(padding), count)
        pairs = [(part, part) if isinstance(part, int) else part for part in padding]
        try:
            return [rule(*axis) for axis in zip(positions, *numbers, pairs, strict=True)]
        except ValueError as error:
            raise ValueError(f"{layer!r} on positions {positions}: {error}") from None


def each(layer: Layer, value: Sizes, count: int) -> tuple[int, ...]:
    """Return one number for each of ``count`` axes; raise, naming the layer, where it gives another number of them."""
    values = (value,) * count if isinstance(value, int) else value
    _fits(layer, len(values), count)
    return values


def _fits(layer: Layer, given: int, count: int) -> None:
    if given != count:
        raise ValueError(
            f"{layer!r} is described for {given} axes of positions, but its input has {count}; give one integer for "
            "all axes, or data of shape (n, channels, *positions) with as many axes"
        )


def windows(
    size: int, window: int, stride: int = 1, dilation: int = 1, padding: AxisPadding = "same"
) -> Int64[Tensor, "taps after"]:
    """Return which position each place of a window reads, for every position of the output; -1 outside the data.

    "same" (TensorFlow, XLA): ceil(size / stride) outputs, the odd cell of padding behind the data; "circular": the same
    with the data again instead of zeros; "valid": none; a pair: as torch does.

    Raises
    ------
    ValueError
        The data are smaller than the window.
    """
    reach = dilation * (window - 1) + 1
    if isinstance(padding, tuple):
        before, total = padding[0], sum(padding)
    elif padding == "valid":
        before = total = 0
    else:
        total = max((-(-size // stride) - 1) * stride + reach - size, 0)
        before = total // 2
    if size + total < reach:
        padded = f" and {total} of padding" if total else ""
        raise ValueError(
            f"an axis of {size} positions{padded} is shorter than the window, {reach}; use padding='same', larger "
            "data, or fewer pools and strides before"
        )
    after = (size + total - reach) // stride + 1
    index = dilation * torch.arange(window)[:, None] + stride * torch.arange(after) - before
    return index % size if padding == "circular" else _inside(index, size)


def transposed(
    size: int, window: int, stride: int = 1, dilation: int = 1, padding: AxisPadding = "same"
) -> Int64[Tensor, "taps after"]:
    """Return the same for the transpose: position i adds to ``i * stride + dilation * a``, a any place of the window.

    "same" keeps ``size * stride`` positions of those, from (window - stride) // 2 on; "circular" folds the others back
    onto them; "valid" keeps all; a pair leaves out as many on either side, as torch does.
    """
    reach = dilation * (window - 1) + 1
    first, after = max(reach - stride, 0) // 2, size * stride
    if padding == "valid":
        first, after = 0, size * stride + max(reach - stride, 0)
    elif isinstance(padding, tuple):
        first, after = padding[0], (size - 1) * stride + reach - sum(padding)
        if after < 1:
            raise ValueError(f"an axis of {size} positions: padding {padding} leaves nothing of the transpose")
    place = torch.arange(after) + first - dilation * torch.arange(window)[:, None]
    source = place.div(stride, rounding_mode="floor")
    source = source % size if padding == "circular" else _inside(source, size)
    return torch.where(place % stride == 0, source, -1)


def _inside(index: Tensor, size: int) -> Tensor:
    return torch.where((index >= 0) & (index < size), index, -1)
