"""Settings of every test: shapes and types are checked at run time, seeds are fixed, two cores are shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import settings

NO_DEVICE = "there is no CUDA device (`make test-gpu DEVICE=cpu` tries them on the CPU)"

settings.register_profile("default", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", default="cuda", help="where the tests marked gpu run: cuda, or cpu to try them out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if torch.device(config.getoption("--device")).type != "cuda" or torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=NO_DEVICE))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    count = sum(NO_DEVICE in str(report.longrepr) for report in terminalreporter.stats.get("skipped", []))
    if count:
        terminalreporter.write_line(f"{count} tests marked gpu were skipped: {NO_DEVICE}")


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread_per_worker(worker_id: str) -> None:
    if worker_id != "master":
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed_global_generators() -> None:
    """Draws without a seed of their own (initial weights, `random_state=None`) are the same in every run and order."""
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator with a fixed seed."""
    return np.random.default_rng(0)
