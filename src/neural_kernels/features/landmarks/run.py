"""One batch on its way through a network's levels: features where they are asked for, and exact variances."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

from neural_kernels.activations import Dual
from neural_kernels.features.landmarks.forms import (
    DecorrelatedNode,
    Form,
    InflatedNode,
    MappedNode,
    Node,
    ProductNode,
    RescaledNode,
    SlopeNode,
    SourceNode,
    ValueNode,
)
from neural_kernels.features.landmarks.levels import Level, Levels
from neural_kernels.features.landmarks.windows import apply_single
from neural_kernels.runtime.numerics import safe_sqrt

_memory = threading.local()
_SHARED = 1 / 3  # correlation, within a small window, of what features lack


class Run:
    """Features and variances of one batch, each computed once.

    Parameters
    ----------
    levels : Levels
        As the network makes them for the batch's positions.
    stages : ModuleList
        One for each level, in their order.
    x : Tensor, shape (n, channels, *positions)
    """

    def __init__(self, levels: Levels, stages: nn.ModuleList, x: Tensor) -> None:
        self.levels, self.stages, self.x = levels, stages, x
        self._features: dict[Level, Tensor] = {}
        self._variances: dict[Node, Tensor] = {}

    @property
    def plain(self) -> bool:
        """Whether compiled functions may serve: on the CPU, without gradients."""
        return self.x.device.type == "cpu" and not (torch.is_grad_enabled() and self.x.requires_grad)

    def buffer(self, name: str, shape: tuple[int, int]) -> Tensor:
        """Memory of this thread's own, which the next of the same name overwrites."""
        size = shape[0] * shape[1]
        flat = _memory.__dict__.get(name)
        if flat is None or flat.dtype != self.x.dtype or len(flat) < size:
            with torch.inference_mode(False):
                flat = _memory.__dict__[name] = torch.empty(size, dtype=self.x.dtype)
        return flat[:size].view(shape)

    def stage(self, level: Level) -> nn.Module:
        """The stage of a level."""
        return self.stages[self.levels.order.index(level)]

    def features(self, level: Level) -> Tensor:
        """Features at a level, shape (n, *positions, columns)."""
        if level not in self._features:
            self._features[level] = self.stage(level)(self, level)
        return self._features[level]

    def keep(self, level: Level) -> None:
        """Compute the features of a level, and let go of those that nobody is going to read."""
        self.features(level)
        done = set(self.levels.order[: len(self.stages)])
        for source in level.sources:
            if set(source.readers) <= done:
                self._features.pop(source, None)

    def columns(self, level: Level) -> Tensor:
        """What a level reads: features of its sources side by side, and ones if it takes constants as features."""
        parts = [self.features(source) for source in level.sources]
        if level.takes_ones:
            shape = level.inputs[0].positions
            parts.append(self.x.new_ones(len(self.x), *shape, 1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, -1)

    def variance(self, form: Form) -> Tensor:
        """k(x, x) at every position, shape (n, *positions)."""
        total = self.x.new_full((len(self.x), *form.positions), form.constant)
        for node, factor in form.terms:
            total = total + factor * self._variance(node)
        return total

    def std(self, form: Form) -> Tensor:
        """Its root."""
        return safe_sqrt(self.variance(form))

    def factor(self, node: RescaledNode) -> Tensor:
        """The diagonal of a multiple by row, shape (n, *positions)."""
        assert node.factor.form is not None
        return node.factor.of(self.variance(node.factor.form))

    def _variance(self, node: Node) -> Tensor:
        if node not in self._variances:
            self._variances[node] = self._new_variance(node)
        return self._variances[node]

    def _new_variance(self, node: Node) -> Tensor:
        if isinstance(node, SourceNode):
            return self.x.square().mean(1)
        if isinstance(node, ProductNode):
            return self.variance(node.first) * self.variance(node.second)
        if isinstance(node, (ValueNode, SlopeNode)):
            return _moment(node.dual, self.variance(node.argument), isinstance(node, SlopeNode))
        if isinstance(node, RescaledNode):
            return self.variance(node.argument) * self.factor(node).square()
        if isinstance(node, InflatedNode):
            return self.variance(node.argument) * node.factor
        if isinstance(node, DecorrelatedNode):
            return self.variance(node.argument)
        assert isinstance(node, MappedNode)
        level = self.levels.of[node]
        if (windows := level.windows) is not None:
            return windows.total(self.variance(node.argument)).reshape(len(self.x), *node.positions)
        if not node.by.mixing:
            return apply_single(node.by, self.variance(node.argument)[..., None], squared=True)[..., 0]
        return self._mixed(node, level)

    def _mixed(self, node: MappedNode, level: Level) -> Tensor:
        """Behind a pool: of its features, and of what the features in front of it lack.

        That is known as a variance of every position alone. Between the positions of a small window it correlates by
        about a third; over the whole of an image, not at all.
        """
        metric = self.stage(level).get_buffer(f"metric{level.nodes.index(node)}")
        before = self.columns(level)
        lacking = (self.variance(node.argument) - own(before, metric)).clamp(min=0)[..., None]
        shared = _SHARED if node.positions else 0.0
        apart = apply_single(node.by, lacking, squared=True)
        together = apply_single(node.by, lacking.sqrt()).square()
        rest = (1 - shared) * apart + shared * together
        return own(self.features(level), metric) + rest[..., 0]


def own(h: Tensor, metric: Tensor) -> Tensor:
    """h^T C h of every row, shape h.shape[:-1]."""
    return torch.einsum("...i,...i->...", h @ metric.to(h.dtype), h)


def _moment(dual: Dual, variance: Tensor, slope: bool) -> Tensor:
    """E[sigma(X)^2], or of the derivative, for X of these variances; OverflowError where it is not finite."""
    if dual.slopes is not None:
        size = (dual.slopes[0] ** 2 + dual.slopes[1] ** 2) / 2
        return torch.full_like(variance, size) if slope else variance * size
    std = safe_sqrt(variance.double())
    return dual.require_finite(std, (dual.slope_std(std) if slope else dual.std(std)).square().to(variance.dtype))
