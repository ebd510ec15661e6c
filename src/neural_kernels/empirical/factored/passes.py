"""Passes through a module at the same time, each through a copy of its own.

A structure goes in; tasks are then done, each with a recorder that no other task has at that time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

from neural_kernels.empirical.capture.recording import Recorder
from neural_kernels.empirical.capture.structure import ModuleStructure
from neural_kernels.runtime.workers import share_out

T = TypeVar("T")


class ParallelPasses:
    """Recorders of a module and of copies of it that share its parameters and buffers.

    On the CPU: what a pass does entry by entry, its small products and whatever Python does between them gain more from
    several passes than from several threads in one of them.

    Parameters
    ----------
    structure : ModuleStructure
        Its recorder is the first; whether there may be more it says as well.
    """

    def __init__(self, structure: ModuleStructure) -> None:
        self._recorders = [structure.recorder]
        self._copyable = structure.copyable

    def __len__(self) -> int:
        return len(self._recorders)

    def grow(self, wanted: int) -> None:
        """Copy the module until there are `wanted` recorders, or as many as torch has threads; if it can be copied."""
        while self._copyable and len(self) < min(wanted, torch.get_num_threads()):
            copy = self._recorders[0].copied()
            if copy is None:
                self._copyable = False
            else:
                self._recorders.append(copy)

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """Use one thread of torch for little work between parallel passes: to wake the others takes milliseconds."""
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
        """Do ``work(recorder, task)`` for every task, as many at a time as there are recorders."""
        free = list(self._recorders)

        def one(task: T, memory: dict[str, Any]) -> None:
            if "recorder" not in memory:
                memory["recorder"] = free.pop()
            with torch.no_grad():
                work(memory["recorder"], task)

        share_out(tasks, one, len(self))
