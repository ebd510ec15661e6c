"""Fits to blocks that end anyhow go on in the same call, with the same result bit for bit."""

from __future__ import annotations

import errno
import json
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix

import neural_kernels as nk
from killed import killed_and_resumed, once
from neural_kernels.estimators import accumulation, built
from neural_kernels.sources import Block
from neural_kernels.storage import checkpoint as storage
from neural_kernels.storage.checkpoint import CheckpointFile

NET = nk.mlp(1, bias_var=0.1)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((600, 3))
X[500:550] = X[:50]
Y = np.sin(X[:, 0]) + 0.1 * RNG.standard_normal(600)
W = RNG.integers(0, 3, 600).astype(float)
LABELS = np.where(np.arange(600) > 400, "late", np.where(Y > 0, "up", "down"))
Z = RNG.standard_normal((5, 3))


@pytest.fixture(autouse=True)
def few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accumulation, "_SAMPLE", 100)
    monkeypatch.setattr(accumulation, "_FEWEST", 50)
    for module in (accumulation, built):
        monkeypatch.setattr(module, "block_rows", lambda columns: 64)


class Killed(BaseException):
    """What stands for the end of a process."""


def blocks(*arrays: Any, end: int = 600, size: int = 25) -> Iterator[Any]:
    for start in range(0, 600, size):
        if start >= end:
            raise Killed
        yield tuple(values[start : start + size] for values in arrays)


def regressor(**options: Any) -> Any:
    return nk.NeuralFeatureRegressor(
        **({"network": NET, "n_components": 24, "alpha": [0.1, 1.0], "random_state": 0} | options)
    )


def classifier(**options: Any) -> Any:
    return nk.NeuralFeatureClassifier(
        **({"network": NET, "n_components": 24, "alpha": [0.1, 1.0], "random_state": 0} | options)
    )


class Again(nk.RowSource):
    """Blocks that can be read again, and end in the middle of the second reading."""

    def __init__(self, *arrays: Any, end: int = 600) -> None:
        self._arrays, self._end, self._readings = arrays, end, 0

    def blocks(self) -> Iterator[Any]:
        self._readings += 1
        for part in blocks(*self._arrays, end=self._end if self._readings > 1 else 600):
            yield Block(*part)


