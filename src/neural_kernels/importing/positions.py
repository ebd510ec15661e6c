"""Rules for convolutions, pools and what else knows of positions; every refusal says where torch's rule is another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from neural_kernels.algebra import Layer
from neural_kernels.importing.registry import rule
from neural_kernels.layers import AvgPool, Conv, ConvTranspose, Flatten, GlobalAvgPool, Resize

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d


def _refuse(module: nn.Module, why: str) -> ValueError:
    return ValueError(f"from_torch: {module!r}: {why}")


def _short(values: Sequence[int]) -> int | tuple[int, ...]:
    """Return one number where all axes have the same."""
    return values[0] if len(set(values)) == 1 else tuple(values)


def _symmetric(padding: Sequence[int]) -> Any:
    """Return torch's padding in this library's words."""
    return _short(padding) if any(padding) else "valid"


def _variances(
    module: Convolution, weight_var: float | None, bias_var: float | None, initial: float
) -> tuple[float, float]:
    if module.groups != 1:
        raise _refuse(module, "groups of channels are not described here; use groups=1")
    weight = initial if weight_var is None else weight_var
    return weight, 0.0 if bias_var is None or module.bias is None else bias_var


@rule.register(nn.Conv1d)
@rule.register(nn.Conv2d)
@rule.register(nn.Conv3d)
def _(module: nn.Conv1d | nn.Conv2d | nn.Conv3d, weight_var: float | None, bias_var: float | None) -> Layer:
    weight, bias = _variances(module, weight_var, bias_var, 1 / 3)
    return Conv(
        _short(module.kernel_size),
        _short(module.stride),
        _padding(module),
        _short(module.dilation),
        weight_var=weight,
        bias_var=bias,
    )


def _padding(module: nn.Conv1d | nn.Conv2d | nn.Conv3d) -> Any:
    """Return a convolution's padding in this library's words."""
    if module.padding_mode not in ("zeros", "circular"):
        raise _refuse(module, f"padding_mode={module.padding_mode!r} is not described here; use 'zeros' or 'circular'")
    padding = module.padding if isinstance(module.padding, str) else _symmetric(module.padding)
    if module.padding_mode == "zeros" or padding == "valid":
        return padding
    reach = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    wraps = padding == "same" or [2 * p for p in module.padding] == reach
    if not wraps or set(module.stride) != {1}:
        raise _refuse(
            module,
            "circular padding here keeps the number of positions, over the stride and rounded up; torch's is the same "
            "only for stride 1 and padding = dilation * (kernel_size - 1) / 2",
        )
    return "circular"


@rule.register(nn.ConvTranspose1d)
@rule.register(nn.ConvTranspose2d)
@rule.register(nn.ConvTranspose3d)
def _(
    module: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d,
    weight_var: float | None,
    bias_var: float | None,
) -> Layer:
    # Torch's initialiser takes a transposed convolution's outputs for its inputs.
    weight, bias = _variances(module, weight_var, bias_var, module.in_channels / (3 * module.out_channels))
    if set(module.dilation) != {1}:
        raise _refuse(module, "dilation of a transposed convolution is not described here; use dilation=1")
    kernel, stride = _short(module.kernel_size), _short(module.stride)
    return ConvTranspose(kernel, stride, _transposed_padding(module), weight_var=weight, bias_var=bias)


def _transposed_padding(module: nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) -> Any:
    """Return a name whose outputs torch's numbers give, or what is left out on either side."""
    steps = list(zip(module.kernel_size, module.stride, strict=True))
    before = [int(p) for p in module.padding]
    after = [p - more for p, more in zip(before, module.output_padding, strict=True)]
    rest = [k - s for k, s in steps]
    if [b + a for b, a in zip(before, after, strict=True)] == rest and before == [max(r, 0) // 2 for r in rest]:
        return "same"
    if not any(before) and after == [min(r, 0) for r in rest]:
        return "valid"
    if min(after) < 0:
        raise _refuse(
            module,
            "output_padding beyond padding is described here only where it makes 'same' (stride times as many "
            "positions) or 'valid' (output_padding = max(stride - kernel_size, 0))",
        )
    return _symmetric(before) if before == after else tuple(zip(before, after, strict=True))


@rule.register(nn.AvgPool1d)
@rule.register(nn.AvgPool2d)
@rule.register(nn.AvgPool3d)
def _(module: nn.AvgPool1d | nn.AvgPool2d | nn.AvgPool3d, weight_var: float | None, bias_var: float | None) -> Layer:
    axes = {nn.AvgPool1d: 1, nn.AvgPool2d: 2, nn.AvgPool3d: 3}[type(module)]
    window, stride, padding = (_each(each, axes) for each in (module.kernel_size, module.stride, module.padding))
    if getattr(module, "divisor_override", None) is not None:
        raise _refuse(module, "divisor_override is not described here; nk.SumPool adds without dividing")
    if module.ceil_mode and set(stride) != {1}:
        raise _refuse(module, "ceil_mode=True adds windows that reach beyond the data; use ceil_mode=False and padding")
    return AvgPool(
        _short(window),
        None if stride == window else _short(stride),
        _symmetric(padding),
        count_padding=module.count_include_pad,
    )


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """Return one number for each axis; torch keeps what it was given."""
    values = (value,) if isinstance(value, int) else tuple(value)
    return values * axes if len(values) == 1 else values


@rule.register(nn.AdaptiveAvgPool1d)
@rule.register(nn.AdaptiveAvgPool2d)
@rule.register(nn.AdaptiveAvgPool3d)
def _(
    module: nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d | nn.AdaptiveAvgPool3d,
    weight_var: float | None,
    bias_var: float | None,
) -> Layer:
    size = module.output_size
    if set(size if isinstance(size, (tuple, list)) else (size,)) != {1}:
        raise _refuse(module, "only output_size=1, the mean over all positions, is known without the input's size; "
                              "use AvgPool")  # fmt: skip
    return GlobalAvgPool()


@rule.register
def _(module: nn.Flatten, weight_var: float | None, bias_var: float | None) -> Layer:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise _refuse(module, "only Flatten() of all but the examples' axis, start_dim=1 and end_dim=-1, is known")
    return Flatten()


@rule.register
def _(module: nn.Upsample, weight_var: float | None, bias_var: float | None) -> Layer:
    if module.size is None:
        raise _refuse(module, "scale_factor leaves the size open, which nk.Resize needs; give size=")
    if module.mode == "nearest-exact":
        return Resize(module.size, "nearest")
    if module.mode == "nearest":
        raise _refuse(module, "mode='nearest' looks at the wrong end of a cell unless sizes are multiples; use "
                              "mode='nearest-exact', which is the same there")  # fmt: skip
    axes = {"linear": 1, "bilinear": 2, "trilinear": 3}.get(module.mode)
    if axes is None or module.align_corners:
        raise _refuse(module, "only linear modes with align_corners=False, and 'nearest-exact', are described here")
    return Resize(_each(module.size, axes), "linear", antialias=False)


_REFUSED = {
    "a maximum over windows has no kernel in closed form; use AvgPool, or a convolution with a stride": (
        nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
    ),
    "its outputs depend on the other examples of the batch, so there is no kernel of two examples; use LayerNorm "
    "without affine parameters (nk.LayerNorm), or fold it in evaluation mode into the layer before it": (
        nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d,
    ),
    "it normalises each channel over positions alone, and those statistics stay random however many channels there "
    "are; use GroupNorm(1, affine=False)": (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
    "it drops a channel at all positions together, which no layer here does; use Dropout": (
        nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
    ),
}  # fmt: skip


def _refused(module: nn.Module, weight_var: float | None, bias_var: float | None) -> Layer:
    why = next(why for why, types in _REFUSED.items() if isinstance(module, types))
    raise TypeError(f"from_torch: {module!r}: {why}")


for _types in _REFUSED.values():
    for _type in _types:
        rule.register(_type, _refused)
