"""The way to kernels of GPyTorch, which is imported only on it."""

from __future__ import annotations

from typing import Any


def gpytorch_kernel(kernel: Any, **parameters: Any) -> Any:
    """A kernel for GPyTorch's and BoTorch's Gaussian processes, with parameters that they learn.

    Parameters
    ----------
    kernel : Kernel or callable
        Of vectors. A function of the user's takes and returns tensors, by which gradients flow.
    **parameters
        ``active_dims`` and ``batch_shape``, as GPyTorch has them. Of a kernel that is no sum or product, values to
        begin with: ``amplitude`` (default 1) and, of networks, ``weight_scale`` and ``bias_scale`` (1), which multiply
        the variances of all weights and of all biases; of :class:`GammaExponential` ``gamma`` (its own).

    Returns
    -------
    gpytorch.kernels.Kernel
        A module whose positive parameters are ``raw_amplitude`` and so on, with constraints and, by
        ``register_prior``, priors; adds and multiplies with GPyTorch's own kernels. ``to_kernel()`` of the kernels of
        one network or distance gives this library's kernel with the values that were learnt.

    Raises
    ------
    ModuleNotFoundError
        GPyTorch is not installed.

    Notes
    -----
    Gradients by parameters and by inputs are exact, and finite where rows coincide. A sum of kernels becomes GPyTorch's
    sum, each part with its own parameters; so does a product, whose second factor keeps its amplitude. The kernel of a
    network without biases and with one degree of homogeneity (ReLU) only grows with ``weight_scale``, as with
    ``amplitude``: fix one of them, ``covariance.raw_weight_scale.requires_grad_(False)``. Matrices that gradients are
    asked of take some dozens of temporaries of their size. Batches whose parameters differ are computed in turn.

    Examples
    --------
    >>> import torch
    >>> import neural_kernels as nk
    >>> covariance = nk.gpytorch_kernel(nk.NNGP(nk.mlp(2, nk.Erf(), bias_var=0.1)))
    >>> sorted(name for name, _ in covariance.named_parameters())
    ['raw_amplitude', 'raw_bias_scale', 'raw_weight_scale']
    >>> covariance(torch.eye(3)).shape
    torch.Size([3, 3])
    """
    try:
        from neural_kernels.interop.covariances import covariance
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("gpytorch", "linear_operator"):
            raise
        raise ModuleNotFoundError(
            "kernels for GPyTorch need it, and it is not installed: pip install 'neural-kernels[gp]'", name=error.name
        ) from error
    return covariance(kernel, **parameters)
