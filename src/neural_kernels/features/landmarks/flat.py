"""From features at positions to those of whole examples where equal positions are compared: Flatten."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.features.directions import Directions
from neural_kernels.features.landmarks.ending import Ending
from neural_kernels.features.landmarks.fitting import Fitting
from neural_kernels.features.landmarks.levels import Levels
from neural_kernels.features.landmarks.readout import Readout
from neural_kernels.features.landmarks.run import Run
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import derive_seed
from neural_kernels.sketches.seeds import draw_signs

_NUGGET, _ADDED = 1 / 4, 1 / 4  # shares of the columns: for the diagonal, and for small coefficients together
_NEAR = 0.1  # quantile of distances that is a short one
_WAVES = math.sqrt(2 * math.log(1e3))  # so fast that waves correlate by a thousandth there


class FlatReadout(Readout):
    r"""Features of all positions as one vector, in fewer columns.

    The kernel is a mean over equal positions of a kernel of units, whose features f(p) make as many columns as there
    are positions times theirs. Neighbours are alike, so a cosine transform over the positions has large and small
    coefficients: the largest by mean square are columns as they are, all others are added with random signs, a
    few to a column. What f leaves of the units' kernel is random columns of its own, added up with signs by position.

    Parameters
    ----------
    order : Tensor, shape (positions times columns,)
        Of the coefficients.
    signs : Tensor, shape (as many,)
        Of those that are added up.
    nugget : Nugget or None
    widths : tuple of int
        How many coefficients are columns, and to how many columns the others are added.
    """

    order: Tensor
    signs: Tensor

    def __init__(self, order: Tensor, signs: Tensor, nugget: Nugget | None, widths: tuple[int, int]) -> None:
        super().__init__()
        self.widths, self.nugget = widths, nugget
        columns = sum(widths) + (0 if nugget is None else nugget.count)
        self.register_buffer("order", order)
        self.register_buffer("signs", signs)
        self.register_buffer("matrix", torch.eye(columns, dtype=signs.dtype))

    @classmethod
    def fit(cls, fitting: Fitting, ending: Ending, columns: int) -> FlatReadout:
        """Put the coefficients in the order of their mean squares over the sample."""
        run, level = fitting.run, ending.level
        features = run.features(level)
        size = _coefficients(features).square().mean(0)
        order = size.argsort(descending=True)
        fits = len(order) <= columns
        nugget = None if fits else Nugget(run.x, max(1, round(_NUGGET * columns)), fitting.seed)
        left = columns - (0 if nugget is None else nugget.count)
        kept = len(order) if len(order) <= left else left - min(round(_ADDED * columns), left)
        signs = draw_signs(len(order) - kept, fitting.seed, "flat").to(features.dtype)
        return cls(order, signs, nugget, (kept, min(left, len(order)) - kept))

    @override
    def forward(self, run: Run, levels: Levels, ending: Ending | None) -> Tensor:
        assert ending is not None
        features = run.features(ending.level)
        ordered = _coefficients(features)[:, self.order]
        kept, added = self.widths
        parts = [ordered[:, :kept]]
        if added:
            rest = ordered[:, kept:] * self.signs
            whole = -(-rest.shape[1] // added) * added
            rest = nn.functional.pad(rest, (0, whole - rest.shape[1]))
            parts.append(rest.unflatten(1, (-1, added)).sum(1))
        if self.nugget is not None:
            missing = run.variance(levels.root) - sum(part.square().sum(1) for part in parts)
            parts.append(self.nugget(run.x, missing))
        return torch.cat(parts, 1)


class Nugget(StoredModule):
    """Columns for what the others lack of the diagonal: as long as that, and nearly orthogonal for different examples.

    They are cosines of fast random waves of the data, so that examples which hardly differ have about the same: what
    features of units leave out is what changes within small distances.

    Parameters
    ----------
    x : Tensor, shape (n, channels, *positions)
        The sample, whose distances are the scale.
    count : int
    seed : int
    """

    phases: Tensor

    def __init__(self, x: Tensor, count: int, seed: int) -> None:
        super().__init__()
        rows = x.flatten(1)
        distances = torch.pdist(rows.double()) if len(rows) > 1 else torch.ones(1, dtype=torch.float64)
        near = float(distances[distances > 0].quantile(_NEAR)) if bool((distances > 0).any()) else 1.0
        self.count, self._frequency = count, _WAVES / near
        self.directions = Directions(rows.shape[1], count, derive_seed(seed, "waves"), normal=True)
        phases = 2 * math.pi * torch.from_numpy(np.random.default_rng(derive_seed(seed, "phases")).random(count))
        self.register_buffer("phases", phases.to(x.dtype))

    def forward(self, x: Tensor, missing: Tensor) -> Tensor:
        """The columns, shape (n, count), of squared length `missing`, shape (n,)."""
        waves = torch.cos(self._frequency * self.directions(x.flatten(1)) + self.phases)
        length = torch.linalg.vector_norm(waves, dim=1)
        return waves * (missing.clamp(min=0).sqrt() / length)[:, None]


def _coefficients(features: Tensor) -> Tensor:
    """The cosine transform over the positions, orthonormal and divided by the root of their number, as one axis."""
    positions = features.shape[1:-1]
    for dim, size in enumerate(positions, start=1):
        lead, tail = math.prod(features.shape[:dim]), math.prod(features.shape[dim + 1 :])
        product = _cosines(size).to(features) @ features.reshape(lead, size, tail)
        features = product.reshape(features.shape)
    return features.flatten(1) / math.prod(positions) ** 0.5


@cache
@torch.inference_mode(False)  # what is kept serves calls that want gradients, too
def _cosines(size: int) -> Tensor:
    """The orthonormal cosine transform, shape (size, size)."""
    angle = torch.pi / size * torch.arange(size, dtype=torch.float64)[:, None] * (torch.arange(size) + 0.5)
    return torch.cos(angle) * torch.where(torch.arange(size) == 0, 1.0, 2.0**0.5)[:, None] / size**0.5
