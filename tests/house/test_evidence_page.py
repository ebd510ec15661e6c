"""Commands that the page of evidence names are there, with the options that it names."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]


def test_commands_are_there():
    page = (TOP / "docs" / "evidence.rst").read_text(encoding="utf-8")
    named = re.findall(r"``(?:python |pytest )?((?:benchmarks|examples|tests)/[^`]*)``", page)
    assert len(named) > 15
    for command in named:
        files = [part for part in command.split() if part.endswith(".py")]
        options = [part for part in command.split() if part.startswith("--")]
        assert all((TOP / file).is_file() for file in files), command
        source = (TOP / files[0]).read_text(encoding="utf-8")
        assert all(f'"{option}"' in source for option in options), command


def test_evidence_is_rebuilt_within_an_hour():
    script = TOP / "benchmarks" / "evidence.py"
    listed = subprocess.run([sys.executable, str(script), "--list"], capture_output=True, text=True, check=True).stdout
    lines = [re.fullmatch(r"\w+ +(\d+) min  python benchmarks/(\w+\.py)(.*)", line) for line in listed.splitlines()]
    assert all(lines)
    assert sum(int(line[1]) for line in lines if line) <= 60
    for line in filter(None, lines):
        source = (TOP / "benchmarks" / line[2]).read_text(encoding="utf-8")
        options = set(re.findall(r"--[a-z-]+", line[3])) - {"--values", "--windows"}  # made by a loop in cifar.py
        assert all(f'"{option}"' in source for option in options), line[0]
