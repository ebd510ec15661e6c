"""Random features, layer by layer: for networks whose kernel is no function of the angle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations import Activation, Dual
from neural_kernels.activations.expectations.hermite import value_and_slope
from neural_kernels.features.directions import SMALLEST, Directions, IndependentDirections
from neural_kernels.features.layered.layered_map import LayeredMap
from neural_kernels.features.layered.nonlinearity import Nonlinearity, Strategy
from neural_kernels.features.method import BuiltMap, Method, Task, UnsuitableError
from neural_kernels.sketches.hadamard import padded

Sampler = Literal["orthogonal", "gaussian", "leverage"]
_HEAVY = 300.0  # E[s^4] / E[s^2]^2 of features whose averages no longer settle


@dataclass(frozen=True)
class RandomFeatures(Method):
    r"""Random features of every layer in turn: any activation with a function, inputs of any norm, biases, positions.

    With directions w_i and the factor phi of the kernel below, an activation gives
    :math:`\rho(w_i \cdot \phi) / \sqrt m` for the NNGP kernel and :math:`\dot\rho(w_i \cdot \phi) / \sqrt m` for the
    slope, whose product with the NTK below is sketched by features that are products as well,
    :math:`\dot\rho(w_i \cdot \phi)\, (r_i \cdot \psi) / \sqrt m`, with the factor psi of the NTK and rows r_i of a
    Hadamard matrix with random signs. Here rho is the activation without its mean and its linear part, which are exact
    columns, and of the slope the mean is exact. What the NTK and the NNGP kernel have in common is held once, and
    columns go to layers by what they contribute.

    Parameters
    ----------
    sampler : {"orthogonal", "gaussian", "leverage"}
        How directions are drawn. "orthogonal": in orthogonal blocks by Hadamard transforms, of one length where the
        activation is homogeneous: the least error and the least time. "gaussian": independent ones, as in the papers.
        "leverage": independent, by exact leverage scores of homogeneous activations, which are uniform on the sphere;
        the gain over "gaussian" is 2/d of the second moment.

    Notes
    -----
    Costs O(depth n_components log n_components) a row. Unbiased for one hidden layer; deeper, what an activation makes
    of an error below is a bias of second order in it. Where ``ZonalFeatures`` apply they are quicker and nearer.

    Windows and pools take the same draws at all positions; sums over windows are sketched without stacking them.
    Behind a pool the diagonal, by which activations are normalised, is that of the features, not exact.

    References
    ----------
    Zandieh et al. 2021, arXiv:2104.00415 and 2106.07880; Han et al. 2022, arXiv:2209.04121.
    """

    sampler: Sampler = "orthogonal"

    def __post_init__(self) -> None:
        if self.sampler not in get_args(Sampler):
            raise ValueError(f"sampler={self.sampler!r}: expected one of {', '.join(get_args(Sampler))}")

    @property
    @override
    def needs_data(self) -> bool:
        return False

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        return LayeredMap(task, RandomStrategy(self.sampler), sample)


@dataclass(frozen=True)
class RandomStrategy(Strategy):
    """Random features of the nonlinear part of an activation.

    Parameters
    ----------
    sampler : {"orthogonal", "gaussian", "leverage"}
    """

    least_value: ClassVar[float] = 1 / 4
    least_product: ClassVar[float] = 1 / 2

    sampler: Sampler = "orthogonal"

    @override
    def nonlinearity(self, dual: Dual, in_features: int, columns: int, seed: int) -> Nonlinearity:
        if not isinstance(dual, Activation):
            raise UnsuitableError(f"{dual!r} has no function to make random features of; use ZonalFeatures or Nystrom")
        return RandomNonlinearity(dual, self.sampler, in_features, columns, seed)


class RandomNonlinearity(Nonlinearity):
    """Features of value and slope, of the same directions.

    Parameters
    ----------
    activation : Activation
    sampler : {"orthogonal", "gaussian", "leverage"}
    in_features : int
    columns : int
        How many the value has; the slope takes all directions of the orthogonal blocks that these need.
    seed : int
    """

    alike = True

    def __init__(self, activation: Activation, sampler: Sampler, in_features: int, columns: int, seed: int) -> None:
        super().__init__()
        self.activation, self.columns, self._checked = activation, columns, 0.0
        normal = sampler == "gaussian" or activation.slopes is None
        whole = max(SMALLEST, padded(in_features))
        kind = Directions if sampler == "orthogonal" else IndependentDirections
        self.directions = kind(in_features, -(-columns // whole) * whole, seed, normal)
        if not normal:  # E|u| of directions of one length, in place of that of normal numbers
            half = self.directions.dimension / 2
            self.mean = math.sqrt(half) * math.exp(math.lgamma(half) - math.lgamma(half + 0.5))

    @override
    def forward(self, unit: Tensor, std: Tensor, low: Tensor) -> tuple[Tensor, Tensor]:
        u = self.directions(unit) * std[:, None].to(unit.dtype)
        few = u[:, : self.columns]
        if self.activation.slopes is not None:  # (a + b) / 2 x + (b - a) / 2 |x|, and its derivative
            below, above = self.activation.slopes
            even = (above - below) / 2
            value, slope = few.abs().mul_(even).sub_(low[:, :1]), u.sign().mul_(even)
        else:
            self._check_tails(self.activation, std)
            value, slope = value_and_slope(self.activation.fn, u)
            value = value[:, : self.columns] - low[:, :1] - low[:, 1:2] * few
            slope = slope - low[:, 2:]
        return value / math.sqrt(self.columns), slope / math.sqrt(u.shape[1])

    def _check_tails(self, activation: Activation, std: Tensor) -> None:
        """Refuse activations whose features are large so rarely that no number of them averages well."""
        largest = float(std.detach().amax()) if len(std) else 0.0
        if largest <= self._checked:
            return
        z = torch.linspace(-10, 10, 4001, dtype=torch.float64, device=std.device)
        weight = torch.softmax(-z * z / 2, 0)
        square = activation.fn(largest * z).square()
        kurtosis = float((weight * square.square()).sum() / (weight * square).sum().square())
        if not kurtosis <= _HEAVY:
            raise UnsuitableError(
                f"{activation!r} at standard deviation {largest:.3g}: a few features are far larger than all others "
                f"(kurtosis {kurtosis:.2g}), so that their average says little. Scale the inputs down, or use "
                "nk.Nystrom()"
            )
        self._checked = largest
