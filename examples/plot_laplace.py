r"""
The neural tangent kernel and the Laplace kernel
================================================

Geifman, Yadav, Kasten, Galun, Jacobs and Basri (2020, `arXiv 2007.01580 <https://arxiv.org/abs/2007.01580>`_) show that
on the sphere the neural tangent kernel of a dense ReLU network with biases has the eigenfunctions of the Laplace kernel
:math:`\exp(-\gamma |x - y|)`, and that the eigenvalues of both decay like :math:`k^{-d}` in the frequency k. The
Gaussian kernel's decay faster than any power. We compare all three on the sphere in three dimensions.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import neural_kernels as nk

scale = np.sqrt(3)  # the network's input kernel is x.y / d: rows of length sqrt(d) have variance 1
kernels = {
    "NTK, depth 2": nk.NTK(nk.mlp(2, bias_var=1.0)),
    "Laplace": nk.Laplace(gamma=0.5),
    "Gaussian": nk.GammaExponential(gamma=0.5, exponent=2.0),
}


def sphere(n, seed):
    rows = np.random.default_rng(seed).standard_normal((n, 3))
    return scale * Normalizer().transform(rows)


# %%
# Eigenvalues
# -----------
# On the sphere in three dimensions frequency k has 2 k + 1 eigenfunctions, so the first k frequencies hold about
# :math:`k^2` eigenvalues: a decay like :math:`k^{-3}` is one like :math:`i^{-3/2}` in the index i.

x = sphere(1200, seed=0)
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, kernel in kernels.items():
    values = np.linalg.eigvalsh(kernel(x))[::-1]
    axis.loglog(np.arange(1, 501), values[:500].clip(1e-12) / values[0], label=name)
index = np.array([10, 500])
axis.loglog(index, 4.0 * index**-1.5, "k--", label="index$^{-3/2}$")
axis.set(ylabel="eigenvalue over the first", xlabel="index", ylim=(1e-8, 2))
axis.legend()

# %%
# Learning curves
# ---------------
# Regression of a function with a crease, with one estimator on all kernels: ``kernel=`` takes any kernel object. The
# curves of the neural tangent kernel and the Laplace kernel run alike; the Gaussian kernel profits more from how smooth
# the function is beside the crease.


def target(rows):
    return np.abs(rows[:, 0] - 0.5 * rows[:, 1]) + 0.3 * np.sin(4 * rows[:, 2])


sizes = [30, 60, 120, 240, 480]
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, kernel in kernels.items():
    errors = []
    for n in sizes:
        rows = sphere(n, seed=1)
        model = nk.NeuralKernelRegressor(kernel=kernel, alpha=np.logspace(-6, 0, 7))
        scores = cross_val_score(model, rows, target(rows), cv=5)
        errors.append(1 - scores.mean())
    axis.loglog(sizes, errors, "o-", label=name)
axis.set(ylabel="error of cross-validation, $1 - R^2$", xlabel="examples")
axis.set_xticks(sizes, [str(n) for n in sizes])
axis.minorticks_off()
axis.legend()

# %%
# Inputs that are not on the sphere already go through a pipeline.

rows = np.random.default_rng(2).standard_normal((200, 3))
model = make_pipeline(Normalizer(), nk.NeuralKernelRegressor(nk.mlp(2, bias_var=1.0), alpha=1e-4))
print(f"R^2 {cross_val_score(model, rows, target(sphere(200, 2))).mean():.3f}")
