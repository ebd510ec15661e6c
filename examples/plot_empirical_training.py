"""
The tangent kernel of a network in training
===========================================

``nk.PseudoNTK(module)`` and ``nk.TraceNTK(module)`` are tangent kernels of a torch module at its present parameters. In
an infinitely wide network they never change. Here a small convolutional network learns which of scikit-learn's digits
are odd. Before training its kernel compares shapes; then it turns, nearly all of it in the first steps, towards the
labels (Fort et al. 2020, `arXiv 2010.15110 <https://arxiv.org/abs/2010.15110>`_).
"""

import math

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import neural_kernels as nk

pixels, digits = load_digits(return_X_y=True)
x = np.asarray(pixels, dtype=np.float32).reshape(-1, 1, 8, 8)  # images, channels, height, width
x, y = (x - x.mean()) / x.std(), digits % 2
parts = train_test_split(x, y, train_size=300, test_size=700, stratify=digits, random_state=0)
x_train, x_test, y_train, y_test = map(torch.as_tensor, parts)

# %%
# Any module will do. A kernel reads the parameters whenever it is called.

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 16, 3, padding=1),
    nn.ReLU(),
    nn.Conv2d(16, 32, 3, stride=2, padding=1),
    nn.ReLU(),
    nn.Flatten(),
    nn.Linear(32 * 16, 2),
).eval()
kernels = {"pseudo": nk.PseudoNTK(network), "trace": nk.TraceNTK(network)}

# %%
# What to look at: how well the kernel fits the labels of images that the network does not train on, how fast it turns,
# and what a kernel regression learns with it from the training images. ``scale=math.inf`` leaves the network's own
# outputs out of the regression.


def network_accuracy():
    with torch.no_grad():
        return (network(x_test).argmax(1) == y_test).double().mean().item()


def kernel_accuracy(kernel):
    model = nk.LinearizedPredictor(network, kernel, alpha=1e-2, scale=math.inf).fit(x_train, y_train)
    return model.score(x_test, y_test)


def look(step):
    grams = {name: kernel(x_test[:300]) for name, kernel in kernels.items()}
    aligned = {name: nk.analysis.alignment(gram, y_test[:300]).item() for name, gram in grams.items()}
    accuracies = {name: kernel_accuracy(kernel) for name, kernel in kernels.items()} | {"network": network_accuracy()}
    print(f"{step:>4}" + "".join(f"{value:>10.3f}" for value in [*aligned.values(), *accuracies.values()]))
    return grams, aligned, accuracies


# %%
# All images in every step.

checkpoints = [0, 2, 5, 10, 20, 40, 80, 160]
optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
history = []
print("      alignment with labels           accuracy")
print(f"step{'pseudo':>10}{'trace':>10}{'pseudo':>10}{'trace':>10}{'network':>10}")
for step in range(checkpoints[-1] + 1):
    if step in checkpoints:
        history.append(look(step))
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(x_train), y_train).backward()
    optimizer.step()

# %%
# The alignment rises by half in twenty steps; that of the trace more than that of the pseudo-NTK, which is the kernel
# of the sum of the outputs. Softmax does not see that sum, so its readout is not trained: the sum of all rows of the
# last weight matrix stays what it was. To follow training, take the trace.
#
# The regression does not gain: it was as good as the trained network from the start. Alignment measures one direction,
# and 300 labels tell a kernel of more than that.

grams, aligned, accuracies = zip(*history, strict=True)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
for name in kernels:
    axes[0].plot(checkpoints, [row[name] for row in aligned], "o-", label=name)
    turned = [
        nk.analysis.velocity(before[name], after[name], time=later - sooner).item()
        for before, after, sooner, later in zip(grams, grams[1:], checkpoints, checkpoints[1:], strict=False)
    ]
    axes[1].stairs(turned, checkpoints, baseline=None, label=name, linewidth=1.5)
for name in accuracies[0]:
    style = "k--" if name == "network" else "o-"
    label = "network" if name == "network" else f"regression, {name}"
    axes[2].plot(checkpoints, [row[name] for row in accuracies], style, label=label)
axes[1].set_yscale("log")
for axis, title in zip(axes, ["alignment with labels", "velocity of the kernel, a step", "accuracy"], strict=True):
    axis.set_xscale("symlog", linthresh=2)
    axis.set_xticks(checkpoints, map(str, checkpoints))
    axis.minorticks_off()
    axis.set_xlim(-0.2, 200)
    axis.set(title=title, xlabel="training step")
    axis.legend()
