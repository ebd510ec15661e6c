"""Displays of how models were learnt: metrics, alphas, training time."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.displays import AgopDisplay, AlphaPathDisplay, MetricPathDisplay, TrainingTimeDisplay

NET = nk.mlp(1, bias_var=0.1)
GENERATOR = np.random.default_rng(0)
X = GENERATOR.standard_normal((90, 4))
Y = X[:, 1] ** 2 + 0.1 * GENERATOR.standard_normal(90)


@pytest.fixture(scope="module")
def regressor():
    return nk.NeuralKernelRegressor(NET, solver=nk.solvers.Spectral()).fit(X[:60], Y[:60])


@pytest.fixture(scope="module")
def learnt():
    return nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=2).fit(X, Y)


def test_bars_are_the_largest_of_the_diagonal(regressor):
    display = AgopDisplay.from_estimator(regressor, feature_names=["a", "b", "c", "d"], max_features=3)
    product = regressor.agop(diag=True)
    np.testing.assert_allclose(display.product, product)
    order = np.argsort(-product)[:3]
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], product[order])
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == [list("abcd")[k] for k in order]
    assert display.ax_.get_xlabel() == "mean squared gradient; the largest 3 of 4 columns"
    assert display.figure_ is display.ax_.figure


def test_matrix_is_an_image(regressor):
    display = AgopDisplay.from_estimator(regressor, X[60:], kind="matrix")
    np.testing.assert_allclose(display.image_.get_array(), regressor.agop(X[60:]))
    assert [text.get_text() for text in display.ax_.get_xticklabels()] == ["x0", "x1", "x2", "x3"]
    assert display.image_.norm.vmin == -display.image_.norm.vmax
    np.testing.assert_allclose(
        [bar.get_width() for bar in display.plot(kind="diagonal").bars_], np.sort(np.diagonal(display.product))[::-1]
    )


def test_learnt_metric_has_the_names_of_the_columns():
    frame = pd.DataFrame(X, columns=["age", "bmi", "bp", "sex"])
    model = make_pipeline(StandardScaler(), nk.FeatureLearning(nk.NeuralKernelRegressor(NET), iterations=1, power=0.5))
    display = AgopDisplay.from_estimator(model.fit(frame, Y))
    np.testing.assert_array_equal(display.product, model[-1].metric_)
    assert display.ax_.get_yticklabels()[0].get_text() == "bmi"
    assert display.ax_.get_xlabel() == "learnt metric"


def test_rows_go_through_the_steps_before_the_model():
    model = make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(NET, alpha=0.1)).fit(X, Y)
    display = AgopDisplay.from_estimator(model, X[:20])
    np.testing.assert_allclose(display.product, model[-1].agop(model[0].transform(X[:20]), diag=True))


def test_models_of_tables_and_learnt_metrics_are_looked_into(learnt):
    frame = pd.DataFrame({"kind": np.where(X[:, 0] > 0, "a", "b"), "size": X[:, 1]})
    model = nk.TableRegressor().fit(frame[:40], Y[:40])
    display = AgopDisplay.from_estimator(model)
    np.testing.assert_allclose(display.product, model.model_.agop(diag=True))
    assert display.ax_.get_yticklabels()[0].get_text() == "size"
    times = [0.1, 1e4]
    display = TrainingTimeDisplay.from_estimator(model, frame[:40], Y[:40], frame[40:], Y[40:], times=times)
    rows = model.pipeline_[:-1].transform(frame[40:])
    assert display.test_errors[0] == pytest.approx(np.mean((model.model_.predict(rows, time=0.1) - Y[40:]) ** 2))
    display = TrainingTimeDisplay.from_estimator(learnt, X, Y, times=times)
    np.testing.assert_allclose(display.train_errors, [np.mean((learnt.predict(X, time=t) - Y) ** 2) for t in times])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"product": np.ones((2, 3))}, r"shape \(2, 3\)"),
        ({"product": np.ones(3), "feature_names": ["a"]}, "got 1 for 3 columns"),
    ],
    ids=["shape", "names"],
)
def test_agop_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        AgopDisplay(**arguments)


def test_agop_has_no_matrix_of_a_diagonal():
    with pytest.raises(ValueError, match="diagonal alone"):
        AgopDisplay(np.ones(3)).plot(kind="matrix")
    with pytest.raises(ValueError, match="kind='rows'"):
        AgopDisplay(np.ones(3)).plot(kind="rows")


def test_metric_path_has_a_line_for_each_power(learnt):
    display = MetricPathDisplay.from_estimator(learnt)
    scores = {(stage["iteration"], stage["power"]): stage["score"] for stage in learnt.history_}
    start = scores[0, 0.5]
    assert list(display.paths) == [0.5, 1.0]
    for line, power in zip(display.lines_, [0.5, 1.0], strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2])
        np.testing.assert_array_equal(line.get_ydata(), [start, scores[1, power], scores[2, power]])
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["power 0.5", "power 1", "in use"]


def test_metric_path_marks_the_model_in_use(learnt):
    best = learnt.history_[learnt.best_index_]
    assert best["iteration"] == 2
    assert best["score"] == np.nanmax(learnt.estimator_.loo_scores_)
    (mark,) = [MetricPathDisplay.from_estimator(learnt).best_line_]
    assert (mark.get_xdata().item(), mark.get_ydata().item()) == (2, best["score"])


def test_metric_path_refuses_what_has_no_scores():
    model = nk.FeatureLearning(nk.NeuralKernelRegressor(NET, alpha=0.1), iterations=1, power=0.5).fit(X, Y)
    with pytest.raises(ValueError, match="no scores to draw"):
        MetricPathDisplay.from_estimator(model)
    with pytest.raises(ValueError, match="a history of 1 models"):
        MetricPathDisplay([{"iteration": 0, "power": 1.0, "score": 0.5}], best_index=1)


def test_alpha_path_draws_the_scores(regressor):
    display = AlphaPathDisplay.from_estimator(regressor)
    order = np.argsort(regressor.alphas_)
    np.testing.assert_array_equal(display.line_.get_xdata(), regressor.alphas_[order])
    np.testing.assert_array_equal(display.line_.get_ydata(), regressor.loo_scores_[order])
    assert display.alpha_line_.get_xdata()[0] == regressor.alpha_
    assert display.ax_.get_xscale() == "log"
    assert display.ax_.get_ylabel() == "leave-one-out R²"


def test_alpha_path_leaves_out_what_has_no_score():
    display = AlphaPathDisplay([0.0, 1.0, 0.1], [np.nan, 0.2, 0.4], alpha=0.1).plot()
    np.testing.assert_array_equal(display.line_.get_xdata(), [0.1, 1.0])
    assert display.ax_.get_xscale() == "symlog"


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({}, "leave-one-out minus log-loss"),
        ({"scoring": "accuracy"}, "leave-one-out accuracy"),
        ({"selection": "evidence"}, "log marginal likelihood"),
    ],
    ids=["log-loss", "accuracy", "evidence"],
)
def test_alpha_path_names_the_score(options, label):
    model = nk.NeuralKernelClassifier(NET, **options).fit(X, Y > 1)
    assert AlphaPathDisplay.from_estimator(model).ax_.get_ylabel() == label


def test_alpha_path_finds_the_model_inside(learnt):
    search = GridSearchCV(nk.NeuralFeatureRegressor(random_state=0), {"n_components": [8, 16]}, cv=2).fit(X, Y)
    for outer, inner in [(search, search.best_estimator_), (learnt, learnt.estimator_)]:
        np.testing.assert_array_equal(AlphaPathDisplay.from_estimator(outer).scores, inner.loo_scores_)


def test_alpha_path_refuses_one_alpha():
    with pytest.raises(ValueError, match="one alpha"):
        AlphaPathDisplay.from_estimator(nk.NeuralKernelRegressor(NET, alpha=0.1).fit(X, Y))
    with pytest.raises(ValueError, match="no alpha has one"):
        AlphaPathDisplay([1.0, 2.0], [np.nan, np.nan], alpha=1.0)


def test_errors_along_training_are_those_of_predictions(regressor):
    times = [0.0, 1.0, 100.0]
    display = TrainingTimeDisplay.from_estimator(regressor, X[:60], Y[:60], X[60:], Y[60:], times=times)
    for errors, rows in [(display.train_errors, slice(60)), (display.test_errors, slice(60, None))]:
        direct = [np.mean((regressor.predict(X[rows], time=time) - Y[rows]) ** 2) for time in times]
        np.testing.assert_allclose(errors, direct)
    assert display.train_errors[0] == pytest.approx(np.var(Y[:60]))
    assert display.best_time == times[np.argmin(display.test_errors)]
    assert display.best_line_.get_xdata()[0] == display.best_time
    assert display.ax_.get_ylabel() == "mean squared error"
    assert len(display.ax_.lines) == 3


def test_default_times_span_training():
    labels = np.where(Y > 1, "high", "low")
    model = make_pipeline(StandardScaler(), nk.NeuralKernelClassifier(NET, alpha=0.1, solver=nk.solvers.Spectral()))
    display = TrainingTimeDisplay.from_estimator(model.fit(X, labels), X, labels)
    assert display.test_errors is None
    assert display.best_time is None
    assert len(display.ax_.lines) == 1
    assert display.train_errors[-1] == np.mean(model.predict(X) != labels)
    assert display.ax_.get_ylabel() == "share of wrong labels"
    model = nk.NeuralKernelRegressor(NET, alpha=0.1, solver=nk.solvers.Spectral()).fit(
        X, np.stack([Y, X[:, 0]], axis=1)
    )
    display = TrainingTimeDisplay.from_estimator(model, X, np.stack([Y, X[:, 0]], axis=1))
    assert display.train_errors[0] == pytest.approx(np.var([Y, X[:, 0]], axis=1).mean(), rel=0.2)
    end = np.mean((model.predict(X) - np.stack([Y, X[:, 0]], axis=1)) ** 2)
    assert display.train_errors[-1] == pytest.approx(end, rel=1e-3)


def test_training_time_refuses(regressor):
    with pytest.raises(ValueError, match="increasing"):
        TrainingTimeDisplay.from_estimator(regressor, X, Y, times=[2.0, 1.0])
    with pytest.raises(ValueError, match="both"):
        TrainingTimeDisplay.from_estimator(regressor, X, Y, X)
    with pytest.raises(ValueError, match="alpha=0"):
        TrainingTimeDisplay.from_estimator(nk.NeuralKernelRegressor(NET, alpha=0.0).fit(X, Y), X, Y)
    with pytest.raises(TypeError, match="expected a fitted exact model"):
        TrainingTimeDisplay.from_estimator(nk.NeuralFeatureRegressor(n_components=8).fit(X, Y), X, Y)


DISPLAYS = {
    AgopDisplay: (),
    AlphaPathDisplay: (),
    MetricPathDisplay: (),
    TrainingTimeDisplay: (X, Y),
    nk.displays.CoverageDisplay: (X, Y),
    nk.displays.SpectrumDisplay: (X, Y),
}


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.__name__)
def test_other_estimators_are_refused(display):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        display.from_estimator(nk.NeuralKernelRegressor(), *DISPLAYS[display])
    with pytest.raises(NotFittedError):
        display.from_estimator(make_pipeline(StandardScaler(), Ridge()), *DISPLAYS[display])
    with pytest.raises(TypeError, match="; expected "):
        display.from_estimator(Ridge().fit(X, Y), *DISPLAYS[display])
    with pytest.raises(TypeError, match="got 3"):
        display.from_estimator(3, *DISPLAYS[display])


def test_axes_and_style_are_the_users(regressor):
    with pyplot.style.context("dark_background"):
        figure, axes = pyplot.subplots(2)
        display = AlphaPathDisplay.from_estimator(regressor, ax=axes[1])
        assert display.ax_ is axes[1]
        assert display.figure_ is figure
        assert display.alpha_line_.get_color() == "white"
    assert display.plot().ax_ is not axes[1]


@pytest.mark.parametrize("name", nk.displays.__all__)
def test_matplotlib_may_be_absent(name, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    display = getattr(nk.displays, name)
    with pytest.raises(ImportError, match=rf"{name}.*neural-kernels\[plot\]"):
        display.from_estimator(*[None] * (1 + len(DISPLAYS.get(display, (X, Y)))))
