"""First-order Taylor models of torch modules in their parameters: a module goes in, a module that trains comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from neural_kernels.empirical.module.derivative import derivative
from neural_kernels.empirical.module.model import CalledModule, Model, snapshot
from neural_kernels.empirical.module.parameters import Selection


def linearize(
    module: nn.Module, parameters: Selection = None, forward: Callable[..., Tensor] | None = None
) -> Linearized:
    r"""Return the first-order Taylor model of a torch module in its parameters, around their present values.

    .. math:: f(x) = f_{\theta_0}(x) + \langle \partial_\theta f_{\theta_0}(x), \delta \rangle,
       \qquad \delta = \theta - \theta_0.

    What any optimiser trains is the displacement :math:`\delta`, 0 at first: small steps then keep all their digits,
    and weight decay pulls towards :math:`\theta_0`. Gradient flow on the mean squared error is what
    :class:`LinearizedPredictor` gives in closed form.

    Parameters
    ----------
    module : torch.nn.Module
        In `eval` mode. It is copied: neither of the two changes with the other.
    parameters : str, sequence of str, callable or None
        Those that may move, as for :class:`EmpiricalNTK`. None: all trainable ones.
    forward : callable, optional
        How the module is called: ``lambda module, batch: module(**batch).logits``. The model then takes what `forward`
        takes after the module. By default it takes what the module takes.

    Returns
    -------
    Linearized
        A module, whose outputs have the shape of the module's. Differentiable with respect to inputs too.

    Raises
    ------
    TypeError, ValueError
        It is no module, couples or randomises its examples, cannot be copied, or has no such parameters.

    Notes
    -----
    A call costs about two to three of the module's (`torch.func.jvp`), or four where torch knows no forward derivative
    (LSTM). Memory: two more times the parameters.

    References
    ----------
    .. [1] J. Lee et al., "Wide neural networks of any depth evolve as linear models under gradient descent", 2019,
       arXiv:1902.06720, eq. 4.

    Examples
    --------
    >>> import torch
    >>> import neural_kernels as nk
    >>> module = torch.nn.Linear(2, 1, bias=False)
    >>> model, x = nk.linearize(module), torch.ones(1, 2)
    >>> bool(model(x) == module(x))
    True
    >>> model.displacement.weight.data.fill_(0.5)
    tensor([[0.5000, 0.5000]])
    >>> bool(torch.isclose(model(x), module(x) + 1.0))
    True
    """
    chosen = Model.of(module, parameters, forward).parameters
    return Linearized(snapshot(module), tuple(chosen), forward)


class Linearized(nn.Module):
    r"""A Taylor model, made by :func:`linearize`.

    Parameters
    ----------
    module : torch.nn.Module
        From here on the model's own: it is frozen. It keeps its mode (`eval`) whatever `train` is told.
    names : iterable of str
        Of the parameters that may move.
    forward : callable, optional

    Attributes
    ----------
    displacement : torch.nn.Module
        Holds :math:`\delta`: for the parameter ``"0.weight"`` of the module, ``"0.weight"`` of this.
    """

    def __init__(self, module: nn.Module, names: Iterable[str], forward: Callable[..., Tensor] | None = None) -> None:
        super().__init__()
        own = dict(module.named_parameters(remove_duplicate=False))
        self.displacement = _tree({name: nn.Parameter(torch.zeros_like(own[name])) for name in names})
        self.expanded = CalledModule(module.requires_grad_(False), forward or _call)

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Outputs at the parameters moved by `displacement`, to first order, in the shape of the module's."""
        value, change = derivative(partial(self._at, args, kwargs), self._origin(), self._direction())
        return value + change

    def train(self, mode: bool = True) -> Linearized:
        """Set the mode of the model, which computes the same in both; what was expanded keeps its own."""
        self.training = mode
        return self

    def move_to(self, parameters: Mapping[str, Tensor]) -> Linearized:
        r"""Set :math:`\theta`, for example to a trained module's ``state_dict()``; returns itself.

        Raises
        ------
        ValueError
            A parameter is missing, or has another shape.
        """
        with torch.no_grad():
            origin = self._origin()
            for name, displacement in self._direction().items():
                if name not in parameters or parameters[name].shape != displacement.shape:
                    got = tuple(parameters[name].shape) if name in parameters else "nothing"
                    raise ValueError(f"{name}: expected a tensor of shape {tuple(displacement.shape)}; got {got}")
                displacement.copy_(parameters[name].to(displacement) - origin[name])
        return self

    def moved(self) -> dict[str, Tensor]:
        r"""Return :math:`\theta` by name; ``module.load_state_dict(model.moved(), strict=False)`` puts it to use."""
        origin = self._origin()
        return {name: origin[name] + displacement.detach() for name, displacement in self._direction().items()}

    def _direction(self) -> dict[str, Tensor]:
        return dict(self.displacement.named_parameters())

    def _origin(self) -> dict[str, Tensor]:
        own = dict(self.expanded.module.named_parameters(remove_duplicate=False))
        return {name: own[name] for name in self._direction()}

    def _at(self, args: tuple[Any, ...], kwargs: dict[str, Any], values: dict[str, Tensor]) -> Tensor:
        outputs = self.expanded.at(values, *args, **kwargs)
        if not isinstance(outputs, Tensor):
            raise TypeError(
                f"the module returns {type(outputs).__name__}; expected one tensor. Say which with, for example, "
                "forward=lambda module, batch: module(**batch).logits"
            )
        return outputs


def _call(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    return module(*args, **kwargs)


def _tree(parameters: Mapping[str, nn.Parameter]) -> nn.Module:
    """A module that holds parameters under the names given, with a submodule for every dot in them."""
    root = nn.Module()
    for name, parameter in parameters.items():
        *path, last = name.split(".")
        node = root
        for part in path:
            if part not in node._modules:
                node.add_module(part, nn.Module())
            node = node.get_submodule(part)
        node.register_parameter(last, parameter)
    return root
