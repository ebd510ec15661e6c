"""Empirical kernels on disk: those of memory, resumed after an interruption, never mixed with another module's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import neural_kernels as nk
from empirical_modules import FORWARD, build
from neural_kernels.empirical.module_on_disk import ModuleTask


@pytest.mark.parametrize("kind", [nk.EmpiricalNTK, nk.TraceNTK, nk.PseudoNTK])
@pytest.mark.parametrize("name", ["cnn", "gpt", "structured"])
def test_equals_the_kernel_in_memory(tmp_path: Path, name: str, kind: type) -> None:
    module, x = build(name, 7)
    kernel = kind(module, forward=FORWARD.get(name))
    result = kernel.to_disk(tmp_path / "k.npy", x, block=3)
    assert np.allclose(result, kernel(x).numpy(), rtol=1e-12, atol=1e-12)


def test_rectangles(tmp_path: Path) -> None:
    module, x = build("mlp", 9)
    kernel = nk.PseudoNTK(module)
    result = kernel.to_disk(tmp_path / "k.npy", x[:4].numpy(), x[4:].numpy(), block=2)
    assert np.allclose(result, kernel(x[:4], x[4:]).numpy(), rtol=1e-12)


def test_resumed_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, x = build("cnn", 8)
    kernel, calls = nk.PseudoNTK(module), []
    values = ModuleTask.values

    def interrupted(self: ModuleTask, rows: slice, columns: slice) -> np.ndarray:
        calls.append(rows)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return values(self, rows, columns)

    monkeypatch.setattr(ModuleTask, "values", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kernel.to_disk(tmp_path / "k.npy", x, block=3)
    result = kernel.to_disk(tmp_path / "k.npy", x)
    assert len(calls) == 4 + 4  # one entry for the plan and six blocks, of which two were done
    assert np.allclose(result, kernel(x).numpy(), rtol=1e-12, atol=1e-12)
    kernel.to_disk(tmp_path / "k.npy", x)
    assert len(calls) == 8


def test_another_module_or_other_data_are_refused(tmp_path: Path) -> None:
    module, x = build("mlp")
    path = tmp_path / "k.npy"
    nk.PseudoNTK(module).to_disk(path, x)
    with pytest.raises(ValueError, match="x1: data"):
        nk.PseudoNTK(module).to_disk(path, 2 * x)
    with pytest.raises(ValueError, match="kernel"):
        nk.TraceNTK(module).to_disk(path, x)
    with pytest.raises(ValueError, match="module"):
        nk.PseudoNTK(module, parameters="4.*").to_disk(path, x)
    with torch.no_grad():
        module[0].weight[0, 0] += 1
    with pytest.raises(ValueError, match="module"):
        nk.PseudoNTK(module).to_disk(path, x)
    with pytest.raises(TypeError, match="Concatenate"):
        nk.PseudoNTK(module).to_disk(path, [x, x])
