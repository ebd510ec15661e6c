"""Errors and warnings that need a name of their own; all others are the built-in ones."""


class ArchitectureError(ValueError):
    """The description is no network whose infinite-width kernel this recursion gives."""


class PositionsError(ValueError):
    """A layer acts on positions, and its input is vectors, which have none."""


class ScaleWarning(UserWarning):
    """Columns or rows are on so different scales that a kernel sees few of them, or new rows far outside the old."""
