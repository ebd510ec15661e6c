"""Logistic regression on features: scikit-learn's on the same features, whatever way the rows come."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.estimators import logistic_rows
from neural_kernels.estimators.logistic_rows import Folds
from neural_kernels.sources import Block, RowSource

NET = nk.mlp(1, bias_var=0.1)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((400, 3))
NOISY = np.sin(2 * X[:, 0]) + X[:, 1] + 0.5 * RNG.standard_normal(400)
MANY = np.array(["low", "mid", "high", "top"])[np.digitize(NOISY, [-1, 0.3, 1.5])]
TWO = np.where(NOISY > 0.5, "yes", "no")
W = RNG.integers(0, 4, 400).astype(float)
Z = RNG.standard_normal((50, 3))


def logistic(**options: Any) -> nk.NeuralFeatureLogisticClassifier:
    chosen = {"n_components": 24, "alpha": 1e-2, "random_state": 0, "tol": 1e-8, "max_iter": 500}
    return nk.NeuralFeatureLogisticClassifier(NET, **(chosen | options))


def plain(model: Any, X: Any, y: Any, weights: Any = None, **options: Any) -> Any:
    """scikit-learn's on the features of the model."""
    reference = LogisticRegression(C=1 / model.ridge_, solver="newton-cholesky", tol=1e-12, max_iter=10_000, **options)
    return reference.fit(np.asarray(model.map_(X)), y, sample_weight=weights)


def cut(*arrays: Any, size: int = 70) -> Iterator[Any]:
    return (tuple(values[start : start + size] for values in arrays) for start in range(0, 400, size))


WEIGHTINGS: dict[str, tuple[Any, Any]] = {
    "none": (None, None),
    "rows": (W, None),
    "balanced": (W, "balanced"),
    "classes": (None, {"yes": 3.0, "low": 5.0}),
}


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("labels", [TWO, MANY], ids=["two", "many"])
@pytest.mark.parametrize("alpha", [1e-1, 1e-4])
def test_equals_scikit_learn_on_the_same_features(labels: Any, weighting: str, alpha: float) -> None:
    weights, factors = WEIGHTINGS[weighting]
    if isinstance(factors, dict):
        factors = {label: factor for label, factor in factors.items() if label in labels}
    model = logistic(alpha=alpha, class_weight=factors).fit(X, labels, sample_weight=weights)
    reference = plain(model, X, labels, weights, class_weight=factors)
    assert_array_equal(model.classes_, reference.classes_)
    scale = np.abs(reference.coef_).max()
    assert_allclose(model.coef_, reference.coef_, atol=1e-5 * scale)
    assert_allclose(model.intercept_, reference.intercept_, atol=1e-5 * scale)
    phi = np.asarray(model.map_(Z))
    assert_allclose(model.predict_proba(Z), reference.predict_proba(phi), atol=1e-5)
    assert_allclose(model.decision_function(Z), reference.decision_function(phi), rtol=1e-5, atol=1e-5 * scale)
    assert_allclose(model.predict_log_proba(Z), np.log(model.predict_proba(Z)), rtol=1e-8, atol=1e-12)
    assert_array_equal(model.predict(Z), reference.predict(phi))


@pytest.mark.parametrize("labels", [TWO, MANY], ids=["two", "many"])
def test_sparse_rows(labels: Any) -> None:
    rows = csr_matrix(np.where(np.abs(X) > 0.5, X, 0))
    model = logistic().fit(rows, labels, sample_weight=W)
    reference = plain(model, rows, labels, W)
    assert_allclose(model.coef_, reference.coef_, atol=1e-5 * np.abs(reference.coef_).max())
    dense = logistic().fit(rows.toarray(), labels, sample_weight=W)
    assert_allclose(dense.predict_proba(rows), model.predict_proba(rows), atol=1e-6)


class Steady(RowSource):
    def blocks(self) -> Iterator[Block]:
        return (Block(*arrays) for arrays in cut(X, MANY, W))


def sources(path: Path) -> dict[str, tuple[Any, ...]]:
    np.save(path / "X.npy", X)
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(label=MANY, weight=W)
    (path / "files").mkdir()
    frame[:150].to_parquet(path / "files" / "0.parquet")
    frame[150:].to_parquet(path / "files" / "1.parquet")
    codes = torch.as_tensor(np.unique(MANY, return_inverse=True)[1])
    loader = torch.utils.data.TensorDataset(torch.as_tensor(X), codes, torch.as_tensor(W))
    return {
        "blocks": ([*cut(X, MANY, W)],),
        "one class a block": ([(X[name == MANY], MANY[name == MANY], W[name == MANY]) for name in np.unique(MANY)],),
        "sparse": ([(csr_matrix(X), MANY, W)],),
        "map": (np.load(path / "X.npy", mmap_mode="r"), MANY, W),
        "own": (Steady(),),
        "files": (path / "files", "label", "weight"),
        "shuffled": (torch.utils.data.DataLoader(loader, 64, shuffle=True),),
    }


