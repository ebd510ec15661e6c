"""The demo, the gallery and every Python block of README.md and the guide run."""

from __future__ import annotations

import re
import runpy
import textwrap
from pathlib import Path

import matplotlib
import pytest

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "examples").glob("plot_*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.rst"))]


def blocks(page: Path) -> str:
    """The page's Python code, as one script."""
    text = page.read_text(encoding="utf-8")
    if page.suffix == ".md":
        found = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    else:
        found = re.findall(r"^\.\. code-block:: python\n\n((?: {4}.*\n|\n)+)", text, re.MULTILINE)
    return "\n".join(map(textwrap.dedent, found))


def test_demo_quick(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["demo.py", "--quick", "--figure", str(tmp_path / "demo.png")])
    runpy.run_path(str(ROOT / "examples" / "demo.py"), run_name="__main__")
    table = capsys.readouterr().out
    scores = dict(re.findall(r"(NTK|NNGP|logistic regression|ridge)\b.*? (0\.\d{4})", table))
    assert len(scores) == 4
    assert all(float(score) > 0.35 for score in scores.values())
    assert (tmp_path / "demo.png").stat().st_size > 10_000


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_gallery(script):
    runpy.run_path(str(script))
    assert plt.get_fignums()
    plt.close("all")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages(page):
    exec(compile(blocks(page), page.name, "exec"), {})


def test_readme_has_examples():
    assert blocks(ROOT / "README.md").count("nk.") > 10
