"""Landmarks layer by layer: images of any scale, size and make, rows, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import neural_kernels as nk
from some_images import images, natural
from usual import others_are_slow

MEAN = nk.GlobalAvgPool(), nk.Dense()

# Of a bounded activation at large inputs the tangent kernel is a diagonal, which no landmarks have.
SCALES = [(nk.GELU(), (1e-5, 1e-2, 10.0, 1e4)), (nk.Erf(), (1e-5, 1e-2, 1.0))]


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_homogeneous_networks_take_any_scale(scale):
    x = scale * natural(30)
    z, exact = nk.feature_map(nk.cnn(2), n_components=256).fit(x)(x), nk.NTK(nk.cnn(2))(x)
    assert np.linalg.norm(z @ z.T - exact) < 0.05 * np.linalg.norm(exact)


GELU, ERF = ([(activation, scale) for scale in scales] for activation, scales in SCALES)


@pytest.mark.parametrize("case", others_are_slow([*GELU, *ERF], [GELU[0], GELU[2], *ERF]), ids=repr)
def test_other_networks_keep_their_error_at_any_scale(case):
    activation, scale = case
    net = nk.Sequential(nk.Conv(3), activation, nk.Conv(3), activation, *MEAN)
    x = (scale * natural(30)).astype(np.float32)
    z = nk.feature_map(net, n_components=256).fit(x)(x).astype(np.float64)
    exact = nk.NTK(net)(x.astype(np.float64))
    assert np.linalg.norm(z @ z.T - exact) < 0.05 * np.linalg.norm(exact)


def test_a_function_that_grows_beyond_all_numbers():
    """Exponentials: what single precision cannot hold of them lies far beyond the units that occur."""
    net = nk.Sequential(nk.Conv(3), nk.LayerNorm(), nk.Exp(b=0.5), *MEAN)
    x = natural(30)
    z = nk.feature_map(net, n_components=256).fit(x)(x)
    assert np.linalg.norm(z @ z.T - nk.NTK(net)(x)) < 0.05 * np.linalg.norm(nk.NTK(net)(x))


def test_images_that_tell_little():
    net = nk.cnn(2)
    for x in (np.zeros((5, 3, 4, 4)), np.ones((5, 3, 4, 4)), natural(1), natural(5, size=1), natural(5, size=2)):
        z, exact = nk.feature_map(net, n_components=64).fit(x)(x), nk.NTK(net)(x)
        assert z.shape == (len(x), 64)
        assert np.linalg.norm(z @ z.T - exact) <= 0.02 * np.linalg.norm(exact)


def test_bytes_are_numbers():
    x = (255 * np.random.default_rng(0).random((20, 3, 6, 6))).astype(np.uint8)
    phi = nk.feature_map(nk.cnn(1), n_components=64).fit(x)
    np.testing.assert_allclose(phi(x), phi(x.astype(phi(x).dtype)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"landmarks": 0}, "landmarks"),
        ({"values": 0}, "values"),
        ({"windows": 1.5}, "windows"),
        ({"last": -3}, "last"),
        ({"residual": -1}, "residual"),
        ({"error": 0.0}, "error"),
        ({"error": math.nan}, "error"),
        ({"error": 2.0}, "error"),
        ({"sample": 0}, "sample"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises((TypeError, ValueError), match=message):
        nk.LayerwiseLandmarks(**settings)


def test_what_has_no_landmarks_is_refused_with_advice():
    x = images()
    method = nk.LayerwiseLandmarks()
    for net, word in (
        (nk.Sequential(nk.Conv(3), nk.ReLU(), nk.Attention(), *MEAN), "attention"),
        (nk.Sequential(nk.LocalConv(3), nk.ReLU(), *MEAN), "Flatten"),
        (nk.Sequential(nk.Conv(3), nk.ReLU()), "GlobalAvgPool"),
    ):
        with pytest.raises(nk.UnsuitableError, match=word):
            nk.feature_map(net, n_components=8, method=method).fit(x)
    with pytest.raises(nk.UnsuitableError, match="network"):
        nk.feature_map(kernel=nk.Laplace(), n_components=8, method=method).fit(x)
    with pytest.raises(nk.UnsuitableError, match="residual"):
        nk.feature_map(nk.cnn(1), n_components=8, method=nk.LayerwiseLandmarks(residual=8)).fit(x)


@settings(max_examples=25, deadline=None)
@given(
    n=st.integers(1, 6),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    columns=st.integers(1, 40),
    flat=st.booleans(),
    seed=st.integers(0, 9),
)
def test_any_small_shape(n, height, width, columns, flat, seed):
    x = images(n, (2, height, width), seed)
    net = nk.cnn(2, pooling="flatten" if flat else "avg")
    z = nk.feature_map(net, n_components=columns).fit(x)(x)
    assert z.shape == (n, columns)
    assert np.isfinite(z).all()
    assert (z * z).sum(1) == pytest.approx(nk.NTK(net).diag(x), rel=0.9, abs=1e-9)


def test_vectors_without_data():
    """Normal rows are what landmarks are taken from; it was a torch error."""
    rows = np.random.default_rng(0).standard_normal((40, 5))
    phi = nk.feature_map(nk.mlp(2), n_components=512, method=nk.LayerwiseLandmarks())
    features, exact = phi(rows), nk.NTK(nk.mlp(2))(rows)
    assert np.linalg.norm(features @ features.T - exact) < 0.1 * np.linalg.norm(exact)
