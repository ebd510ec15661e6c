"""Feature maps as users hold them: arrays of any make in, the same make out, in blocks of rows."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from neural_kernels.algebra import Layer
from neural_kernels.checks import require_integer, require_positive
from neural_kernels.exact import Kernel, resolve_kernel
from neural_kernels.exact.arrays import Batch, read, read_pair
from neural_kernels.features.fidelity import GramErrors, prediction_difference, probes, read_targets
from neural_kernels.features.flipped import build_map
from neural_kernels.features.method import BuiltMap, Method, Task
from neural_kernels.features.plan import Plan, detached, example_shape, quiet
from neural_kernels.features.reduction import WIDEST as WIDEST_ROWS
from neural_kernels.features.states import landmarks_of
from neural_kernels.features.width import WIDEST, columns_for
from neural_kernels.runtime.boundary import require_examples, require_range
from neural_kernels.runtime.plain_state import StoredModule

_BLOCK = 2**22  # numbers of a block of features
_STRIP = 256  # rows that are brought to another precision at a time
_FEATURES = "features of rows"  # what messages call them


class FeatureMap(StoredModule):
    r"""phi with :math:`\phi(x) \cdot \phi(y) \approx k(x, y)`, a module with buffers only.

    Parameters
    ----------
    net, kernel, n_components, method, seed
        As for :func:`feature_map`.

    Attributes
    ----------
    kernel : Kernel
        What is approximated.
    method_ : Method
        The one in use, once the map is built: at the first call, or by `fit`.
    reason_ : str
        Why this one.
    learned : ndarray of int
        Those of the rows given to `fit` that columns are made of (landmarks, anchors).
    n_components : int
        Columns of the result; with "auto" those that `fit` found, and before it the most that it may take.
    columns : int
        How many of the `n_components` columns, from the left, the built map fills; the others are 0 on all input.
    kernel_error_ : float
        Relative Frobenius error of the kernel off the diagonal, for up to 200 of the rows given to `fit`: for methods
        that learn from data rows they did not learn from, unless these are too few. Measured when first asked for.
    centred_kernel_error_ : float
        The same of the doubly centred matrices, which is what a model with an intercept sees.
    """

    def __init__(
        self, net: Layer | None, kernel: str | Kernel, n_components: int | str, method: Method | None, seed: int
    ) -> None:
        super().__init__()
        self.kernel = quiet(resolve_kernel(net, kernel))
        self.automatic = isinstance(n_components, str)
        if isinstance(n_components, str):
            if n_components != "auto":
                raise ValueError(f'n_components={n_components!r}: expected a positive integer or "auto"')
            n_components = WIDEST
        require_integer(self, n_components=n_components)
        if method is not None and not isinstance(method, Method):
            raise TypeError(f"method={method!r}: expected a method such as nk.ZonalFeatures(), or None")
        require_integer(self, 0, seed=seed)
        self.n_components, self.method, self.seed = int(n_components), method, int(seed)
        self.map: BuiltMap | None = None
        self.shape: tuple[int, ...] | None = None
        self.columns = self.n_components
        self._task: Task | None = None
        self._held_out: Any = None
        self._errors: GramErrors | None = None

    def fit(self, x: Any, y: Any = None) -> FeatureMap:
        """Build the map for data like these.

        Methods that learn from data make columns of them. All others are drawn from the seed and the width alone, but
        for how many columns each part of the kernel gets: that follows what the parts contribute for some of these
        rows. Without `fit` it is decided for normal rows, or images that are drawn, and so the same in any process.

        Parameters
        ----------
        x : array, shape (n, d) or (n, channels, *positions)
            As for `forward`.
        y : object
            Ignored.
        """
        batch = read(x, "x")
        if len(batch.rows) == 0:
            raise ValueError("x: expected at least one row to fit")
        sample = detached(batch)
        task = self._build(batch, sample)
        self._held_out, self._errors = sample[probes(task, self.method_, sample)], None
        return self

    @property
    def learned(self) -> np.ndarray:
        """Those of the rows given to `fit` that columns are made of (landmarks, anchors)."""
        return np.empty(0, dtype=np.intp) if self.map is None else self.map.learned

    @property
    def kernel_error_(self) -> float:
        """Relative Frobenius error of the kernel off the diagonal, on rows given to `fit`; measured when asked for."""
        return self._measured().raw

    @property
    def centred_kernel_error_(self) -> float:
        """The same after double centring: a constant in the kernel, which an intercept absorbs, hides no error."""
        return self._measured().centred

    def _measured(self) -> GramErrors:
        if self._task is None or self._held_out is None:
            raise RuntimeError("errors of the kernel are measured on data: call fit(x) first")
        if self._errors is None:
            features = torch.as_tensor(self(self._held_out))
            self._errors = GramErrors.of(self._task.values(self._held_out), features)
        return self._errors

    def prediction_error(self, x: Any, y: Any, x_test: Any, alpha: float = 1e-2) -> float:
        r"""Relative difference of what ridge regression predicts with the features and with the exact kernel.

        .. math:: \|\hat f_\phi - \hat f_k\| / \|\hat f_k\|,

        over the rows `x_test`, of predictions less the targets' mean, both fitted to `x` and `y` with the same ridge.
        The smaller alpha, the more of the kernel's small eigenvalues have a part in it, which its entries do not show.

        Parameters
        ----------
        x, x_test : array, shapes (n, d) and (b, d), or of images
            As for `forward`; `x_test` should be rows that `fit` was not given.
        y : array, shape (n,) or (n, o)
            Numbers; of labels, 1 for a row's class and -1 elsewhere.
        alpha : float
            The ridge, in units of the mean of the kernel's diagonal, as for the estimators.

        Returns
        -------
        float

        Notes
        -----
        Cost: n^2 / 2 + b n entries of the exact kernel and about 2 n^3 / 3 operations: some hundred rows will do.
        """
        require_positive("prediction_error", alpha=alpha)
        for batch in (x, x_test):
            self._read(batch)
        test, train = read_pair(x_test, x)
        targets = read_targets(y, len(train.rows)).to(train.rows.std.device)
        assert self._task is not None
        kernel = self._task.values
        exact = kernel(train.data), kernel(test.data, train.data)
        features = torch.as_tensor(self(train.data)), torch.as_tensor(self(test.data))
        return prediction_difference(exact, features, targets - targets.mean(dim=0), alpha)

    def forward(self, x: Any) -> Any:
        """The features, shape (n, n_components), of the kind, device and precision of `x`.

        Parameters
        ----------
        x : array, shape (n, d), or (n, channels, *positions) for networks that take images or sequences
            NumPy, torch, SciPy sparse or CSR of torch, pandas, polars, lists. A vector of shape (d,) gives one of shape
            (n_components,).

        Raises
        ------
        ValueError
            Another shape than the map was built for; NaN or infinity; a method that has to see data first, or that
            cannot represent this kernel.
        OverflowError
            Features that are not finite, of inputs that are too large.
        """
        batch = self._read(x)
        assert self.map is not None
        if isinstance(batch.data, Tensor) and batch.data.requires_grad:
            features = require_range(self.map(batch.data), _FEATURES)
            return _dress(nn.functional.pad(features, (0, self.n_components - self.columns)), batch)
        result = batch.rows.std.new_zeros((len(batch.rows), self.n_components), dtype=batch.rows.dtype)
        self._fill(batch, result[:, : self.columns])
        return _dress(result, batch)

    def fill(self, x: Any, out: np.ndarray) -> np.ndarray:
        """Write the features, but for columns that are always 0, to memory that is there.

        Parameters
        ----------
        x : array
            As for `forward`, on the CPU.
        out : ndarray of shape (n, columns)
            Of the precision of x.

        Returns
        -------
        ndarray
            `out`.
        """
        self._fill(self._read(x), torch.from_numpy(out))
        return out

    def _fill(self, batch: Batch, out: Tensor) -> None:
        assert self.map is not None
        with torch.no_grad():
            for block in self._blocks(len(out)):
                self.map.fill(batch.data[block], out[block])
                require_range(out[block], _FEATURES)

    def project(self, x: Any, weights: Any) -> Any:
        """The features times weights, without the features themselves where the method knows a shorter way.

        Parameters
        ----------
        x : array
            As for `forward`.
        weights : array, shape (columns, o)

        Returns
        -------
        array, shape (n, o), of the weights' precision
        """
        batch = self._read(x)
        assert self.map is not None
        factor = torch.as_tensor(weights, device=batch.rows.std.device)
        result = factor.new_empty((len(batch.rows), factor.shape[1]))
        with torch.no_grad():
            columns, matrix = self.map.readout(factor)
            for block in self._blocks(len(result)):
                strips = [strip.to(matrix) @ matrix for strip in columns(batch.data[block]).split(_STRIP)]
                result[block] = require_range(torch.cat(strips), "features times weights")
        return _dress(result, batch)

    def _read(self, x: Any) -> Batch:
        """Check input, and build the map if this is the first and `fit` did not."""
        batch = read(x, "x")
        if self._task is None:
            self._build(batch, None)
        assert self.shape is not None
        if self.map is None:
            self.map = self._drawn().to(batch.rows.std.device)
        if not self.map.accepts(example_shape(batch), self.shape):
            require_examples("x", example_shape(batch), self.shape, "the map")
        return batch

    def _drawn(self) -> BuiltMap:
        """What a map that has seen no data is built of."""
        assert self._task is not None
        return build_map(self.method_, self._task, None)

    def without_draws(self) -> FeatureMap:
        """One with the same features that is drawn anew when called; itself if it has seen data, or is not built."""
        if self.map is None or self._held_out is not None or len(self.learned):
            return self
        other = FeatureMap(None, self.kernel, self.n_components, self.method, self.seed)
        vars(other).update({name: value for name, value in vars(self).items() if not name.startswith("_")})
        other._task = self._task
        return other

    @override
    def _load_from_state_dict(self, state_dict: Any, prefix: str, *rest: Any) -> None:  # pyright: ignore
        rows = landmarks_of(state_dict, prefix) if self.map is None else None
        if rows is not None:  # a map with these landmarks, whose tensors then come
            if self.automatic:
                self.n_components, self.automatic = len(rows), False
            self.fit(rows)._held_out = None
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _blocks(self, n: int) -> Iterator[slice]:
        assert self.shape is not None
        step = max(64, _BLOCK // max(self.n_components, min(math.prod(self.shape), WIDEST_ROWS)))
        return (slice(start, start + step) for start in range(0, n, step))

    def _build(self, batch: Batch, sample: Any) -> Task:
        most = WIDEST if self.automatic else self.n_components
        plan = Plan.of(self.kernel, most, self.method, self.seed, batch, sample)
        if self.automatic:
            plan = replace(plan, task=replace(plan.task, n_components=columns_for(plan.task, plan.method, sample)))
        self.map = build_map(plan.method, plan.task, sample).to(batch.rows.std.device)
        self.method_, self.reason_, self._task = plan.method, plan.reason, plan.task
        self.n_components, self.columns = plan.task.n_components, self.map.columns
        self.shape = example_shape(batch)
        return plan.task

    @override
    def extra_repr(self) -> str:
        width = "auto" if self.automatic and self.map is None else self.n_components
        return f"{self.kernel!r}, n_components={width!r}, method={self.method!r}"


def _dress(result: Tensor, batch: Batch) -> Any:
    """Make features the kind of array that came in; of a single vector, one row without its axis."""
    return batch.dress(result[0] if batch.single else result)
