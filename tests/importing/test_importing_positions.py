"""from_torch on convolutions, pools and their like: geometry, variances, refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import neural_kernels as nk
from finite_oracle import assert_agree, examples

THIRD = 1 / 3
DESCRIPTIONS = [
    (nn.Conv2d(3, 8, 3, padding=1), nk.Conv(3, padding=1, weight_var=THIRD)),
    (nn.Conv2d(3, 8, 3), nk.Conv(3, padding="valid", weight_var=THIRD)),
    (nn.Conv1d(3, 8, 4, padding="same"), nk.Conv(4, weight_var=THIRD)),
    (
        nn.Conv2d(3, 8, (3, 1), stride=(2, 1), padding=(1, 0), dilation=(2, 1)),
        nk.Conv((3, 1), (2, 1), (1, 0), (2, 1), weight_var=THIRD),
    ),
    (nn.Conv3d(3, 8, 3, padding=1, padding_mode="circular"), nk.Conv(3, padding="circular", weight_var=THIRD)),
    (nn.Conv2d(3, 8, 2, padding="same", padding_mode="circular"), nk.Conv(2, padding="circular", weight_var=THIRD)),
    (nn.Conv2d(3, 8, 2, padding_mode="circular"), nk.Conv(2, padding="valid", weight_var=THIRD)),
    (nn.ConvTranspose2d(6, 4, 3, stride=2), nk.ConvTranspose(3, 2, "valid", weight_var=0.5)),
    (nn.ConvTranspose2d(4, 4, 4, 2, padding=1), nk.ConvTranspose(4, 2, "same", weight_var=THIRD)),
    (nn.ConvTranspose1d(4, 4, 3, 2, 1, output_padding=1), nk.ConvTranspose(3, 2, ((1, 0),), weight_var=THIRD)),
    (nn.ConvTranspose1d(4, 4, 2, 3, output_padding=1), nk.ConvTranspose(2, 3, "same", weight_var=THIRD)),
    (nn.ConvTranspose2d(4, 4, 5, 2, 1), nk.ConvTranspose(5, 2, 1, weight_var=THIRD)),
    (nn.AvgPool1d(2), nk.AvgPool(2)),
    (nn.AvgPool2d((2, 3), 2, (1, 0)), nk.AvgPool((2, 3), 2, (1, 0))),
    (nn.AvgPool3d(3, 1, 1, ceil_mode=True, count_include_pad=False), nk.AvgPool(3, 1, 1, count_padding=False)),
    (nn.AdaptiveAvgPool2d(1), nk.GlobalAvgPool()),
    (nn.AdaptiveAvgPool2d((1, 1)), nk.GlobalAvgPool()),
    (nn.Flatten(), nk.Flatten()),
    (nn.Upsample(size=(4, 6), mode="bilinear"), nk.Resize((4, 6), antialias=False)),
    (nn.Upsample(size=(4, 6), mode="nearest-exact"), nk.Resize((4, 6), "nearest")),
    (nn.LayerNorm([3, 4, 4], elementwise_affine=False), nk.LayerNorm("all")),
    (nn.LayerNorm(8, elementwise_affine=False), nk.LayerNorm()),
    (nn.GroupNorm(1, 8, affine=False), nk.LayerNorm("all")),
]


@pytest.mark.parametrize(("module", "description"), DESCRIPTIONS, ids=lambda each: type(each).__name__)
def test_descriptions(module: nn.Module, description: nk.Layer) -> None:
    assert nk.from_torch(module) == description


def test_given_variances() -> None:
    assert nk.from_torch(nn.Conv2d(3, 8, 3), 2.0, 0.5) == nk.Conv(3, padding="valid", weight_var=2.0, bias_var=0.5)
    assert nk.from_torch(nn.Conv2d(3, 8, 3, bias=False), 2.0, 0.5) == nk.Conv(3, padding="valid", weight_var=2.0)


GEOMETRIES = [
    (module, shape)
    for shape, modules in {
        (3, 7, 6): [
            nn.Conv2d(3, 4, 3, 2, 1),
            nn.Conv2d(3, 4, (3, 5), padding="same", dilation=(3, 1)),
            nn.Conv2d(3, 4, (2, 3), (1, 2), dilation=(3, 1), padding=(2, 0)),
            nn.Conv2d(3, 4, (5, 1), padding=(2, 0), padding_mode="circular"),
            nn.Conv2d(3, 4, (4, 2), padding="same", padding_mode="circular"),
            nn.ConvTranspose2d(3, 4, 3, 2),
            nn.ConvTranspose2d(3, 4, (4, 2), 2, (1, 0)),
            nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1),
            nn.ConvTranspose2d(3, 4, (2, 3), (3, 4), output_padding=1),
            nn.ConvTranspose2d(3, 4, (5, 4), (2, 3), (2, 1), output_padding=(1, 0)),
            nn.AvgPool2d(3, 2, 1),
            nn.AvgPool2d((3, 2), (2, 1), 1, count_include_pad=False),
            nn.AvgPool2d(2),
            nn.Upsample(size=(3, 11), mode="bilinear"),
            nn.Upsample(size=5, mode="nearest-exact"),
            nn.GroupNorm(1, 3, affine=False),
            nn.LayerNorm([3, 7, 6], elementwise_affine=False),
            nn.Flatten(),
        ],
        (3, 8): [
            nn.Conv1d(3, 4, 3, 3, 2),
            nn.ConvTranspose1d(3, 4, 3, 2, 1),
            nn.AvgPool1d(3, 2),
            nn.Upsample(size=5, mode="linear"),
        ],
        (2, 3, 4, 5): [nn.Conv3d(2, 4, (1, 2, 3), padding=(0, 1, 1)), nn.AvgPool3d(2, 1, 1)],
    }.items()
    for module in modules
]


@pytest.mark.parametrize(("module", "shape"), GEOMETRIES, ids=str)
def test_round_trips_keep_the_function(module: nn.Module, shape: tuple[int, ...]) -> None:
    """There and back, with the same parameters, the module computes what it did."""
    back = nk.from_torch(module).to_torch(shape, 4).double()
    for name, parameter in module.named_parameters():
        (mine,) = (p for other, p in back.named_parameters() if other.endswith(name))
        factor = back[0].factors[0] if name == "weight" else 1.0  # pyright: ignore[reportIndexIssue]
        mine.data = parameter.data.double() / factor
    x = examples(2, *shape)
    bias = getattr(module, "bias", None)
    expected = module.double()(x)
    if bias is not None:  # its variance is 0 in the limit
        expected = expected - module.bias.reshape(-1, *[1] * (x.ndim - 2))  # pyright: ignore
    torch.testing.assert_close(back(x), expected)


REFUSED = [
    (nn.Conv2d(4, 8, 3, groups=2), ValueError, "groups"),
    (nn.Conv2d(4, 8, 3, padding=1, padding_mode="reflect"), ValueError, "padding_mode"),
    (nn.Conv2d(4, 8, 3, padding=2, padding_mode="circular"), ValueError, "circular"),
    (nn.Conv2d(4, 8, 3, 2, padding=1, padding_mode="circular"), ValueError, "circular"),
    (nn.ConvTranspose2d(4, 8, 3, dilation=2), ValueError, "dilation"),
    (nn.ConvTranspose2d(4, 8, 3, 2, output_padding=1), ValueError, "output_padding"),
    (nn.AvgPool2d(2, ceil_mode=True), ValueError, "ceil_mode"),
    (nn.AvgPool2d(2, divisor_override=3), ValueError, "divisor_override"),
    (nn.AdaptiveAvgPool2d(2), ValueError, "output_size"),
    (nn.Flatten(2), ValueError, "start_dim"),
    (nn.Upsample(scale_factor=2), ValueError, "scale_factor"),
    (nn.Upsample(size=4), ValueError, "nearest-exact"),
    (nn.Upsample(size=4, mode="bicubic"), ValueError, "linear"),
    (nn.Upsample(size=4, mode="bilinear", align_corners=True), ValueError, "align_corners"),
    (nn.GroupNorm(1, 4), ValueError, "affine"),
    (nn.GroupNorm(2, 4, affine=False), ValueError, "groups"),
    (nn.LayerNorm([3, 4, 4]), ValueError, "elementwise_affine"),
    (nn.MaxPool2d(2), TypeError, "AvgPool"),
    (nn.BatchNorm2d(4), TypeError, "LayerNorm"),
    (nn.InstanceNorm2d(4), TypeError, "GroupNorm"),
    (nn.Dropout2d(), TypeError, "Dropout"),
    (nn.Sequential(nn.Conv1d(2, 4, 1), nn.Linear(5, 5)), ValueError, "last axis"),
    (nn.Sequential(nn.Sequential(nn.AvgPool1d(2)), nn.LayerNorm(5, elementwise_affine=False)), ValueError, "last axis"),
]


@pytest.mark.parametrize(("module", "error", "match"), REFUSED, ids=lambda each: str(each)[:40])
def test_refusals(module: nn.Module, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        nk.from_torch(module)


def test_networks_that_torch_initialised() -> None:
    """Outputs of many wide networks, as torch draws them, against the kernel."""

    def draw(width: int) -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, width, 3, padding=1, bias=False), nn.ReLU(), nn.AvgPool2d(2),
            nn.Conv2d(width, width, 3, stride=2, padding=1, bias=False),
            nn.LayerNorm([width, 2, 1], elementwise_affine=False),
            nn.GELU(), nn.ConvTranspose2d(width, width // 2, 2, stride=2, bias=False), nn.Tanh(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width // 2, 2 * width, bias=False),
        ).double()  # fmt: skip

    x = examples(5, 2, 6, 5)
    nngp = nk.NNGP(nk.from_torch(draw(256)))(x.numpy())
    torch.manual_seed(0)
    with torch.no_grad():
        outputs = [draw(256)(x) for _ in range(24)]
    assert_agree([((f @ f.T / f.shape[1]).numpy(),) for f in outputs], [nngp], 0.05)
