"""Activations known by their function alone: the dual follows from it numerically."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import override

from neural_kernels.activations.base import Activation
from neural_kernels.activations.expectations.hermite import (
    derivative,
    hermite_expansion,
    hermite_series,
    mean_squares,
    series_delta,
    series_dual,
)
from neural_kernels.activations.expectations.interpolation import Interpolation
from neural_kernels.activations.expectations.kinks import kinked_dual
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.expectations.pieces import Pieces
from neural_kernels.activations.expectations.polar import mean_products, polar_products
from neural_kernels.activations.expectations.rays import LARGEST, line_products, ray_products
from neural_kernels.runtime.lazy import cached_property
from neural_kernels.runtime.numerics import safe_sqrt

_LARGE = 4.0  # standard deviations from which a scale of the logarithm is the shorter one


class NumericActivation(Activation):
    """An activation whose dual comes from its function, in float64.

    Without kinks it is the Hermite (Mehler) series ``sum_j c_j(s) c_j(t) rho^j`` (Daniely, Frostig, Singer 2016, arXiv
    1602.05897), with as many terms as the standard deviations need: tens at 1, some thousands at 10 for a sharp
    function such as tanh. With kinks, the truncated powers that make them are integrated in closed form; where the rest
    is no polynomial, pairs are integrated along rays (`expectations.rays`), or, for gradients and on other devices, the
    rest by its series. The results have the dtype of the input; the tail of a series is below 1e-15 of the whole for
    float64 where a thousand terms reach that, else below 1e-9. Kernels of vectors take a table instead (`tables`) where
    the series is long: what a table interpolates comes from `grid`.
    """

    terms: ClassVar[int] = 12288
    """The most terms of a series; beyond them it is cut."""
    _kinks: ClassVar[tuple[float, ...]] = ()

    @property
    @override
    def kinks(self) -> tuple[float, ...]:
        return self._kinks

    @override
    def dual(self, normal: BivariateNormal) -> Tensor:
        if not self.kinks:
            return self._sum(series_dual, normal, "value")
        if self._along_rays(normal):
            return ray_products(self.fn, self.kinks, normal)[0].to(normal.delta.dtype)
        return kinked_dual(self.fn, self._pieces, normal.to(torch.float64)).to(normal.delta.dtype)

    @override
    def dual_slope(self, normal: BivariateNormal) -> Tensor:
        if not self.kinks:
            return self._sum(series_dual, normal, "slope")
        if self._along_rays(normal):
            return ray_products(self.fn, self.kinks, normal)[1].to(normal.delta.dtype)
        fn, pieces = partial(derivative, self.fn), self._pieces.lowered()
        return kinked_dual(fn, pieces, normal.to(torch.float64)).to(normal.delta.dtype)

    @property
    @override
    def pieces(self) -> Pieces | None:
        return self._pieces if self.kinks else None

    @override
    def grid(self, std1: Tensor, std2: Tensor, delta: Tensor, one_plus: Tensor) -> tuple[Tensor, Tensor]:
        """Return both by a rule in polar coordinates, which no norm makes longer, unless there is a closed form."""
        if not any(self.kinks):
            return polar_products(self.fn, std1, std2, delta, one_plus)
        if self._curved:
            normal = BivariateNormal(std1[:, None, None], std2[:, None], delta, one_plus)
            return ray_products(self.fn, self.kinks, normal)
        return super().grid(std1, std2, delta, one_plus)

    @override
    def aligned(self, std1: Tensor, std2: Tensor) -> Tensor:
        """Return it by one rule for all norms, unless there is a closed form."""
        if not any(self.kinks):
            return mean_products(self.fn, std1[:, None], std2)[0]
        if self._curved:
            return line_products(self.fn, self.kinks, std1[:, None], std2)[0]
        return super().aligned(std1, std2)

    @override
    def std(self, std: Tensor) -> Tensor:
        return super().std(std) if self._closed else self._root_mean_square(std, 0)

    @override
    def slope_std(self, std: Tensor) -> Tensor:
        return super().slope_std(std) if self._closed else self._root_mean_square(std, 1)

    @override
    def delta(self, normal: BivariateNormal) -> Tensor:
        return super().delta(normal) if self.kinks else self._sum(series_delta, normal, "value")

    @override
    def slope_delta(self, normal: BivariateNormal) -> Tensor:
        return super().slope_delta(normal) if self.kinks else self._sum(series_delta, normal, "slope")

    @cached_property
    def _pieces(self) -> Pieces:
        """The kinks of the function, with the jumps there."""
        return Pieces.of(self.fn, self.kinks)

    @property
    def _curved(self) -> bool:
        """Whether there are kinks, and pieces that are no polynomials between them."""
        return bool(self.kinks) and self._pieces.polynomial is None

    @property
    def _closed(self) -> bool:
        """Whether what a kink off the origin makes is known in closed form."""
        return any(self.kinks) and not self._curved

    def _along_rays(self, normal: BivariateNormal) -> bool:
        """Whether pairs are integrated one by one: nobody asks for a gradient, and the pieces have no closed form."""
        parts = normal.std1, normal.std2, normal.delta
        wanted = torch.is_grad_enabled() and any(part.requires_grad for part in parts)
        if not self._curved or wanted or any(part.device.type != "cpu" for part in parts):
            return False
        return all(bool((std < LARGEST).all()) for std in parts[:2])

    def _root_mean_square(self, std: Tensor, part: int) -> Tensor:
        """Return the root of the mean square of the function (part 0) or of its derivative (part 1)."""
        flat = std.reshape(-1).to(torch.float64)
        if any(self.kinks):
            rows = Interpolation(flat)
            squares = rows.spread(line_products(self.fn, self.kinks, rows.nodes, rows.nodes)[part])
            return safe_sqrt(squares).reshape(std.shape).to(std.dtype)
        if self.kinks or (std.numel() and float(std.detach().max()) > _LARGE):
            return safe_sqrt(mean_products(self.fn, flat, flat)[part]).reshape(std.shape).to(std.dtype)
        return safe_sqrt(mean_squares(self.fn, std.reshape(-1))[part]).reshape(std.shape).to(std.dtype)

    def _sum(self, how: Callable[..., Tensor], normal: BivariateNormal, part: Literal["value", "slope"]) -> Tensor:
        """Evaluate a series of both standard deviations' coefficients, in memory of the order of the result."""
        shapes, sizes = (normal.std1.shape, normal.std2.shape), [normal.std1.numel(), normal.std2.numel()]
        std = torch.cat([normal.std1.reshape(-1), normal.std2.reshape(-1)])
        series = hermite_series(self.fn, std, 1e-15) if std.dtype == torch.float64 else None
        if series is None:
            series, _ = hermite_expansion(self.fn, std, 1e-9, self.terms)
        rows = getattr(series, part).split(sizes)
        left, right = (row.reshape(*shape, -1) for row, shape in zip(rows, shapes, strict=True))
        return how(left, right, normal.delta.to(torch.float64)).to(normal.delta.dtype)
