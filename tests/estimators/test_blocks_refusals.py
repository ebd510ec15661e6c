"""What is wrong with a block is said with its number and its rows, and leaves the model as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy.sparse import csr_matrix

import neural_kernels as nk
from neural_kernels.estimators.accumulation import Accumulation
from neural_kernels.solvers.moments import Moments

NET = nk.mlp(1, bias_var=0.1)
RNG = np.random.default_rng(0)
X = RNG.standard_normal((1600, 3))
Y = np.sin(X[:, 0])
Z = RNG.standard_normal((5, 3))


def regressor() -> nk.NeuralFeatureRegressor:
    return nk.NeuralFeatureRegressor(NET, n_components=16, alpha=0.1, random_state=0)


def blocks_with(number: int, change: Any, size: int = 2) -> Iterator[Any]:
    for k in range(len(X) // size):
        block = X[k * size : (k + 1) * size].copy(), Y[k * size : (k + 1) * size].copy(), np.ones(size)
        yield change(*block) if k == number else block


def nan_in_X(x: Any, y: Any, w: Any) -> Any:
    x[1, 2] = np.nan
    return x, y, w


WRONG = {
    "NaN": (731, nan_in_X, ValueError, r"block 731 \(rows 1,462 to 1,463\): X: 1 of 6 .* row 1, column 2\. Remove"),
    "NaN in CSR": (
        0,
        lambda x, y, w: (csr_matrix(nan_in_X(x, y, w)[0]), y, w),
        ValueError,
        "block 0 .*row 1, column 2",
    ),
    "NaN in y": (7, lambda x, y, w: (x, y * np.nan, w), ValueError, r"block 7 \(rows 14 to 15\): Input y contains NaN"),
    "width": (7, lambda x, y, w: (x[:, :2], y, w), ValueError, "block 7 .*: X has 2 features, but .* expecting 3"),
    "images": (7, lambda x, y, w: (x[:, None, None], y, w), ValueError, r"block 7 .*: X has shape \(2, 1, 1, 3\)"),
    "dtype": (7, lambda x, y, w: (x.astype(np.float32), y, w), TypeError, "block 7 .*: X becomes float32, .* float64"),
    "text": (
        7,
        lambda x, y, w: (pd.DataFrame({"a": ["b", "c"]}), y, w),
        TypeError,
        "block 7 .*: X: expected real numb",
    ),
    "complex": (7, lambda x, y, w: (x * 1j, y, w), TypeError, "block 7 .*real numbers"),
    "lengths": (7, lambda x, y, w: (x, y[:1], w), ValueError, "block 7 .*inconsistent numbers of samples"),
    "outputs": (7, lambda x, y, w: (x, np.stack([y, y], 1), w), ValueError, "block 7 .*: y has 2 outputs, .* 1"),
    "no targets": (7, lambda x, y, w: (x,), ValueError, "block 7 .*: no targets: expected blocks"),
    "negative weight": (7, lambda x, y, w: (x, y, -w), ValueError, "block 7 .*non-negative"),
    "a row": (7, lambda x, y, w: (x[0], y[0]), TypeError, r"block 7 is a tuple of 2: expected X, \(X, y\).*DataLoader"),
    "a number": (7, lambda x, y, w: 3.0, TypeError, "block 7 is float: expected X"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_the_block_is_named_and_the_model_stays(case: str, call: str) -> None:
    number, change, kind, message = WRONG[case]
    model = regressor().fit(X[:50], Y[:50])
    before, predictions = dict(vars(model)), model.predict(Z)
    with pytest.raises(kind, match=message):
        getattr(model, call)(blocks_with(number, change))
    assert vars(model) == before
    assert_array_equal(model.predict(Z), predictions)


def test_predictions_name_the_block() -> None:
    model = regressor().fit(X[:50], Y[:50])
    with pytest.raises(ValueError, match=r"block 731 \(rows 1,462 to 1,463\): .* row 1, column 2"):
        model.predict(blocks_with(731, nan_in_X))
    features = nk.NeuralFeatures(NET, n_components=8, random_state=0)
    with pytest.raises(ValueError, match="block 731 "):
        features.fit(blocks_with(731, nan_in_X))
    with pytest.raises(ValueError, match=r"block 7 .*X has 2 features, but NeuralFeatures is expecting 3"):
        features.fit(blocks_with(7, WRONG["width"][1]))


def test_empty_blocks_are_passed_over() -> None:
    def blocks() -> Iterator[Any]:
        for k in range(0, 100, 10):
            yield X[k:k], Y[k:k]
            yield X[k : k + 10], Y[k : k + 10]

    assert_array_equal(
        regressor().fit(blocks()).coef_,
        regressor().fit((X[k : k + 10], Y[k : k + 10]) for k in range(0, 100, 10)).coef_,
    )


@pytest.mark.parametrize("blocks", [[], [(X[:0], Y[:0])]], ids=["no blocks", "empty ones"])
def test_no_rows_at_all(blocks: Any) -> None:
    for call in (regressor().fit, nk.NeuralFeatures(NET).fit):
        with pytest.raises(ValueError, match="no rows in any block"):
            call(iter(blocks))


def test_weights_of_zero() -> None:
    model = regressor()
    with pytest.raises(ValueError, match="none of a sample_weight above zero"):
        model.fit((X[:10], Y[:10], np.zeros(10)) for _ in range(3))
    some = regressor().fit([(X[:10], Y[:10], np.zeros(10)), (X[10:50], Y[10:50], np.ones(40))])
    np.testing.assert_allclose(some.coef_, regressor().fit(X[10:50], Y[10:50]).coef_, rtol=1e-8)


def test_what_comes_beside_blocks() -> None:
    with pytest.raises(TypeError, match=r"y beside blocks: they bring their own, as \(X, y\)"):
        regressor().fit(iter([(X, Y)]), Y)
    with pytest.raises(TypeError, match="sample_weight beside blocks"):
        regressor().fit(iter([(X, Y)]), sample_weight=Y)


def test_labels_unseen_at_first() -> None:
    labels = np.array(["a", "b", "c"])[(Y > 0).astype(int) + (np.arange(1600) > 1200)]
    make = nk.NeuralFeatureClassifier(NET, n_components=16, alpha=0.1, random_state=0)
    blocks = [(X[k : k + 100], labels[k : k + 100]) for k in range(0, 1600, 100)]
    whole = make.fit(X, labels).decision_function(Z)
    np.testing.assert_allclose(make.fit(blocks).decision_function(Z), whole, rtol=1e-6, atol=1e-8)
    assert list(make.classes_) == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"block 12 .*: y holds 'c', which is not among the classes"):
        nk.NeuralFeatureClassifier(NET, n_components=16, random_state=0).partial_fit(blocks, classes=["a", "b"])
    with pytest.raises(ValueError, match="labels of two kinds"):
        make.fit([(X[:10], labels[:10]), (X[:10], np.arange(10))])
    balanced = nk.NeuralFeatureClassifier(NET, n_components=16, alpha=0.1, class_weight="balanced", random_state=0)
    whole = balanced.fit(X, labels).decision_function(Z)
    np.testing.assert_allclose(balanced.fit(iter(blocks)).decision_function(Z), whole, rtol=1e-6, atol=1e-8)


def test_one_class_alone() -> None:
    model = nk.NeuralFeatureClassifier(NET, n_components=16, random_state=0)
    with pytest.raises(ValueError, match="one class"):
        model.fit((X[:10], np.zeros(10)) for _ in range(3))


def test_a_data_set_of_torch() -> None:
    """Rows one by one, which a loader makes blocks of."""

    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self) -> Iterator[Any]:
            return zip(torch.as_tensor(X), torch.as_tensor(Y), strict=True)

    with pytest.raises(TypeError, match=r"block 0 is a tuple of 2.*DataLoader"):
        regressor().fit(iter(Stream()))
    assert regressor().fit(torch.utils.data.DataLoader(Stream(), batch_size=64)).moments_.weight == 1600
    pairs = torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))
    assert_array_equal(regressor().fit(pairs).predict(Z), regressor().fit(iter([(X, Y)])).predict(Z))
    assert regressor().fit([(X, Y)]).predict(torch.utils.data.TensorDataset(torch.as_tensor(Z))).shape == (5,)


@pytest.mark.parametrize("where", ["in a block", "while solving"])
def test_interrupts_leave_the_model(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    model = regressor().fit(X[:50], Y[:50])
    before, predictions = dict(vars(model)), model.predict(Z)
    owner, name = {"in a block": (Accumulation, "add"), "while solving": (Moments, "solve")}[where]
    monkeypatch.setattr(owner, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        model.fit((X[k : k + 10], Y[k : k + 10]) for k in range(0, 100, 10))
    assert vars(model) == before
    assert_array_equal(model.predict(Z), predictions)


def test_progress_is_that_of_all_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y)), 400)
    model = regressor().set_params(verbose=1).fit(loader)
    text = capsys.readouterr().err
    assert "1.60k/1.60k" in text
    assert text.count("features: 100%") == 1
    model.predict(loader)
    assert "NeuralFeatureRegressor: 100%" in capsys.readouterr().err
