"""Errors that need a name of their own; all others are the built-in ones."""


class ArchitectureError(ValueError):
    """The description is no network whose infinite-width kernel this recursion gives."""


class PositionsError(ValueError):
    """A layer acts on positions, and its input is vectors, which have none."""
