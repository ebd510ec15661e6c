"""How far features are from a kernel: in its entries, and in what ridge regression predicts by it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from neural_kernels.features.distinct import distinct, held_out
from neural_kernels.features.flipped import without_flips
from neural_kernels.features.measured import mapped, without_metric
from neural_kernels.features.method import Method, Task

_PAIRS = 2**15  # examples times positions: a second or two of the kernel of a network on images


def probe_count(positions: tuple[int, ...]) -> int:
    """How many examples errors are measured by, if there are so many: fewer of those on many positions.

    Two of them may cost as much as all pairs of their positions.
    """
    return max(8, min(200, _PAIRS // math.prod(positions)))


@dataclass(frozen=True)
class GramErrors:
    """Relative errors of a Gram matrix off the diagonal, in the Frobenius norm.

    A row that is to be predicted meets the training rows and never itself, so the diagonal, which landmarks cannot
    represent, has no part in them.

    Parameters
    ----------
    raw : float
        Of the entries.
    centred : float
        Of the doubly centred matrices: what a model with an intercept sees.
    """

    raw: float
    centred: float

    @classmethod
    def of(cls, exact: Tensor, features: Tensor) -> GramErrors:
        """Of features, shape (n, m), beside the matrix that they approximate, (n, n)."""
        noise = 8 * torch.finfo(exact.dtype).eps * float(torch.linalg.norm(exact.double()))
        exact, features = exact.double(), features.double()
        approximate = features @ features.T
        raw = _relative(hollow(approximate), hollow(exact))
        return cls(raw, _relative(centred(approximate), centred(exact), noise))


def hollow(gram: Tensor) -> Tensor:
    """The matrix with zeros on the diagonal."""
    return gram.clone().fill_diagonal_(0)


def centred(gram: Tensor) -> Tensor:
    r"""The matrix less means of rows and columns, of its entries off the diagonal alone.

    .. math:: \tilde k_{ij} = k_{ij} - \frac{\sum_{l \ne i} k_{il}}{n - 2} - \frac{\sum_{l \ne j} k_{lj}}{n - 2}
       + \frac{\sum_{l \ne m} k_{lm}}{(n - 1)(n - 2)}, \qquad \tilde k_{ii} = 0.

    Each row then sums to 0 without the diagonal, which has no influence [1]_. Of up to three rows nothing is left.

    References
    ----------
    .. [1] G. Szekely, M. Rizzo, "Partial distance correlation with methods for dissimilarities", 2014,
       arXiv:1310.2926, definition 2.
    """
    n, off = len(gram), hollow(gram)
    if n <= 3:
        return torch.zeros_like(off)
    rows = off.sum(dim=1) / (n - 2)
    return (off - rows[:, None] - rows + off.sum() / ((n - 1) * (n - 2))).fill_diagonal_(0)


def prediction_difference(
    exact: tuple[Tensor, Tensor], features: tuple[Tensor, Tensor], targets: Tensor, alpha: float
) -> float:
    r"""Relative difference of what ridge regression predicts with features and with the kernel, for the same ridge.

    Parameters
    ----------
    exact : tuple of Tensor, shapes (n, n) and (b, n)
        The kernel of the training rows, and of the rows to predict with them.
    features : tuple of Tensor, shapes (n, m) and (b, m)
        Of the training rows, and of those to predict.
    targets : Tensor, shape (n, o)
        Less their mean.
    alpha : float
        The ridge, in units of the mean of the kernel's diagonal.
    """
    (gram, cross), (phi, others) = ([part.double() for part in parts] for parts in (exact, features))
    ridge = alpha * gram.diagonal().mean()
    expected = cross @ _dual(gram, ridge, targets)
    found = others @ (phi.T @ _dual(phi @ phi.T, ridge, targets))
    return _relative(found, expected)


def read_targets(y: Any, n: int) -> Tensor:
    """Targets of n rows in float64, shape (n, o).

    Raises
    ------
    ValueError
        Not finite numbers, or of another shape.
    """
    try:
        numbers = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
        targets = torch.from_numpy(numbers.astype(np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError("y: expected numbers; of labels take 1 for a row's class and -1 elsewhere") from error
    if targets.ndim not in (1, 2) or len(targets) != n:
        raise ValueError(f"y: expected shape ({n},) or ({n}, o), one row for each of x; got {tuple(targets.shape)}")
    if not targets.isfinite().all():
        raise ValueError("y: expected finite numbers, got NaN or infinity")
    return targets.reshape(n, -1)


def _dual(gram: Tensor, ridge: Any, targets: Tensor) -> Tensor:
    """Solve (K + ridge I) c = targets."""
    root = torch.linalg.cholesky(gram + ridge * torch.eye(len(gram), dtype=gram.dtype, device=gram.device))
    return torch.cholesky_solve(targets, root)


def _relative(found: Tensor, expected: Tensor, noise: float = 0.0) -> float:
    """The relative error; 0 where there is nothing but rounding to approximate."""
    size = float(torch.linalg.norm(expected))
    return float(torch.linalg.norm(found - expected)) / size if size > noise else 0.0


def probes(task: Task, method: Method, sample: Any) -> np.ndarray:
    """Choose rows to measure the error by: the last in the order in which landmarks are taken, or any."""
    count = probe_count(task.positions)
    if not method.needs_data:
        return np.unique(np.linspace(0, sample.shape[0] - 1, count).astype(np.intp))
    seen = without_metric(without_flips(task))[1]  # whose rows the method has put in order
    order = distinct(sample if seen is None else mapped(seen, sample), task.seed)
    return order[-min(count, held_out(len(order))) :]