CASES: dict[str, tuple[Callable[[], Any], Callable[..., Any], tuple[Any, ...]]] = {
    "a generator": (regressor, blocks, (X, Y)),
    "read twice": (regressor, Again, (X, Y, W)),
    "two outputs": (regressor, blocks, (X, np.stack([Y, Y**2], axis=1))),
    "CSR, float32": (regressor, blocks, (csr_matrix(X.astype(np.float32)), Y)),
    "landmarks": (lambda: regressor(method=nk.Nystrom("rpcholesky")), blocks, (X, Y)),
    "random features": (lambda: regressor(method=nk.RandomFeatures(), alpha=0.1), blocks, (X, Y)),
    "labels": (classifier, blocks, (X, LABELS, W)),
    "labels as objects": (classifier, Again, (X, LABELS.astype(object))),
    "balanced": (lambda: classifier(class_weight="balanced"), blocks, (X, LABELS)),
    "images": (
        lambda: regressor(network=nk.cnn(1)),
        blocks,
        (RNG.integers(0, 255, (600, 1, 3, 3)).astype(np.uint8), Y),
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("ends", [[120, 250, 575], [600]], ids=["killed three times", "ended, and called again"])
def test_a_fit_goes_on(tmp_path: Path, case: str, ends: list[int]) -> None:
    make, source, arrays = CASES[case]
    whole, path = make().fit(source(*arrays)), nk.Checkpoint(tmp_path / "fit", seconds=0)
    for end in ends:
        if end == 600:
            make().fit(source(*arrays), checkpoint=path)
            continue
        with pytest.raises(Killed):
            make().fit(source(*arrays, end=end), checkpoint=path)
    model = make().fit(source(*arrays), checkpoint=path)
    for name in ("coef_", "intercept_", "ridge_", "loo_scores_", "classes_"):
        if hasattr(whole, name):
            assert_array_equal(getattr(model, name), getattr(whole, name), err_msg=name)
    assert model._region.radius == whole._region.radius
    rows = arrays[0][:5]
    assert_array_equal(model.predict(rows), whole.predict(rows))
    for part in blocks(*arrays):  # and takes more
        model.partial_fit(*part[:2])
        whole.partial_fit(*part[:2])
    assert_array_equal(model.coef_, whole.coef_)


def test_what_is_stored_is_not_computed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit"
    with pytest.raises(Killed):
        regressor().fit(blocks(X, Y, end=575), checkpoint=nk.Checkpoint(path, seconds=0))
    stored = CheckpointFile(path).read()
    assert stored is not None
    done, taken = stored[0]["blocks"], []
    take = nk.NeuralFeatureRegressor._take_part

    def counted(self: Any, *part: Any) -> None:
        taken.append(len(part[0]))
        take(self, *part)

    monkeypatch.setattr(nk.NeuralFeatureRegressor, "_take_part", counted)
    regressor().fit(blocks(X, Y), checkpoint=path)
    assert done > 15
    assert len(taken) == 5 + 24 - done  # until there is a map, and what was not stored


def test_other_data_or_settings_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    regressor().fit(blocks(X, Y), checkpoint=path)
    content = path.read_bytes()

    def refused(message: str, source: Any, model: Any = None) -> None:
        before = dict(vars(model := model or regressor()))
        with pytest.raises(ValueError, match=message):
            model.fit(source, checkpoint=path)
        assert vars(model) == before
        assert path.read_bytes() == content

    refused(
        r"fit is of another model; what differs: n_components \(was 24, is 16\)",
        blocks(X, Y),
        regressor(n_components=16),
    )
    refused(
        r"what differs: alpha, random_state|alpha .*random_state \(was 0, is 1\)",
        blocks(X, Y),
        regressor(alpha=0.1, random_state=1),
    )
    refused(r"what differs: network\. Use another path, or delete the file", blocks(X, Y), regressor(network=nk.mlp(2)))
    refused(
        r"what differs: model \(was NeuralFeatureRegressor, is NeuralFeatureClassifier\)",
        blocks(X, LABELS),
        classifier(),
    )
    refused(r"block 0 .*fit is of other data, or of data in other blocks\.", blocks(2 * X, Y))
    refused(r"block 0 .*in other blocks", blocks(X, Y, size=20))
    refused("of other data", blocks(X, Y + 1))
    refused("of other data", blocks(X, Y, W))
    later = X.copy()
    later[300, 0] += 1
    refused(r"block 23 .*fit is of other data", blocks(later, Y))
    refused(
        "fit is of other data: 24 blocks, now 12", (block for block, _ in zip(blocks(X, Y), range(12), strict=False))
    )


def test_what_a_checkpoint_needs(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    for state in (None, np.random.RandomState(0)):
        with pytest.raises(ValueError, match=r"random_state=.* with a checkpoint: expected a number"):
            regressor(random_state=state).fit(blocks(X, Y), checkpoint=path)
    with pytest.raises(ValueError, match=r"checkpoint: expected rows in blocks, .* got an array"):
        regressor().fit(X, Y, checkpoint=path)
    with pytest.raises(TypeError, match=r"kernel: a checkpoint cannot tell whether"):
        regressor(kernel=object()).fit(blocks(X, Y), checkpoint=path)
    with pytest.raises(ValueError, match="seconds"):
        nk.Checkpoint(path, seconds=-1)
    few = regressor().fit([(X[:40], Y[:40])], checkpoint=path)  # all rows are kept: there is nothing to store
    assert_array_equal(few.coef_, regressor().fit([(X[:40], Y[:40])]).coef_)
    assert not path.exists()


def test_a_full_disk_leaves_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "fit"
    with pytest.raises(Killed):
        regressor().fit(blocks(X, Y, end=300), checkpoint=nk.Checkpoint(path, seconds=0))
    content = path.read_bytes()

    def full(file: Any, **arrays: Any) -> None:
        file.write(b"some")
        raise OSError(errno.ENOSPC, "No space left on device")

    model = regressor().fit(X[:50], Y[:50])
    before = dict(vars(model))
    with monkeypatch.context() as patch:
        patch.setattr(storage.np, "savez", full)
        with pytest.raises(
            OSError, match=r"no checkpoint could be written \(No space left on device\); the last one st"
        ):
            model.fit(blocks(X, Y), checkpoint=nk.Checkpoint(path, seconds=0))
    assert vars(model) == before
    assert path.read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["fit"]
    assert_array_equal(model.fit(blocks(X, Y), checkpoint=path).coef_, regressor().fit(blocks(X, Y)).coef_)
    with pytest.raises(OSError, match="there is none yet"):
        regressor().fit(blocks(X, Y), checkpoint=tmp_path / "absent" / "fit")


def test_damaged_and_foreign_files(tmp_path: Path) -> None:
    path = tmp_path / "fit"
    regressor().fit(blocks(X, Y), checkpoint=path)
    content = path.read_bytes()
    header = json.loads(np.load(path)["header"].tobytes())

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "trapped"),)

    def refused(message: str) -> None:
        with pytest.raises(ValueError, match=message):
            regressor().fit(blocks(X, Y), checkpoint=path)

    for end in np.random.default_rng(0).integers(0, len(content), 20):
        path.write_bytes(content[:end])
        refused("is no checkpoint, or it is damaged: use another path, or delete it")
    path.write_bytes(pickle.dumps(Trap()))
    refused("is no checkpoint")
    array = np.empty(1, dtype=object)
    array[0] = Trap()
    np.savez(tmp_path / "trap.npz", header=array)
    path.write_bytes((tmp_path / "trap.npz").read_bytes())
    refused("is no checkpoint")
    assert not (tmp_path / "trapped").exists()
    with open(path, "wb") as file:
        np.savez(file, header=np.frombuffer(json.dumps(header | {"format": 2}).encode(), np.uint8))
    refused("has format 2, this version reads 1")


SCRIPT = """
import sys, time
import numpy as np
import neural_kernels as nk
from neural_kernels.estimators import accumulation, built

accumulation._SAMPLE, accumulation._FEWEST = 300, 100
accumulation.block_rows = built.block_rows = lambda columns: 256
path, result, pause = sys.argv[1], sys.argv[2], float(sys.argv[3])

def blocks():
    for seed in range(60):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((100, 4))
        time.sleep(pause)
        yield X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(100)

model = nk.NeuralFeatureRegressor(nk.mlp(1), n_components=96, alpha=[0.1, 1.0], random_state=0)
print("begun", flush=True)
model.fit(blocks(), checkpoint=nk.Checkpoint(path, seconds=0) if path else None)
np.savez(result, coef=model.coef_, intercept=model.intercept_, scores=model.loo_scores_)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_processes_go_on(tmp_path: Path, kills: int) -> None:
    expected = once(SCRIPT, tmp_path)
    pause = 0.01 if kills == 1 else 0.05
    count, result = killed_and_resumed(SCRIPT, tmp_path, kills, pause, seconds=60 * pause)
    assert count == kills
    for name, values in expected.items():
        assert_array_equal(result[name], values, err_msg=name)
