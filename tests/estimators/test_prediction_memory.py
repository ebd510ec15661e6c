"""What predictions of exact models take, beside what the model holds, stays within `memory_budget`."""

import tracemalloc

import numpy as np
import pytest

import neural_kernels as nk

ROWS, NEW = 700, 600
NETWORK = nk.mlp(1, bias_var=0.1)
PREDICTIONS = {
    "mean": lambda model, X: model.predict(X),
    "std": lambda model, X: model.predict(X, return_std=True),
    "interval": lambda model, X: model.predict_interval(X),
    "novelty": lambda model, X: model.novelty(X),
}


def fitted(kernel="nngp", dtype=np.float64, outputs=1):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(ROWS, 3)).astype(dtype), rng.normal(size=(NEW, 3)).astype(dtype)
    y = rng.normal(size=(ROWS, outputs))
    model = nk.NeuralKernelRegressor(NETWORK, kernel=kernel, alpha=0.1, keep_factor=True).fit(X, y)
    model.predict(new[:5], return_std=True)  # what is computed once and held
    model.predict_interval(new[:5])
    return model, new


def peak(work):
    """Bytes of NumPy's arrays at most, beside those that were there."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_predictions_keep_the_budget_and_are_the_same_in_blocks(kernel, prediction):
    model, X = fitted(kernel)
    predict = PREDICTIONS[prediction]
    whole = predict(model, X)
    without = peak(lambda: predict(model, X))
    model.memory_budget = 1_200_000
    slack = 256 * ROWS * 8 if prediction == "novelty" else 0  # 100 training rows whose median it is
    assert peak(lambda: predict(model, X)) < model.memory_budget + slack
    assert prediction in ("mean", "novelty") or without > 2 * model.memory_budget  # blocks were needed
    np.testing.assert_allclose(predict(model, X), whole, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("outputs", [1, 3])
def test_covariances_take_no_more_than_is_said_before(kernel, dtype, outputs):
    model, X = fitted(kernel, dtype, outputs)
    model.memory_budget = 1_000_000
    with pytest.raises(MemoryError, match=r"covariances of 600 rows take ([\d,]+) bytes.*return_std") as error:
        model.predict(X, return_cov=True)
    said = int(str(error.value).split("take ")[1].split(" bytes")[0].replace(",", ""))
    model.memory_budget = said
    taken = peak(lambda: model.predict(X, return_cov=True))
    assert 0.5 * said < taken < said


def test_covariances_that_exceed_the_budget_are_refused_before_anything_large_is_made():
    model, X = fitted()
    model.memory_budget = 1_000_000

    def refused():
        with pytest.raises(MemoryError):
            model.predict(X, return_cov=True)

    assert peak(refused) < model.memory_budget


@pytest.mark.parametrize("kind", [nk.NeuralFeatureClassifier, nk.NeuralFeatureLogisticClassifier])
def test_labels_of_blocks_are_held_and_no_scores(kind, tmp_path):
    rng = np.random.default_rng(0)
    rows = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (200_000, 2))
    rows[:] = rng.standard_normal(rows.shape)
    model = kind(NETWORK, n_components=4, random_state=0, memory_budget=1_000_000)
    labels = (rows[:, 0] > 0).astype(np.int8) + (rows[:, 1] > 0).astype(np.int8)
    model.fit(rows[:300], labels[:300])
    model.predict(rows[:1000])
    assert peak(lambda: model.predict(rows)) < 8 * len(rows)  # a label takes one byte, scores of three classes 24
    np.testing.assert_array_equal(model.predict(rows)[-50:], model.predict(np.array(rows[-50:])))
    np.testing.assert_allclose(model.predict_proba(rows)[-50:], model.predict_proba(np.array(rows[-50:])), rtol=1e-4)
