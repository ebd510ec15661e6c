"""Which kernel is meant by a network and a name, or by an object."""

from __future__ import annotations

from typing import Any

from neural_kernels.algebra import Layer
from neural_kernels.exact.kernel import Kernel, as_kernel
from neural_kernels.exact.network import NNGP, NTK, NetworkKernel

NAMES: dict[str, type[NetworkKernel]] = {"ntk": NTK, "nngp": NNGP}


def resolve_kernel(net: Layer | None, kernel: Any) -> Kernel:
    """The kernel object that is meant by a network and a name, or by a kernel object and no network.

    Parameters
    ----------
    net : Layer or None
    kernel : {"ntk", "nngp"}, Kernel or callable
        Callables as for `as_kernel`.

    Raises
    ------
    TypeError
        A name without a network, a kernel object beside one, or what is no kernel.
    ValueError
        Another name.
    """
    if not isinstance(kernel, str):
        if net is not None:
            raise TypeError(
                f"a network and kernel={kernel!r}: that kernel is complete without the network. Leave the network "
                'away, or name one of its kernels, "ntk" or "nngp"'
            )
        return as_kernel(kernel)
    if kernel not in NAMES:
        raise ValueError(f'kernel={kernel!r}: expected "ntk", "nngp" or a kernel object such as nk.Laplace()')
    if net is None or isinstance(net, Kernel):
        got = "no network" if net is None else f"net={net!r} (a kernel object goes to kernel=...)"
        raise TypeError(f"kernel={kernel!r} is that of a network, such as nk.mlp(3); got {got}")
    return NAMES[kernel](net)
