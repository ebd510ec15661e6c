"""Errors and warnings that need a name of their own; all others are the built-in ones."""


class ArchitectureError(ValueError):
    """The description is no network whose infinite-width kernel this recursion gives."""


class PositionsError(ValueError):
    """A layer acts on positions, and its input is vectors, which have none."""


class ScaleWarning(UserWarning):
    """Columns or rows are on so different scales that a kernel sees few of them, or new rows far outside the old."""


class SaveError(TypeError):
    """An object holds something that a file cannot, such as a function or a torch module of the user's."""


class LoadError(ValueError):
    """A file is none by `nk.save`, damaged, of a newer format, or does not describe what this library has."""
