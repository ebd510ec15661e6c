"""What the benchmarks of feature maps share: methods by name, scikit-learn's in their place, processes, tables."""

from __future__ import annotations

import importlib.util
import multiprocessing
import resource
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from sklearn.gaussian_process.kernels import Kernel
from sklearn.kernel_approximation import Nystroem
from typing_extensions import override

import neural_kernels as nk
from neural_kernels.features.method import BuiltMap, Method, Task, UnsuitableError

OBLIVIOUS: dict[str, Callable[[], Method]] = {
    "zonal": lambda: nk.ZonalFeatures(),
    "random": lambda: nk.RandomFeatures(),
    "polynomial": lambda: nk.PolynomialSketch(),
}
METHODS: dict[str, Callable[[], Method]] = {
    **OBLIVIOUS,
    "anchors": lambda: nk.ZonalFeatures(anchors=1000),
    "adaptive": lambda: nk.AdaptiveSampling(),
    "nystrom": lambda: nk.Nystrom(),
    "sklearn-nystroem": lambda: Transformer(landmarks),
}


def landmarks(task: Task, m: int) -> Nystroem:
    """Scikit-learn's, of the exact kernel."""
    kernel: Any = Whole(task.kernel)
    return Nystroem(kernel, n_components=m)


@dataclass(frozen=True)
class Transformer(Method):
    """A scikit-learn transformer in the place of a method, so that all else is the same code.

    It is fitted in float64, to as many random rows as it has columns (of which `Nystroem` makes its landmarks), and
    applied in the precision of the rows, as the library does with landmarks.

    Parameters
    ----------
    make : callable
        The transformer, for a task and a number of landmarks.
    """

    make: Callable[[Task, int], Any]

    @property
    @override
    def needs_data(self) -> bool:
        return True

    @override
    def build(self, task: Task, sample: Any) -> BuiltMap:
        picked = np.random.default_rng(task.seed).permutation(sample.shape[0])[: task.n_components]
        transformer = self.make(task, len(picked)).set_params(random_state=task.seed % 2**32)
        transformer.fit(_array(sample[picked]).astype(np.float64))
        for name, value in vars(transformer).items():
            if getattr(value, "dtype", None) == np.float64:
                setattr(transformer, name, value.astype(str(task.dtype).removeprefix("torch.")))
        return Transformed(transformer)


class Transformed(BuiltMap):
    """A fitted transformer as a map."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer, self.columns = transformer, len(transformer.get_feature_names_out())

    def forward(self, x: Any) -> torch.Tensor:
        """Features, shape (n, columns)."""
        return torch.from_numpy(np.asarray(self.transformer.transform(_array(x))))


class Whole(Kernel):
    """A kernel object as scikit-learn's pairwise kernels take it whole; plain callables they call for every entry."""

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """k(X, Y)."""
        return self.kernel(X, Y)

    def diag(self, X: Any) -> Any:
        """k(x, x)."""
        return self.kernel.diag(X)

    def is_stationary(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        """No."""
        return False


def _array(x: Any) -> Any:
    return x.numpy() if isinstance(x, torch.Tensor) else x


def load_module(folder: Path) -> ModuleType:
    """The module load.py of a folder with data."""
    path = folder / "load.py"
    spec = importlib.util.spec_from_file_location("load", path)
    if not path.exists() or spec is None or spec.loader is None:
        raise SystemExit(f"{folder} holds no load.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def unit(x: np.ndarray) -> np.ndarray:
    """Flat rows of norm 1 in float32; rows of zeros stay."""
    flat = x.reshape(len(x), -1).astype(np.float32)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    return flat / np.where(norms > 0, norms, 1)


def chosen(text: str | None, known: Iterable[str]) -> list[str]:
    """Names from a list with commas; all that are known, without one."""
    names = list(known)
    picked = names if text is None else text.split(",")
    if unknown := [name for name in picked if name not in names]:
        raise SystemExit(f"unknown: {', '.join(unknown)}; known: {', '.join(names)}")
    return picked


def attempt(work: Callable[[], dict]) -> dict:
    """A result, or why there is none: hours of other results are not lost to one that fails."""
    try:
        return work()
    except UnsuitableError as error:
        return {"refused": str(error).splitlines()[0]}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def in_new_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """The result of a function in a fresh interpreter, whose memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def memory(reset: bool = False) -> tuple[int, int]:
    """Resident bytes of this process now, and at most since the start or the last reset.

    From Linux's /proc, since ru_maxrss counts the parent's peak as well, which a new program inherits.
    """
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    now, peak = (1024 * int(lines[key].split()[0]) for key in ("VmRSS", "VmHWM"))
    return now, peak


def show(title: str, table: dict[str, dict[str, Any]]) -> None:
    """Rows and columns by name, to stderr."""
    columns = list(dict.fromkeys(name for row in table.values() for name in row))
    first = max(map(len, [*table, title]), default=0) + 2
    widths = [max(len(name) + 2, 10) for name in columns]
    print(
        title.ljust(first), *(name.rjust(w) for name, w in zip(columns, widths, strict=True)), sep="", file=sys.stderr
    )
    for name, row in table.items():
        cells = (_cell(row.get(column, "")).rjust(w) for column, w in zip(columns, widths, strict=True))
        print(name.ljust(first), *cells, sep="", file=sys.stderr)
    print(file=sys.stderr, flush=True)


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:60]
