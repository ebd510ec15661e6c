"""An interrupt while rows are taken in, or while they are solved for, leaves what was there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

from neural_kernels.estimators import NeuralFeatures, accumulation
from neural_kernels.estimators.row_table import RowTable
from neural_kernels.features import FeatureMap
from neural_kernels.solvers.moments import Moments
from neural_kernels.solvers.ridge_path import RidgePath
from stream_models import CLASSES, NET, classifier, label, regressor


def interrupts(monkeypatch, call, *steps):
    """Run a call once for each step of its way, at which an interrupt comes."""
    for owner, name in steps:
        reached = []

        def interrupt(*args, reached=reached, **options):
            reached.append(1)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, interrupt)
            with pytest.raises(KeyboardInterrupt):
                call()
        assert reached


READ = (RowTable, "merged")
SOLVE = [(FeatureMap, "fill"), (Moments, "update"), (Moments, "path"), (RidgePath, "loo_residuals")]


@pytest.mark.parametrize("make", [regressor, classifier])
def test_an_interrupted_fit_leaves_the_model_of_before(noisy_rows, make, monkeypatch):
    X, y, Z, _ = noisy_rows
    y = y if make is regressor else label(y)
    model = make()
    interrupts(monkeypatch, lambda: model.fit(X, y), READ, *SOLVE)
    with pytest.raises(NotFittedError):
        model.predict(Z)
    for name in ("n_features_in_", "coef_", "map_", "classes_", "kernel_"):
        assert not hasattr(model, name)
    model.fit(X, y)
    expected, before = model.predict(Z), dict(vars(model))
    interrupts(monkeypatch, lambda: model.fit(X[:, :3], y), READ, *SOLVE)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X[:, :3] * np.nan, y)
    assert vars(model) == before
    assert_array_equal(model.predict(Z), expected)


@pytest.mark.parametrize("make", [regressor, classifier])
def test_an_interrupt_counts_no_row_twice(noisy_rows, make, few_are_kept, monkeypatch):
    X, y, Z, _ = noisy_rows
    y = y if make is regressor else label(y)
    known = {} if make is regressor else {"classes": CLASSES}
    model, other = (make().partial_fit(X[:300], y[:300], **known) for _ in range(2))
    before = model._accumulation
    add = [(RowTable, "take"), (accumulation, "joined"), (FeatureMap, "fill"), (Moments, "update")]
    interrupts(monkeypatch, lambda: model.partial_fit(X[300:], y[300:]), *add)
    assert model._accumulation is before
    for part in (slice(300, 550), slice(550, 600)):
        model.partial_fit(X[part], y[part])
        other.partial_fit(X[part], y[part])
    interrupts(monkeypatch, lambda: model.predict(Z), *SOLVE)
    assert_array_equal(model.predict(Z), other.predict(Z))
    assert model.moments_.weight == 600


def test_an_interrupted_transformer_stays_as_it_was(noisy_rows, monkeypatch):
    X, _, Z, _ = noisy_rows
    model = NeuralFeatures(NET, n_components=20)
    interrupts(monkeypatch, lambda: model.fit(X), (FeatureMap, "fit"))
    with pytest.raises(NotFittedError):
        model.transform(Z)
    expected = model.fit(X).transform(Z)
    interrupts(monkeypatch, lambda: model.fit(X[:, :3]), (FeatureMap, "fit"))
    assert_array_equal(model.transform(Z), expected)
