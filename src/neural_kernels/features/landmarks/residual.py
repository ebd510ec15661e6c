"""Random columns for what landmarks leave out: unbiased, so that the whole spectrum is right in the mean."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from neural_kernels.activations import Activation
from neural_kernels.activations.expectations.hermite import value_and_slope
from neural_kernels.features.landmarks.entries import Recipe
from neural_kernels.features.landmarks.fitting import Fitting, top
from neural_kernels.features.landmarks.forms import Node
from neural_kernels.features.landmarks.levels import Level, constant
from neural_kernels.features.method import UnsuitableError
from neural_kernels.runtime.plain_state import StoredModule
from neural_kernels.sketches import derive_seed

_UNITS = 1 << 9  # at a time


class RandomColumns(StoredModule):
    r"""Random features of an activation's value and of its slope times another kernel, in one column each.

    .. math:: \psi_j = [\sqrt a\, \sigma(u_j) + \sqrt b\, \sigma'(u_j)\, v_j] / \sqrt c, \qquad
              u_j = g \cdot w_j,\ v_j = t \cdot r_j,

    with factors g and t of the two kernels and independent normal w and r: :math:`\psi \psi^T` has the mean
    :math:`a\,\kappa(k) + b\,\mathrm{slope}(k)\, n`, the cross terms vanish.

    Parameters
    ----------
    fitting : Fitting
    level : Level
    weights : mapping from Node to float
    count : int
        c.
    """

    directions: Tensor
    offset: Tensor

    def __init__(self, fitting: Fitting, level: Level, weights: Mapping[Node, float], count: int) -> None:
        super().__init__()
        recipe = Recipe.of(level, weights)
        if recipe is None or not isinstance(recipe.dual, Activation):
            raise UnsuitableError(
                "residual columns are random features of one activation function; leave residual at 0"
            )
        self._activation = recipe.dual
        self._weights = math.sqrt(recipe.value / count), math.sqrt(recipe.slope / count)
        self.count = count
        generator = torch.Generator().manual_seed(derive_seed(fitting.seed, "residual"))
        parts, offsets = [], []
        for form in recipe.inputs:
            values, vectors = top(fitting.metric(form, level))
            root = vectors * values.clamp(min=0).sqrt()
            parts.append(root @ torch.randn(len(root), count, generator=generator, dtype=torch.float64))
            offsets.append(constant(form) ** 0.5 * torch.randn(count, generator=generator, dtype=torch.float64))
        dtype = fitting.run.x.dtype
        self.register_buffer("directions", torch.cat(parts, 1).to(dtype).contiguous())
        self.register_buffer("offset", torch.cat(offsets).to(dtype))

    def of(self, rows: Tensor) -> Tensor:
        """The columns at units with these features, shape (n, count)."""
        both = torch.addmm(self.offset, rows, self.directions)
        value, slope = value_and_slope(self._activation.fn, both[:, : self.count])
        if self.directions.shape[1] == self.count:
            return value * self._weights[0]
        return value * self._weights[0] + slope * both[:, self.count :] * self._weights[1]

    def pooled(self, columns: Tensor, shares: Tensor) -> Tensor:
        """The columns, added up over positions: from features (n, positions, r) to (n, count)."""
        total = columns.new_zeros(len(columns), self.count)
        for start in range(0, len(shares), _UNITS):
            part = columns[:, start : start + _UNITS]
            values = self.of(part.reshape(-1, part.shape[-1])).reshape(*part.shape[:2], self.count)
            total = total + torch.einsum("p,npc->nc", shares[start : start + _UNITS], values)
        return total
