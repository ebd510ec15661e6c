"""What a time budget ends, by a clock that only the steps of a search move."""

import numpy as np
import pytest

import neural_kernels as nk
from neural_kernels.tables import base
from neural_kernels.tables.candidates import Candidates

RNG = np.random.default_rng(0)
X = RNG.standard_normal((80, 4))
Y = np.sin(X[:, 0]) + 0.1 * RNG.standard_normal(80)


@pytest.fixture
def steps(monkeypatch):
    """Steps done so far; the clock tells their number."""
    done = []

    def counted(kind, name):
        step = getattr(kind, name)

        def count(self, *given):
            done.append(name)
            return step(self, *given)

        monkeypatch.setattr(kind, name, count)

    counted(Candidates, "judge")
    counted(Candidates, "mean_squares")
    counted(base.TableModel, "_fit_steps")
    monkeypatch.setattr("neural_kernels.tables.deadline.monotonic", lambda: float(len(done)))
    return done


@pytest.mark.parametrize(
    ("budget", "tried"), [(0, 1), (2, 1), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (8, 5)], ids=lambda value: str(value)
)
def test_no_step_begins_after_it(steps, budget, tried):
    """Columns and three kernels take a step each, then every kernel two, of which the first takes gradients."""
    model = nk.TableRegressor(time_budget=budget).fit(X, Y)
    assert len(model.report_.candidates) == tried
    assert not model.report_.complete
    assert steps[-2:] == ["judge", "mean_squares"]  # of the sum, and its importances
    assert len(steps) - 2 == max(budget, 2)
    assert "the time budget ended" in str(model.report_)


def test_columns_count(steps, monkeypatch):
    read = base.TableModel._fit_steps

    def slow(self, *given):
        steps.extend(["column"] * 100)
        return read(self, *given)

    monkeypatch.setattr(base.TableModel, "_fit_steps", slow)
    report = nk.TableRegressor(time_budget=100).fit(X, Y).report_
    assert len(report.candidates) == 1
    assert report.candidates[0]["weight"] == 1


def test_the_last_fit_is_cheaper_where_the_search_was_ended(steps, monkeypatch):
    monkeypatch.setattr(base, "HURRIED", (79, 16))
    ended = nk.TableRegressor(time_budget=3).fit(X, Y)
    assert ended.model_.n_components_ == 16
    assert "16 landmarks: the time budget had ended the search" in str(ended.report_)
    labels = nk.TableClassifier(time_budget=3).fit(X, Y > 0)
    assert labels.model_.n_components_ == 16
    whole = nk.TableRegressor(time_budget=1000).fit(X, Y)
    assert whole.report_.complete
    assert "The model is exact" in str(whole.report_)


def test_progress_tells_the_step(capsys):
    nk.TableRegressor(time_budget=0, verbose=1).fit(X, Y)
    shown = capsys.readouterr().err
    for step in ("columns", "kernels, by 80 rows", "their sum", "fit to 80 rows, exact", "done"):
        assert step in shown
    nk.TableRegressor(time_budget=0).fit(X, Y)
    assert not capsys.readouterr().err
