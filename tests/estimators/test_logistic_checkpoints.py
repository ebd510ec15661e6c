"""Logistic regressions that were killed go on in the same call, with the same result bit for bit."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import neural_kernels as nk
from killed import killed_and_resumed, once
from neural_kernels.estimators import accumulation, built
from neural_kernels.sources import Block, RowSource

RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 3))
LABELS = np.array(["low", "mid", "high"])[np.digitize(np.sin(2 * X[:, 0]) + X[:, 1], [-0.5, 0.5])]


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulation, "_SAMPLE", 100)
    monkeypatch.setattr(accumulation, "_FEWEST", 50)
    for module in (accumulation, built):
        monkeypatch.setattr(module, "block_rows", lambda columns: 64)
    monkeypatch.setattr("neural_kernels.estimators.feature_logistic._ROOM", 0)  # features are computed anew


class Killed(BaseException):
    """What stands for the end of a process."""


class Mortal(RowSource):
    """Blocks, of which so many are given in all readings together."""

    def __init__(self, blocks: float = np.inf) -> None:
        self.left, self.given = blocks, 0

    def blocks(self) -> Iterator[Block]:
        for start in range(0, 600, 50):
            self.left -= 1
            self.given += 1
            if self.left < 0:
                raise Killed
            yield Block(X[start : start + 50], LABELS[start : start + 50])


def logistic(**options: Any) -> Any:
    chosen = {"n_components": 24, "alpha": [1e-1, 1e-2], "random_state": 0, "tol": 1e-6, "class_weight": "balanced"}
    return nk.NeuralFeatureLogisticClassifier(nk.mlp(1, bias_var=0.1), **(chosen | options))


def test_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    whole = Mortal()
    expected = logistic().fit(whole)
    checkpoint, model, given = nk.Checkpoint(tmp_path / "fit", seconds=0), logistic(), 0
    lives = 0
    while lives < 50:
        lives += 1
        source = Mortal(whole.given // 5 + 12)
        try:
            model.fit(source, checkpoint=checkpoint)
            break
        except Killed:
            given += source.given
    assert lives > 3
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.intercept_, expected.intercept_)
    assert_array_equal(model.held_out_scores_, expected.held_out_scores_)
    assert given < whole.given + 48 * lives  # a look, the sums and a pass that was not finished, again each time
    assert {path.name for path in tmp_path.iterdir()} == {"fit", "fit.alphas", "fit.final"}


def test_other_data_or_parameters_are_refused(tmp_path: Path) -> None:
    logistic().fit(Mortal(), checkpoint=tmp_path / "fit")
    for kept in ("fit", "fit.alphas", "fit.final"):
        assert (tmp_path / kept).exists()
    with pytest.raises(ValueError, match="of another fit; what differs: tol"):
        logistic(tol=1e-5).fit(Mortal(), checkpoint=tmp_path / "fit")
    with pytest.raises(ValueError, match="of other data"):
        logistic().fit([(X + 1, LABELS)], checkpoint=tmp_path / "fit")
    (tmp_path / "fit").unlink()
    with pytest.raises(ValueError, match="of another fit; what differs: data"):
        logistic().fit([(X + 1, LABELS)], checkpoint=tmp_path / "fit")
    (tmp_path / "fit").unlink(missing_ok=True)
    (tmp_path / "fit.alphas").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"fit.alphas is no checkpoint, or it is damaged"):
        logistic().fit(Mortal(), checkpoint=tmp_path / "fit")
    with pytest.raises(ValueError, match="checkpoint: expected rows in blocks"):
        logistic().fit(X, LABELS, checkpoint=tmp_path / "other")


SCRIPT = """
import sys, time
import numpy as np
import neural_kernels as nk
from neural_kernels.estimators import accumulation, built, feature_logistic
from neural_kernels.sources import Block, RowSource

accumulation._SAMPLE, accumulation._FEWEST, feature_logistic._ROOM = 300, 100, 0
accumulation.block_rows = built.block_rows = lambda columns: 256
path, result, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])

class Slow(RowSource):
    def blocks(self):
        for seed in range(12):
            rng = np.random.default_rng(seed)
            X = rng.standard_normal((100, 4))
            time.sleep(pause)
            yield Block(X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(100) > 0)

model = nk.NeuralFeatureLogisticClassifier(nk.mlp(1), n_components=48, alpha=[0.1, 0.01], random_state=0)
print("begun", flush=True)
model.fit(Slow(), checkpoint=nk.Checkpoint(path, seconds=0) if path else None)
np.savez(result, coef=model.coef_, intercept=model.intercept_, scores=model.held_out_scores_)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.slow
def test_killed_processes_go_on(tmp_path: Path) -> None:
    expected = once(SCRIPT, tmp_path)
    count, result = killed_and_resumed(SCRIPT, tmp_path, 10, pause=0.01, seconds=2.0)
    assert count == 10
    for name, values in expected.items():
        assert_array_equal(result[name], values, err_msg=name)
