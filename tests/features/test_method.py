"""What a method is told: the task, and the values of its kernel as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import neural_kernels as nk
from neural_kernels.exact import Kernel
from neural_kernels.features.choice import choose
from neural_kernels.features.method import BuiltMap, Task

X = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 3)))


def task(kernel, positions=(), numpy=False):
    return Task(kernel, 16, 3, 0, torch.float64, positions, numpy)


class Product(Kernel):
    """x.y, which notes what it gets."""

    def __init__(self):
        self.seen = []

    def __call__(self, x1, x2=None):
        self.seen.append((type(x1), type(x2)))
        return x1 @ (x1 if x2 is None else x2).T

    def diag(self, x):
        self.seen.append((type(x), type(None)))
        return (x * x).sum(1)


def test_the_network_of_a_task():
    kernel = nk.NNGP(nk.mlp(1))
    assert task(kernel).has_network
    assert task(kernel).network is kernel
    assert not task(kernel + 1).has_network
    with pytest.raises(nk.UnsuitableError, match="not the kernel of one network"):
        _ = task(kernel + 1).network


@pytest.mark.parametrize("numpy", [False, True])
def test_values_are_tensors_of_the_kind_of_array_the_data_had(numpy):
    kernel, kind = Product(), np.ndarray if numpy else torch.Tensor
    values = task(kernel, numpy=numpy).values
    torch.testing.assert_close(values(X), X @ X.T)
    torch.testing.assert_close(values(X, X[:2]), X @ X[:2].T)
    torch.testing.assert_close(values.diag(X), X.square().sum(1))
    assert kernel.seen == [(kind, type(None)), (kind, kind), (kind, type(None))]


def test_tensors_that_want_gradients_stay_tensors():
    kernel = Product()
    values, point = task(kernel, numpy=True).values, X[:1].clone().requires_grad_()
    for arguments in ((point,), (point, X), (X, point)):
        assert values(*arguments).requires_grad
    assert values.diag(point).requires_grad
    assert np.ndarray not in {kind for kinds in kernel.seen for kind in kinds}


def test_values_are_one_number_for_an_example():
    images = torch.ones(2, 3, 4, 4, dtype=torch.float64)
    with pytest.raises(nk.UnsuitableError, match=r"shape \(4, 4\).*GlobalAvgPool"):
        task(nk.NTK(nk.Sequential(nk.Conv(3))), (4, 4)).values.diag(images)


@pytest.mark.parametrize(
    ("kernel", "positions", "sample", "method", "reason"),
    [
        (nk.NTK(nk.mlp(1)), (), X, nk.Nystrom(), "landmarks"),
        (nk.NTK(nk.mlp(1)), (), None, nk.ZonalFeatures(), "no data"),
        (nk.NNGP(nk.mlp(1, nk.Erf())), (), None, nk.RandomFeatures(), "more than the angle"),
        (nk.NTK(nk.cnn(1)), (4, 4), X, nk.LayerwiseLandmarks(), "positions"),
        (nk.NTK(nk.cnn(1)), (4, 4), None, nk.LayerwiseLandmarks(), "natural images"),
        (
            nk.NTK(nk.Sequential(nk.LocalConv(3), nk.ReLU(), nk.GlobalAvgPool())),
            (4, 4),
            X,
            nk.RandomFeatures(),
            "no landmarks",
        ),
        (nk.Laplace(), (), X, nk.Nystrom(), "values"),
        (nk.Laplace(), (4, 4), X, nk.Nystrom(), "values"),
        (nk.NTK(nk.mlp(1)) + 1, (), None, nk.Nystrom(), "values"),
    ],
)
def test_choice(kernel, positions, sample, method, reason):
    chosen, why = choose(task(kernel, positions), sample)
    assert chosen == method
    assert reason in why


class Doubled(BuiltMap):
    """2 x."""

    columns = 3

    def forward(self, x):
        return 2 * x


def test_a_map_fills_memory_and_is_its_own_readout():
    out, weights = torch.zeros(5, 3, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    Doubled().fill(X, out)
    torch.testing.assert_close(out, 2 * X)
    columns, matrix = Doubled().readout(weights)
    torch.testing.assert_close(columns(X) @ matrix, 2 * X @ weights)
    assert len(Doubled().learned) == 0
