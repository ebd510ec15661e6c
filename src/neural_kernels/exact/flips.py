"""The kernel of functions that do not tell an image from its mirror image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.exact.kernel import Kernel, len_of
from neural_kernels.exact.lazy import diagonal_by_blocks, gram_by_blocks

_ROWS = 2  # of images at a time, of which each is to meet its own mirror image alone


@dataclass(frozen=True)
class FlipAverage(Kernel):
    r"""A kernel averaged over images and their mirror images, left and right exchanged.

    .. math:: \bar k(x, y) = \tfrac14 \sum_{g, h} k(g x, h y), \qquad g, h \in \{\text{identity}, \text{flip}\}

    It is the kernel of :math:`\bar f(x) = (f(x) + f(g x)) / 2`, f drawn with covariance k, and so positive
    semi-definite; its features are those of k, averaged over an image and its mirror image. A model with it has seen
    all training images both ways, at no more rows: augmentation by flips without the doubled data. For objects that
    may face either way, not for digits or letters.

    Parameters
    ----------
    kernel : Kernel
        k, of images of shape (n, channels, height, width), such as ``nk.NTK(nk.cnn(3))``.

    Notes
    -----
    Costs four times what k costs for two batches, three times for one. Feature maps cost twice those of k.

    References
    ----------
    B. Haasdonk, H. Burkhardt, "Invariant kernel functions for pattern analysis and machine learning", 2007;
    Z. Li et al., "Enhanced convolutional neural tangent kernels", 2019, arXiv:1911.00809.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> images = np.random.default_rng(0).normal(size=(2, 3, 4, 4))
    >>> kernel = nk.FlipAverage(nk.NTK(nk.cnn(2, pooling="flatten")))
    >>> bool(np.allclose(kernel(images), kernel(images, images[..., ::-1])))
    True
    """

    kernel: Kernel

    def __post_init__(self) -> None:
        if not isinstance(self.kernel, Kernel):
            raise TypeError(f"FlipAverage(kernel={self.kernel!r}): expected a kernel such as nk.NTK(nk.cnn(3))")

    @property
    def net(self) -> Any:
        """The network of k, if it has one."""
        return getattr(self.kernel, "net", None)

    @override
    @gram_by_blocks
    def __call__(self, x1: Any, x2: Any = None) -> Any:
        """The Gram matrix, shape (n1, n2), of the kind, device and precision of `x1`."""
        first, mirrored = _both_ways(x1)
        if x2 is None:
            across = _matrix(self.kernel(first, mirrored))
            return ((self.kernel(first) + self.kernel(mirrored)) + (across + across.T)) / 4
        second, other = _both_ways(x2)
        straight = _matrix(self.kernel(first, second)) + self.kernel(mirrored, other)
        return (straight + (self.kernel(first, other) + self.kernel(mirrored, second))) / 4

    @override
    @diagonal_by_blocks
    def diag(self, x: Any) -> Any:
        """k(x, x) for every image, shape (n,), from small Gram matrices."""
        first, mirrored = _both_ways(x)
        parts = [slice(start, start + _ROWS) for start in range(0, len_of(first), _ROWS)]
        across = [_matrix(self.kernel(first[part], mirrored[part])).diagonal() for part in parts]
        join: Any = torch.cat if isinstance(first, Tensor) else np.concatenate
        cross = join(across) if across else 0
        return (self.kernel.diag(first) + self.kernel.diag(mirrored) + 2 * cross) / 4


def mirror(images: Tensor) -> Tensor:
    """Images with left and right exchanged.

    Raises
    ------
    ValueError
        They are no images.
    """
    if images.ndim < 4:
        raise ValueError(
            f"flips are of images, shape (n, channels, height, width); got shape {tuple(images.shape)}. Reshape flat "
            "images: X.reshape(-1, channels, height, width)"
        )
    return images.flip(-1)


def _both_ways(x: Any) -> tuple[Any, Any]:
    """Images, and their mirror images, as arrays of one make."""
    if isinstance(x, Tensor):
        return x, mirror(x)
    images = np.asarray(x)
    return images, mirror(torch.from_numpy(np.ascontiguousarray(images))).numpy()


def _matrix(gram: Any) -> Any:
    if gram.ndim != 2:
        raise TypeError(
            f"FlipAverage: expected a kernel with one number for two images, got results of shape {tuple(gram.shape)}. "
            "In place of nk.EmpiricalNTK take nk.TraceNTK or nk.PseudoNTK"
        )
    return gram
