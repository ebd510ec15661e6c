"""Moments that travel: as arrays, pickled, and summed over processes."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_kernels import Moments
from neural_kernels.solvers import triangle


def rows(seed: int, count: int = 30, dtype=np.float64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    features = (rng.standard_normal((count, 7)) + seed).astype(dtype)
    return features, features[:, :2].astype(np.float64) + rng.standard_normal((count, 2))


def test_packing_keeps_the_lower_triangle():
    matrix = np.arange(25.0).reshape(5, 5)
    vector = triangle.packed(matrix)
    assert_array_equal(vector, matrix[np.tril_indices(5)])
    assert_array_equal(triangle.unpacked(vector, 5), np.tril(matrix))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_state_and_pickle_bring_all_back(dtype):
    moments = Moments(7, 2).update(*rows(1, dtype=dtype))
    for other in (Moments.from_state(moments.state()), pickle.loads(pickle.dumps(moments)), moments.copy()):
        assert other.dtype == dtype
        for one, two in zip(other.solve(0.1), moments.solve(0.1), strict=True):
            assert_array_equal(one, two)
        other.update(*rows(2, dtype=dtype))
        assert other.weight == 60
        assert moments.weight == 30


def test_a_pickle_holds_half_of_the_matrix():
    assert len(pickle.dumps(Moments(400, 1))) < 0.55 * 8 * 400**2


@pytest.mark.parametrize(
    "change",
    [
        {"weight": np.array(-1.0)},
        {"itemsize": np.array(3)},
        {"mean": np.zeros(6)},
        {"scatter": np.zeros(27)},
        {"scatter": -np.ones(28)},
        {"cross": np.full((7, 2), np.nan)},
        {"target_scatter": np.array([-1.0, 0.0])},
        {"code": np.array(1.0)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_states_are_refused(change):
    state = Moments(7, 2).update(*rows(1)).state()
    with pytest.raises(ValueError, match="state of moments"):
        Moments.from_state({**state, **change})


def test_the_precision_of_what_is_merged_stays():
    assert Moments(7, 2).merge(Moments(7, 2).update(*rows(1, dtype=np.float32))).dtype == np.float32


PROCESS = """
import sys
import numpy as np
import torch.distributed as dist
from neural_kernels import Moments

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
moments = Moments(7, 2)
for seed in (() if rank and sys.argv[3] == "none" else (1 + 2 * rank, 2 + 2 * rank)):
    rng = np.random.default_rng(seed)
    features = (rng.standard_normal((30, 7)) + seed).astype(np.float32)
    moments.update(features, features[:, :2] + rng.standard_normal((30, 2)))
moments.all_reduce()
np.savez(sys.argv[2] + f".{rank}.npz", **moments.state())
try:
    Moments(3 + rank, 1).all_reduce()
except ValueError as error:
    assert "summed" in str(error)
else:
    raise AssertionError("moments of other shapes were summed")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("second", ["two blocks", "none"])
def test_all_reduce_equals_all_rows_in_one_process(tmp_path, second):
    store = str(tmp_path / "store")
    command = [sys.executable, "-c", PROCESS]
    workers = [subprocess.Popen([*command, str(rank), store, second], stderr=subprocess.PIPE) for rank in range(2)]
    for worker in workers:
        assert worker.communicate(timeout=120)[1] is not None
        assert worker.returncode == 0
    states = [dict(np.load(f"{store}.{rank}.npz")) for rank in range(2)]
    for name, value in states[0].items():
        assert_array_equal(value, states[1][name])
    whole = Moments(7, 2)
    for seed in (1, 2) if second == "none" else (1, 2, 3, 4):
        whole.update(*rows(seed, dtype=np.float32))
    for one, two in zip(Moments.from_state(states[0]).solve(0.1), whole.solve(0.1), strict=True):
        assert_allclose(one, two, rtol=1e-4)
    assert_allclose(states[0]["scatter"], triangle.packed(whole.scatter), rtol=1e-5, atol=1e-4)
    assert states[0]["itemsize"] == 4
