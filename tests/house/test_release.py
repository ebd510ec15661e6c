"""What is published says the same everywhere: version, date, types, and the oldest versions of what it needs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import neural_kernels as nk

TOP = Path(__file__).parents[2]
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


def test_version_and_date_agree():
    citation = (TOP / "CITATION.cff").read_text(encoding="utf-8")
    heads = re.findall(
        r"^## \[(.+?)\](?: - (\d{4}-\d\d-\d\d))?", (TOP / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    released = [head for head in heads if head[0] != "Unreleased"]
    assert released[0][0] == nk.__version__
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [nk.__version__]
    assert re.findall(r"^date-released: (.+)$", citation, re.MULTILINE) == [released[0][1]]
    assert PROJECT["tool"]["hatch"]["version"]["path"] == "src/neural_kernels/__init__.py"


def test_types_are_marked():
    """Without the marker type checkers take every name of an installed package for unknown."""
    assert (Path(nk.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["project"]["classifiers"]


def test_oldest_versions_are_those_required():
    """`constraints-oldest.txt` is what was tried, and pyproject.toml asks for no less and no more."""
    text = (TOP / "constraints-oldest.txt").read_text(encoding="utf-8")
    tried = {name: _numbers(version) for name, version in re.findall(r"^([\w-]+)==([\d.]+)$", text, re.MULTILINE)}
    requirements = [re.fullmatch(r"([\w-]+)>=([\d.]+)", line) for line in PROJECT["project"]["dependencies"]]
    required = {match[1]: _numbers(match[2]) for match in requirements if match}
    assert required.pop("torch") <= tried.pop("torch")  # whose older builds were not tried
    assert required == tried
    assert len(requirements) == len(tried) + 1


def _numbers(version: str) -> list[int]:
    """1.6 and 1.6.0 are one version."""
    return [int(part) for part in re.sub(r"(\.0)+$", "", version).split(".")]
