"""Passes through a module at the same time, each through a copy of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, TypeVar

import torch

from neural_kernels.empirical.batches import detached
from neural_kernels.empirical.capture import Recorder
from neural_kernels.engine.workers import share_out

T = TypeVar("T")


class Crew:
    """Recorders of a module and of copies of it that share its parameters and buffers.

    On the CPU: what a pass does entry by entry, its small products and whatever Python does between them gain more from
    several passes than from several threads in one of them.
    """

    def __init__(self, recorder: Recorder, copyable: bool) -> None:
        self._recorders = [recorder]
        self._copyable = copyable and recorder.model.place.device.type == "cpu"

    def __len__(self) -> int:
        return len(self._recorders)

    def grow(self, wanted: int) -> None:
        """As many recorders as are wanted, but no more than torch has threads; just one if there can be no copies."""
        while self._copyable and len(self) < min(wanted, torch.get_num_threads()):
            copy = _copy(self._recorders[0])
            if copy is None:
                self._copyable = False
            else:
                self._recorders.append(copy)

    @contextmanager
    def calm(self) -> Iterator[None]:
        """With one thread of torch for little work between that of a crew: to wake the others takes milliseconds."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1 if len(self) > 1 else threads)
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


def copyable(recorder: Recorder, batch: Any, count: int) -> bool:
    """Whether copies of a module run by themselves.

    One that uses the module's parameters (by a closure of a hook, say) has no others to differentiate by, so it shows:
    its outputs require gradients.
    """
    copy = _copy(recorder)
    if copy is None:
        return False
    values = {name: p.detach() for name, p in recorder.model.module.named_parameters()}
    with torch.enable_grad():
        return not copy.model.at(values, detached(batch), count).requires_grad


def _copy(recorder: Recorder) -> Recorder | None:
    """None for a module that cannot be copied."""
    module = recorder.model.module
    try:
        return deepcopy(recorder, {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())})
    except Exception:  # of any kind: parts of a module have their own reasons
        return None
