"""Parameters that describe a feature map, and reading of input: what transformer and linear models share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from neural_kernels.estimators import inputs, settings
from neural_kernels.estimators.accumulation import sample_size
from neural_kernels.estimators.blocks import gathered, over_blocks
from neural_kernels.estimators.network_parameters import NetworkParameters
from neural_kernels.estimators.scales import diagonal, warn_of_channels, warn_of_columns, warn_of_rows
from neural_kernels.exact import Kernel
from neural_kernels.exact.graphs import Graphs
from neural_kernels.features import FeatureMap, Method
from neural_kernels.features.width import WIDEST
from neural_kernels.runtime.types import Array, Shape
from neural_kernels.sources import RowSource, as_source


class FeatureModel(NetworkParameters):
    """Private base: parameters that describe a map, and reading of input; documented in its subclasses."""

    network: Any
    kernel: Any
    n_components: int | str
    method: Any
    augment: Any
    random_state: Any

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = settings.takes_sparse(self.kernel)
        return tags

    def _read(self, X: Any, fitted: Shape | None = None, **options: Any) -> Any:
        """Validate as scikit-learn does, options (y, reset, ...) included; images are kept.

        Parameters
        ----------
        X : array-like
        fitted : tuple of int, optional
            The shape that examples must have.
        options : dict
            Of `validate_data`.
        """
        if isinstance(X, Graphs):
            raise TypeError(f"{type(self).__name__} takes arrays, got nk.Graphs, of which there are no feature maps")
        if fitted is not None:
            inputs.check_shape(self, X, fitted)
        lazy = f"neural_kernels.dask.Dask{type(self).__name__} takes such collections"
        return inputs.validate(self, X, lazy, accept_sparse="csr", allow_nd=True, **options)

    def _source(self, X: Any, y: Any = None, sample_weight: Any = None) -> RowSource | None:
        """The blocks that X stands for; None where it is an array to be read as a whole."""
        budget = settings.as_budget(getattr(self, "memory_budget", None))
        known, width = (getattr(self, name, None) for name in ("feature_names_in_", "n_features_in_"))
        numbers = inputs.block_numbers(budget)
        source = as_source(X, y, sample_weight, numbers=numbers, names=known, n_features=width)
        given = getattr(source, "names", None)
        if given is not None and known is not None and list(given) != list(known):
            raise ValueError(f"X has the columns {list(given)}; expected those of fit: {list(known)}")
        return source

    def _by_blocks(self, X: Any, function: Callable[[Any], Array]) -> Array | None:
        """What a function makes of the blocks of X, one below the other; None where X is read as a whole."""
        source = self._source(X)
        if source is None:
            return None
        title = type(self).__name__ if getattr(self, "verbose", 0) else None
        return gathered(over_blocks(source, lambda block: function(block.X), title), source.rows)

    def _of_rows(self, X: Any, function: Callable[[Any], Array]) -> Array:
        """What a fitted model makes of rows, block by block where X comes in blocks: results alone are held."""
        check_is_fitted(self)
        found = self._by_blocks(X, function)
        return function(X) if found is None else found

    def _read_rows(self, X: Any, y: Any, sample_weight: Any, reset: bool) -> tuple[Any, Any, Array]:
        """Validate rows to fit, with their targets and weights."""
        return self._read(X, reset=reset), y, np.ones(X.shape[0])

    def _warn_of_scales(self, X: Any) -> None:
        """Warn of columns and rows of the first data on wildly different scales, and of images with swapped axes."""
        warn_of_channels(X)
        if X.ndim == 2:
            with inputs.advice_on_images(X):
                warn_of_columns(X, self.kernel_)
                warn_of_rows(diagonal(X, self.kernel_), np.arange(X.shape[0]))

    @property
    def _widest(self) -> int:
        """How many columns the map has, or may have at most where their number is found from data."""
        return WIDEST if isinstance(self.n_components, str) else int(self.n_components)

    def _rows_kept(self, X: Any) -> int:
        """How many distinct rows like these are kept, or drawn for a map to learn from."""
        example = 1 if issparse(X) else math.prod(X.shape[1:])
        return sample_size(example, self._widest, settings.as_budget(getattr(self, "memory_budget", None)))

    def _map_builder(self) -> tuple[Callable[[Any], FeatureMap], int]:
        """Set `kernel_` and `network_`; return what builds the map for rows, and the seed that it uses."""
        self.kernel_ = settings.augmented(settings.kernel(self.kernel, self.network), self.augment)
        self.network_ = getattr(self.kernel_, "net", None)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        builder = MapBuilder(self.kernel_, self.n_components, self.method, seed)
        builder.empty()  # refuses parameters now, not when the rows are there
        return builder, seed


@dataclass(frozen=True)
class MapBuilder:
    """What makes the feature map of rows, once they are there.

    Parameters
    ----------
    kernel, n_components, method, seed
        As for `FeatureMap`.
    """

    kernel: Kernel
    n_components: int | str
    method: Method | None
    seed: int

    def empty(self) -> FeatureMap:
        """The map before it has seen rows."""
        return FeatureMap(None, self.kernel, self.n_components, self.method, self.seed)

    def __call__(self, rows: Any) -> FeatureMap:
        """The map that is built for rows."""
        with inputs.advice_on_images(rows):
            return self.empty().fit(rows)
