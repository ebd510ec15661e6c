"""Torch modules of many kinds, with examples, for the tests of empirical kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations
from tqdm import tqdm

import neural_kernels as nk
from neural_kernels.empirical.factored.gram_blocks import fill
from neural_kernels.empirical.factored.plan import GradientPlan, PassLimits


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 12, bias=False), nn.Tanh(), nn.Linear(12, 3))


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 4)
    )


class Block(nn.Module):
    def __init__(self, inside: int, out: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.first = nn.Conv2d(inside, out, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([norm(out), norm(out)])
        self.shortcut = (
            nn.Identity() if stride == 1 and inside == out else nn.Conv2d(inside, out, 1, stride, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norms[0](self.first(x)), inplace=True)
        return F.relu_(self.norms[1](self.second(y)) + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self, width: int, norm: Callable[[int], nn.Module], outputs: int = 10, stem: int = 3) -> None:
        super().__init__()
        self.stem = nn.Conv2d(stem, width, 3, 1, 1, bias=False)
        self.norm = norm(width)
        sizes = [width, *(width << i for i in range(4))]
        strides = [1, 2, 2, 2]
        self.blocks = nn.Sequential(*(
            part
            for i in range(4)
            for part in (
                Block(sizes[i], sizes[i + 1], strides[i], norm),
                Block(sizes[i + 1], sizes[i + 1], 1, norm),
            )
        ))  # fmt: skip
        self.head = nn.Linear(sizes[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(torch.relu(self.norm(self.stem(x)))).mean((2, 3)))


def batch_norm(channels: int) -> nn.Module:
    """With statistics and scales as after training."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_(0, 0.3)
        norm.running_mean.normal_(0, 0.3)
        norm.running_var.uniform_(0.5, 1.5)
    return norm


def group_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(4, channels)


class Transformer(nn.Module):
    """An encoder with learned positions."""

    def __init__(self, d: int = 16, layers: int = 2, tokens: int = 5, vocabulary: int = 11, outputs: int = 3) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d)
        self.positions = nn.Parameter(torch.randn(tokens, d) * 0.1)
        layer = nn.TransformerEncoderLayer(d, 4, 4 * d, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(d, outputs)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.encoder(self.embedding(ids) + self.positions).mean(1))


class Translator(nn.Module):
    """An encoder and a decoder, tokens first, with masks of both kinds and a scale of its own."""

    def __init__(self, d: int = 8) -> None:
        super().__init__()
        self.inside, self.outside = nn.Linear(4, d), nn.Linear(3, d)
        self.scale = nn.Parameter(torch.rand(d))
        self.start = nn.Parameter(torch.randn(1, 1, d))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch speaks of a faster path for other layouts
            self.transformer = nn.Transformer(d, 2, 1, 1, 2 * d, dropout=0.0)
        self.head = nn.Linear(d, 2)

    def forward(self, source: Tensor, target: Tensor, lengths: Tensor) -> Tensor:
        tokens = target.shape[1] + 1
        target = torch.cat([self.start.expand(len(target), 1, -1), self.outside(target)], 1)
        padding = torch.arange(source.shape[1]) >= lengths[:, None]
        causal = nn.Transformer.generate_square_subsequent_mask(tokens, dtype=torch.float64)
        y = self.transformer(
            (self.scale * self.inside(source)).transpose(0, 1), target.transpose(0, 1),
            tgt_mask=causal.to(source.dtype), src_key_padding_mask=padding, memory_key_padding_mask=padding,
        )  # fmt: skip
        return self.head(y[-1])


class Attention(nn.Module):
    """Causal self-attention from linear layers alone."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (part.unflatten(-1, (2, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        return self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))


class GPT(nn.Module):
    """A decoder whose readout is its embedding; outputs are logits of the last token."""

    def __init__(self, d: int = 8, vocabulary: int = 9, tokens: int = 5) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, d)
        self.positions = nn.Embedding(tokens, d)
        self.norms = nn.ModuleList([nn.LayerNorm(d) for _ in range(3)])
        self.attention = Attention(d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.head = nn.Linear(d, vocabulary, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x)[:, -1])


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(4, 6, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


class Twice(nn.Module):
    """Layers used twice: a linear one, a convolution and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.GroupNorm(3, 3)
        self.linear, self.head = nn.Linear(12, 12), nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.norm(self.conv(torch.relu(self.norm(self.conv(x))))))
        x = F.adaptive_avg_pool2d(x, 2).flatten(1)
        return self.head(torch.tanh(self.linear(torch.tanh(self.linear(x)))))


