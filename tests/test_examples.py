"""The demo, the scripts, the gallery and all Python blocks of README.md and the guide run; the API page is complete."""

from __future__ import annotations

import importlib.util
import io
import lzma
import re
import runpy
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import matplotlib
import numpy as np
import pytest
import torch

import neural_kernels as nk

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("plot_*.py"))
LONG = {  # those of ten seconds and more, which `make docs` runs, too
    "plot_bayesian_optimisation",
    "plot_digits_cntk",
    "plot_empirical_transformer",
    "plot_image_features",
    "plot_image_methods",
    "plot_learnt_patches",
    "plot_widths",
}
COMPARED = ROOT / "docs" / "coming.rst"  # run by test_coming.py
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").glob("*.rst")} - {COMPARED})]


def cells(page: Path) -> list[tuple[str, str]]:
    """The page's Python code, block by block, each with the output that stands right behind it, if any."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        found = re.findall(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", text, re.MULTILINE | re.DOTALL)
    else:
        body = r"\n\n((?: {4}.*\n|\n)+)"
        pattern = rf"^\.\. code-block:: python{body}(?:\.\. code-block:: text{body})?"
        found = re.findall(pattern, text, re.MULTILINE)
    return [(textwrap.dedent(code).strip(), textwrap.dedent(output).strip()) for code, output in found]


def blocks(page: Path) -> str:
    """The page's Python code, as one script."""
    return "\n\n".join(code for code, _ in cells(page))


def numbers_and_words(output: str) -> tuple[list[float], list[str]]:
    """What is compared up to rounding, and what to the letter."""
    number = r"-?\d+\.?\d*"
    return [float(one) for one in re.findall(number, output)], re.sub(number, "", output).split()


def test_demo_quick(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["demo.py", "--quick", "--figure", str(tmp_path / "demo.png")])
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    runpy.run_path(str(ROOT / "examples" / "demo.py"), run_name="__main__")
    table = capsys.readouterr().out
    scores = dict(re.findall(r"(NTK|NNGP|logistic regression|ridge)\b.*? (0\.\d{4})", table))
    assert len(scores) == 4
    assert all(float(score) > 0.35 for score in scores.values())
    maps = re.findall(r"(?:NTK|Nystrom|Features)\D*? (\d+)? +(\d+\.\d\d) ", table.partition("columns")[2])
    assert [columns for columns, _ in maps] == ["", *["128", "512"] * 3]
    assert all(float(error) < 10 for _, error in maps)
    assert (tmp_path / "demo.png").stat().st_size > 10_000


def test_demo_shifts_training_images_alone(monkeypatch):
    data = load_script("_data_demo", monkeypatch)
    digits, shifted = data.load_digit_sets(quick=False)
    x, y = shifted.train
    assert shifted.test is digits.test
    assert x.shape == (9 * 898, 64)
    np.testing.assert_array_equal(x[4 * 898 : 5 * 898], digits.train[0])
    np.testing.assert_array_equal(x[898 - 1].reshape(8, 8)[1:, 1:], digits.train[0][-1].reshape(8, 8)[:-1, :-1])
    np.testing.assert_array_equal(y[::898], np.repeat(digits.train[1][0], 9))
    assert not set(map(bytes, x)) & set(map(bytes, digits.test[0]))


@pytest.fixture
def no_figures():
    """A script that fails leaves none to the next."""
    yield
    plt.close("all")


