"""A fit that does not end, by an error or by Ctrl-C, leaves the estimator as it was."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

Estimator = TypeVar("Estimator")
Result = TypeVar("Result")
P = ParamSpec("P")


def atomic(
    fit: Callable[Concatenate[Estimator, P], Result],
) -> Callable[Concatenate[Estimator, P], Result]:
    """Have a method set all of its attributes or, if it is interrupted, none.

    The estimator is then fitted as before, or as unfitted as before. Attributes may be replaced, but not be changed in
    place. Until a refit ends, memory holds the former model, too.
    """

    @wraps(fit)
    def whole(self: Estimator, *args: P.args, **kwargs: P.kwargs) -> Result:
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            self.__dict__ = before
            raise

    return whole
