"""
Kernels of a transformer
========================

A transformer encoder from plain torch reads scikit-learn's digits as sequences of eight rows. Its full empirical
tangent kernel has a 10 x 10 matrix for every pair of images; the pseudo-NTK and the trace-NTK are one number a pair and
stand for that number times the unit matrix. How far off are they, and what can be learned with each?
"""

import math
import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import neural_kernels as nk

pixels, y = load_digits(return_X_y=True)
x = np.asarray(pixels, dtype=np.float32).reshape(-1, 8, 8)  # images, rows, pixels of a row
x = (x - x.mean()) / x.std()
parts = train_test_split(x, y, train_size=150, test_size=300, stratify=y, random_state=0)
x_train, x_test, y_train, y_test = map(torch.as_tensor, parts)


class Reader(nn.Module):
    """Two encoder layers of four heads, and a mean over the rows."""

    def __init__(self, width):
        super().__init__()
        self.embedding = nn.Linear(8, width)
        self.place = nn.Parameter(0.5 * torch.randn(8, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.readout = nn.Linear(width, 10)

    def forward(self, rows):
        """Ten outputs for each sequence of rows."""
        return self.readout(self.encoder(self.embedding(rows) + self.place).mean(1))


def reader(width, seed=0):
    torch.manual_seed(seed)
    return Reader(width).eval()


# %%
# Distance to the full kernel
# ---------------------------
# Relative, in the Frobenius norm, before training. Mohamadi, Bae and Sutherland (2023, `arXiv 2206.12543
# <https://arxiv.org/abs/2206.12543>`_) prove that the pseudo-NTK's falls as the inverse square root of the width. For
# each pair of images the trace is the nearest multiple of the unit matrix, so it is never farther off.

kernels = {"pseudo": nk.PseudoNTK, "trace": nk.TraceNTK}


def distances(network):
    full = nk.EmpiricalNTK(network)(x_train[:40])
    return [nk.analysis.distance(full, kernel(network)(x_train[:40])).item() for kernel in kernels.values()]


widths = np.array([16, 32, 64, 128])
errors = np.mean([[distances(reader(int(width), seed)) for width in widths] for seed in range(2)], axis=0)
for width, (pseudo, trace) in zip(widths, errors, strict=True):
    print(f"width {width:>3}: pseudo {pseudo:.3f}, trace {trace:.3f}")

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, error in zip(kernels, errors.T, strict=True):
    axis.loglog(widths, error, "o-", label=name)
line = np.exp(np.log(errors * widths[:, None] ** 0.5).mean()) * widths**-0.5
axis.loglog(widths, line, "k--", label="width$^{-1/2}$")
axis.set_xticks(widths, map(str, widths))
axis.set_yticks([0.1, 0.2, 0.5], ["0.1", "0.2", "0.5"])
axis.minorticks_off()
axis.set(xlabel="width", ylabel="relative distance to the full kernel")
axis.legend()

# %%
# What is learned
# ---------------
# ``nk.LinearizedPredictor`` predicts what training would give if the network were linear in its parameters: here in all
# of them, in those of the encoder, and in the readout alone. A function that makes a kernel of a module says which.

choices = {
    "pseudo": nk.PseudoNTK,
    "trace": nk.TraceNTK,
    "full": nk.EmpiricalNTK,
    "pseudo, encoder": lambda module: nk.PseudoNTK(module, parameters="encoder.*"),
    "pseudo, readout": lambda module: nk.PseudoNTK(module, parameters=nk.LastLayers(1)),
}


def accuracies(network, scale):
    scores = {}
    for name, kernel in choices.items():
        start = time.perf_counter()
        model = nk.LinearizedPredictor(network, kernel, alpha=1e-3, scale=scale).fit(x_train, y_train)
        scores[name] = model.score(x_test, y_test)
        print(f"{name:>16}: {scores[name]:.3f}  ({time.perf_counter() - start:.1f} s)")
    return scores


network = reader(32)
before = accuracies(network, scale=1.0)

# %%
# The same network, trained on the same 150 images; and the same regressions with its kernels after training. The
# outputs of a network trained by cross-entropy are far from coded labels: ``scale=math.inf`` leaves them out.

optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
for _ in range(200):
    optimizer.zero_grad()
    nn.functional.cross_entropy(network(x_train), y_train).backward()
    optimizer.step()
with torch.no_grad():
    trained = (network(x_test).argmax(1) == y_test).double().mean().item()
print(f"{'trained network':>16}: {trained:.3f}")
after = accuracies(network, scale=math.inf)
for name, distance in zip(kernels, distances(network), strict=True):
    print(f"after training, distance of {name} to the full kernel: {distance:.3f}")

# %%
# From 150 images the kernels before training learn more than training does; so it was from four of five seeds. After
# training neither small kernel is near the full one any more: the theorems are about wide networks, and this one is not
# wide for what it has learned. Predictions with them are as good as with the full kernel even so.

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
places = np.arange(len(choices))
axis.plot(list(before.values()), places, "o", label="kernel before training")
axis.plot(list(after.values()), places, "s", label="kernel after training")
axis.axvline(trained, color="k", linestyle="--", label="trained network")
axis.set_yticks(places, list(choices))
axis.invert_yaxis()
axis.set(xlabel="accuracy on 300 other images")
axis.legend()
