"""The house stays as drawn: no private doors between rooms, no name twice, pages that name what is there."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import neural_kernels as nk

ROOT = Path(nk.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
PACKAGES = [path for path in FILES if path.name == "__init__.py" and path.parent != ROOT]
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

# Class names that may stand twice, each with its reason.
TWICE: dict[str, str] = {}

# All that the import loads beside torch and the standard library. Whatever else is imported where it is needed:
# scikit-learn, SciPy and numba would add a second and more.
LIGHT = {"jaxtyping", "neural_kernels", "numpy", "typing_extensions"}


def _named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _room(module: str) -> str:
    """The room that a dotted name leads into; the package itself is one of its own."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _imports(path: Path) -> Iterator[str]:
    """Dotted names of what a file imports from this package, wherever in the file, names of objects included."""
    for node in ast.walk(TREES[path]):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{_named(path)}: a relative import; write the room's name out"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "neural_kernels")


def test_no_private_name_crosses_rooms():
    crossing = [
        f"{_named(path)} imports {name}"
        for path in FILES
        for name in _imports(path)
        if _room(name) != path.relative_to(ROOT).parts[0].removesuffix(".py")
        if any(part.startswith("_") and not part.endswith("__") for part in name.split("."))
    ]
    assert crossing == []


def test_class_names_are_unique():
    places = defaultdict(list)
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(_named(path))
    assert {name: at for name, at in places.items() if len(at) > 1 and name not in TWICE} == {}
    assert [name for name in TWICE if len(places[name]) < 2] == [], "allowed to stand twice, but does not"


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_packages_map_their_files(package):
    """Lines ``- `name`: what is in it`` or ``name  what is in it`` of the docstring, in the order in which to read."""
    here = {path.stem for path in package.parent.glob("*.py")} - {"__init__"}
    here |= {path.parent.name for path in package.parent.glob("*/__init__.py")}
    text = ast.get_docstring(TREES[package]) or ""
    lines = re.findall(r"^(\w+(?:, \w+)*)/? {2,}\S", text, re.MULTILINE)
    heads = {name for line in lines for name in line.split(", ")}
    for item in re.findall(r"^- (`[^:]*)", text, re.MULTILINE):
        heads |= set(re.findall(r"`(\w+)(?:\.py|/)?`", item))
    named = heads | set(re.findall(r"`(\w+)(?:\.py|/)?`", text))
    assert here - named == set(), "not in the map"
    assert heads - here == set(), "in the map, and gone"


@pytest.mark.parametrize("page", ["docs/design.rst", "docs/extending.rst", "CONTRIBUTING.md"])
def test_pages_name_files_that_are_there(page):
    """Files as ``folder/name.py``, folders as ``folder/``; names in capitals are for the reader to fill in."""
    top = ROOT.parents[1]
    folders = [top / name for name in ("src", "tests", "docs", "benchmarks", "examples")]
    here = [*folders, *(path for folder in folders for path in folder.rglob("*"))]
    paths = {f"/{path.relative_to(top)}{'/' if path.is_dir() else ''}" for path in here}
    named = set(re.findall(r"`([a-z_/]+(?:\.py|\.rst|/))`", (top / page).read_text(encoding="utf-8")))
    assert sorted(name for name in named if not any(path.endswith(f"/{name}") for path in paths)) == []


def test_import_is_light():
    """Beside what torch loads by itself; a process of its own, for this one has loaded all."""
    code = "import sys, torch, numpy; known = set(sys.modules); import neural_kernels; print(*set(sys.modules) - known)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "neural_kernels" in loaded
    assert {name.split(".")[0] for name in loaded} - sys.stdlib_module_names - LIGHT == set()
