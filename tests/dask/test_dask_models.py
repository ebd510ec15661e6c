"""Models of Dask collections are those of the same rows in memory, whatever the partitions and workers."""

from __future__ import annotations

import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone

import neural_kernels as nk
from neural_kernels.dask import DaskNeuralFeatureClassifier, DaskNeuralFeatureRegressor, DaskNeuralFeatures
from neural_kernels.dask.part_sums import PartSums
from neural_kernels.estimators.survey import map_of

RNG = np.random.default_rng(3)
X = RNG.normal(size=(1500, 3))
Y = X[:, 0] * X[:, 1] + 0.1 * RNG.normal(size=1500)
LABELS = np.array(["low", "mid", "high"])[np.digitize(Y, [-0.5, 0.5])]
SETTINGS = {"n_components": 48, "random_state": 0, "memory_budget": 2**24}  # more rows than are kept: 1,024
METHODS = [None, nk.RandomFeatures(), nk.ZonalFeatures(), nk.PolynomialSketch()]


def rows(values, chunk=400):
    return da.from_array(values, chunks=(chunk, *values.shape[1:]))


def distance(one, other) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.fixture(scope="module")
def plain():
    return nk.NeuralFeatureRegressor(**SETTINGS).fit(X, Y)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers(plain, cluster, workers):
    with cluster(workers):
        model = DaskNeuralFeatureRegressor(**SETTINGS).fit(rows(X), rows(Y))
    assert distance(model.coef_, plain.coef_) < 1e-10
    assert model.alpha_ == plain.alpha_
    assert np.allclose(model.loo_scores_, plain.loo_scores_, rtol=1e-8)


def test_without_a_cluster(plain, alone):
    model = DaskNeuralFeatureRegressor(**SETTINGS).fit(rows(X), rows(Y))
    assert distance(model.coef_, plain.coef_) < 1e-10
    assert np.allclose(model.predict(rows(X)), plain.predict(X), atol=1e-8)


@pytest.mark.parametrize("method", METHODS, ids=str)
def test_any_method(client, method):
    """Those that look at some rows by their place have another map of all rows than of a sample."""
    settings = SETTINGS | {"method": method, "network": nk.mlp(2), "alpha": [1e-1, 1e-2]}
    model = DaskNeuralFeatureRegressor(**settings, client=client).fit(rows(X), rows(Y))
    same_map = model.to_local().empty_copy().partial_fit(X, Y)
    assert distance(model.coef_, same_map.coef_) < 1e-10
    other = DaskNeuralFeatureRegressor(**settings).fit(rows(X[::-1], 111), rows(Y[::-1], 111))
    assert distance(other.coef_, model.coef_) < 1e-10


@settings(max_examples=10)
@given(st.lists(st.integers(0, 1500), max_size=5))
def test_any_partitioning(plain, client, cuts):
    bounds = [0, *sorted(cuts), 1500]
    lengths = tuple(int(length) for length in np.diff(bounds))  # some of them empty
    dX, dy = da.from_array(X, chunks=(lengths, (3,))), da.from_array(Y, chunks=(lengths,))
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(dX, dy)
    assert distance(model.coef_, plain.coef_) < 1e-10


def test_few_rows_and_float32(client):
    few, settings = X[:90].astype(np.float32), SETTINGS | {"alpha": 1.0}
    plain = nk.NeuralFeatureRegressor(**settings).fit(few, Y[:90])
    model = DaskNeuralFeatureRegressor(**settings, client=client).fit(rows(few, 20), rows(Y[:90], 20))
    assert distance(model.coef_, plain.coef_) < 1e-6
    assert DaskNeuralFeatures(n_components=16).fit(rows(few, 20)).transform(rows(few, 20)).dtype == np.float32


def test_several_outputs_and_weights(client):
    targets, weights = np.stack([Y, -X[:, 2]], axis=1), RNG.integers(0, 3, 1500).astype(float)
    plain = nk.NeuralFeatureRegressor(**SETTINGS).fit(X, targets, weights)
    model = DaskNeuralFeatureRegressor(**SETTINGS).fit(rows(X), rows(targets), rows(weights))
    assert distance(model.coef_, plain.coef_) < 1e-10
    lazy = model.predict(rows(X))
    assert lazy.chunks == ((400, 400, 400, 300), (2,))
    assert np.allclose(lazy, plain.predict(X), atol=1e-8)


