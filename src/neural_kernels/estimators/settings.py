"""Hyperparameters, checked at the boundary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from neural_kernels.algebra import Layer
from neural_kernels.checks import require_budget
from neural_kernels.exact import NNGP, NTK, FlipAverage, Kernel, NetworkKernel, resolve_kernel
from neural_kernels.runtime.types import Array, Shape
from neural_kernels.solvers.automatic import Automatic
from neural_kernels.solvers.protocol import IterativeSolver, Solver

PRECOMPUTED = "precomputed"
EVIDENCE = "evidence"
GRID = np.logspace(1, -4, 11)  # the alphas that are tried where none is given; of equal scores the smoothest wins
IMAGE_GRID = np.logspace(1, -9, 21)  # of images: a few directions, light and contrast, hold most of |phi|^2

_SMALL = 2**28  # bytes of a factor that is kept unasked


def is_precomputed(kernel: object) -> bool:
    """Whether the parameter `kernel` says that Gram matrices come in the place of examples."""
    return isinstance(kernel, str) and kernel == PRECOMPUTED


def kernel(value: Any, net: Any) -> Kernel:
    """Read the parameters `kernel`, a name or a kernel object, and `network`, which names alone need.

    Beside an object the network is unused, as scikit-learn's estimators leave parameters of other kernels unused: a
    search over kernels may hold names and objects. Only two networks that differ are refused.

    Raises
    ------
    TypeError
        Neither a name nor a kernel; the kernel of another network than `network`.
    ValueError
        Another name; what is no network.
    """
    if isinstance(value, str):
        return resolve_kernel(network(net), value)
    if net is not None and isinstance(value, NetworkKernel) and value.net != net:
        raise TypeError(
            f"network={net!r} and kernel={value!r} are two networks. Leave the network away, or name one of its "
            'kernels, "ntk" or "nngp"'
        )
    return resolve_kernel(None, value)


def augmented(kernel: Kernel, augment: object) -> Kernel:
    """Read the parameter `augment`: the kernel as it is, or averaged over images and their mirror images."""
    if augment not in (None, "flip"):
        raise ValueError(f'augment={augment!r}: expected None or "flip"')
    return kernel if augment is None or isinstance(kernel, FlipAverage) else FlipAverage(kernel)


def prior(kernel: Kernel) -> Kernel:
    """The covariance of the functions that training starts from: of an NTK's networks, their NNGP kernel.

    Any other kernel is that of a Gaussian process itself.
    """
    if isinstance(kernel, FlipAverage) and prior(kernel.kernel) is not kernel.kernel:
        return FlipAverage(prior(kernel.kernel))  # of networks whose outputs are averaged
    return NNGP(kernel.net, progress=kernel.progress) if isinstance(kernel, NTK) else kernel


def takes_sparse(kernel: object) -> bool:
    """Whether the parameter `kernel` is known to take sparse X: names, and kernels that say so; others may."""
    if isinstance(kernel, str):
        return not is_precomputed(kernel)
    return isinstance(kernel, Kernel) and kernel.takes_sparse


def alphas_of_features(value: npt.ArrayLike | None, example: Shape) -> Array:
    """As `alphas`, for ridge regression on features of examples of a shape: the grid of images goes farther down."""
    return IMAGE_GRID.copy() if value is None and len(example) > 1 else alphas(value)


def alphas(value: npt.ArrayLike | None) -> Array:
    """Read one or several relative ridges, as a vector; None is the grid."""
    if value is None:
        return GRID.copy()
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"alpha={value!r}: expected a number, a vector of numbers to select from, or None") from None
    if numbers.ndim > 1 or numbers.size == 0 or isinstance(value, bool):
        raise ValueError(f"alpha={value!r}: expected a number, or a non-empty vector of numbers to select from")
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise ValueError(f"alpha={value!r}: expected finite numbers, at least 0")
    return np.atleast_1d(numbers)


def criterion(selection: object, scoring: object, scores: Sequence[str]) -> str:
    """Read the parameters `selection` and `scoring`: by what an alpha is chosen.

    Parameters
    ----------
    selection : object
        "loo", by a leave-one-out score, or "evidence".
    scoring : object
        Which score; None is the first of those that there are. "evidence" is another way to say selection="evidence".
    scores : sequence of str
        Those that the estimator has.

    Returns
    -------
    str
        One of the scores, or "evidence".
    """
    if selection not in ("loo", EVIDENCE):
        raise ValueError(f'selection={selection!r}: expected "loo" (a leave-one-out score) or "evidence"')
    if scoring is not None and scoring not in (*scores, EVIDENCE):
        raise ValueError(f"scoring={scoring!r}: expected None or one of {', '.join(map(repr, (*scores, EVIDENCE)))}")
    return EVIDENCE if EVIDENCE in (selection, scoring) else str(scoring or scores[0])


def solver(value: object, budget: Any, n: int, outputs: int, ridges: int, gram: int) -> tuple[Solver, str]:
    """Select the solver, and refuse before anything large is made what would not fit into memory.

    Parameters
    ----------
    value : object
        The parameter `solver`.
    budget : object
        The parameter `memory_budget`.
    n, outputs, ridges : int
        Examples, columns of targets, ridges to select from.
    gram : int
        Bytes of the Gram matrix.

    Returns
    -------
    solver : Solver
    reason : str
    """
    if value is not None and not isinstance(value, Solver):
        hint = f" (write {value.__name__}())" if isinstance(value, type) else ""
        raise TypeError(
            f"solver={value!r}{hint}: expected an object such as nk.solvers.Cholesky() or nk.solvers.Spectral(), or "
            "None for the one that suits"
        )
    room = as_budget(budget) - gram
    chosen, reason = (Automatic() if value is None else value).select(n, outputs, ridges, room)
    work = chosen.memory(n, outputs)
    if work > room:
        raise MemoryError(
            f"the Gram matrix of {n:,} examples takes {gram:,} bytes and solving with it {work:,} more; memory_budget "
            f"is {int(budget):,}. Raise the budget, take solver=nk.solvers.ConjugateGradient(), or a "
            "model that is linear in the number of examples: nk.NeuralFeatureRegressor, nk.NeuralFeatureClassifier."
        )
    return chosen, reason


def iterative_solver(
    value: object, budget: Any, n: int, outputs: int, gram: int, criterion: str
) -> tuple[IterativeSolver, str] | None:
    """Select a solver that needs no Gram matrix in memory, where one was named or nothing else fits; else None.

    Parameters and result are those of `solver`, and the criterion that chooses among ridges.

    Raises
    ------
    ValueError
        For the criterion "evidence", which such a solver cannot give.
    MemoryError
        If not even its vectors fit into memory.
    """
    room = as_budget(budget)
    if value is None:
        found = Automatic().select_iterative(n, outputs, room, gram)
    else:
        found = value.select(n, outputs) if isinstance(value, IterativeSolver) else None
    if found is None:
        return None
    chosen, reason = found
    if criterion == EVIDENCE:
        raise ValueError(
            f'selection="evidence" needs the determinant of the kernel matrix, which {type(chosen).__name__} does not '
            f'give ({reason}): take selection="loo", or solver=nk.solvers.Cholesky()'
        )
    if (work := chosen.memory(n, outputs)) > room:
        raise MemoryError(
            f"{type(chosen).__name__} takes {work:,} bytes for {n:,} examples; memory_budget is {int(room):,}. Raise "
            "the budget, lower the rank of the preconditioner, or take nk.NeuralFeatureRegressor or "
            "nk.NeuralFeatureClassifier."
        )
    assert isinstance(chosen, IterativeSolver)
    return chosen, reason


def require_choice_of_factor(value: object) -> None:
    """Require True, False or None of the parameter `keep_factor`."""
    if value is not None and not isinstance(value, bool | np.bool_):
        raise ValueError(f"keep_factor={value!r}: expected True, False, or None (held while it is small)")


def keeps_factor(value: bool | None, n: int, kernel: object) -> bool:
    """Whether a model fitted to so many examples holds an n x n matrix."""
    return bool(value) if value is not None else is_precomputed(kernel) or 8 * n * n <= _SMALL


def network(value: object) -> Layer:
    """Require a description of a network; None is the default one."""
    if value is None:
        from neural_kernels.layers import mlp

        return mlp(3, bias_var=0.1)
    if not isinstance(value, Layer):
        hint = "; nk.from_torch describes a torch module" if hasattr(value, "state_dict") else ""
        raise ValueError(f"network={value!r}: expected a layer such as nk.mlp(3), or None for the default one{hint}")
    return value


def as_budget(value: Any) -> float:
    """Require a positive number of bytes; None is infinity."""
    if value is None:
        return np.inf
    require_budget(value)
    return float(value)
