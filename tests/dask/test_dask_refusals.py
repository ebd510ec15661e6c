"""What is said where a collection, a cluster or the rows of a partition will not do."""

from __future__ import annotations

import warnings

import dask
import dask.array as da
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

import neural_kernels as nk
from neural_kernels.dask import DaskNeuralFeatureClassifier, DaskNeuralFeatureRegressor, DaskNeuralFeatures

X = np.random.default_rng(0).normal(size=(90, 3))
Y = X[:, 0]
DX, DY = da.from_array(X, chunks=(30, 3)), da.from_array(Y, chunks=30)
MODEL = DaskNeuralFeatureRegressor(n_components=16, random_state=0)


def test_columns_in_chunks():
    split = da.from_array(X, chunks=(30, 1))
    with pytest.raises(ValueError, match=r"X has its columns in chunks, \(3, 3\).*X\.rechunk\(\{1: -1\}\)"):
        MODEL.fit(split, DY)
    with pytest.raises(ValueError, match=r"X\.rechunk\(\{1: -1\}\)"):
        MODEL.fit(DX, DY).predict(split)


@pytest.mark.parametrize("given", [X, X.tolist(), [], dask.delayed(X), "rows.parquet"], ids=lambda v: type(v).__name__)
def test_no_collection(given):
    with pytest.raises(TypeError, match=r"X: got .*; expected a Dask array chunked by rows.*list of delayed parts"):
        MODEL.fit(given, DY)
    with pytest.raises(TypeError, match="X: got"):
        MODEL.fit(DX, DY).predict(given)
    with pytest.raises(TypeError, match="y: got ndarray"):
        MODEL.fit(DX, Y)


def test_other_partitions_of_targets():
    with pytest.raises(ValueError, match="y has 1 partitions, X has 3: repartition them alike"):
        MODEL.fit(DX, [dask.delayed(Y)])
    assert MODEL.fit(DX, da.from_array(Y, chunks=45)).coef_.shape == (16,)  # known sizes are made equal


def test_what_is_wrong_with_a_partition(cluster_or_none):
    model = DaskNeuralFeatureRegressor(n_components=16, client=cluster_or_none)
    spoilt = X.copy()
    spoilt[70, 1] = np.nan
    with pytest.raises(ValueError, match="partition 2: Input X contains NaN"):
        model.fit(da.from_array(spoilt, chunks=(30, 3)), DY)
    with pytest.raises(ValueError, match=r"partition 1: .*inconsistent"):
        model.fit([dask.delayed(X[:40]), dask.delayed(X[40:])], [dask.delayed(Y[:40]), dask.delayed(Y[41:])])
    with pytest.raises(ValueError, match=r"rows of \(3,\) and of \(2,\)"):
        model.fit([dask.delayed(X[:40]), dask.delayed(X[40:, :2])], [dask.delayed(Y[:40]), dask.delayed(Y[40:])])
    with pytest.raises(ValueError, match="a tuple of 4"):
        model.fit([dask.delayed((X, Y, Y, Y))])
    with pytest.raises(ValueError, match="no rows"):
        model.fit(DX[:0], DY[:0])
    with pytest.raises(ValueError, match="sample_weight above zero"):
        model.fit(DX, DY, da.zeros(90, chunks=30))
    assert not hasattr(model, "coef_")
    assert not model.__sklearn_is_fitted__()


@pytest.mark.parametrize("name", ["NeuralFeatureRegressor", "NeuralFeatureClassifier", "NeuralFeatures"])
def test_estimators_of_arrays_name_those_of_collections(name):
    model = getattr(nk, name)(n_components=8)
    for lazy in (DX, [dask.delayed(X)]):
        with pytest.raises(TypeError, match=rf"X is a lazy collection of Dask.*neural_kernels\.dask\.Dask{name} takes"):
            model.fit(lazy, Y)
    with pytest.raises(TypeError, match=rf"X is a lazy.*Dask{name}"):
        model.partial_fit(DX, DY) if hasattr(model, "partial_fit") else model.fit_transform(DX)
    model.fit(X, Y > 0)
    with pytest.raises(TypeError, match=rf"X is a lazy.*Dask{name}"):
        model.transform(DX) if hasattr(model, "transform") else model.predict(DX)


def test_exact_estimators_refuse_what_is_lazy():
    with pytest.raises(TypeError, match=r"X is a lazy collection.*compute\(\)"):
        nk.NeuralKernelRegressor().fit(DX, Y)
    with pytest.raises(TypeError, match=r"y is a lazy collection.*compute\(\)"):
        nk.NeuralKernelRegressor().fit(X, DY)


def test_a_failed_fit_leaves_the_model():
    model = DaskNeuralFeatureRegressor(n_components=16, random_state=0).fit(DX, DY)
    before = model.coef_
    with pytest.raises(ValueError, match="partition"):
        model.fit(DX * np.nan, DY)
    assert np.array_equal(model.coef_, before)


def test_one_class():
    with pytest.raises(ValueError, match="one class"):
        DaskNeuralFeatureClassifier(n_components=16).fit(DX, DY > 100)


def test_not_fitted():
    model = DaskNeuralFeatureRegressor()
    for call in (lambda: model.predict(DX), model.to_local, lambda: DaskNeuralFeatures().transform(DX)):
        with pytest.raises(NotFittedError):
            call()
    with pytest.raises(AttributeError, match="no attribute 'predictions'"):
        _ = model.predictions


def test_memory_of_a_worker():
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 1, "processes": False, "dashboard_address": ":0", "memory_limit": "200 MiB"}
    said = r"4,096 features takes [\d,]+ bytes on each worker; .* of 209,715,200"
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        model = DaskNeuralFeatureRegressor(n_components=4096, client=client)
        with pytest.raises(MemoryError, match=said):
            model.fit(DX, DY)


def test_no_workers():
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": 0, "processes": False, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        model = DaskNeuralFeatureRegressor(client=client)
        with pytest.raises(RuntimeError, match=r"no workers.*wait_for_workers"):
            model.fit(DX, DY)


def test_columns_on_other_scales(cluster_or_none):
    """What a worker warns of is said here."""
    scaled = da.from_array(X * [1, 1, 1e6], chunks=(30, 3))
    with pytest.warns(nk.ScaleWarning):
        DaskNeuralFeatureRegressor(n_components=16, client=cluster_or_none).fit(scaled, DY)
    with pytest.warns(nk.ScaleWarning):
        DaskNeuralFeatures(n_components=16, client=cluster_or_none).fit(scaled)


def test_nothing_is_said_of_sound_rows(cluster_or_none):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DaskNeuralFeatureRegressor(n_components=16, client=cluster_or_none).fit(DX, DY).predict(DX).compute()
