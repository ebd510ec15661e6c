"""Classifiers take one label a row: a column with scikit-learn's warning, several by scikit-learn's wrappers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.datasets import make_multilabel_classification
from sklearn.exceptions import DataConversionWarning
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier

import neural_kernels as nk

X, LABELS = make_multilabel_classification(80, 6, n_classes=3, random_state=0)
ONE = LABELS[:, 0]
KERNEL = nk.NeuralKernelClassifier(alpha=0.1)
FEATURES = nk.NeuralFeatureClassifier(n_components=32, random_state=0)
LOGISTIC = nk.NeuralFeatureLogisticClassifier(n_components=32, random_state=0)
MODELS = [KERNEL, FEATURES, LOGISTIC, nk.FeatureLearning(nk.NeuralKernelClassifier()), nk.TableClassifier()]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_a_column_of_labels_is_taken_with_a_warning(model: Any) -> None:
    with pytest.warns(DataConversionWarning, match="column-vector") as warned:
        column = model.fit(X, ONE[:, None]).predict(X)
    assert len(warned) == 1
    assert np.array_equal(column, model.fit(X, ONE).predict(X))


@pytest.mark.parametrize("y", [LABELS, LABELS.astype(str), pd.DataFrame(LABELS), sparse.csr_matrix(LABELS)], ids=type)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_several_labels_are_refused_with_what_takes_them(model: Any, y: Any) -> None:
    with pytest.raises(ValueError, match=r"y has shape \(80, 3\).*OneVsRestClassifier.*MultiOutputClassifier"):
        model.fit(X, y)


@pytest.mark.parametrize("model", [KERNEL, FEATURES, LOGISTIC], ids=lambda model: type(model).__name__)
def test_what_the_refusal_names_takes_them(model: Any) -> None:
    rest = OneVsRestClassifier(model).fit(X, LABELS)
    apart = [model.fit(X, column) for column in LABELS.T]
    assert rest.predict_proba(X).shape == LABELS.shape
    assert np.array_equal(MultiOutputClassifier(model).fit(X, LABELS).predict(X), rest.predict(X))
    assert np.array_equal(rest.predict(X)[:, -1], apart[-1].predict(X))
    assert (rest.predict(X) == LABELS).mean() > 0.85
