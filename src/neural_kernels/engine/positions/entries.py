"""Compiled operations on one row: from one minus correlations to entries and back."""

from __future__ import annotations

from neural_kernels.runtime.jit import compiled


@compiled
def pooled(total, inverse, loss, norm, inverses, losses, norms, floor, target):
    """One minus the correlations after a mixing map; the rounding of what cancels, `floor`, would bias the angle."""
    real = target.dtype.type
    zero, two, one = real(0), real(2), real(1)
    for k in range(target.size):
        lost = (one + floor) * (loss * norms[k] + losses[k] * norm) - loss * losses[k]
        target[k] = min(max((total[k] - lost) * (inverse * inverses[k]), zero), two)


@compiled
def scale(a, scale, other, target):
    """Rows and columns scaled."""
    for k in range(target.size):
        target[k] = (scale * other[k]) * a[k]


@compiled
def entries(delta, scale, other, target):
    """Entries from one minus correlations."""
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = (scale * other[k]) * (one - delta[k])


@compiled
def add_entries(a, weight, delta, scale, other, target):
    """A row plus such entries."""
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = weight * a[k] + (scale * other[k]) * (one - delta[k])


@compiled
def multiply_entries(a, delta, scale, other, target):
    """A row times such entries."""
    one = target.dtype.type(1)
    for k in range(target.size):
        target[k] = a[k] * ((scale * other[k]) * (one - delta[k]))


@compiled
def multiply(a, b, target):
    """The product of two rows."""
    for k in range(target.size):
        target[k] = a[k] * b[k]


@compiled
def accumulate(a, first, target):
    """The sum over positions, one after the other."""
    if first:
        target[:] = target.dtype.type(0)
    for k in range(target.size):
        target[k] += a[k]
