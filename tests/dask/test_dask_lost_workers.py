"""Workers that die: processes that are killed while they sum."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import dask
import numpy as np
import pytest

import neural_kernels as nk
from neural_kernels.dask import DaskNeuralFeatureRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1200, 3))
Y = X[:, 0] * X[:, 1]
SETTINGS = {"n_components": 32, "random_state": 0, "memory_budget": 2**24}


def deadly_parts(folder: Path, passes: int, count: int = 6) -> list:
    """Partitions of X and Y, of which the second to last kills who loads it after so many loads, once."""

    @dask.delayed
    def load(k: int, X: np.ndarray, y: np.ndarray) -> tuple:
        if k == count - 2:
            loads = len(list(folder.iterdir()))
            (folder / f"{loads}").touch()
            if loads == passes:
                os.kill(os.getpid(), signal.SIGKILL)
        return X, y

    return [load(k, X[k::count], Y[k::count]) for k in range(count)]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="signals of POSIX")
@pytest.mark.parametrize("passes", [0, 1], ids=["survey", "sums"])
def test_a_killed_worker_loses_nothing(cluster, tmp_path, passes):
    plain = nk.NeuralFeatureRegressor(**SETTINGS).fit(X, Y)
    with cluster(2, processes=True) as client:
        model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(deadly_parts(tmp_path, passes))
        predicted = np.concatenate(dask.compute(*model.predict([dask.delayed(X[:600]), dask.delayed(X[600:])])))
    assert len(list(tmp_path.iterdir())) >= 3  # also what the worker had from the first pass is computed again
    assert np.linalg.norm(model.coef_ - plain.coef_) < 1e-10 * np.linalg.norm(plain.coef_)
    assert np.allclose(predicted, plain.predict(X), atol=1e-8)
