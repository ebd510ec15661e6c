"""Pickles of what holds tensors: NumPy arrays in them, and the same tensors afterwards."""

from __future__ import annotations

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from neural_kernels.runtime.plain_state import PlainState, Precision, StoredModule, TensorNumbers


class Scale(StoredModule):
    """Buffers, a submodule, and an attribute that is a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("passing", torch.ones(2, dtype=torch.int64), persistent=False)
        self.inner = nn.ModuleList([])
        self.limit = torch.tensor(2.0, dtype=torch.float64)
        self.rows = np.arange(3)


class Held(PlainState):
    def __init__(self, value: object) -> None:
        self.value = value


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.deepcopy, copy.copy])
def test_a_module_comes_back(copied):
    first = Scale()
    second = copied(first)
    assert isinstance(second.weights, torch.Tensor)
    assert second.weights.stride() == first.weights.stride()
    assert torch.equal(second.weights, first.weights)
    assert torch.equal(second.passing, first.passing)
    assert list(second.state_dict()) == ["weights"], "what is not persistent stays so"
    assert second.limit.dtype == torch.float64
    assert isinstance(second.rows, np.ndarray)
    second.to(torch.float64)
    assert second.weights.dtype == torch.float64
    assert first.weights.dtype == torch.float32


def test_a_deep_copy_has_memory_of_its_own():
    first = Scale()
    copy.deepcopy(first).weights.zero_()
    assert first.weights.sum() == 15


def test_the_state_has_no_tensors():
    state = Scale().__getstate__()
    assert isinstance(state["limit"], TensorNumbers)
    assert all(isinstance(value, TensorNumbers) for value in state["_buffers"].values())
    assert Held(torch.float32).__getstate__() == {"value": Precision("float32")}
    assert pickle.loads(pickle.dumps(Held(torch.float32))).value is torch.float32


@pytest.mark.parametrize(
    "tensor", [torch.ones(2, requires_grad=True), torch.ones(2, dtype=torch.bfloat16), torch.eye(2).to_sparse()]
)
def test_tensors_without_an_array_stay_tensors(tensor):
    held = pickle.loads(pickle.dumps(Held(tensor))).value
    assert held.dtype == tensor.dtype
    assert held.layout == tensor.layout
    assert held.requires_grad == tensor.requires_grad
    assert torch.equal(held.to_dense(), tensor.to_dense())


def test_an_array_that_cannot_be_written_to_is_copied(tmp_path):
    """What joblib maps into memory: torch has no tensors that cannot be written to."""
    joblib.dump(Held(torch.ones(5)), tmp_path / "held.joblib")
    held = joblib.load(tmp_path / "held.joblib", mmap_mode="r")
    held.value += 1
    assert torch.equal(held.value, torch.full((5,), 2.0))


def test_states_of_tensors_are_read():
    """As they were stored before."""
    module = Scale.__new__(Scale)
    module.__setstate__(dict(vars(Scale())))
    assert torch.equal(module.weights, Scale().weights)
