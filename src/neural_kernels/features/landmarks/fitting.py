"""What stages learn from: the sample on its way through the network, the metrics so far, and random choices."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from neural_kernels.features.landmarks.forms import Form, Node
from neural_kernels.features.landmarks.levels import Level, constant, terms
from neural_kernels.features.landmarks.run import Run
from neural_kernels.sketches import derive_seed

_LEADING = 16.0  # weight of a kernel that activations see: it goes through their cusp, so it must be nearer
_SAMPLE = 1 << 13  # units by which directions are chosen


@dataclass
class Fitting:
    """The state of a fit.

    Parameters
    ----------
    run : Run
        Of the sample.
    seed : int
    metrics : dict from Node to Tensor
        C in k(x, y) = h(x)^T C h(y), for the columns h of the node's level, in float64.
    """

    run: Run
    seed: int
    metrics: dict[Node, Tensor] = field(default_factory=dict)

    def metric(self, form: Form, level: Level) -> Tensor:
        """The metric of a form in the columns that a level reads, shape (r, r)."""
        parts = terms(form)
        blocks = []
        for source in level.sources:
            width = self.run.features(source).shape[-1]
            block = torch.zeros(width, width, dtype=torch.float64)
            for node in source.nodes:
                if node in parts:
                    block += parts[node] * self.metrics[node]
            blocks.append(block)
        if level.takes_ones:
            blocks.append(torch.full((1, 1), constant(form), dtype=torch.float64))
        return torch.block_diag(*blocks)

    def weight(self, node: Node) -> float:
        """How much a kernel counts in the choice of a basis."""
        return _LEADING if node in self.run.levels.leading else 1.0

    def choose(self, level: Level, purpose: str, among: np.ndarray | int, count: int = _SAMPLE) -> Tensor:
        """Numbers drawn without replacement, in random order; all of them if they are few."""
        pool = np.arange(among) if isinstance(among, int) else among
        number = self.run.levels.order.index(level)
        generator = np.random.default_rng(derive_seed(self.seed, purpose, number))
        chosen = generator.choice(pool, min(count, len(pool)), replace=False)
        return torch.from_numpy(chosen)


def top(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues and eigenvectors of a symmetric matrix, the largest first."""
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return values.flip(0), vectors.flip(1)