@functools.cache
def of_all_rows(balanced: Any) -> Any:
    """What the same rows in blocks must give."""
    return logistic(class_weight=balanced, alpha=[1e-1, 1e-3]).fit(X, MANY, sample_weight=W)


CASES = ("blocks", "one class a block", "sparse", "map", "own", "files", "shuffled")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("balanced", [None, "balanced"], ids=["plain", "balanced"])
def test_rows_in_blocks(case: str, balanced: Any, tmp_path: Path) -> None:
    expected, given = of_all_rows(balanced), sources(tmp_path)[case]
    model = logistic(class_weight=balanced, alpha=[1e-1, 1e-3]).fit(*given)
    if case == "shuffled":  # the map is of the rows that come first
        assert_allclose(model.score(X, np.unique(MANY, return_inverse=True)[1]), expected.score(X, MANY), atol=0.05)
        return
    assert model.alpha_ == expected.alpha_
    rows = pd.DataFrame(Z, columns=["a", "b", "c"]) if case == "files" else Z
    assert_allclose(model.predict_proba(rows), expected.predict_proba(Z), atol=1e-5)
    assert_allclose(model.score(*given), expected.score(X, MANY, sample_weight=W))


@pytest.mark.parametrize("room", [0, 30_000, 10**9])
def test_features_are_kept_or_computed_anew(room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = logistic().fit(X, MANY)
    read: list[int] = []
    monkeypatch.setattr("neural_kernels.estimators.feature_logistic._ROOM", room)
    monkeypatch.setattr(logistic_rows, "features", lambda phi, rows: read.append(len(rows)) or phi(rows))
    model = logistic().fit([*cut(X, MANY)])
    assert sum(read) == 400 * (1 if room > 10**6 else model.n_passes_)
    assert_allclose(model.predict_proba(Z), expected.predict_proba(Z), atol=1e-6)


def test_float32() -> None:
    exact = logistic().fit(X, MANY)
    model = logistic(tol=1e-4).fit(X.astype(np.float32), MANY)
    assert_allclose(model.predict_proba(Z.astype(np.float32)), exact.predict_proba(Z), atol=1e-3)


def test_alpha_is_chosen_by_rows_held_out() -> None:
    alphas = [1e-1, 1e-2, 1e-3]
    model = logistic(alpha=alphas).fit(X, MANY, sample_weight=W)
    phi = np.asarray(model.map_(X))
    first = nk.NeuralFeatureClassifier(NET, n_components=24, alpha=1.0, random_state=0).fit(X, MANY, sample_weight=W)
    seen, built = first._accumulation, first._solution.built  # pyright: ignore[reportOptionalMemberAccess]
    folds = Folds.among(int((W > 0).sum()), seen.seed, built.learned).of(X)
    assert (folds == -1).sum() == 24  # landmarks
    scores = []
    for alpha in alphas:
        lost = 0.0
        for fold in range(5):
            inside = folds != fold
            ridge = alpha / model.alpha_ * model.ridge_
            single = LogisticRegression(C=1 / ridge, solver="newton-cholesky", tol=1e-10, max_iter=10_000)
            single.fit(phi[inside], MANY[inside], sample_weight=W[inside])
            p = single.predict_proba(phi[~inside])
            lost += log_loss(MANY[~inside], p, sample_weight=W[~inside], normalize=False)
        scores.append(-lost / W[folds >= 0].sum())
    assert_allclose(model.held_out_scores_, scores, rtol=2e-3)  # compared to a tol of 1e-3
    assert model.alpha_ == alphas[int(np.argmax(scores))]
    assert_allclose(model.coef_, logistic(alpha=model.alpha_).fit(X, MANY, sample_weight=W).coef_, atol=1e-5)
    assert len(logistic(alpha=None).fit(X, MANY).held_out_scores_) == 6


def test_folds_keep_copies_together() -> None:
    none = np.empty(0, np.uint64)
    few, many = Folds.among(400, 0, none), Folds.among(10**6, 0, none)
    assert_array_equal(few.of(np.vstack([X, X[::-1]])), [*few.of(X), *few.of(X)[::-1]])
    assert sorted(set(few.of(X))) == [0, 1, 2, 3, 4]
    rows = np.random.default_rng(1).standard_normal((20_000, 2))
    assert_allclose((many.of(rows) == 0).mean(), 2**14 / 10**6, rtol=0.3)  # 18 deviations are 1


def test_classes_that_can_be_separated() -> None:
    labels = np.where(X[:, 0] > 0, 1, 0)
    model = logistic(alpha=1e-6, tol=1e-6, max_iter=2000).fit(X, labels)
    assert model.score(X, labels) == 1
    with pytest.warns(ConvergenceWarning, match=r"after \d+ steps; max_iter is 5.*where classes can be separated"):
        endless = logistic(alpha=0.0, max_iter=5).fit(X, labels)
    assert np.isfinite(endless.coef_).all()
    assert np.isfinite(endless.predict_log_proba(5 * Z)).all()
    assert endless.score(X, labels) > 0.95


@pytest.mark.parametrize("scale", [1e-8, 1e8])
def test_huge_scales(scale: float) -> None:
    net = nk.mlp(1)  # no biases: features are as large as rows
    model = nk.NeuralFeatureLogisticClassifier(net, n_components=24, alpha=1e-2, random_state=0, tol=1e-8)
    model.fit(scale * X, MANY)
    phi = np.asarray(model.map_(scale * X)) / scale
    reference = LogisticRegression(C=scale**2 / model.ridge_, solver="newton-cholesky", tol=1e-12).fit(phi, MANY)
    assert_allclose(model.predict_proba(scale * X), reference.predict_proba(phi), atol=1e-5)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="these blocks can be read once: give files"):
        logistic().fit(cut(X, MANY))
    with pytest.raises(ValueError, match="one class, 'yes'"):
        logistic().fit(X, np.full(400, "yes"))
    with pytest.raises(ValueError, match="one class, 'yes'"):
        logistic().fit([(X, np.full(400, "yes"))])
    with pytest.raises(ValueError, match=r"class_weight names \['none'\]"):
        logistic(class_weight={"none": 2.0}).fit(X, MANY)
    with pytest.raises(ValueError, match="max_iter"):
        logistic(max_iter=0).fit(X, MANY)
    with pytest.raises(ValueError, match="tol"):
        logistic(tol=0.0).fit(X, MANY)
    with pytest.raises(MemoryError, match="memory_budget is 50,000"):
        logistic(memory_budget=50_000).fit(X, MANY)
    with pytest.raises(ValueError, match="no targets"):
        logistic().fit([(X,)])
    broken = [*cut(X.copy(), MANY)]
    broken[2][0][3, 1] = np.nan
    with pytest.raises(ValueError, match=r"block 2 \(rows 140 to 209\): X: .* row 3, column 1"):
        logistic().fit(broken)


