"""Passes through a module at the same time, each through a copy of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.capture.structure import Structure
from neural_kernels.runtime.workers import share_out

T = TypeVar("T")


class Crew:
    """Recorders of a module and of copies of it that share its parameters and buffers.

    On the CPU: what a pass does entry by entry, its small products and whatever Python does between them gain more from
    several passes than from several threads in one of them.
    """

    def __init__(self, structure: Structure) -> None:
        self._recorders = [structure.recorder]
        self._copyable = structure.copyable

    def __len__(self) -> int:
        return len(self._recorders)

    def grow(self, wanted: int) -> None:
        """As many recorders as are wanted, but no more than torch has threads; just one if there can be no copies."""
        while self._copyable and len(self) < min(wanted, torch.get_num_threads()):
            copy = self._recorders[0].copied()
            if copy is None:
                self._copyable = False
            else:
                self._recorders.append(copy)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """With one thread of torch for little work between that of a crew: to wake the others takes milliseconds."""
        if len(self) == 1:
            yield
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)

    def run(self, tasks: Sequence[T], work: Callable[[Recorder, T], None]) -> None:
        """Do every task with some recorder."""
        free = list(self._recorders)

        def one(task: T, memory: dict[str, Any]) -> None:
            if "recorder" not in memory:
                memory["recorder"] = free.pop()
            with torch.no_grad():
                work(memory["recorder"], task)

        share_out(tasks, one, len(self))