@pytest.fixture
def one_thread():
    """Threads that wait for each other are slow where tests run side by side, most of all in small trained networks."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def load_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A script of examples/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("one_thread")
def test_small_images_quick(tmp_path, capsys, monkeypatch):
    script = load_script("small_images", monkeypatch)
    line = ["small_images.py", "--quick", "--flips", "--zca", "10", "--network", "cnn-flatten"]
    line += ["--to-disk", str(tmp_path / "kernels"), "--figure", str(tmp_path / "curves.png")]
    monkeypatch.setattr("sys.argv", line)
    script.main()
    rows = re.findall(r"(?:\d\.\d{3} ± \d\.\d{3}\s*){3}", capsys.readouterr().out)
    assert len(rows) == 2
    assert float(rows[1][:5]) > 0.5
    parts = ["test", "test-flipped", "train", "train-flipped"]
    assert {path.name for path in (tmp_path / "kernels").glob("*.npy")} == {f"cnn-flatten-{part}.npy" for part in parts}
    assert (tmp_path / "curves.png").stat().st_size > 10_000


@pytest.mark.parametrize("compress", [False, True])
def test_small_images_reads_files(tmp_path, monkeypatch, rng, compress):
    script = load_script("small_images", monkeypatch)
    x = rng.integers(0, 256, (5, 4, 6, 3), dtype=np.uint8)
    stream = io.BytesIO()
    np.savez(stream, x_train=x, y_train=np.array([3, 3, 5, 9, 5]), x_test=x[:2], y_test=np.array([9, 3]))
    path = tmp_path / ("some.npz.xz" if compress else "some.npz")
    path.write_bytes(lzma.compress(stream.getvalue()) if compress else stream.getvalue())
    train, test = script.read("cifar10", tmp_path)
    np.testing.assert_allclose(train.x[1, 2], x[1, :, :, 2] / 255, rtol=1e-6)
    assert train.y.tolist() == [0, 0, 1, 2, 1]
    assert test.y.tolist() == [2, 0]


def test_small_images_whitening_and_draws(monkeypatch, rng):
    script = load_script("small_images", monkeypatch)
    mixing = rng.standard_normal((12, 12))
    images = script.Images((rng.standard_normal((500, 12)) @ mixing).reshape(500, 3, 2, 2), np.arange(500) % 3)
    white, _ = script.whiten(images, images, strength=0.0)
    np.testing.assert_allclose(np.cov(script.vectors(white).T), np.eye(12), atol=1e-3)
    assert np.bincount(images.y[script.balanced(images.y, 30, seed=1)]).tolist() == [10, 10, 10]


@pytest.mark.usefixtures("one_thread")
def test_fashion_pntk_quick(tmp_path, capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    script = load_script("fashion_pntk", monkeypatch)
    monkeypatch.setattr("sys.argv", ["fashion_pntk.py", "--quick", "--figure", str(tmp_path / "pntk.png")])
    script.main()
    assert "0." in capsys.readouterr().out
    assert (tmp_path / "pntk.png").stat().st_size > 10_000


def test_graphs_quick(tmp_path, capsys, monkeypatch):
    script = load_script("graphs_mutag", monkeypatch)
    monkeypatch.setattr("sys.argv", ["graphs_mutag.py", "--quick", "--figure", str(tmp_path / "graphs.png")])
    script.main()
    scores = re.findall(r"GNTK (\d\.\d{3})", capsys.readouterr().out)
    assert len(scores) == 2
    assert float(scores[0]) > 0.6
    assert (tmp_path / "graphs.png").stat().st_size > 10_000


def test_graphs_reads_files(tmp_path, monkeypatch):
    script = load_script("graphs_mutag", monkeypatch)
    text = b"2\n3 1\n0 1 1\n4 2 0 2\n0 1 1\n1 0\n2 0\n"
    np.savez(tmp_path / "MUTAG.npz", txt=np.frombuffer(text, np.uint8))
    data = script.read(tmp_path)
    assert data.adjacency[0].tolist() == [[0, 1, 0], [1, 0, 1], [0, 1, 0]]
    assert [kind.tolist() for kind in data.kinds] == [[0, 4, 0], [2]]
    assert data.y.tolist() == [1, 0]
    assert nk.NTK(script.graph_network(2))(script.pad(data)).shape == (2, 2)


@pytest.mark.parametrize(
    "script",
    [pytest.param(path, marks=pytest.mark.slow if path.stem in LONG else (), id=path.stem) for path in SCRIPTS],
)
@pytest.mark.usefixtures("one_thread", "no_figures")
def test_gallery(script):
    """Cell after cell, as the gallery does it, which takes the figures of a cell and closes them: none may be empty."""
    names, drawn = {"__name__": script.stem}, 0
    for cell in re.split(r"^# %%.*$", script.read_text(encoding="utf-8"), flags=re.MULTILINE):
        exec(compile(cell, script.name, "exec"), names)
        figures = [plt.figure(number) for number in plt.get_fignums()]
        assert all(axis.has_data() for figure in figures for axis in figure.axes)
        drawn += len(figures)
        plt.close("all")
    assert drawn


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
@pytest.mark.usefixtures("no_figures")
def test_pages(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # some write files
    names: dict[str, Any] = {}
    for code, shown in cells(page):
        capsys.readouterr()
        exec(compile(code, page.name, "exec"), names)
        if shown:
            numbers, words = numbers_and_words(capsys.readouterr().out)
            assert words == numbers_and_words(shown)[1]
            np.testing.assert_allclose(numbers, numbers_and_words(shown)[0], rtol=0.02)


def test_readme_has_examples():
    assert blocks(ROOT / "README.md").count("nk.") > 10


def test_landing_pages_begin_alike():
    first, other = (cells(ROOT / page)[0] for page in ("README.md", "docs/index.rst"))
    assert first == other
    assert first[1]


def test_landing_figure(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    landing = import_module("landing")
    ranks = landing.read_ranks()
    assert len(ranks) == 10
    assert {"TableRegressor()", "plain NTK", "kernel ridge, RBF"} < set(ranks)
    assert list(ranks.values()) == sorted(ranks.values())
    landing.draw(tmp_path / "landing.png")
    drawn, kept = plt.imread(tmp_path / "landing.png"), plt.imread(ROOT / "docs" / "landing.png")
    assert drawn.shape == kept.shape
    assert np.mean(np.abs(drawn - kept)) < 0.01  # fonts differ a little from machine to machine
    assert (ROOT / "docs" / "landing.png").stat().st_size < 60_000


def test_api_page_is_complete():
    page = (ROOT / "docs" / "api.rst").read_text(encoding="utf-8")
    assert set(re.findall(r"^ {4}([A-Za-z]\w*)$", page, re.MULTILINE)) == set(nk.__all__)
    for room in ("analysis", "dask", "displays", "sketches", "solvers"):
        named = re.findall(rf"^ {{4}}{room}\.([A-Za-z]\w*)$", page, re.MULTILINE)
        assert set(named) == set(import_module(f"neural_kernels.{room}").__all__), room
