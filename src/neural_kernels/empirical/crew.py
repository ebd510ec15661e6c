"""Passes through a module at the same time, each through a copy of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    def __init__(self, recorder: Recorder) -> None:
        self._recorders = [recorder]
        self._growing = recorder.model.place.device.type == "cpu"

    def __len__(self) -> int:
        return len(self._recorders)

    def grow(self, wanted: int, example: Any) -> None:
        """As many recorders as are wanted, but no more than torch has threads, or just one if there can be no copies.

        Parameters
        ----------
        wanted : int
        example : structure of tensors
            A batch of one.
        """
        while self._growing and len(self) < min(wanted, torch.get_num_threads()):
            copy = _copy(self._recorders[0], example)
            if copy is None:
                self._growing = False
            else:
                self._recorders.append(copy)

    def run(self, tasks: Sequence[T], work: Callable[[Recorder, T], None]) -> None:
        """Do every task with some recorder."""
        free = list(self._recorders)

        def one(task: T, memory: dict[str, Any]) -> None:
            if "recorder" not in memory:
                memory["recorder"] = free.pop()
            with torch.no_grad():
                work(memory["recorder"], task)

        share_out(tasks, one, len(self))


def _copy(recorder: Recorder, example: Any) -> Recorder | None:
    """None for a module that cannot be copied, or whose copy uses parameters of the module itself (by a closure, say).

    That copy has no parameters to differentiate by, so it would show: outputs that require gradients.
    """
    module = recorder.model.module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    values = {name: p.detach() for name, p in module.named_parameters()}
    try:
        copy = deepcopy(recorder, shared)
        with torch.enable_grad():
            strange = copy.model.at(values, detached(example), 1).requires_grad
    except Exception:  # of any kind: parts of a module have their own reasons not to be copied
        return None
    return None if strange else copy
