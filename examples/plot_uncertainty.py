"""
Uncertainty and training time
=============================

A wide random network is a Gaussian process, and conditioning it on data gives a posterior (``kernel="nngp"``). An
ensemble of wide networks trained by gradient descent gives another mean and variance (``kernel="ntk"``; Lee et al.
2019, `arXiv 1902.06720 <https://arxiv.org/abs/1902.06720>`_), at the end of training or at any time before.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk

rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(-4, -1, 12), rng.uniform(1.5, 4, 10)])[:, None]
y = np.sin(1.5 * x[:, 0]) + 0.05 * rng.standard_normal(len(x))
grid = np.linspace(-6, 6, 241)[:, None]

# %%
# Biases as large as the weights spread the steps of the first layer's units over the data; with small ones all of them
# would lie near 0, and the networks could not bend elsewhere.

net = nk.Sequential(nk.Dense(4.0, 4.0), nk.Erf(), nk.Dense(2.0, 0.1), nk.Erf(), nk.Dense(2.0))


def fit(kernel):
    return make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(net, kernel=kernel, alpha=1e-3)).fit(x, y)


def plot_data(axis):
    axis.plot(grid[:, 0], np.sin(1.5 * grid[:, 0]), "k:", linewidth=1, label="true function")
    axis.plot(x[:, 0], y, "k.", label="data")
    axis.set(xlabel="x", ylim=(-1.9, 1.9))


# %%
# Two answers to "how sure?"
# --------------------------
# ``return_std`` is the standard deviation of the function, without the noise of the observations; bands are two of them
# wide. Both grow where there are no data, and neither knows that the function goes on as a sine.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for axis, (kernel, title) in zip(axes, [("nngp", "Gaussian process"), ("ntk", "ensemble of networks")], strict=True):
    mean, std = fit(kernel).predict(grid, return_std=True)
    axis.fill_between(grid[:, 0], mean - 2 * std, mean + 2 * std, alpha=0.25)
    axis.plot(grid[:, 0], mean, label="mean")
    plot_data(axis)
    axis.set(title=title)
axes[0].legend(loc="upper right")

# %%
# The same networks, before training ends
# ---------------------------------------
# ``predict(time=t)`` is what gradient descent of small steps has reached at time t, starting from the mean of y. Smooth
# directions are learned first.

model = fit("ntk")
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for time in (1.0, 10.0, 100.0, 1000.0):
    axis.plot(grid[:, 0], model.predict(grid, time=time), label=f"time {time:,.0f}")
axis.plot(grid[:, 0], model.predict(grid), "k--", label="end of training")
plot_data(axis)
axis.legend(loc="upper center", ncols=3, fontsize="small")
