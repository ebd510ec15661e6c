"""Which parameters a kernel differentiates by: a module and the user's choice go in, parameters by name come out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

Selection = str | Collection[str] | Callable[[nn.Module], Sequence[str]] | None


@dataclass(frozen=True)
class LastLayers:
    """The parameters of the last modules that own some: ``parameters=nk.LastLayers(1)`` is the readout.

    Parameters
    ----------
    count : int
        Modules, in the order in which ``named_modules`` lists them (for most code that of the forward pass).

    Examples
    --------
    >>> import neural_kernels as nk
    >>> from torch import nn
    >>> nk.LastLayers(1)(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)))
    ['2.weight', '2.bias']
    """

    count: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 1:
            raise ValueError(f"LastLayers({self.count!r}): expected a number of layers, 1 or more")

    def __call__(self, module: nn.Module) -> list[str]:
        """Return the names of these parameters in `module`."""
        owned = [_owned(name, part) for name, part in module.named_modules()]
        return [name for names in [names for names in owned if names][-self.count :] for name in names]


def select(module: nn.Module, selection: Selection) -> dict[str, nn.Parameter]:
    """Return trainable parameters by name, each once: all of them for None, else those that the selection names.

    Raises
    ------
    ValueError
        No trainable parameter is chosen; says which there are.
    """
    trainable = {name: p for name, p in module.named_parameters(remove_duplicate=False) if p.requires_grad}
    if not trainable:
        raise ValueError(
            f"{type(module).__name__} has no trainable parameters, so its tangent kernel is zero. Set requires_grad on "
            "those that you mean."
        )
    names = list(trainable) if selection is None else _names(module, selection, trainable)
    chosen = {name: trainable[name] for name in names}
    if not chosen:
        raise ValueError(f"parameters={selection!r} matches no trainable parameter. There are: {_list(trainable)}")
    unique = {id(p): name for name, p in reversed(chosen.items())}
    return {name: p for name, p in chosen.items() if unique[id(p)] == name}


def _names(module: nn.Module, selection: Selection, trainable: dict[str, nn.Parameter]) -> list[str]:
    given = selection(module) if callable(selection) else selection
    patterns = [given] if isinstance(given, str) else given
    if not isinstance(patterns, Collection) or not all(isinstance(pattern, str) for pattern in patterns):
        raise TypeError(
            f"parameters: expected None, name patterns such as 'head.*' in a list, or a function such as "
            f"nk.LastLayers(k) that gives names; got {type(given).__name__}"
        )
    if callable(selection):
        unknown = [name for name in patterns if name not in trainable]
        if unknown:
            raise ValueError(f"parameters: {_list(unknown)} are no trainable parameters. There are: {_list(trainable)}")
        return list(patterns)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in trainable):
            raise ValueError(f"parameters: {pattern!r} matches no trainable parameter. There are: {_list(trainable)}")
    return [name for name in trainable if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _owned(prefix: str, module: nn.Module) -> list[str]:
    """The names of the trainable parameters of a module itself, not of its parts."""
    names = [name for name, p in module.named_parameters(recurse=False) if p.requires_grad]
    return [f"{prefix}.{name}" if prefix else name for name in names]


def _list(names: Sequence[str] | dict[str, nn.Parameter]) -> str:
    shown = list(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
