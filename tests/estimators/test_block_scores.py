"""R^2 and accuracy of rows in blocks: those of scikit-learn for all rows at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.cluster import MiniBatchKMeans
from sklearn.linear_model import SGDClassifier
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.estimators.block_scores import BlockR2

RNG = np.random.default_rng(0)
X = RNG.normal([5, -3, 0], [1, 10, 100], (300, 3))
Y = np.column_stack([np.sin(X[:, 0]), 1e6 + X[:, 1]])
LABELS = np.where(Y[:, 0] > 0, "up", "down")
WEIGHTS = RNG.integers(0, 4, 300).astype(float)


def blocks(*arrays: Any) -> Iterator[Any]:
    return (tuple(values[start : start + 40] for values in (X, *arrays)) for start in range(0, 300, 40))


def model(kind: Any) -> Any:
    return kind(nk.mlp(1, bias_var=0.1), n_components=24, alpha=0.1, random_state=0)


@pytest.mark.parametrize("case", ["regression", "outputs", "classes"])
@pytest.mark.parametrize("piped", [False, True], ids=["model", "pipeline"])
def test_the_score_of_all_rows(case: str, piped: bool, tmp_path: Path) -> None:
    y = {"regression": Y[:, 0], "outputs": Y, "classes": LABELS}[case]
    chosen = model(nk.NeuralFeatureClassifier if case == "classes" else nk.NeuralFeatureRegressor)
    if piped:
        chosen = nk.StreamPipeline([("scale", StandardScaler()), ("model", chosen)])
    chosen.fit(X, y)
    plain, weighted = chosen.score(X, y), chosen.score(X, y, sample_weight=WEIGHTS)
    assert plain != weighted
    assert_allclose([chosen.score(blocks(y)), chosen.score([*blocks(y)])], plain, rtol=1e-10)
    assert_allclose(chosen.score(blocks(y, WEIGHTS)), weighted, rtol=1e-10)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert_allclose(chosen.score(mapped, y, sample_weight=WEIGHTS), weighted, rtol=1e-10)


@pytest.mark.parametrize("piped", [False, True], ids=["model", "pipeline"])
def test_the_score_of_files(piped: bool, tmp_path: Path) -> None:
    chosen = model(nk.NeuralFeatureRegressor)
    if piped:
        chosen = nk.StreamPipeline([("scale", StandardScaler()), ("model", chosen)])
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(y=Y[:, 0], w=WEIGHTS)
    frame.to_parquet(tmp_path / "rows.parquet")
    chosen.fit(nk.read_blocks(tmp_path, "y", columns=["a", "b", "c"]))
    expected = chosen.score(X if piped else frame[["a", "b", "c"]], Y[:, 0], sample_weight=WEIGHTS)
    assert_allclose(chosen.score(tmp_path, "y", sample_weight="w"), expected, rtol=1e-10)


def test_the_score_of_other_last_steps() -> None:
    pipeline = nk.StreamPipeline([("scale", StandardScaler()), ("model", SGDClassifier(random_state=0))])
    pipeline.fit([*blocks(LABELS)], model__classes=["down", "up"])
    assert_allclose(pipeline.score(blocks(LABELS)), pipeline.score(X, LABELS))
    clusters = nk.StreamPipeline([("scale", StandardScaler()), ("model", MiniBatchKMeans(2, n_init=1))]).fit(X)
    with pytest.raises(TypeError, match="MiniBatchKMeans is neither a classifier nor a regressor"):
        clusters.score(blocks(LABELS))
    assert not hasattr(nk.StreamPipeline([("scale", StandardScaler())]), "score")


def test_blocks_of_no_weight_do_not_count() -> None:
    chosen = model(nk.NeuralFeatureClassifier).fit(X, LABELS)
    some = [(X[:200], LABELS[:200], WEIGHTS[:200]), (X[200:], LABELS[200:], np.zeros(100))]
    assert_allclose(chosen.score(some), chosen.score(X[:200], LABELS[:200], sample_weight=WEIGHTS[:200]))


def test_targets_that_do_not_vary() -> None:
    for predicted, expected in ((np.ones(4), 1.0), (np.array([1, 1, 1, 2.0]), 0.0)):  # as r2_score
        score = BlockR2()
        score.add(np.ones(4), predicted, np.ones(4))
        assert score.value() == expected


def test_what_cannot_be_scored() -> None:
    regressor, classifier = model(nk.NeuralFeatureRegressor).fit(X, Y), model(nk.NeuralFeatureClassifier)
    classifier.fit(X, LABELS)
    with pytest.raises(ValueError, match=r"block 0 .*no targets to score by"):
        regressor.score([(X,)])
    with pytest.raises(ValueError, match=r"block 0 .*targets of shape \(300,\): expected \(300, 2\)"):
        regressor.score([(X, Y[:, 0])])
    with pytest.raises(ValueError, match="sample_weight of zero"):
        classifier.score([(X, LABELS, np.zeros(300))])
    with pytest.raises(ValueError, match=r"block 1 .*inconsistent numbers"):
        classifier.score([(X, LABELS), (X, LABELS[:9])])
    with pytest.raises(TypeError, match="y beside blocks"):
        classifier.score([(X, LABELS)], LABELS)