class Changing(RowSource):
    """Other rows with each reading."""

    def __init__(self, labels: bool) -> None:
        self._labels, self._readings = labels, 0

    def blocks(self) -> Iterator[Block]:
        self._readings += 1
        if self._labels and self._readings > 2:
            yield Block(X, np.full(400, "new"))
        else:
            yield Block(X[self._readings :], MANY[self._readings :])


def test_rows_that_change_between_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neural_kernels.estimators.feature_logistic._ROOM", 0)
    with pytest.raises(ValueError, match="the rows changed between two passes"):
        logistic().fit(Changing(labels=False))
    with pytest.raises(ValueError, match=r"block 0 .*'new', which is not among the classes"):
        logistic().fit(Changing(labels=True))


def test_a_failed_fit_leaves_the_model() -> None:
    model = logistic().fit(X, MANY)
    before = model.predict_proba(Z)
    with pytest.raises(ValueError, match="NaN"):
        model.fit([(X[:, :2], TWO), (np.full((5, 2), np.nan), TWO[:5])])
    assert_array_equal(model.predict_proba(Z), before)


@pytest.mark.parametrize("labels", [TWO, MANY], ids=["two", "many"])
def test_files(labels: Any, tmp_path: Path) -> None:
    model = logistic(alpha=[1e-1, 1e-2]).fit(X, labels)
    nk.save(model, tmp_path / "model")
    for again in (nk.load(tmp_path / "model"), pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.predict_proba(Z), model.predict_proba(Z))
        assert_array_equal(again.predict(Z), model.predict(Z))
        assert_array_equal(again.held_out_scores_, model.held_out_scores_)
        assert again.get_params()["alpha"] == [1e-1, 1e-2]


def test_gradients_of_logits() -> None:
    model = logistic().fit(X, MANY)
    gradient = model.gradient(Z[:5])
    step = 1e-5 * np.eye(3)
    for column in range(3):
        above, below = model.decision_function(Z[:5] + step[column]), model.decision_function(Z[:5] - step[column])
        assert_allclose(gradient[:, :, column], (above - below) / 2e-5, rtol=1e-4, atol=1e-4)


def test_in_a_pipeline_of_blocks() -> None:
    model = nk.StreamPipeline([("scale", StandardScaler()), ("model", logistic())]).fit([*cut(X, MANY)])
    assert model.score(cut(X, MANY)) == model.score(X, MANY)
    assert model.predict_proba(cut(X)).shape == (400, 4)


def test_progress(capsys: pytest.CaptureFixture[str]) -> None:
    logistic(verbose=1, alpha=[1e-1, 1e-2]).fit([*cut(X, MANY)])
    shown = capsys.readouterr().err
    assert "NeuralFeatureLogisticClassifier, alphas" in shown
    assert "NeuralFeatureLogisticClassifier, final" in shown
    assert "of the first" in shown
