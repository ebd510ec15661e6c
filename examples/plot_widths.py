r"""
One gradient for all outputs
============================

A network with o outputs has a tangent kernel of o x o numbers for every pair of inputs. ``nk.PseudoNTK`` has one, from
the gradient of the sum of the outputs, and stands for the full kernel as :math:`k \otimes I`. In wide networks at
initialisation that is nearly right: three gaps fall as one over the square root of the width (Mohamadi, Bae and
Sutherland 2023, `arXiv 2206.12543 <https://arxiv.org/abs/2206.12543>`_). So does the distance of the full kernel from
the infinite network's. What training does to them is measured here.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn

import neural_kernels as nk
from neural_kernels import analysis

rows, labels = map(np.asarray, load_wine(return_X_y=True))
chosen = np.random.default_rng(0).permutation(len(rows))[:24]
rows = make_pipeline(StandardScaler(), Normalizer()).fit_transform(rows)[chosen] * rows.shape[1] ** 0.5
train, test = slice(0, 16), slice(16, 24)
x, y = torch.as_tensor(rows, dtype=torch.float32), torch.eye(3)[labels[chosen][train]] - 1 / 3

# %%
# Two families
# ------------
# The NTK parametrisation, in which weights move the less the wider the network is, and torch's layers as they come.

net = nk.mlp(2, bias_var=0.1)


def described(width, seed):
    return net.to_torch(13, width, out_features=3, seed=seed)


def plain(width, seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(13, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))


def train_network(module, rate, steps=300):
    optimiser = torch.optim.SGD(module.parameters(), lr=rate)
    for _ in range(steps):
        optimiser.zero_grad()
        ((module(x[train]) - y).square().sum() / 2).backward()
        optimiser.step()


# %%
# Four gaps
# ---------
# Frobenius distance, largest eigenvalue and predictions of kernel regression from the targets; all relative. The last
# is the distance of the full kernel from the infinite network's, which means something in the first family alone.

exact = nk.NTK(net)(x)


def regression(kernel):
    return analysis.attribution(kernel[test, train], kernel[train, train], y, alpha=1e-2).sum(1)


def gaps(full, pseudo):
    there, here = regression(full), regression(pseudo)
    frobenius, eigenvalue = analysis.distance(full, pseudo), analysis.eigenvalue_gap(full, pseudo)
    return [frobenius, eigenvalue, (here - there).norm() / there.norm(), analysis.distance(exact, full)]


def measure(build, width, seed):
    module = build(width, seed)
    before = nk.EmpiricalNTK(module)(x)
    first = gaps(before, nk.PseudoNTK(module)(x))
    train_network(module, 1 / float(analysis.spectrum(before[train, train])[0]))
    after = nk.EmpiricalNTK(module)(x)
    return (first, gaps(after, nk.PseudoNTK(module)(x))), float(analysis.distance(before, after))


# %%
# Ten networks of each width. Slopes are those of straight lines through the points.

widths = np.array([32, 64, 128, 256, 512])
titles = ["kernel, Frobenius", "largest eigenvalue", "kernel regression", "full from infinite kernel"]
found = {}
for family, build, kinds in (("NTK parametrisation", described, 4), ("torch's layers", plain, 3)):
    runs = [[measure(build, int(width), seed) for seed in range(10)] for width in widths]
    print(
        f"{family}: training moved the kernel by", np.mean([[change for _, change in row] for row in runs], 1).round(2)
    )
    for number, stage in enumerate(("at initialisation", "after training")):
        squares = np.array([[stages[number][:kinds] for stages, _ in row] for row in runs]) ** 2
        values = np.sqrt(squares.mean(axis=1))
        found[f"{family}, {stage}"] = values
        slopes = np.polyfit(np.log(widths), np.log(values), 1)[0]
        print(f"  {stage}: " + ", ".join(f"{t} {slope:.2f}" for t, slope in zip(titles, slopes, strict=False)))

# %%
# In the NTK parametrisation all four fall along the line, up to the chance of ten networks, and training changes them
# little: the wider the network, the less it moves the kernel. In torch's own the kernels' gaps start smaller and fall
# more slowly, for the bias of the last layer is a part of the kernel that is exact and does not grow with the width.
# Training then moves the kernel of narrow networks by its own size. Its gaps become two to five times as large and fall
# more slowly than the line at these widths; that of the regressions becomes smaller.

figure, axes = plt.subplots(1, 4, figsize=(13, 4), sharey=True, layout="constrained")
styles = [("C0", "o-"), ("C0", "o:"), ("C1", "s-"), ("C1", "s:")]
for column, (axis, title) in enumerate(zip(axes, titles, strict=True)):
    for (name, values), (color, line) in zip(found.items(), styles, strict=True):
        if column < values.shape[1]:
            fill = color if "initialisation" in name else "white"
            axis.loglog(widths, values[:, column], line, color=color, markerfacecolor=fill, label=name)
    start = found["NTK parametrisation, at initialisation"][:, column]
    line = np.exp(np.log(start * widths**0.5).mean()) * widths**-0.5
    axis.loglog(widths, line, "k--", linewidth=1, label="width$^{-1/2}$")
    axis.set_xticks(widths, [str(width) for width in widths])
    axis.minorticks_off()
    axis.set(title=title, xlabel="width")
ticks = [0.02, 0.05, 0.1, 0.2, 0.5]
axes[0].set_yticks(ticks, [str(tick) for tick in ticks])
axes[0].set_ylabel("relative gap, root mean square")
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, frameon=False)
