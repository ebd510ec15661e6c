"""One outlying row among many: it moves neither the ridge nor its choice, and with them no prediction."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import make_friedman1
from sklearn.preprocessing import StandardScaler

from neural_kernels.activations import ReLU
from neural_kernels.empirical import EmpiricalNTK, PseudoNTK
from neural_kernels.estimators import NeuralKernelRegressor
from neural_kernels.estimators.linearized.predictor import LinearizedPredictor
from neural_kernels.layers import mlp

pytestmark = pytest.mark.filterwarnings("ignore::neural_kernels.ScaleWarning")  # due, and tested for elsewhere

ALPHAS = [1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0]
FACTORS = [10.0, 100.0, 1e3, 1e4]


def friedman(seed=0):
    """Scaled rows, 300 for training, and their targets."""
    X, y = make_friedman1(900, noise=1.0, random_state=seed)
    return StandardScaler().fit(X[:300]).transform(X), y


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("alpha", [1e-2, ALPHAS], ids=["one", "several"])
@pytest.mark.parametrize("network", [None, mlp(2, ReLU())], ids=["biases", "none"])
@pytest.mark.parametrize("seed", range(2))
def test_an_outlying_row_moves_no_score(factor, alpha, network, seed):
    X, y = friedman(seed)
    score = NeuralKernelRegressor(network, alpha=alpha).fit(X[:300], y[:300]).score(X[300:], y[300:])
    X[0] *= factor
    model = NeuralKernelRegressor(network, alpha=alpha).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) > score - 0.02


def test_the_outlying_row_itself_is_learned():
    X, y = friedman()
    X[0] *= 100
    model = NeuralKernelRegressor(alpha=ALPHAS).fit(X[:300], y[:300])
    assert model.predict(X[:1]) == pytest.approx(y[:1], abs=0.1)


@pytest.mark.parametrize("kernel", [PseudoNTK, EmpiricalNTK])
def test_linearized_modules_neither(kernel):
    X, y = friedman()
    y = (y - y.mean()) / y.std()
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(10, 256), torch.nn.ReLU(), torch.nn.Linear(256, 1))
    model = LinearizedPredictor(module, kernel, alpha=ALPHAS[2:], scale=np.inf)
    score = model.fit(X[:300], y[:300]).score(X[300:], y[300:])
    X[0] *= 100
    assert model.fit(X[:300], y[:300]).score(X[300:], y[300:]) > score - 0.02
