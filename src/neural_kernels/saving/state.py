"""What a torch module of this library consists of, and a module made of that again."""

from __future__ import annotations

from typing import Any

from torch import nn

from neural_kernels.errors import LoadError, SaveError
from neural_kernels.runtime.plain_state import with_tensors

_OWN = frozenset(vars(nn.Module()))  # what torch keeps in every module: buffers, submodules, hooks


def attributes(value: Any) -> dict[str, Any]:
    """All of an object; where its class says which of them make it, as for pickles, those alone."""
    if _is_own(getattr(type(value), "__getstate__", None)):
        return with_tensors(value.__getstate__())
    return dict(vars(value))


def module_state(module: nn.Module) -> dict[str, Any]:
    """Attributes, buffers and submodules."""
    held = attributes(module)
    if held["_parameters"]:
        raise SaveError(f"{type(module).__name__} has parameters: save its state_dict by torch")
    return {
        "attributes": {name: value for name, value in held.items() if name not in _OWN},
        "buffers": dict(held["_buffers"]),
        "passing": sorted(held["_non_persistent_buffers_set"]),
        "modules": dict(held["_modules"]),
    }


def module_of(kind: Any, state: dict[str, Any]) -> nn.Module:
    """The module of a class with such a state; its constructor is not run."""
    module = kind.__new__(kind)
    nn.Module.__init__(module)
    if state.keys() != {"attributes", "buffers", "passing", "modules"}:
        raise LoadError(f"a damaged file: {kind.__name__} with {sorted(state)}")
    for name, value in state["buffers"].items():
        module.register_buffer(name, value, persistent=name not in state["passing"])
    for name, value in state["modules"].items():
        module.add_module(name, value)
    return with_attributes(module, state["attributes"])


def with_attributes(made: Any, held: dict[str, Any]) -> Any:
    """An object given what it held; nothing that would stand before a method or a property of its class."""
    if _is_own(getattr(type(made), "__setstate__", None)):
        made.__setstate__(held)
        return made
    for name, value in held.items():
        own = getattr(type(made), name, None)
        if name.startswith("__") or callable(own) or isinstance(own, property):
            raise LoadError(f"a damaged file: {type(made).__name__} with {name!r} in place of its own")
        setattr(made, name, value)
    return made


def _is_own(method: Any) -> bool:
    return getattr(method, "__module__", "").startswith("neural_kernels.")
