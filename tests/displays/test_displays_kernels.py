"""Displays of kernels, their feature maps and their intervals."""

import numpy as np
import pytest
from matplotlib import pyplot
from scipy.stats import binom, norm
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.displays import CoverageDisplay, KernelErrorDisplay, SpectrumDisplay

NET = nk.mlp(1, bias_var=0.1)
GENERATOR = np.random.default_rng(0)
X = 2 * GENERATOR.standard_normal((120, 4))
Y = X[:, 1] + GENERATOR.standard_normal(120)
LABELS = np.where(Y > 1, "high", np.where(Y > -1, "middle", "low"))


def centred(matrix):
    projection = np.eye(len(matrix)) - 1 / len(matrix)
    return projection @ matrix @ projection


def test_eigenvalues_and_shares_of_the_targets():
    gram = nk.NTK(NET)(X)
    display = SpectrumDisplay.from_matrix(gram, Y)
    values, vectors = np.linalg.eigh(centred(gram))
    np.testing.assert_allclose(display.eigenvalues, values[::-1], atol=1e-10)
    parts = (vectors.T @ (Y - Y.mean()))[::-1] ** 2
    np.testing.assert_allclose(display.shares, np.cumsum(parts) / np.sum((Y - Y.mean()) ** 2), atol=1e-8)
    assert display.alignment == pytest.approx(nk.analysis.alignment(gram, Y))
    assert display.ax_.get_title() == f"alignment {display.alignment:.2f}"
    assert [display.ax_.get_ylabel(), display.share_ax_.get_ylabel()] == [
        "eigenvalue",
        "share of the targets up to here",
    ]
    drawn = display.eigenvalue_line_.get_ydata()
    assert np.isnan(drawn[-1]), "the constant, which centring takes away, leaves rounding"
    np.testing.assert_array_equal(drawn[:-1], display.eigenvalues[:-1])


def test_spectrum_of_a_kernel_as_it_is():
    gram = nk.NTK(NET)(X)
    display = SpectrumDisplay.from_matrix(gram, centred=False)
    np.testing.assert_allclose(display.eigenvalues, nk.analysis.spectrum(gram), rtol=1e-8)
    assert display.shares is display.share_ax_ is None
    assert len(display.figure_.axes) == 1


@pytest.mark.parametrize("labels", [LABELS, np.unique(LABELS, return_inverse=True)[1]], ids=["text", "integers"])
def test_labels_are_one_hot(labels):
    gram = nk.NTK(NET)(X)
    display = SpectrumDisplay.from_matrix(gram, labels)
    codes = np.unique(LABELS, return_inverse=True)[1]
    assert display.alignment == pytest.approx(nk.analysis.alignment(gram, codes))
    assert display.shares[-1] == pytest.approx(1)


def test_spectrum_of_a_model_in_a_pipeline():
    model = make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(NET, alpha=0.1)).fit(X[:60], Y[:60])
    display = SpectrumDisplay.from_estimator(model, X, Y)
    np.testing.assert_allclose(display.eigenvalues.sum(), np.trace(centred(nk.NTK(NET)(model[0].transform(X)))))


def test_spectrum_in_a_learnt_metric():
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET, alpha=0.1), iterations=1, power=1.0).fit(X[:60], Y[:60])
    display = SpectrumDisplay.from_estimator(model, X, centred=False)
    gram = nk.NTK(NET)(X * np.sqrt(model.metric_))
    np.testing.assert_allclose(display.eigenvalues, nk.analysis.spectrum(gram), atol=1e-9)


@pytest.mark.parametrize(
    ("kernel", "y", "message"),
    [
        (np.eye(3), np.ones(3), "all targets are equal"),
        (np.eye(3), np.ones(4), "expected 3 targets"),
        (np.triu(np.ones((3, 3))), None, "symmetric"),
        (np.ones((2, 2, 3, 3)), None, "trace over outputs"),
    ],
    ids=["constant", "number", "asymmetric", "full"],
)
def test_spectrum_refuses(kernel, y, message):
    with pytest.raises(ValueError, match=message):
        SpectrumDisplay.from_matrix(kernel, y)


