"""What users call: for a feature map, and for how many columns it needs."""

from __future__ import annotations

from neural_kernels.algebra import Layer
from neural_kernels.exact import Kernel
from neural_kernels.features.map import FeatureMap
from neural_kernels.features.method import Method


def feature_map(
    net: Layer | None = None,
    kernel: str | Kernel = "ntk",
    n_components: int = 4096,
    method: Method | None = None,
    seed: int = 0,
) -> FeatureMap:
    r"""Features with :math:`\phi(x) \cdot \phi(y) \approx k(x, y)`: linear models on them learn what the kernel learns.

    Parameters
    ----------
    net : Layer, optional
        The description, for example ``nk.mlp(3)``; None where `kernel` is an object.
    kernel : {"ntk", "nngp"}, Kernel or callable
        Which kernel of the network; or, without a network, the kernel itself: ``nk.NTK(net)`` is the same as
        ``net, "ntk"``, and of a kernel that no single network has (``nk.Laplace()``, sums, products, a function of two
        batches that returns their Gram matrix) ``nk.Nystrom()`` alone makes features, since it needs only values. A
        function gets the kind of arrays that `fit` was given, NumPy or torch.
    n_components : int
        Columns of the result. The error falls as its root.
    method : Method, optional
        Such as ``nk.ZonalFeatures()`` or ``nk.Nystrom()``; None: what suits, as `method_` and `reason_` say.
    seed : int
        The same seed gives the same map, in any process.

    Returns
    -------
    FeatureMap

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> x = np.random.default_rng(0).normal(size=(5, 20))
    >>> phi = nk.feature_map(nk.mlp(2), n_components=2048)
    >>> bool(np.allclose(phi(x) @ phi(x).T, nk.NTK(nk.mlp(2))(x), rtol=0.2))
    True
    >>> kernel = nk.NTK(nk.mlp(2)) + 0.5 * nk.Laplace(0.1)
    >>> phi = nk.feature_map(kernel=kernel, n_components=5).fit(x)
    >>> bool(np.allclose(phi(x) @ phi(x).T, kernel(x)))
    True
    """
    return FeatureMap(net, kernel, n_components, method, seed)
