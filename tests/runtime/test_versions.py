"""What a report of a fault should say."""

import numpy as np
import torch

import neural_kernels as nk
from neural_kernels.runtime import versions


def test_versions_are_those_in_use(capsys):
    nk.show_versions()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    printed = {line[2:18].strip(): line[18:].strip() for line in lines}
    assert printed["numpy"] == np.__version__
    assert printed["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert printed["torch uses"] == f"{torch.get_num_threads()} threads"
    assert {"python", "machine", "cores", "neural-kernels", "scipy", "scikit-learn", "numba", "devices"} <= set(printed)


def test_what_is_absent_is_said(capsys, monkeypatch):
    monkeypatch.setattr(versions, "_PACKAGES", ("no-such-distribution",))
    nk.show_versions()
    assert "no-such-distribution not installed" in " ".join(capsys.readouterr().out.split())
