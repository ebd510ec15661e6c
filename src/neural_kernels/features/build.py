"""What users call: for a feature map, and for how many columns it needs."""

from __future__ import annotations

from typing import Any

from neural_kernels.algebra import Layer
from neural_kernels.checks import require_integer, require_number, require_positive
from neural_kernels.exact import Kernel
from neural_kernels.exact.arrays import read
from neural_kernels.features.map import FeatureMap
from neural_kernels.features.method import Method
from neural_kernels.features.plan import Plan, detached
from neural_kernels.features.width import ERROR, WIDEST, fewest_columns


def feature_map(
    net: Layer | None = None,
    kernel: str | Kernel = "ntk",
    n_components: int | str = 4096,
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
    n_components : int or "auto"
        Columns of the result. The error falls as its root. "auto": the fewest with a centred kernel error of 5 %, as
        :func:`min_components` finds them among the rows given to `fit`; where 8192 do not reach it, or as many as
        there are rows to learn from, a warning says so and the best number is taken.
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


def min_components(
    net: Layer | None,
    x: Any,
    error: float = ERROR,
    kernel: str | Kernel = "ntk",
    method: Method | None = None,
    seed: int = 0,
    at_most: int = WIDEST,
) -> int:
    r"""How many columns a feature map needs for a given error, measured on rows that it does not learn from.

    The error is `centred_kernel_error_`: relative, in the Frobenius norm, of the doubly centred kernel between
    different rows, on up to 200 that are held out (a quarter of the distinct rows at most, and of images fewer).

    Parameters
    ----------
    net, kernel, method, seed
        As for :func:`feature_map`.
    x : array, shape (n, d) or (n, channels, ...)
        Rows like those to be mapped: at least 32 distinct ones, for landmarks as many more as columns may be needed.
    error : float
        Between 0 and 1: 0.05 is 5 %.
    at_most : int
        Columns that are tried. The time grows with them as that of the map, with landmarks as their cube.

    Returns
    -------
    int
        For maps whose first columns are maps themselves (``nk.Nystrom()``) to the very column, for others within 10 %.

    Raises
    ------
    ValueError
        The error is not reached; the message says which is, and with how many columns. Fewer than 32 distinct rows.
    UnsuitableError
        The method cannot represent this kernel.

    Notes
    -----
    Cost: the exact kernel of the rows held out, and about four maps with landmarks or sixteen others, each four times
    as wide as the one before at most; the widest is less than four times as wide as the answer.

    Examples
    --------
    >>> import numpy as np
    >>> import neural_kernels as nk
    >>> x = np.random.default_rng(0).normal(size=(800, 4))
    >>> m = nk.min_components(nk.mlp(2, bias_var=0.1), x, error=0.05)
    >>> phi = nk.feature_map(nk.mlp(2, bias_var=0.1), n_components=m).fit(x)
    >>> m < 400, phi.centred_kernel_error_ < 0.06
    (True, True)
    """
    require_positive("min_components", error=error)
    require_number("min_components", 0.0, 1.0, error=error)
    require_integer("min_components", at_most=at_most)
    phi, batch = FeatureMap(net, kernel, at_most, method, seed), read(x, "x")
    sample = detached(batch)
    plan = Plan.of(phi.kernel, phi.n_components, method, phi.seed, batch, sample)
    found = fewest_columns(plan.task, plan.method, sample, error)
    if not found.reached:
        raise ValueError(f"min_components(error={error!r}): {found.shortfall}")
    return found.columns
