"""Figures without a window, closed after each test."""

import matplotlib
import pytest

matplotlib.use("Agg")
from matplotlib import pyplot


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    pyplot.close("all")
