"""Conjugate gradients that were stopped go on where they were, whatever stopped them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_kernels.solvers import ConjugateGradient, RPCholesky

RNG = np.random.default_rng(0)
FEATURES = RNG.standard_normal((200, 250))
GRAM, Y = FEATURES @ FEATURES.T / 250, RNG.standard_normal((200, 2))
SOLVER = ConjugateGradient(RPCholesky(10), tol=1e-9, checkpoint_every=1)
RIDGES = [0.1, 0.001]

# A matrix whose products take a while, in a process that waits to be killed.
CHILD = """
import sys, time
import numpy as np
from dataclasses import replace
sys.path.insert(0, {folder!r})
import test_iterates_on_disk as case
from neural_kernels.solvers import operators

class Slow(operators.MatrixOperator):
    def product(self, vectors):
        time.sleep(0.01)
        return super().product(vectors)

solver = replace(case.SOLVER, checkpoint=sys.argv[1])
solver.system_of(Slow(case.GRAM)).solve_all(case.Y, case.RIDGES)
"""


class StoppedError(Exception):
    """Raised in the middle."""


def stopped(solver: ConjugateGradient, products: int) -> None:
    """Solve until so many products are made, and die."""
    system = solver.system(GRAM)
    product, calls = system.operator.product, []

    def counted(vectors: np.ndarray) -> np.ndarray:
        calls.append(1)
        if len(calls) > products:
            raise StoppedError
        return product(vectors)

    system.operator.product = counted
    with pytest.raises(StoppedError):
        system.solve_all(Y, RIDGES)


@pytest.mark.parametrize("every", [1, 4])
def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path, every: int) -> None:
    expected = SOLVER.system(GRAM).solve_all(Y, RIDGES)
    solver = replace(SOLVER, checkpoint=tmp_path / "run", checkpoint_every=every)
    for products in (9, 6):
        stopped(solver, products)
    found = solver.system(GRAM).solve_all(Y, RIDGES)
    assert_array_equal(found.value, expected.value)
    assert_array_equal(found.iterations, expected.iterations)
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def test_a_run_that_ended_takes_one_product(tmp_path: Path) -> None:
    solver = replace(SOLVER, checkpoint=tmp_path / "run")
    expected = solver.system(GRAM).solve_all(Y, RIDGES).value
    solver.system(GRAM).solve_all(2 * Y, [0.5])  # another run in the same file
    system = solver.system(GRAM)
    product, calls = system.operator.product, []
    system.operator.product = lambda vectors: calls.append(1) or product(vectors)
    assert_array_equal(system.solve_all(Y, RIDGES).value, expected)
    assert len(calls) == 1


def test_more_iterations_go_on(tmp_path: Path) -> None:
    few = replace(SOLVER, checkpoint=tmp_path / "run", max_iterations=5)
    with pytest.warns(match="5 iterations"):
        few.system(GRAM).solve_all(Y, RIDGES)
    found = replace(few, max_iterations=500).system(GRAM).solve_all(Y, RIDGES)
    assert_allclose(found.value, SOLVER.system(GRAM).solve_all(Y, RIDGES).value, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("change", ["matrix", "rank", "tol"])
def test_other_data_and_settings_are_refused(tmp_path: Path, change: str) -> None:
    solver = replace(SOLVER, checkpoint=tmp_path / "run")
    stopped(solver, 5)
    gram = GRAM + 1.0 if change == "matrix" else GRAM
    other = {"rank": replace(solver, preconditioner=None), "tol": replace(solver, tol=1e-3)}.get(change, solver)
    with pytest.raises(ValueError, match="of other data"):
        other.system(gram).solve_all(Y, RIDGES)


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "foreign"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run"
    solver = replace(SOLVER, checkpoint=path)
    stopped(solver, 5)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 0xFF
    path.write_bytes({"cut": content[:-100], "flipped": bytes(flipped), "empty": b"", "foreign": b"text"}[damage])
    with pytest.raises(ValueError, match="damaged"):
        solver.system(GRAM).solve_all(Y, RIDGES)


def test_a_full_disk_leaves_the_last_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    solver = replace(SOLVER, checkpoint=tmp_path / "run")
    stopped(solver, 5)
    before = (tmp_path / "run").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            solver.system(GRAM).solve_all(Y, RIDGES)
    assert (tmp_path / "run").read_bytes() == before
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]


def killed(path: Path, after: float) -> None:
    """Kill a process so many seconds after it wrote for the first time, or anew."""
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    command = [sys.executable, "-c", CHILD.format(folder=str(Path(__file__).parent)), str(path)]
    child = subprocess.Popen(command, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    while child.poll() is None and (not path.exists() or path.stat().st_mtime_ns == stamp):
        time.sleep(0.005)
    time.sleep(after)
    child.send_signal(signal.SIGKILL)
    child.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal on this system")
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_processes_lose_nothing(tmp_path: Path, kills: int) -> None:
    path, moments = tmp_path / "run", np.random.default_rng(0)
    for _ in range(kills):
        killed(path, moments.uniform(0, 0.1))
    found = replace(SOLVER, checkpoint=path).system(GRAM).solve_all(Y, RIDGES)
    assert_array_equal(found.value, SOLVER.system(GRAM).solve_all(Y, RIDGES).value)