def test_errors_of_feature_maps():
    features = nk.NeuralFeatures(NET, method=nk.RandomFeatures(), n_components=7, random_state=0)
    display = KernelErrorDisplay.from_estimator(features, X, n_components=[16, 64])
    assert features.n_components == 7
    for k, width in enumerate([16, 64]):
        fitted = nk.NeuralFeatures(NET, method=nk.RandomFeatures(), n_components=width, random_state=0).fit(X).map_
        assert display.errors[k] == pytest.approx(fitted.kernel_error_)
        assert display.centred_errors[k] == pytest.approx(fitted.centred_kernel_error_)
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), display.errors)
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), display.centred_errors)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["RandomFeatures: kernel", "RandomFeatures: centred kernel"]


def test_errors_of_a_model_in_a_pipeline_beside_others():
    before = KernelErrorDisplay([16, 32], [0.5, 0.2], [0.6, 0.3], name="other").plot()
    model = make_pipeline(StandardScaler(), nk.NeuralFeatureRegressor(NET, random_state=0))
    display = KernelErrorDisplay.from_estimator(model, X, Y, n_components=[32], name="mine", ax=before.ax_)
    alone = nk.NeuralFeatures(NET, n_components=32, random_state=0).fit(StandardScaler().fit_transform(X))
    assert display.errors == pytest.approx([alone.map_.kernel_error_])
    assert len(display.ax_.lines) == 4
    assert display.lines_[0].get_color() == display.lines_[1].get_color() != before.lines_[0].get_color()


def test_kernel_error_refuses():
    with pytest.raises(TypeError, match="expected NeuralFeatures"):
        KernelErrorDisplay.from_estimator(StandardScaler(), X)
    with pytest.raises(ValueError, match="at least one"):
        KernelErrorDisplay.from_estimator(nk.NeuralFeatures(NET), X, n_components=[])
    with pytest.raises(ValueError, match=r"shapes \[\(2,\)"):
        KernelErrorDisplay([1, 2], [0.1], [0.1])


@pytest.fixture(scope="module")
def regressor():
    return make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(NET, kernel="nngp", alpha=0.1)).fit(X[:60], Y[:60])


def test_coverage_counts_targets_in_intervals(regressor):
    display = CoverageDisplay.from_estimator(regressor, X[60:], Y[60:], coverages=[0.5, 0.9])
    rows = regressor[0].transform(X[60:])
    for share, covered in zip([0.5, 0.9], display.covered, strict=True):
        lower, upper = regressor[1].predict_interval(rows, coverage=share).T
        assert covered == np.mean((lower <= Y[60:]) & (Y[60:] <= upper))
    np.testing.assert_allclose(display.band[:, 0], binom.interval(0.95, 60, 0.5) / np.array(60))
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["calibrated", "95 % by chance", "jackknife"]


def test_coverage_of_a_normal_distribution_beside_the_jackknife(regressor):
    before = CoverageDisplay.from_estimator(regressor, X[60:], Y[60:])
    display = CoverageDisplay.from_estimator(regressor, X[60:], Y[60:], response_method="predict", ax=before.ax_)
    mean, std = regressor.predict(X[60:], return_std=True)
    direct = [np.mean(np.abs(Y[60:] - mean) <= norm.ppf(0.5 + share / 2) * std) for share in display.coverages]
    np.testing.assert_allclose(display.covered, direct)
    assert len(display.ax_.lines) == 3, "one diagonal"
    assert display.band_ is None
    assert len(display.ax_.collections) == 1


def test_calibrated_predictions_lie_in_the_band():
    y, mean = GENERATOR.standard_normal((2, 4000))
    right = CoverageDisplay.from_predictions(y + mean, mean, np.ones(4000))
    assert np.mean((right.band[0] <= right.covered) & (right.covered <= right.band[1])) >= 0.8
    narrow = CoverageDisplay.from_predictions(y + mean, mean, np.full(4000, 0.5))
    assert (narrow.covered < narrow.band[0]).all()


def test_coverage_refuses(regressor):
    with pytest.raises(ValueError, match="between 0 and 1"):
        CoverageDisplay.from_estimator(regressor, X, Y, coverages=[0.5, 1.0])
    with pytest.raises(ValueError, match="response_method='std'"):
        CoverageDisplay.from_estimator(regressor, X, Y, response_method="std")
    two = nk.NeuralKernelRegressor(NET, alpha=0.1).fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(ValueError, match="one at a time"):
        CoverageDisplay.from_estimator(two, X, np.stack([Y, Y], axis=1), coverages=[0.5])


def test_style_may_change():
    with pyplot.style.context("dark_background"):
        display = CoverageDisplay([0.5], [0.4], n_samples=20).plot()
        assert display.ax_.lines[0].get_color() == "white"
