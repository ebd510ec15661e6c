"""Attributes computed when first asked for: by many threads at once, too, and those that need each other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from neural_kernels.runtime.lazy import cached_property


class Link:
    """One of two, of which each asks the other while another thread does the same the other way round."""

    other: Link | None = None

    def __init__(self, start: threading.Barrier) -> None:
        self.start = start

    @cached_property
    def first(self) -> object:
        return self._met("second")

    @cached_property
    def second(self) -> object:
        return self._met("first")

    def _met(self, name: str) -> object:
        if self.other is None:
            return object()
        self.start.wait(timeout=60)
        return getattr(self.other, name)


def test_no_thread_waits_for_another():
    """With a lock for each attribute of the class both would, as they did on Python 3.11."""
    start = threading.Barrier(2)
    links = [Link(start), Link(start)]
    for link in links:
        link.other = Link(start)
    with ThreadPoolExecutor(2) as pool:
        found = [pool.submit(getattr, link, name) for link, name in zip(links, ("first", "second"), strict=True)]
        values = [value.result(timeout=60) for value in found]
    assert [links[0].first, links[1].second] == values


def test_all_threads_get_the_same_object():
    link, start = Link(threading.Barrier(1)), threading.Barrier(8)

    def ask(_: int) -> object:
        start.wait()
        return link.first

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
