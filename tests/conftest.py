"""Settings of every test: shapes and types are checked at run time, seeds are fixed, two cores are shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import settings

settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("default")


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread_per_worker(worker_id: str) -> None:
    if worker_id != "master":
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_torch() -> None:
    """Draws without a seed of their own (dropout, initial weights) must not depend on which tests ran before."""
    torch.manual_seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)