@pytest.mark.parametrize("class_weight", [None, "balanced", {"low": 2.0}], ids=str)
def test_classifier(client, class_weight):
    settings = SETTINGS | {"class_weight": class_weight}
    plain = nk.NeuralFeatureClassifier(**settings).fit(X, LABELS)
    order = np.argsort(LABELS, kind="stable")  # labels come one after the other, in other partitions
    model = DaskNeuralFeatureClassifier(**settings, client=client).fit(rows(X[order]), rows(LABELS[order]))
    assert distance(model.coef_, plain.coef_) < 1e-10
    assert model.classes_.tolist() == ["high", "low", "mid"]
    assert (model.predict(rows(X)).compute() == plain.predict(X)).all()
    assert np.allclose(model.predict_proba(rows(X)), plain.predict_proba(X), atol=1e-6)
    assert np.allclose(model.predict_log_proba(rows(X)), plain.predict_log_proba(X), atol=1e-6)
    assert np.allclose(model.decision_function(rows(X)), plain.decision_function(X), atol=1e-7)
    assert model.to_local().get_params() == plain.get_params()


def test_two_classes(alone):
    y = Y > 0
    plain = nk.NeuralFeatureClassifier(**SETTINGS).fit(X, y)
    model = DaskNeuralFeatureClassifier(**SETTINGS).fit(rows(X), rows(y))
    assert np.allclose(model.decision_function(rows(X)), plain.decision_function(X), atol=1e-7)
    assert model.predict(rows(X)).dtype == bool


def test_transformer(client):
    plain = nk.NeuralFeatures(n_components=48, random_state=0).fit(X)
    for chosen in (None, client):
        model = DaskNeuralFeatures(n_components=48, random_state=0, client=chosen)
        lazy = model.fit_transform(rows(X))
        assert lazy.chunks == ((400, 400, 400, 300), (48,))
        assert np.allclose(lazy, plain.transform(X))
    assert model.get_feature_names_out().tolist() == plain.get_feature_names_out().tolist()


def test_images_stay_images(client):
    images, y = RNG.normal(size=(60, 1, 6, 6)), RNG.normal(size=60)
    settings = {"network": nk.cnn(1), "n_components": 32, "random_state": 0}
    plain = nk.NeuralFeatureRegressor(**settings).fit(images, y)
    model = DaskNeuralFeatureRegressor(**settings, client=client).fit(rows(images, 25), rows(y, 25))
    assert distance(model.coef_, plain.coef_) < 1e-8
    assert np.allclose(model.predict(rows(images, 25)), plain.predict(images), atol=1e-8)


def test_unknown_chunk_sizes(client, plain):
    keep = rows(X[:, 2]) > -100
    dX, dy = rows(X)[keep], rows(Y)[keep]
    assert np.isnan(dX.shape[0])
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(dX, dy)
    assert distance(model.coef_, plain.coef_) < 1e-10
    assert np.allclose(model.predict(dX).compute(), plain.predict(X), atol=1e-8)


def test_delayed_parts(cluster_or_none, plain):
    pairs = [(sparse.csr_matrix(X[part]), Y[part]) for part in (slice(0, 500), slice(500, 500), slice(500, 1500))]
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=cluster_or_none)
    together = [dask.delayed(pair) for pair in pairs]
    apart = [dask.delayed(x) for x, _ in pairs], [dask.delayed(y) for _, y in pairs]
    for collections in ((together,), apart):
        assert distance(model.fit(*collections).coef_, plain.coef_) < 1e-10
    parts = dask.compute(*model.predict(apart[0]))
    assert [len(part) for part in parts] == [500, 0, 1000]
    assert np.allclose(np.concatenate(parts), plain.predict(X), atol=1e-8)


