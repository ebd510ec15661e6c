"""Images on the scale that networks expect, as a scikit-learn transformer."""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from neural_kernels.checks import require_positive
from neural_kernels.estimators.atomic import atomic
from neural_kernels.estimators.images.blocks import ImageBlocks
from neural_kernels.estimators.images.contrast import unit_contrast, unit_norm
from neural_kernels.estimators.images.scalings import ChannelScaling, Scaling, Whitening
from neural_kernels.estimators.inputs import check_shape
from neural_kernels.runtime.types import Array, Shape

_WIDEST = 2**14  # numbers of an image that is whitened: its matrix of 2 GiB takes hours

Kind = TypeVar("Kind", bound=Scaling)


def _invertible(scaler: ImageScaler) -> bool:
    if scaler._contrasts or scaler._norms:
        raise AttributeError(
            "images that are brought to the same contrast or norm cannot be had back: inverse_transform needs "
            "contrast=False and norm=False"
        )
    return True


class ImageScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    r"""Standardise the channels of images, or whiten their pixels.

    By default each channel gets mean 0 and variance 1 over all images and positions. With ``whiten=r`` images x become

    .. math:: (C + r \bar\lambda I)^{-1/2} (x - \bar x),

    C the covariance of all pixels of all channels, :math:`\bar\lambda` its mean eigenvalue (ZCA). Directions of large
    variance, smooth ones in natural images, no longer drown edges; those of less variance than r times the mean are
    not raised to the same height. On small photographs of things kernels of convolutional networks learn more from
    whitened pixels, not on all images; try r from 0.1 to 1.

    Parameters
    ----------
    whiten : float, optional
        The regularisation r. None: channels are standardised.
    contrast : bool, optional
        Before all else subtract from each image its mean, over channels and positions, and divide it by its root mean
        square (global contrast normalisation). None: where pixels are whitened.
    norm : bool, optional
        At the end divide each image by its root mean square, so that all have the same norm. None: where pixels are
        whitened.

    Attributes
    ----------
    mean_ : ndarray of shape (channels,), or of one image where pixels are whitened
        What is subtracted.
    scale_ : ndarray of shape (channels,)
        What channels are divided by; 1 where one does not vary. Without `whiten` only.
    whitening_ : ndarray of shape (d, d)
        The matrix, d numbers of an image. With `whiten` only.
    n_samples_seen_ : int
        Images seen so far.
    n_features_in_ : int
        Channels.

    See Also
    --------
    sklearn.preprocessing.StandardScaler : For columns, which pixels of images should not be treated as.

    Notes
    -----
    Images may be NumPy arrays (memory maps, too) or torch tensors, shape (n, channels, height, width) or of any number
    of positions; or data sets whose items are images, or pairs of an image and a label, as those of torchvision. They
    are read in blocks of 2^21 numbers, so that bytes on disk are never held whole as floats; results are NumPy arrays,
    float32 of bytes and of float32, else float64. Constant images become 0.

    Whitening holds a matrix of d^2 numbers, 75 MB for d = 3,072, and takes d^2 operations for every image, 10 d^3 once:
    it is for small images, up to d = 16,384.

    References
    ----------
    A. Coates, A. Ng, H. Lee, "An analysis of single-layer networks in unsupervised feature learning", 2011;
    V. Shankar et al., "Neural kernels without tangents", 2020, arXiv:2003.02237.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.estimators import ImageScaler
    >>> images = np.random.default_rng(0).integers(256, size=(50, 3, 8, 8), dtype=np.uint8)
    >>> scaled = ImageScaler().fit_transform(images)
    >>> scaled.dtype, scaled.mean(axis=(0, 2, 3)).round(4) + 0, scaled.std(axis=(0, 2, 3)).round(4)
    (dtype('float32'), array([0., 0., 0.], dtype=float32), array([1., 1., 1.], dtype=float32))
    >>> ImageScaler(whiten=0.1).fit_transform(images).shape
    (50, 3, 8, 8)
    """

    _scaling: Scaling | None = None

    def __init__(self, whiten: float | None = None, *, contrast: bool | None = None, norm: bool | None = None):
        self.whiten = whiten
        self.contrast = contrast
        self.norm = norm

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # pyright: ignore[reportOptionalMemberAccess]
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return self._scaling is not None

    @atomic
    def fit(self, X: Any, y: Any = None) -> ImageScaler:
        """Find means and variances of images, shape (n, channels, height, width); y is ignored."""
        self._scaling = None
        return self.partial_fit(X)

    @atomic
    def partial_fit(self, X: Any, y: Any = None) -> ImageScaler:
        """Take in more images; the result is that of one `fit` to all, up to rounding."""
        images = ImageBlocks.of(X)
        if not len(images):
            raise ValueError(f"X: expected one image at least, got shape {(0, *images.shape)}")
        scaling = self._begun(images.shape) if self._scaling is None else self._checked(images)
        self._scaling = scaling.with_images(self._prepared(images[rows]) for rows in images.slices())
        self.n_features_in_ = images.shape[0]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Scale images, shape (n, channels, height, width), in blocks."""
        images = ImageBlocks.of(X)
        scale = self._checked(images).forward(images.dtype)
        scaled = np.empty((len(images), *images.shape), images.dtype)
        for rows in images.slices():
            block = scale(self._prepared(images[rows]))
            scaled[rows] = unit_norm(block) if self._norms else block
        return scaled

    @available_if(_invertible)
    def inverse_transform(self, X: Any) -> np.ndarray:
        """Images of what they were scaled to, where they were not brought to the same contrast or norm."""
        images = ImageBlocks.of(X)
        invert = self._checked(images).inverse(images.dtype)
        original = np.empty((len(images), *images.shape), images.dtype)
        for rows in images.slices():
            original[rows] = invert(images[rows])
        return original

    @property
    def n_samples_seen_(self) -> int:
        """Images seen so far."""
        return self._fitted.count

    @property
    def mean_(self) -> Array:
        """What is subtracted."""
        return self._fitted.mean

    @property
    def scale_(self) -> Array:
        """What channels are divided by."""
        return self._of(ChannelScaling, "scale_").scale

    @property
    def whitening_(self) -> Array:
        """The matrix that pixels are multiplied by."""
        return self._of(Whitening, "whitening_").matrix

    @property
    def _fitted(self) -> Scaling:
        check_is_fitted(self)
        assert self._scaling is not None
        return self._scaling

    def _of(self, kind: type[Kind], name: str) -> Kind:
        scaling = self._fitted
        if not isinstance(scaling, kind):
            raise AttributeError(f"{self!r} has no {name}: that is of {kind.__name__}, this one is fitted as another")
        return scaling

    @property
    def _contrasts(self) -> bool:
        return self.whiten is not None if self.contrast is None else bool(self.contrast)

    @property
    def _norms(self) -> bool:
        return self.whiten is not None if self.norm is None else bool(self.norm)

    def _prepared(self, images: np.ndarray) -> np.ndarray:
        return unit_contrast(images) if self._contrasts else images

    def _begun(self, shape: Shape) -> Scaling:
        if self.whiten is None:
            return ChannelScaling.empty(shape)
        require_positive(self, whiten=self.whiten)
        if math.prod(shape) > _WIDEST:
            raise ValueError(
                f"whiten={self.whiten!r}: images of shape {shape} have {math.prod(shape):,} numbers each, and their "
                f"covariances the square of that; up to {_WIDEST:,} can be whitened. Make them smaller, or whiten=None"
            )
        return Whitening.empty(shape, float(self.whiten))

    def _checked(self, images: ImageBlocks) -> Scaling:
        check_shape(self, images.data, self._fitted.shape)
        return self._fitted
