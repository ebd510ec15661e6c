"""Machine code never outlives its source: its digest is of every file that compiled functions may call."""

from __future__ import annotations

import shutil
from pathlib import Path

import neural_kernels
from neural_kernels.engine import row_operations
from neural_kernels.runtime.jit import _sources

PACKAGE = Path(neural_kernels.__file__).parent


def test_any_file_of_the_engine_changes_the_digest(tmp_path: Path) -> None:
    for room in ("engine", "runtime", "exact"):
        shutil.copytree(PACKAGE / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    assert _sources(tmp_path) == _sources()
    files = [file for room in ("engine", "runtime") for file in (tmp_path / room).rglob("*.py")]
    assert {"arc.py", "loop.py", "machine.py", "jit.py"} <= {file.name for file in files}
    for file in files:
        text = file.read_text()
        file.write_text(text + "\n# changed\n")
        assert _sources.__wrapped__(tmp_path) != _sources(), file
        file.write_text(text)
    (tmp_path / "exact" / "gram.py").write_text("")
    assert _sources.__wrapped__(tmp_path) == _sources()  # expressions are no machine code


def test_compiled_functions_carry_the_digest() -> None:
    (cell,) = row_operations.arc.py_func.__closure__
    assert cell.cell_contents == _sources()
