"""The script that `make smoke` runs with the wheel runs with the tree, and what it says holds."""

import re

import neural_kernels as nk
import smoke


def test_smoke_script_prints_what_ran(capsys):
    smoke.main()
    printed = capsys.readouterr().out
    assert printed.startswith(f"neural_kernels {nk.__version__} in ")
    checks = ("regression", "features", "images", "files", "modules")
    assert re.findall(r"^(\w+) .*, \d+\.\d s$", printed, re.MULTILINE) == list(checks)
    assert "scikit-learn" in printed
