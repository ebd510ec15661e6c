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
# With ``noise=False``, ``return_std`` is the standard deviation of the function, without the noise of the observations;
# bands are two of them wide. How far functions of the prior go up and down is fitted to the data. Both bands grow where
# there are no data, and neither knows that the function goes on as a sine.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
for axis, (kernel, title) in zip(axes, [("nngp", "Gaussian process"), ("ntk", "ensemble of networks")], strict=True):
    mean, std = fit(kernel).predict(grid, return_std=True, noise=False)
    axis.fill_between(grid[:, 0], mean - 2 * std, mean + 2 * std, alpha=0.25)
    axis.plot(grid[:, 0], mean, label="mean")
    plot_data(axis)
    axis.set(title=title)
axes[0].legend(loc="upper right")

# %%
# Where will the next observations lie?
# -------------------------------------
# By default ``return_std`` includes their noise: 95 % should lie within 1.96 deviations. ``predict_interval`` says the
# same without a Gaussian, by quantiles of exact leave-one-out residuals. It is true on average over rows like those
# seen, and does not widen where there are none. Here is a function with more data and noise.

rows = rng.uniform(-4, 4, 150)[:, None]
targets = 20 * np.sin(1.5 * rows[:, 0]) + 6 * rng.standard_normal(len(rows))
scaler = StandardScaler().fit(rows)
model = nk.NeuralKernelRegressor(net, kernel="nngp").fit(scaler.transform(rows), targets)
mean, std = model.predict(scaler.transform(grid), return_std=True)
lower, upper = model.predict_interval(scaler.transform(grid), coverage=0.95).T
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
axis.fill_between(grid[:, 0], mean - 1.96 * std, mean + 1.96 * std, alpha=0.25, label="1.96 deviations")
axis.plot(grid[:, 0], lower, "C1", linewidth=1, label="jackknife+, 95 %")
axis.plot(grid[:, 0], upper, "C1", linewidth=1)
axis.plot(rows[:, 0], targets, "k.", markersize=4)
axis.plot(grid[:, 0], mean)
axis.set(xlabel="x", ylim=(-60, 60))
axis.legend(loc="upper right")

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
