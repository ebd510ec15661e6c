"""
How wide is wide?
=================

``net.to_torch(...)`` builds the finite network of a description. Its empirical tangent kernel, the inner products of
its output's gradients, tends to ``nk.NTK(net)``; the error falls as one over the square root of the width. With one
output, ``nk.EmpiricalNTK``, ``nk.TraceNTK`` and ``nk.PseudoNTK`` are the same numbers.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

import neural_kernels as nk

rows, _ = load_wine(return_X_y=True)
x = torch.as_tensor(make_pipeline(StandardScaler(), Normalizer()).fit_transform(rows)[::20], dtype=torch.float32)
x = x * x.shape[1] ** 0.5
net = nk.mlp(2, bias_var=0.1)

# %%
# Errors of ten random networks at each width, relative in the Frobenius norm.

exact = nk.NTK(net)(x)
widths = np.array([16, 32, 64, 128, 256, 512])
errors = np.array(
    [
        [
            float((nk.TraceNTK(net.to_torch(x.shape[1], int(width), seed=seed))(x) - exact).norm() / exact.norm())
            for seed in range(10)
        ]
        for width in widths
    ]
)
for width, error in zip(widths, errors.mean(axis=1), strict=True):
    print(f"width {width:>4}: {error:.3f}")

# %%
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
axis.loglog(widths, errors, ".", color="C0", alpha=0.3)
axis.loglog(widths, errors.mean(axis=1), "o-", color="C0", label="mean of ten networks")
axis.loglog(
    widths, np.exp(np.log(errors * widths[:, None] ** 0.5).mean()) * widths**-0.5, "k--", label="width$^{-1/2}$"
)
axis.set_xticks(widths, [str(width) for width in widths], minor=False)
axis.minorticks_off()
axis.set(xlabel="width", ylabel="relative error of the empirical NTK")
axis.legend()
