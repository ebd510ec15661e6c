"""Where a display draws: axes of the caller, or of a new figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Display:
    """Private base: the axes that a display draws on, which it keeps."""

    ax_: Axes
    figure_: Any

    def _axes(self, ax: Axes | None) -> Axes:
        """Those given, or new ones; they become `ax_`, and their figure `figure_`."""
        require_matplotlib(type(self).__name__)
        if ax is None:
            from matplotlib import pyplot

            ax = pyplot.subplots(layout="constrained")[1]
        self.ax_, self.figure_ = ax, ax.figure
        return ax


def require_matplotlib(owner: str) -> None:
    """Raise `ImportError`, with what to install, unless there is matplotlib: before anything is computed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{owner} draws by matplotlib, which is not installed: pip install 'neural-kernels[plot]'"
        ) from error


def reference(**options: Any) -> dict[str, Any]:
    """Options of a reference line, in the style's colour of text, with those given."""
    from matplotlib import rcParams

    return {"color": rcParams["text.color"], "linewidth": 1, "alpha": 0.6} | options