def convolutions() -> nn.Module:
    """Groups, strides, dilation, padding of every kind."""
    return nn.Sequential(
        nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=2), nn.SiLU(),
        nn.Conv2d(8, 8, 3, dilation=2, padding="same", groups=8), nn.SiLU(),
        nn.Conv2d(8, 6, (1, 3), padding=(0, 2), padding_mode="reflect", bias=False), nn.SiLU(),
        nn.Conv2d(6, 6, 2, stride=(2, 1), padding="valid"), nn.SiLU(), nn.InstanceNorm2d(6, affine=True),
        nn.Conv2d(6, 4, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


class Structured(nn.Module):
    """Takes an image and, by name, a mask and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.other = nn.Linear(6, 5), nn.Linear(4, 5)

    def forward(
        self, parts: dict[str, Tensor], mask: Tensor | None = None, scale: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        z = torch.tanh(self.image(parts["a"]) + scale * self.other(parts["b"]))
        return z if mask is None else z * mask, z


def weight_norm() -> nn.Module:
    return nn.Sequential(
        parametrizations.weight_norm(nn.Linear(6, 8)), nn.ReLU(), parametrizations.spectral_norm(nn.Linear(8, 3)).eval()
    )


class LoRA(nn.Module):
    """A frozen layer with a trained correction of low rank."""

    def __init__(self, layer: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.lora_a = nn.Parameter(torch.randn(rank, layer.in_features) * 0.3)
        self.lora_b = nn.Parameter(torch.randn(layer.out_features, rank) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.lora_a.T @ self.lora_b.T


def lora() -> nn.Module:
    return nn.Sequential(LoRA(nn.Linear(6, 8)), nn.ReLU(), LoRA(nn.Linear(8, 3)))


class Temperature(nn.Module):
    """A parameter that is one number, without an axis."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.scale = nn.Linear(6, 8), nn.Parameter(torch.tensor(1.5))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(self.scale * self.linear(x))


class SequenceFirst(nn.Module):
    """Tokens first inside, as torch's recurrent layers and attention have them; rows of both merged."""

    def __init__(self) -> None:
        super().__init__()
        self.inside, self.norm, self.merged, self.head = (
            nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 6), nn.Linear(6, 2),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(torch.tanh(self.inside(x.transpose(0, 1))))
        tokens, n, d = x.shape
        x = torch.tanh(self.merged(x.reshape(tokens * n, d)).view(tokens, n, d))
        return self.head(x).sum(0)


def one_dimensional() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.PReLU(), nn.ConvTranspose1d(4, 3, 3), nn.Flatten(), nn.Linear(24, 2)
    )


def ids(n: int, tokens: int, size: int) -> Tensor:
    return torch.randint(size, (n, tokens))


def structured(n: int) -> dict[str, Any]:
    parts = {"a": torch.randn(n, 6, dtype=torch.float64), "b": torch.randn(n, 4, dtype=torch.float64)}
    return {"parts": parts, "mask": torch.rand(n, 5, dtype=torch.float64), "scale": 0.7}


def translations(n: int) -> tuple[Tensor, Tensor, Tensor]:
    lengths = torch.randint(2, 6, (n,))
    return torch.randn(n, 5, 4, dtype=torch.float64), torch.randn(n, 3, 3, dtype=torch.float64), lengths


def numbers(*shape: int) -> Callable[[int], Tensor]:
    return lambda n: torch.randn(n, *shape, dtype=torch.float64)


def infinite() -> nn.Module:
    net = nk.Sequential(nk.Dense(2.0, 0.3), nk.ReLU(), nk.Dense(1.5, 0.2, "standard", 16), nk.Erf(), nk.Dense(1.0, 0.1))
    return net.to_torch(6, 16, out_features=3, seed=0)


def infinite_positions() -> nn.Module:
    net = nk.Sequential(
        nk.Conv(3, bias_var=0.2),
        nk.ReLU(),
        nk.Dense(1.5, 0.4),
        nk.LayerNorm(),
        nk.Erf(),
        nk.GlobalAvgPool(),
        nk.Dense(),
    )
    return net.to_torch((2, 6), 8, out_features=2, seed=0)


def gram_within(kernel: Any, x: Any, limits: PassLimits, room: int = 1 << 28, memory: int = 1 << 28) -> Tensor:
    """The entries of a call, with other limits to passes and bytes for them and for gradients."""
    model, source = kernel._open(x, "x")
    structure, projection = kernel._discovered(model, source)
    n, k = source.length, projection.kept
    entries = torch.full((n, n, k, k), torch.nan, dtype=model.place.dtype)
    plan = GradientPlan.smallest(model, structure, projection, room, limits)
    with torch.no_grad(), tqdm(total=n * n, disable=True) as bar:
        fill(plan, source, None, entries, memory, bar)
    return kernel._shape(entries)


# A module, and examples for it.
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[int], Any]]] = {
    "mlp": (mlp, numbers(6)),
    "cnn": (cnn, numbers(3, 8, 8)),
    "resnet18, BatchNorm": (lambda: ResNet18(4, batch_norm), numbers(3, 16, 16)),
    "resnet18, GroupNorm": (lambda: ResNet18(4, group_norm), numbers(3, 16, 16)),
    "transformer": (Transformer, lambda n: ids(n, 5, 11)),
    "translator": (Translator, translations),
    "gpt": (GPT, lambda n: ids(n, 5, 9)),
    "lstm": (Recurrent, numbers(5, 4)),
    "layers used twice": (Twice, numbers(3, 6, 6)),
    "convolutions": (convolutions, numbers(4, 9, 8)),
    "weight norm": (weight_norm, numbers(6)),
    "lora": (lora, numbers(6)),
    "temperature": (Temperature, numbers(6)),
    "sequence first": (SequenceFirst, numbers(7, 4)),
    "one-dimensional": (one_dimensional, numbers(2, 8)),
    "structured": (Structured, structured),
    "to_torch": (infinite, numbers(6)),
    "to_torch, positions": (infinite_positions, numbers(2, 6)),
}
FORWARD = {"structured": lambda module, batch: module(**batch)[0]}


def build(name: str, n: int = 5) -> tuple[nn.Module, Any]:
    """In float64 and `eval` mode, with examples."""
    make, examples = CASES[name]
    torch.manual_seed(0)
    module = make().double()
    x = examples(n)
    if name == "convolutions":
        module(x)
    return module.eval(), x
