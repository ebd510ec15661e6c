"""The feature map of an infinitely wide network as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin

from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.blocks import over_blocks
from neural_kernels.estimators.feature_model import FeatureModel
from neural_kernels.estimators.region import Region
from neural_kernels.estimators.row_sample import RowSample
from neural_kernels.sources import Block, RowSource, is_readable


class NeuralFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, FeatureModel):
    r"""Features of an infinitely wide network, for any linear model: :math:`\phi(x) \cdot \phi(y) \approx k(x, y)`.

    Parameters
    ----------
    network : Layer, optional
        Default ``nk.mlp(3, bias_var=0.1)``: without biases, inputs of one or two columns are hardly told apart.
    kernel : {"ntk", "nngp"} or Kernel
        Of the network, "ntk": what training all layers learns; "nngp": the last one. Or a kernel object, as for
        :class:`NeuralKernelRegressor`; the network is then unused.
    n_components : int or "auto"
        Columns of the result. Methods by landmarks make no more of them than there are distinct training rows.
        "auto": the fewest, up to 8192, with a centred kernel error of 5 % on training rows that are held out for the
        purpose; with a warning where it is larger. For another error give what :func:`min_components` finds.
    method : Method, optional
        Such as ``nk.Nystrom("rpcholesky")`` or ``nk.ZonalFeatures()``; None takes what suits.
    augment : {None, "flip"}
        "flip": features are averaged over an image and its mirror image, left and right exchanged, at twice the cost
        (:class:`FlipAverage`): for objects that may face either way.
    random_state : int, RandomState or None
        Of all that the map draws.

    Attributes
    ----------
    map_ : FeatureMap
        A torch module, of use on its own.
    n_components_ : int
        Columns of the result.
    method_, reason_
        The method in use, and why this one.
    kernel_, network_, n_features_in_, feature_names_in_
        As for :class:`NeuralKernelRegressor`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from neural_kernels.estimators import NeuralFeatures
    >>> X, y = load_iris(return_X_y=True)
    >>> features = NeuralFeatures(n_components=64, random_state=0)
    >>> model = make_pipeline(StandardScaler(), features, LogisticRegression(C=10, max_iter=1000))
    >>> bool(model.fit(X, y).score(X, y) > 0.95)
    True
    """

    def __init__(
        self,
        network: Any = None,
        *,
        kernel: Any = "ntk",
        n_components: int | str = 4096,
        method: Any = None,
        augment: Any = None,
        random_state: Any = None,
    ):
        self.network = network
        self.kernel = kernel
        self.n_components = n_components
        self.method = method
        self.augment = augment
        self.random_state = random_state

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # pyright: ignore[reportOptionalMemberAccess]
        return tags

    @atomic
    def fit(self, X: Any, y: Any = None) -> NeuralFeatures:
        """Build the map for rows like X, shape (n, d); y is ignored.

        X may be files or a source of blocks, as for :class:`NeuralFeatureRegressor`. All blocks are then read, and
        the map is built for a uniform sample of their distinct rows, 16,384 or as many as `n_components`, fewer where
        these hold more than 2^23 numbers: whatever the order of rows and the size of blocks, it is the same.
        """
        build, seed = self._map_builder()
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
        source = self._source(X, y if is_readable(X) else None)
        X = self._read(X) if source is None else self._sample(source, seed)
        self._warn_of_scales(X)
        self.map_, self._region = build(X), Region.of(X)
        self.method_, self.reason_ = self.map_.method_, self.map_.reason_
        self.n_components_ = self._n_features_out = self.map_.columns
        return self

    def _sample(self, source: RowSource, seed: int) -> Any:
        """As many rows as models on features keep."""
        sample: RowSample | None = None

        def read(block: Block) -> Any:
            return self._read(block.X, None if sample is None else sample.example, reset=sample is None)

        for X in over_blocks(source, read):
            sample = sample or RowSample(self._rows_kept(X), seed)
            sample.add(X, np.ones(X.shape[0]))
        if source.names is not None:
            self.feature_names_in_ = np.asarray(source.names, dtype=object)
        assert sample is not None
        return sample.rows().data

    def transform(self, X: Any) -> np.ndarray:
        """Features of rows, shape (n, n_components), in their precision."""
        return self._of_rows(X, self._transform_part)

    def _transform_part(self, X: Any) -> np.ndarray:
        X = self._read(X, self.map_.shape, reset=False)
        features = self.map_.fill(X, np.empty((X.shape[0], self.n_components_), X.dtype))
        self._region.warn_if_outside(X, self.kernel_)
        return features
