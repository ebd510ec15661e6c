"""What cannot be analysed is refused, with what was got and what was expected."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import neural_kernels.analysis as analysis

EYE, FULL = np.eye(4), np.einsum("ij,ab->ijab", np.eye(4), np.eye(2))
ONES = np.ones(4)
TAKE_KERNELS = {
    "alignment": lambda k: analysis.alignment(k, ONES),
    "alignment target": lambda k: analysis.alignment(EYE, k),
    "spectrum": analysis.spectrum,
    "effective_rank": analysis.effective_rank,
    "condition_number": analysis.condition_number,
    "distance": lambda k: analysis.distance(k, EYE),
    "distance second": lambda k: analysis.distance(EYE, k),
    "eigenvalue_gap": lambda k: analysis.eigenvalue_gap(k, EYE),
    "velocity": lambda k: analysis.velocity(k, EYE),
    "velocity after": lambda k: analysis.velocity(EYE, k),
    "attribution": lambda k: analysis.attribution(EYE, k, ONES),
}


def replaced(value: float) -> np.ndarray:
    gram = np.eye(4)
    gram[1, 2] = value
    return gram


@pytest.mark.parametrize("call", TAKE_KERNELS.values(), ids=TAKE_KERNELS)
@pytest.mark.parametrize(
    ("kernel", "error", "message"),
    [
        (replaced(np.nan), ValueError, "1 of 16 entries are NaN or infinite"),
        (torch.from_numpy(replaced(np.inf)), ValueError, "1 of 16 entries are NaN or infinite"),
        (replaced(0.3), ValueError, "expected a symmetric matrix; .* differ by up to 0.3"),
        (FULL + 0.3 * np.eye(2)[[1, 1]], ValueError, "expected a symmetric matrix"),
        (np.ones((4, 4, 2, 3)), ValueError, r"expected .*\(n, n"),
        (sparse.eye(4), TypeError, r"sparse dia_matrix.*toarray"),
        (np.eye(4) * 1j, TypeError, "real numbers"),
        (torch.eye(4).to_sparse(), TypeError, "dense array.*to_dense"),
        ([[1.0, 2.0], [3.0]], ValueError, "one array of numbers"),
        (np.full((4, 4), "a"), TypeError, "of dtype <U1"),
    ],
    ids=str,
)
def test_what_is_no_kernel_is_refused(call, kernel, error, message):
    with pytest.raises(error, match=message):
        call(kernel)


@pytest.mark.parametrize("call", [call for name, call in TAKE_KERNELS.items() if name != "alignment target"])
@pytest.mark.parametrize("shape", [(), (4,), (4, 3), (0, 0), (4, 4, 2), (4, 3, 2, 2), (4, 4, 0, 0)])
def test_shapes_of_no_kernel_are_refused(call, shape):
    with pytest.raises(ValueError, match=r"has shape .*expected a kernel matrix \(n, n\)"):
        call(np.ones(shape))


@pytest.mark.parametrize("name", [name for name in TAKE_KERNELS if name not in ("distance second", "spectrum")])
def test_a_kernel_of_zeros_has_no_direction(name):
    if name == "eigenvalue_gap":
        message = "largest eigenvalue of the first kernel is 0"
    else:
        message = "is 0, expected a positive number|nothing is left of it when centred"
    with pytest.raises(ValueError, match=message):
        TAKE_KERNELS[name](np.zeros((4, 4)))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analysis.alignment(EYE, np.ones(3)), r"target has shape \(3,\).*expected 4 numbers or rows"),
        (lambda: analysis.alignment(EYE, [0, 1]), r"target has shape \(2,\)"),
        (lambda: analysis.alignment(EYE, np.ones((4, 2, 2))), r"target has shape \(4, 2, 2\)"),
        (lambda: analysis.alignment(EYE, 1.0), r"target has shape \(\)"),
        (lambda: analysis.alignment(FULL, np.ones((4, 3))), "rows with 2 outputs"),
        (lambda: analysis.alignment(FULL, ONES), "rows with 2 outputs"),
        (lambda: analysis.alignment(FULL, [0, 1, 2, 0]), "labels from 0 to 2, the kernel has 2 outputs"),
        (lambda: analysis.alignment(EYE, np.eye(3)), "the same examples"),
        (lambda: analysis.alignment(EYE, [0, 0, 0, 0]), "target: nothing is left of it when centred"),
        (lambda: analysis.alignment(EYE, 0.1 * ONES), "target: nothing is left of it when centred"),
        (lambda: analysis.alignment(0.1 * np.ones((4, 4)), [0, 0, 1, 1]), "kernel: nothing is left"),
        (lambda: analysis.alignment(EYE, 0 * ONES, centred=False), "norm of the target is 0"),
        (lambda: analysis.alignment(EYE, [1.0, 2.0, np.nan, 0.0]), "target: 1 of 4 entries are NaN"),
        (lambda: analysis.distance(EYE, np.eye(3)), r"first has shape \(4, 4\), second \(3, 3\)"),
        (lambda: analysis.distance(FULL, FULL[..., :1, :1]), "if both are full, of the same outputs"),
        (lambda: analysis.eigenvalue_gap(EYE, np.eye(3)), "the same examples"),
        (lambda: analysis.eigenvalue_gap(-EYE, EYE), "largest eigenvalue of the first kernel is -1"),
        (lambda: analysis.velocity(EYE, FULL), r"\(4, 4\), \(4, 4, 2, 2\): expected the same"),
        (lambda: analysis.velocity(EYE, EYE, time=0.0), "time=0.0"),
        (lambda: analysis.velocity(EYE, EYE, time=np.nan), "time=nan"),
        (lambda: analysis.condition_number(-EYE), "largest eigenvalue is -1"),
    ],
)
def test_statistics_refuse_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: analysis.attribution(np.ones((2, 3)), EYE, ONES), r"cross has shape \(2, 3\): expected \(m, 4\)"),
        (lambda: analysis.attribution(ONES, EYE, ONES), r"cross has shape \(4,\)"),
        (lambda: analysis.attribution(EYE, FULL, ONES), r"expected \(m, 4, 2, 2\)"),
        (lambda: analysis.attribution(EYE, EYE, np.ones(3)), r"residual has shape \(3,\): expected \(4,\) or"),
        (lambda: analysis.attribution(EYE, EYE, np.ones((4, 1, 1))), r"residual has shape \(4, 1, 1\)"),
        (lambda: analysis.attribution(EYE, EYE, 1.0), r"residual has shape \(\)"),
        (lambda: analysis.attribution(FULL, FULL, ONES), r"residual has shape \(4,\): expected \(4, 2\)"),
        (lambda: analysis.attribution(EYE, EYE, ONES, alpha=-1.0), "alpha=-1.0"),
        (lambda: analysis.attribution(EYE, EYE, ONES, alpha=np.inf), "alpha=inf"),
        (lambda: analysis.attribution(EYE, EYE, ONES, alpha=[1.0]), "alpha="),  # pyright: ignore[reportArgumentType]
        (lambda: analysis.attribution(np.full((2, 4), np.nan), EYE, ONES), "cross: 8 of 8 entries are NaN"),
        (lambda: analysis.top_influences(ONES, 1), r"expected \(m, n\)"),
        (lambda: analysis.top_influences(EYE, 0), "k=0: expected an integer from 1 to 4"),
        (lambda: analysis.top_influences(EYE, 5), "k=5"),
        (lambda: analysis.top_influences(EYE, 2.0), "k=2.0"),  # pyright: ignore[reportArgumentType]
    ],
)
def test_attribution_refuses_what_does_not_fit(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def look_ahead(**changed):
    """A good call (three labelled examples, two candidates, four pool examples), but for what is changed."""
    arguments = {
        "kernel": np.eye(5)[:, :3], "targets": np.eye(3), "variances": np.ones(2), "pool": np.ones((4, 5)),
    } | changed  # fmt: skip
    return analysis.look_ahead(**arguments)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kernel": np.eye(5)}, r"kernel has shape \(5, 5\): expected \(n \+ c, n\)"),
        ({"kernel": np.eye(3)}, "at least one candidate"),
        ({"kernel": np.ones((5, 3, 2, 2))}, "take the trace-NTK"),
        ({"kernel": np.triu(np.ones((5, 3)))}, "kernel of the labelled examples: expected a symmetric"),
        ({"kernel": np.full((5, 3), np.nan)}, "kernel: 15 of 15 entries are NaN"),
        ({"kernel": np.zeros((5, 3))}, "mean diagonal of the training kernel is 0"),
        ({"targets": np.ones((3, 1, 1))}, r"targets have shape \(3, 1, 1\)"),
        ({"targets": np.ones((0, 2))}, "at least one"),
        ({"targets": np.ones(3)}, r"one-hot, shape \(n, o\)"),
        ({"targets": np.ones((3, 2))}, "or pass labels"),
        ({"targets": np.eye(3) - 1 / 6 * np.arange(3)}, "or pass labels"),
        ({"variances": np.ones(3)}, r"variances have shape \(3,\): expected \(2,\)"),
        ({"variances": -np.ones(2)}, "non-negative"),
        ({"pool": np.ones((4, 3))}, r"pool has shape \(4, 3\): expected \(p, 5\)"),
        ({"pool": np.ones((0, 5))}, "pool has shape"),
        ({"labels": np.ones(2)}, r"labels have shape \(2, 1\): expected \(2, 3\)"),
        ({"labels": np.full((2, 3), np.inf)}, "labels: 6 of 6 entries"),
        ({"alpha": -1.0}, "alpha=-1.0"),
    ],
)
def test_look_ahead_refuses_what_does_not_fit(changed, message):
    with pytest.raises(ValueError, match=message):
        look_ahead(**changed)


def test_singular_kernels_are_refused_with_advice():
    with pytest.raises(np.linalg.LinAlgError, match="larger ridge"):
        analysis.attribution(np.ones((4, 4)), np.ones((4, 4)), ONES, alpha=0.0)
