"""What a network knows of the function that wrote it out: its arguments, for searches, and a short name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from neural_kernels.algebra import Layer

FUNCTIONS: dict[str, Callable[..., Layer]] = {}  # those that write out networks, by name


@dataclass(frozen=True, repr=False)
class Call:
    """The call of a function that writes out a network.

    Parameters
    ----------
    function : str
        Its name.
    given : dict of str to object
        Arguments, by name; the others have their defaults.
    """

    function: str
    given: dict[str, Any]

    def __post_init__(self) -> None:
        if self.function not in FUNCTIONS:
            raise ValueError(f"Call(function={self.function!r}): expected one of {', '.join(FUNCTIONS)}")
        self._require_known(self.given)

    def __repr__(self) -> str:
        """As it is written: the first argument, and of the others those that are not their defaults."""
        (_, first), *others = self.arguments.items()
        shown = [f"{name}={value!r}" for name, value in others if value != self._defaults[name]]
        return f"{self.function}({', '.join([repr(first), *shown])})"

    @property
    def arguments(self) -> dict[str, Any]:
        """All of them, by name."""
        return self._defaults | self.given

    def network(self, values: dict[str, Any]) -> Layer:
        """What the function writes out, with other values of some arguments."""
        self._require_known(values)
        return FUNCTIONS[self.function](**self.given | values)

    @property
    def _defaults(self) -> dict[str, Any]:
        return {name: parameter.default for name, parameter in signature(FUNCTIONS[self.function]).parameters.items()}

    def _require_known(self, names: Iterable[str]) -> None:
        for name in names:
            if name not in self._defaults:
                raise ValueError(f"{self.function} has no argument {name!r}; it has {', '.join(self._defaults)}")
