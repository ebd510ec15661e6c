r"""
Bayesian optimisation with a network's kernel
=============================================

``nk.gpytorch_kernel`` makes a kernel a module of GPyTorch, and BoTorch takes it wherever it takes one: parameters are
fitted by marginal likelihood, and acquisition functions are optimised through gradients by the inputs. We look for the
maximum of a function with a steep and a flat part, with the kernel of a wide network with the error function, and with
a Matern kernel, from the same first points. It needs ``pip install 'neural-kernels[gp]'``.
"""

import matplotlib.pyplot as plt
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from gpytorch.kernels import MaternKernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood

import neural_kernels as nk

STEPS = 5
BOUNDS = torch.tensor([[-2.0], [2.0]], dtype=torch.float64)


def target(x):
    return torch.tanh(6 * (x + 0.5)) + 0.2 * torch.sin(4 * x)


def network():
    return nk.gpytorch_kernel(nk.NNGP(nk.mlp(2, nk.Erf(), bias_var=1.0)), weight_scale=4.0)


def matern():
    return ScaleKernel(MaternKernel(nu=2.5))


# %%
# The loop
# --------
# As in BoTorch's tutorials: fit, maximise the logarithm of the expected improvement, measure there.


def fitted(x, covariance):
    model = SingleTaskGP(x, target(x), covar_module=covariance())
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


def search(covariance):
    """The points that were measured."""
    torch.manual_seed(0)
    x = torch.tensor([[-1.8], [-0.9], [-0.2], [1.7]], dtype=torch.float64)
    for _ in range(STEPS):
        improvement = LogExpectedImprovement(fitted(x, covariance), target(x).max())
        found, _ = optimize_acqf(improvement, BOUNDS, q=1, num_restarts=3, raw_samples=32)
        x = torch.cat([x, found])
    return x


# %%
# What they found
# ---------------
# Both processes at the end, with two standard deviations. A Matern kernel has one length scale everywhere; that of the
# network changes with the place. One run is an illustration, no evidence: on Branin's
# function, for one, the Matern kernel did better than this network.

grid = torch.linspace(-2, 2, 201, dtype=torch.float64)[:, None]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), sharey=True, layout="constrained")
for axis, (name, covariance) in zip(axes, {"NNGP, Erf": network, "Matern 5/2": matern}.items(), strict=True):
    x = search(covariance)
    model = fitted(x, covariance)
    with torch.no_grad():
        posterior = model.posterior(grid)
    mean, deviation = posterior.mean[:, 0], posterior.variance[:, 0].sqrt()
    axis.plot(grid, target(grid), color="0.5", linestyle="--", label="function")
    axis.plot(grid, mean, label="mean")
    axis.fill_between(grid[:, 0], mean - 2 * deviation, mean + 2 * deviation, alpha=0.2)
    axis.scatter(x, target(x), color="black", zorder=3, label="measured")
    axis.set(title=name, xlabel="x")
    print(f"{name}: {target(grid).max() - target(x).max():.4f} below the maximum after {STEPS} steps")
axes[0].legend(loc="lower right")
plt.show()
