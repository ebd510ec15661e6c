"""Clusters of threads in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


@contextmanager
def _client(workers: int, processes: bool = False) -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    settings = {"n_workers": workers, "threads_per_worker": 1, "processes": processes, "dashboard_address": ":0"}
    with distributed.LocalCluster(**settings) as cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def cluster() -> Callable[..., Any]:
    """A context with a client of so many workers, which is the current one."""
    return _client


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of two workers."""
    with _client(2) as two:
        yield two


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster, also where another test left a client."""
    monkeypatch.setattr("neural_kernels.dask.model.current_client", lambda client: client)


@pytest.fixture(params=["cluster", "alone"])
def cluster_or_none(request: pytest.FixtureRequest) -> Any:
    """A client, and none."""
    if request.param == "cluster":
        return request.getfixturevalue("client")
    request.getfixturevalue("alone")
    return None
