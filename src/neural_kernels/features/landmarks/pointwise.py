"""Stages of functions entry by entry: kernels with landmarks, units of the sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor

from neural_kernels.features.landmarks.entries import Entries, Recipe
from neural_kernels.features.landmarks.fitting import Fitting, top
from neural_kernels.features.landmarks.forms import ActivatedNode, Form, Node
from neural_kernels.features.landmarks.functions import pair_function
from neural_kernels.features.landmarks.levels import Level, constant
from neural_kernels.features.landmarks.linear import main_directions
from neural_kernels.features.landmarks.pair_function import PairFunction
from neural_kernels.features.landmarks.run import Run
from neural_kernels.runtime.plain_state import StoredModule

_TILE = 1 << 18  # numbers of the products of a tile, which stay in the second cache
_LARGE = 1 << 26  # elsewhere
_RANK = {torch.float32: 1e-9, torch.float64: 1e-14}  # of the largest eigenvalue: what counts as 0


class Landmarks(StoredModule):
    """A weighted sum of a level's kernels between any units and the landmarks.

    Parameters
    ----------
    level : Level
    weights : mapping from Node to float
    rows : Tensor, shape (m, r), float64
        What the level reads at the landmarks.
    metrics : mapping from Form to Tensor
        Of the level's inputs, shape (r, r).
    stds : mapping from Form to Tensor
        At the landmarks, shape (m,), of what activations see.
    dtype : torch.dtype
    """

    filters: Tensor
    stds: Tensor

    def __init__(
        self,
        level: Level,
        weights: Mapping[Node, float],
        rows: Tensor,
        metrics: Mapping[Form, Tensor],
        stds: Mapping[Form, Tensor],
        dtype: torch.dtype,
    ) -> None:
        super().__init__()
        self.count = len(rows)
        self._numbers = [(level.nodes.index(node), weight) for node, weight in weights.items()]
        filters = torch.cat([metrics[form] @ rows.T for form in level.inputs], 1)
        self.register_buffer("filters", filters.to(dtype).contiguous())
        self.register_buffer("stds", torch.stack([stds[f] for f in activated(level)]).to(dtype) if stds else None)
        self._compile(level, rows, metrics, stds, dtype)

    def _compile(
        self,
        level: Level,
        rows: Tensor,
        metrics: Mapping[Form, Tensor],
        stds: Mapping[Form, Tensor],
        dtype: torch.dtype,
    ) -> None:
        """Prepare the compiled function, if the level has one."""
        self._function: PairFunction | None = None
        self.compiled_filters: Tensor | None
        self.compiled_offset: Tensor | None
        recipe = Recipe.of(level, self.weights(level))
        function = None if recipe is None else pair_function(recipe.dual)
        self.register_buffer("compiled_filters", None)
        if recipe is None or function is None or not function.serves(stds[recipe.inputs[0]].to(dtype)):
            return
        seen, *multiplied = recipe.inputs
        std = stds[seen]
        inverse = torch.where(std > 0, 1 / torch.where(std > 0, std, 1), 0)
        parts = [metrics[seen] @ (rows * inverse[:, None]).T, *(metrics[form] @ rows.T for form in multiplied)]
        constants = [constant(seen) * inverse, *(torch.full_like(std, constant(form)) for form in multiplied)]
        self.register_buffer("compiled_filters", torch.cat(parts, 1).to(dtype).contiguous())
        offset = torch.cat(constants).to(dtype)
        self.register_buffer("compiled_offset", offset if bool(offset.any()) else None)
        self._function = function
        self._weights = recipe.value, recipe.slope
        self._kept = function.landmarks(std.to(dtype))

    def weights(self, level: Level) -> dict[Node, float]:
        """Which of the level's kernels are added, and how often."""
        return {level.nodes[number]: weight for number, weight in self._numbers}

    def entries(self, level: Level, rows: Tensor, stds: list[Tensor]) -> Tensor:
        """The sum by the formulas of torch, shape (n, m), for rows (n, r)."""
        products = (rows @ self.filters).split(self.count, 1)
        known = {form: part + constant(form) for form, part in zip(level.inputs, products, strict=True)}
        seen = {f: (stds[k], self.stds[k]) for k, f in enumerate(activated(level))}
        return Entries(level, known, seen).total(self.weights(level))

    def _fill(self, run: Run, rows: Tensor, std: Tensor) -> Tensor:
        """The same by the compiled function, in memory that the next call overwrites."""
        assert self._function is not None
        assert self.compiled_filters is not None
        products = run.buffer("products", (len(rows), self.compiled_filters.shape[1]))
        if self.compiled_offset is None:
            torch.mm(rows, self.compiled_filters, out=products)
        else:
            torch.addmm(self.compiled_offset, rows, self.compiled_filters, out=products)
        values = run.buffer("values", (len(rows), self.count))
        self._function.fill(products, std, self._kept, self._weights, values)
        return values

    def tiles(self, run: Run, level: Level, units: Tensor | None = None) -> Iterator[tuple[slice, Tensor]]:
        """Yield the sum tile by tile: which rows, and their values, which the next tile may overwrite.

        Parameters
        ----------
        run : Run
        level : Level
        units : Tensor, optional
            Numbers of the units; by default all, in their order.
        """
        columns = run.columns(level)
        parts = [columns.reshape(-1, columns.shape[-1]), *(run.std(form).reshape(-1) for form in activated(level))]
        if units is not None:
            parts = [part[units] for part in parts]
        rows, *stds = parts
        step = max(128, (_TILE if run.plain else _LARGE) // self.filters.shape[1])
        for start in range(0, len(rows), step):
            tile = slice(start, start + step)
            if self._function is not None and run.plain and self._function.serves(stds[0][tile]):
                yield tile, self._fill(run, rows[tile], stds[0][tile])
            else:
                yield tile, self.entries(level, rows[tile], [std[tile] for std in stds])


class PointStage(StoredModule):
    """Landmarks, whitened, and of these features the main directions.

    Parameters
    ----------
    landmarks : Landmarks
    projection : Tensor, shape (m, columns)
    """

    projection: Tensor

    def __init__(self, landmarks: Landmarks, projection: Tensor) -> None:
        super().__init__()
        self.landmarks = landmarks
        self.register_buffer("projection", projection)

    @classmethod
    def fit(
        cls, fitting: Fitting, level: Level, count: int, columns: int, weights: Mapping[Node, float] | None = None
    ) -> PointStage:
        """Take landmarks from the sample and choose directions by their variance over it."""
        run = fitting.run
        if weights is None:
            weights = {node: fitting.weight(node) for node in level.nodes if node in run.levels.read}
        landmarks, kernels, _ = take(fitting, level, count, weights)
        joint = sum(weight * kernel for kernel, weight in zip(kernels.values(), weights.values(), strict=True))
        assert isinstance(joint, Tensor)
        values, vectors = top(joint)
        kept = values > _RANK[run.x.dtype] * values[0]
        white = vectors[:, kept] / values[kept].sqrt() if bool(kept.any()) else 0 * vectors[:, :1]
        units = fitting.choose(level, "directions", _alive(run, level))
        features = torch.cat([values.double() for _, values in landmarks.tiles(run, level, units)]) @ white
        projection = white @ main_directions(features, columns)
        for node, kernel in kernels.items():
            fitting.metrics[node] = projection.T @ kernel @ projection
        return cls(landmarks, projection.to(run.x.dtype).contiguous())

    def forward(self, run: Run, level: Level) -> Tensor:
        """Kernels with the landmarks, projected, tile by tile."""
        shape = (len(run.x), *level.positions, self.projection.shape[1])
        if not run.plain:
            parts = [values @ self.projection for _, values in self.landmarks.tiles(run, level)]
            return torch.cat(parts).reshape(shape)
        out = run.x.new_empty(math.prod(shape[:-1]), shape[-1])
        for tile, values in self.landmarks.tiles(run, level):
            torch.mm(values, self.projection, out=out[tile])
        return out.reshape(shape)


def activated(level: Level) -> list[Form]:
    """The kernels that activations of the level see."""
    return list(dict.fromkeys(node.argument for node in level.nodes if isinstance(node, ActivatedNode)))


def take(
    fitting: Fitting, level: Level, count: int, weights: Mapping[Node, float]
) -> tuple[Landmarks, dict[Node, Tensor], Tensor]:
    """Draw landmarks from the sample.

    Returns
    -------
    landmarks : Landmarks
        For the sum of the level's kernels, weighted.
    kernels : dict from Node to Tensor
        Each of those kernels between the landmarks, shape (m, m), float64.
    rows : Tensor, shape (m, r), float64
        What the level reads there.

    Raises
    ------
    OverflowError
        The inputs are too large for the activation.
    """
    run = fitting.run
    columns = run.columns(level)
    units = fitting.choose(level, "landmarks", _alive(run, level), count)
    rows = columns.reshape(-1, columns.shape[-1])[units].double()
    metrics = {form: fitting.metric(form, level) for form in level.inputs}
    products = {form: rows @ metric @ rows.T + constant(form) for form, metric in metrics.items()}
    # No smaller than the features' own, or rounding would make correlations above 1, and what comes of them indefinite.
    stds = {f: run.variance(f).reshape(-1)[units].maximum(products[f].diagonal()).sqrt() for f in activated(level)}
    entries = Entries(level, products, {form: (std, std) for form, std in stds.items()})
    kernels = {node: entries.of(node) for node in weights}
    for node, kernel in kernels.items():
        if isinstance(node, ActivatedNode):
            node.dual.require_finite(stds[node.argument], kernel.diagonal().to(run.x.dtype))
    return Landmarks(level, weights, rows, metrics, stds, run.x.dtype), kernels, rows


def _alive(run: Run, level: Level) -> np.ndarray:
    """Numbers of the sample's units that are not 0, of all if there are none: black borders are no landmarks."""
    columns = run.columns(level)
    size = columns.reshape(-1, columns.shape[-1]).abs().amax(1)
    alive = np.flatnonzero((size > 0).numpy())
    return alive if len(alive) and not any(map(constant, level.inputs)) else np.arange(len(size))
