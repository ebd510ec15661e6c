"""How many columns: found by error on held-out rows, for every method, or refused with the best that there is."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from neural_kernels.activations import ReLU
from neural_kernels.exact import NTK, Laplace
from neural_kernels.exact.graphs import Graphs
from neural_kernels.features import (
    Nystrom,
    PolynomialSketch,
    RandomFeatures,
    UnsuitableError,
    ZonalFeatures,
    feature_map,
    min_components,
)
from neural_kernels.features.fidelity import GramErrors
from neural_kernels.layers import Conv, Dense, Sequential, cnn, mlp

NET = mlp(2)
METHODS = [
    Nystrom(),
    Nystrom("rpcholesky"),
    ZonalFeatures(),
    ZonalFeatures(anchors=16),
    RandomFeatures(),
    PolynomialSketch(degree=8),
]


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).standard_normal((900, 4))


@pytest.fixture(scope="module")
def others():
    return np.random.default_rng(1).standard_normal((300, 4))


def error_on(phi, net, x):
    return GramErrors.of(torch.as_tensor(NTK(net)(x)), torch.as_tensor(phi(x))).centred


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_a_map_with_so_many_columns_has_the_error_on_rows_never_seen(rows, others, method):
    m = min_components(NET, rows, error=0.2, method=method)
    assert error_on(feature_map(NET, n_components=m, method=method).fit(rows), NET, others) < 0.25
    few = feature_map(NET, n_components=max(4, m // 3), method=method).fit(rows)
    assert error_on(few, NET, others) > 0.2


def test_the_smallest_of_nested_maps_is_found_to_the_column(rows, others):
    known, held_out = rows[:600], others
    phi = feature_map(NET, n_components=200, method=Nystrom()).fit(known)
    exact, features = torch.as_tensor(NTK(NET)(held_out)), torch.as_tensor(phi(held_out))
    errors = [GramErrors.of(exact, features[:, :m]).centred for m in range(1, 201)]
    expected = 1 + int(np.argmax(np.array(errors) <= 0.1))
    assert min_components(NET, rows, error=0.1) == pytest.approx(expected, rel=0.15)
    counts = [min_components(NET, rows, error=e) for e in (0.5, 0.2, 0.1, 0.05)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] / 4


@pytest.mark.parametrize("make", [torch.from_numpy, sparse.csr_matrix, np.flipud])
def test_the_kind_and_the_order_of_rows_do_not_matter(rows, make):
    assert min_components(NET, make(rows)) == min_components(NET, rows)


def test_the_number_is_that_of_the_seed(rows):
    assert min_components(NET, rows, seed=3) == min_components(NET, rows, seed=3)
    assert min_components(NET, rows, seed=3) == pytest.approx(min_components(NET, rows), rel=0.3)


def test_other_kernels(rows):
    nngp, ntk = (min_components(NET, rows, kernel=kernel) for kernel in ("nngp", "ntk"))
    assert nngp < ntk
    assert min_components(None, rows, kernel=NTK(NET)) == ntk
    assert 1 < min_components(None, rows, kernel=Laplace(0.1)) < 600


# By 15 examples of norms that differ tenfold; a handful of landmarks, which .2 takes, scatters more than the bound.
@pytest.mark.parametrize(("method", "error"), [(RandomFeatures(), 0.2), (None, 0.02)], ids=repr)
def test_images(method, error):
    images = np.random.default_rng(0).standard_normal((60, 1, 6, 6)).cumsum(axis=2).cumsum(axis=3)
    net = cnn(1)
    m = min_components(net, images, error=error, method=method)
    phi = feature_map(net, n_components=m, method=method).fit(images)
    assert phi.centred_kernel_error_ < 1.5 * error


@pytest.mark.parametrize("method", [None, ZonalFeatures(), RandomFeatures()], ids=repr)
def test_auto_is_five_percent(rows, method):
    phi = feature_map(NET, n_components="auto", method=method)
    assert "auto" in repr(phi)
    phi.fit(rows)
    assert phi.n_components == min_components(NET, rows, error=0.05, method=method)
    assert phi(rows[:7]).shape == (7, phi.n_components)
    assert phi.centred_kernel_error_ < 0.06
    assert phi.learned.max(initial=0) < len(rows)
    wide = phi.n_components
    assert phi.fit(rows[:, :2]).n_components < wide  # fitted again, it is found again


def test_auto_needs_data(rows):
    with pytest.raises(ValueError, match=r"found on data: call fit\(x\)"):
        feature_map(NET, n_components="auto", method=RandomFeatures())(rows)
    with pytest.raises(ValueError, match='expected a positive integer or "auto"'):
        feature_map(NET, n_components="many")


def test_what_cannot_be_reached():
    x = np.random.default_rng(0).standard_normal((200, 50))
    with pytest.raises(ValueError, match=r"up to 150 columns; the smallest is 0\.\d+, with 150; .* need more rows"):
        min_components(NET, x)
    with pytest.raises(ValueError, match=r"up to 256 columns.*give a larger limit"):
        min_components(NET, x, method=RandomFeatures(), at_most=256)
    with pytest.warns(UserWarning, match='n_components="auto": .* not reached with up to 150 columns'):
        phi = feature_map(NET, n_components="auto").fit(x)
    assert phi.n_components == 150


@given(error=st.one_of(st.floats(max_value=0.0), st.floats(min_value=1.0), st.just(np.nan)))
def test_refuses_errors(error):
    with pytest.raises(ValueError, match="error="):
        min_components(NET, np.eye(40), error=error)


@given(n=st.integers(1, 31), copies=st.integers(1, 4))
def test_refuses_few_distinct_rows(n, copies):
    x = np.random.default_rng(0).standard_normal((n, 3))
    with pytest.raises(ValueError, match=f"{n} distinct rows are too few"):
        min_components(NET, np.tile(x, (copies, 1)))
    with pytest.raises(ValueError, match=f"{n} distinct rows are too few"):
        feature_map(NET, n_components="auto").fit(np.tile(x, (copies, 1)))


@given(n=st.integers(32, 60), error=st.floats(0.01, 0.9), method=st.sampled_from([*METHODS, None]))
def test_small_sets_get_a_number_or_advice(n, error, method):
    x = np.random.default_rng(n).standard_normal((n, 3))
    try:
        answer = str(min_components(NET, x, error=error, method=method, at_most=512))
    except ValueError as refusal:
        answer = str(refusal)
    assert answer.isdigit() or "not reached" in answer


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"error": "5 %"}, TypeError, "error="),
        ({"error": None}, TypeError, "error="),
        ({"at_most": 0}, ValueError, "at_most=0"),
        ({"at_most": "auto"}, TypeError, "at_most='auto'"),
        ({"method": "nystrom"}, TypeError, "method='nystrom'"),
        ({"kernel": "rbf"}, ValueError, "rbf"),
        ({"seed": -1}, ValueError, "seed=-1"),
    ],
    ids=repr,
)
def test_refuses_other_parameters(rows, options, kind, message):
    with pytest.raises(kind, match=message):
        min_components(NET, rows, **options)


def test_refuses_what_has_no_features(rows):
    with pytest.raises(UnsuitableError, match="graphs"):
        min_components(NET, Graphs(np.ones((40, 3, 4)), np.ones((40, 3, 3))))
    with pytest.raises(UnsuitableError):
        min_components(mlp(2, bias_var=0.1), rows, method=ZonalFeatures())
    images = rows[:, :, None, None] * np.ones((4, 4))
    with pytest.raises(UnsuitableError, match="Flatten"):
        min_components(Sequential(Conv(3), ReLU(), Dense()), images, method=Nystrom())
    with pytest.raises(ValueError, match="NaN"):
        min_components(NET, np.where(rows > 3, np.nan, rows))


def test_a_kernel_without_variation_takes_hardly_any_columns(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert min_components(Sequential(Dense(0.0, 1.0), ReLU(), Dense(0.0, 1.0)), rows) <= 4
