"""Checks of activations' parameters, in one wording."""

from __future__ import annotations

import math
from numbers import Real


def require_finite(owner: object, **parameters: object) -> None:
    """Raise unless every parameter is a finite real number.

    Raises
    ------
    TypeError
        Where one is not a real number.
    ValueError
        Where one is NaN or infinite.
    """
    for name, value in parameters.items():
        if isinstance(value, bool) or not isinstance(value, Real):
            kind = type(value).__name__
            raise TypeError(f"{type(owner).__name__}: {name} must be a finite real number, got {value!r} ({kind})")
        if not math.isfinite(value):
            raise ValueError(f"{type(owner).__name__}: {name} must be a finite real number, got {value!r}")


def require_positive(owner: object, **parameters: object) -> None:
    """Raise unless every parameter is a positive finite number.

    Raises
    ------
    TypeError
        Where one is not a real number.
    ValueError
        Where one is NaN, infinite or not positive.
    """
    require_finite(owner, **parameters)
    for name, value in parameters.items():
        if isinstance(value, Real) and value <= 0:
            raise ValueError(f"{type(owner).__name__}: {name} must be positive, got {value!r}")


def require_degree(owner: object, degree: object) -> None:
    """Raise unless the degree is a non-negative integer.

    Raises
    ------
    TypeError
        Where it is not an integer.
    ValueError
        Where it is negative.
    """
    name = type(owner).__name__
    if isinstance(degree, bool) or not isinstance(degree, int):
        raise TypeError(
            f"{name}: the degree k must be a non-negative integer, got {degree!r} ({type(degree).__name__})"
        )
    if degree < 0:
        raise ValueError(f"{name}: the degree k must be a non-negative integer, got {degree!r}")
