"""The modules that empirical kernels are timed on."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812


def mlp() -> nn.Module:
    """784-1024-1024-10."""
    return nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(), nn.Linear(1024, 10))


def cnn(channels: int = 3, size: int = 32) -> nn.Module:
    """Three convolutions of 32 channels and a readout of all pixels: the network of torch's tutorial."""
    layers = [nn.Conv2d(channels, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3), nn.ReLU(), nn.Conv2d(32, 32, 3)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(32 * (size - 6) ** 2, 10))


class Block(nn.Module):
    """Two 3 x 3 convolutions and a shortcut."""

    def __init__(self, inside: int, out: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.Conv2d(out, out, 3, 1, 1, bias=False)]
        )
        self.norms = nn.ModuleList([norm(out), norm(out)])
        projected = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), norm(out))
        self.shortcut = nn.Identity() if inside == out else projected

    def forward(self, x: Tensor) -> Tensor:
        """Images to images."""
        y = F.relu(self.norms[0](self.convolutions[0](x)))
        return F.relu(self.norms[1](self.convolutions[1](y)) + self.shortcut(x))


def resnet18(width: int, norm: Callable[[int], nn.Module] = nn.BatchNorm2d) -> nn.Module:
    """ResNet-18 for 32 x 32 images, with `width` channels in front."""
    sizes = [width, width, 2 * width, 4 * width, 8 * width]
    blocks = [
        block
        for i, stride in enumerate((1, 2, 2, 2))
        for block in (Block(sizes[i], sizes[i + 1], stride, norm), Block(sizes[i + 1], sizes[i + 1], 1, norm))
    ]
    stem = [nn.Conv2d(3, width, 3, 1, 1, bias=False), norm(width), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(sizes[-1], 10))


class Transformer(nn.Module):
    """An encoder of 4 layers with 128 channels and learned positions, for 10 classes."""

    def __init__(self, d: int = 128, tokens: int = 32, vocabulary: int = 1000) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d)
        self.positions = nn.Parameter(torch.randn(tokens, d) * 0.02)
        layer = nn.TransformerEncoderLayer(d, 4, 4 * d, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.head = nn.Linear(d, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Token numbers to logits."""
        return self.head(self.encoder(self.embedding(x) + self.positions).mean(1))


def ids(n: int) -> Tensor:
    """Sequences of 32 tokens."""
    return torch.randint(1000, (n, 32))


# A module, examples for it, and how many in the full run and in the quick one.
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Tensor], int, int]] = {
    "MLP 784-1024-1024-10": (mlp, lambda n: torch.randn(n, 784), 64, 8),
    "CNN 3x32x32": (cnn, lambda n: torch.randn(n, 3, 32, 32), 64, 4),
    "ResNet-18 width 32": (lambda: resnet18(32), lambda n: torch.randn(n, 3, 32, 32), 16, 2),
    "ResNet-18 width 32, GroupNorm": (
        lambda: resnet18(32, lambda c: nn.GroupNorm(8, c)),
        lambda n: torch.randn(n, 3, 32, 32),
        16,
        2,
    ),
    "transformer 4 x 128": (Transformer, ids, 32, 4),
}
