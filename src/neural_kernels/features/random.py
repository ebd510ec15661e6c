"""Random features, layer by layer: for networks whose kernel is no function of the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from neural_kernels.activations import Activation, Dual
from neural_kernels.activations._normal import BivariateNormal, safe_divide
from neural_kernels.activations._relu import ArcCosine
from neural_kernels.activations._series import value_and_slope
from neural_kernels.algebra import KernelPair, Nothing
from neural_kernels.engine.inputs import DenseRows
from neural_kernels.features.directions import Directions
from neural_kernels.features.factors import Draws, Factor, compressed
from neural_kernels.features.method import Columns, Method, Task, UnsuitableError, dense

_SMALL = 1e-3  # of E[s^2]: a squared mean not worth a column
_HEAVY = 300.0  # E[s^4] / E[s^2]^2 of features whose averages no longer settle


@dataclass(frozen=True)
class RandomFeatures(Method):
    r"""Random features of every layer in turn: any activation with a function, rows of any norm, biases, branches.

    With directions w and the factor phi of the kernel below, an activation gives
    :math:`\sigma(w_i \cdot \phi) / \sqrt m` for the NNGP kernel and :math:`\sigma'(w_i \cdot \phi) / \sqrt m` for the
    slope, whose product with the NTK below is sketched (`TensorSRHT`). The mean of sigma over directions is one exact
    column; of piecewise linear activations the linear part is exact as well, where it fits.

    Notes
    -----
    Costs O(depth n_components log n_components) a row. Unbiased for one hidden layer; deeper, what an activation makes
    of an error below is a bias of second order in it. Where ``ZonalFeatures`` apply they are quicker and nearer.

    References
    ----------
    Zandieh et al. 2021, arXiv:2104.00415; Han et al. 2022, arXiv:2209.04121.
    """

    @property
    def needs_data(self) -> bool:
        """No."""
        return False

    def build(self, task: Task, sample: Any) -> Columns:
        """See `Method`."""
        return RandomMap(task)


class RandomMap(Columns):
    """The features of a network for one width of rows.

    Parameters
    ----------
    task : Task
    """

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.net, self.kernel, self.in_features = task.net, task.kernel, task.in_features
        self.columns, self.dtype = task.n_components, task.dtype
        probe = torch.ones(1, task.in_features, dtype=task.dtype)
        self.layered = self._widest(probe)
        self.draws = Draws(task.seed)
        self(probe)  # draws all there is

    def _widest(self, probe: Tensor) -> Layered:
        """The largest width of layers with which the result fits: its columns grow linearly with it."""
        few, more = (Layered(scale * (self.in_features + 2)) for scale in (8, 16))
        least, most = (self._factor(probe, layered, Draws(0)).phi.shape[1] for layered in (few, more))
        growth = (most - least) / (more.width - few.width)
        fits = (self.columns - least) / growth + few.width if growth else self.columns
        return Layered(max(1, min(self.columns, int(fits))))

    def forward(self, x: Any) -> Tensor:
        """Features, shape (n, columns)."""
        self.draws.restart()
        return compressed(self._factor(dense(x), self.layered, self.draws).phi, self.columns, self.draws)

    def _factor(self, x: Tensor, layered: Layered, draws: Draws) -> Factor:
        rows = DenseRows.of(x)
        phi = rows.x * rows.inverse[:, None] * rows.std[:, None].to(x.dtype)
        data = Factor(phi, rows.std.square(), layered, draws)
        ntk = data.zero() if self.kernel == "ntk" else Nothing()
        pair = self.net.propagate(KernelPair(data, ntk, self.in_features))
        result = pair.nngp if self.kernel == "nngp" else pair.ntk
        assert isinstance(result, Factor)
        return result


@dataclass(frozen=True)
class Layered:
    """Random features of one activation: the strategy of factors.

    Parameters
    ----------
    width : int
        Columns that an activation or a product may have.
    """

    width: int

    def activate(self, phi: Tensor, std: Tensor, dual: Dual, draws: Draws) -> tuple[Tensor, Tensor]:
        """Features of the value and of the slope, of the same directions."""
        if not isinstance(dual, Activation):
            raise UnsuitableError(f"{dual!r} has no function to make random features of; use ZonalFeatures or Nystrom")
        norm = torch.linalg.vector_norm(phi, dim=1)
        unit = phi * safe_divide(torch.ones_like(norm), norm)[:, None]
        scale = std.to(phi.dtype)[:, None]
        homogeneous = isinstance(dual, ArcCosine)
        linear = homogeneous and phi.shape[1] <= self.width // 2
        count = max(1, self.width - (phi.shape[1] if linear else 1))
        u = draws.take(lambda seed: Directions(phi.shape[1], count, seed, normal=not homogeneous))(unit) * scale
        if isinstance(dual, ArcCosine):
            return _arc_cosine(dual, unit * scale, u, linear)
        _check_tails(dual, std)
        value, slope = value_and_slope(dual.fn, u)
        return tuple(  # pyright: ignore[reportReturnType]
            torch.cat([mean[:, None], (part - mean[:, None]) / math.sqrt(count)], 1)
            for part, mean in ((value, _mean(dual, std, 0).to(u.dtype)), (slope, _mean(dual, std, 1).to(u.dtype)))
        )


def _arc_cosine(dual: ArcCosine, phi: Tensor, u: Tensor, linear: bool) -> tuple[Tensor, Tensor]:
    """(a + b) / 2 x + (b - a) / 2 |x|, and (a + b) / 2 + (b - a) / 2 sign(x)."""
    even, odd = (dual.b - dual.a) / 2, (dual.a + dual.b) / 2
    root = math.sqrt(u.shape[1])
    value = torch.cat([odd * phi, even * u.abs() / root], 1) if linear else dual.fn(u) / root
    slope = torch.cat([torch.full_like(u[:, :1], odd), even * u.sign() / root], 1)
    return value, slope


def _mean(dual: Activation, std: Tensor, order: int) -> Tensor:
    """E[sigma(X)], or of its derivative, for X of these standard deviations.

    By the dual of independent variables, a product of means, one of them at standard deviation 1. Where that one is
    small the mean is left to the random columns: 0, for all rows alike.
    """
    z, weight = _grid()
    at_one = value_and_slope(dual.fn, z)[order].detach()
    mean, square = float((weight * at_one).sum()), float((weight * at_one.square()).sum())
    if mean**2 <= _SMALL * square:
        return torch.zeros_like(std)
    one = torch.ones_like(std)
    product = (dual.dual_slope if order else dual.dual)(BivariateNormal(std, one, one))
    return product / math.copysign(float(_root_at_one(dual, order)), mean)


def _root_at_one(dual: Activation, order: int) -> Tensor:
    """The mean's size at standard deviation 1, as the dual has it."""
    one = torch.ones(1, dtype=torch.float64)
    return (dual.dual_slope if order else dual.dual)(BivariateNormal(one, one, one)).clamp(min=0).sqrt()


def _grid() -> tuple[Tensor, Tensor]:
    """Points of a standard normal variable and their probabilities."""
    z = torch.linspace(-10, 10, 4001, dtype=torch.float64)
    return z, torch.softmax(-z * z / 2, 0)


def _check_tails(dual: Activation, std: Tensor) -> None:
    """Refuse activations whose features are large so rarely that no number of them averages well."""
    largest = float(std.detach().amax()) if len(std) else 0.0
    z, weight = _grid()
    square = dual.fn(largest * z).square()
    kurtosis = float((weight * square.square()).sum() / (weight * square).sum().square())
    if not kurtosis <= _HEAVY:
        raise UnsuitableError(
            f"{dual!r} at standard deviation {largest:.3g}: a few features are far larger than all others (kurtosis "
            f"{kurtosis:.2g}), so that their average says little. Scale the inputs down, or use nk.Nystrom()"
        )
