"""From torch modules to descriptions: the foreign side, where a registry by type is the right tool."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from torch import nn

from neural_kernels.algebra import Layer

_ON_POSITIONS = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.Upsample),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
)


class Importer:
    """`from_torch`, with `from_torch.register(ModuleType)` for rules of one's own.

    A rule takes the module and the two variances and returns a layer::

        @nk.from_torch.register(MyModule)
        def _(module, weight_var, bias_var):
            return nk.Sequential(...)
    """

    def __call__(self, module: nn.Module, weight_var: float | None = None, bias_var: float | None = None) -> Layer:
        """The infinitely wide network of a torch module's architecture.

        Parameters
        ----------
        module : torch.nn.Module
            `Sequential` (nested too) of `Linear`, `Conv` and `ConvTranspose`, `AvgPool`, `AdaptiveAvgPool` to one
            position, `Upsample`, `Flatten`, activations, `Dropout`, `LayerNorm` and `GroupNorm(1)` without affine
            parameters and `Identity`, or any type with a registered rule.
        weight_var, bias_var : float, optional
            Variances of the NTK parametrisation for all affine layers. None: those of torch's own initialiser times the
            number of inputs; for a default `Linear` or `Conv` 1/3 and, since its biases vanish with growing width, 0.

        Returns
        -------
        Layer

        Raises
        ------
        TypeError
            For a module without a rule; says which, and how to register one.
        ValueError
            For a module whose parameters the kernel would not see, such as an affine `LayerNorm`, or whose geometry
            this library does not have.

        Examples
        --------
        >>> from torch import nn
        >>> import neural_kernels as nk
        >>> nk.from_torch(nn.Sequential(nn.Linear(4, 64), nn.ReLU(), nn.Linear(64, 1)), weight_var=2.0)
        Sequential(Dense(weight_var=2.0), ReLU(), Dense(weight_var=2.0))
        """
        if isinstance(module, type):
            raise TypeError(f"from_torch: got the class {module.__name__}; pass an instance")
        check_layout(module)
        return rule(module, weight_var, bias_var)

    @property
    def register(self) -> Any:
        """Register a rule for a type of module."""
        return rule.register


from_torch = Importer()


@singledispatch
def rule(module: Any, weight_var: float | None, bias_var: float | None) -> Layer:
    """Return the layer of a module, by the rule that is registered for its type."""
    raise TypeError(
        f"from_torch: no rule for {type(module).__module__}.{type(module).__qualname__}. Register one:\n"
        f"    @nk.from_torch.register({type(module).__qualname__})\n"
        "    def _(module, weight_var, bias_var): return nk.Sequential(...)"
    )


def check_layout(module: Any) -> None:
    """Refuse what acts on the last axis where that is a position: the layers here act on channels."""
    positions = False
    for part in module.modules() if isinstance(module, nn.Sequential) else ():
        if isinstance(part, _ON_POSITIONS):
            positions = True
        elif isinstance(part, nn.Flatten):
            positions = False
        elif positions and (
            isinstance(part, nn.Linear) or (isinstance(part, nn.LayerNorm) and len(part.normalized_shape) == 1)
        ):
            raise ValueError(
                f"from_torch: {part!r} acts on the last axis, which after a convolution or a pool is one of positions, "
                "not the channels. Put a Flatten in front of it, or write a convolution of kernel size 1 (for a "
                "LayerNorm over the channels, describe the network with nk.LayerNorm)."
            )