def test_what_is_in_the_memory_of_a_cluster(client, plain):
    """Persisted collections, lazy ones with a persisted part, and scattered arrays."""
    held, y = rows(X).persist(), rows(Y).persist()
    shift = rows(X).mean(axis=0).persist()
    scattered = client.scatter([X[:800], X[800:]]), client.scatter([Y[:800], Y[800:]])
    for dX, dy in ((held, y), (held + 0, rows(Y)), (rows(X) - 0 * shift, y), scattered):
        model = DaskNeuralFeatureRegressor(**SETTINGS).fit(dX, dy)
        assert distance(model.coef_, plain.coef_) < 1e-10
    first, second = dask.compute(*model.predict(scattered[0]))
    assert np.allclose(np.concatenate([first, second]), plain.predict(X), atol=1e-8)


def test_data_frames(client, plain):
    dd = pytest.importorskip("dask.dataframe")
    import pandas as pd

    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    local = nk.NeuralFeatureRegressor(**SETTINGS).fit(frame, Y)
    dX, dy = dd.from_pandas(frame, npartitions=3), dd.from_pandas(pd.Series(Y), npartitions=3)
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(dX, dy)
    assert distance(model.coef_, local.coef_) < 1e-10
    assert model.to_local().feature_names_in_.tolist() == ["a", "b", "c"]
    predicted = model.predict(dX)
    assert predicted.npartitions == 3
    assert np.allclose(predicted.compute(), plain.predict(X), atol=1e-8)
    assert predicted.compute().index.equals(frame.index)
    features = DaskNeuralFeatures(n_components=8, random_state=0).fit(dX).transform(dX).compute()
    assert features.shape == (1500, 8)


def test_to_local_goes_on(client, plain):
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(rows(X[:1200]), rows(Y[:1200]))
    before, local = model.coef_, pickle.loads(pickle.dumps(model.to_local()))
    local.partial_fit(X[1200:], Y[1200:])
    assert local.moments_.weight == 1500
    assert np.array_equal(model.coef_, before)
    assert type(local) is nk.NeuralFeatureRegressor
    deviations = model.to_local().predict(X[:5], return_std=True)[1]
    assert deviations.shape == (5,)


def test_pickle_leaves_the_client_out(client):
    model = DaskNeuralFeatureRegressor(**SETTINGS, client=client).fit(rows(X), rows(Y))
    lazy = model.predict(rows(X)).compute()
    again = pickle.loads(pickle.dumps(model))
    assert again.client is None
    assert np.array_equal(again.predict(rows(X)).compute(), lazy)
    assert clone(model).client is client


def sent(client) -> int:
    """Bytes that workers sent to each other, by the sizes of models in memory."""
    logs = client.run(
        lambda dask_worker: [(entry["who"], entry["total"]) for entry in dask_worker.transfer_outgoing_log]
    )
    return sum(total for log in logs.values() for who, total in log if who is not None)


def test_each_worker_sends_its_sums_once(client, plain):
    """However many partitions there are."""
    moments, fits = 8 * 256**2, []
    for chunk in (750, 15):
        before = sent(client)
        DaskNeuralFeatureRegressor(n_components=256, random_state=0).fit(rows(X, chunk), rows(Y, chunk))
        fits.append(sent(client) - before)
    assert moments < min(fits)
    assert max(fits) < 2.5 * 2 * moments
    assert abs(fits[1] - fits[0]) < 0.25 * moments


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_what_travels_is_packed(dtype):
    """To each worker a map, and from each half of a square, and rows."""
    some = X[:600].astype(dtype)
    model = nk.NeuralFeatureRegressor(n_components=512, random_state=0).fit(some, Y[:600]).empty_copy()
    begun = pickle.dumps(model)
    fitted = map_of(model)
    sums = PartSums(model.partial_fit(some, Y[:600]))
    sent = pickle.dumps(sums)
    assert len(begun) < (1.1 if dtype is np.float64 else 0.6) * 8 * 512**2
    assert len(sent) < 0.6 * 8 * 512**2
    again = pickle.loads(pickle.dumps(pickle.loads(sent))).model(fitted)
    assert again.map_ is fitted
    assert np.array_equal(again.coef_, sums.model(fitted).coef_)
