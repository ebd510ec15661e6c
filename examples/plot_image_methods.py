"""
Which features for images: error against time, and what landmarks look like
===========================================================================

For networks on images three kinds of features apply: landmarks layer by layer, the default, which learn from some
images; random features and sketches of polynomials, which know none. Here is how near each comes to the exact kernel,
and what that costs, on patches of two photographs that scikit-learn brings: 16 x 16 pixels in three colours.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_sample_images

import neural_kernels as nk

SIDE = 16
rng = np.random.default_rng(0)
photographs = [np.asarray(photograph) for photograph in load_sample_images().images]


def cut_patches(count):
    """Patches at random places, as bytes (n, channels, height, width)."""
    patches = []
    for number in range(count):
        photograph = photographs[number % 2]
        top, left = (rng.integers(size - SIDE) for size in photograph.shape[:2])
        patches.append(photograph[top : top + SIDE, left : left + SIDE])
    return np.moveaxis(np.array(patches), -1, 1)


x = nk.ImageScaler().fit_transform(cut_patches(300))
train, test = x[:240], x[240:]

# %%
# The error is that of the centred kernel matrix of patches that the map has not seen, which is the part that matters
# to a model with an intercept: all patches share most of the raw kernel. Times are of mapping them, once a map is
# built.

net = nk.cnn(2)
centre = np.eye(len(test)) - 1 / len(test)
start = time.perf_counter()
exact = centre @ nk.NTK(net)(test) @ centre
pair = (time.perf_counter() - start) / (len(test) * (len(test) + 1) / 2)

methods = {
    "LayerwiseLandmarks": nk.LayerwiseLandmarks(),
    "RandomFeatures": nk.RandomFeatures(),
    "PolynomialSketch": nk.PolynomialSketch(2),
    "Nystrom": nk.Nystrom(),
}
curves = {}
for name, method in methods.items():
    points = []
    for columns in (32, 64) if name == "Nystrom" else (64, 256, 512):
        phi = nk.feature_map(net, n_components=columns, method=method).fit(train)
        phi(test[:8])  # compiles what it uses
        start = time.perf_counter()
        features = phi(test)
        spent = 1e3 * (time.perf_counter() - start) / len(test)
        error = np.linalg.norm(centre @ features @ features.T @ centre - exact) / np.linalg.norm(exact)
        points.append((columns, spent, error))
    curves[name] = np.array(points)

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, points in curves.items():
    axis.plot(points[:, 1], points[:, 2], "o-", label=name)
    for columns, milliseconds, error in points:
        axis.annotate(f"{columns:.0f}", (milliseconds, error), textcoords="offset points", xytext=(4, 4), fontsize=8)
axis.set(xscale="log", yscale="log", xlabel="milliseconds a patch", ylabel="relative error of the centred kernel")
axis.set_title(f"nk.cnn(2), 16 x 16 x 3; numbers are columns (exact: {1e3 * pair:.2g} ms a pair)", fontsize=9)
axis.legend()

# %%
# ``Nystrom`` takes whole patches as landmarks and compares each patch with them by the exact kernel: near, and as slow
# as so many pairs. Landmarks layer by layer are small windows of patches, so a few of them go a long way. A map is a
# torch module, a convolutional network whose filters nobody trained. With a first convolution of 7 x 7 they can be
# seen: the product of its two first stages is what pixels are multiplied with, for every landmark.

wide = nk.Sequential(nk.Conv(7), nk.ReLU(), nk.AvgPool(2), nk.Conv(3, weight_var=2.0), nk.ReLU(), nk.GlobalAvgPool())
method = nk.LayerwiseLandmarks(landmarks=48)
for scaler in (nk.ImageScaler(), nk.ImageScaler(whiten=0.1)):
    images = scaler.fit_transform(cut_patches(300))
    phi = nk.feature_map(nk.Sequential(wide, nk.Dense()), n_components=256, method=method).fit(images)
    tensors = phi.state_dict()
    windows, landmarks = tensors["map.stages.1.filters"], tensors["map.stages.2.landmarks.filters"][:, :48]
    filters = torch.einsum("tcs,sm->mtc", windows, landmarks).reshape(48, 7, 7, 3)
    filters = filters / filters.abs().amax((1, 2, 3), keepdim=True) / 2 + 0.5

    figure, axes = plt.subplots(4, 12, figsize=(8, 2.9), layout="constrained")
    for axis, image in zip(axes.flat, filters, strict=True):
        axis.imshow(image.numpy())
        axis.set(xticks=[], yticks=[])
    figure.suptitle(f"what 48 landmarks of the first layer look at, {scaler}", fontsize=9)

# %%
# Of pixels as they are, landmarks are patches of light and dark, since most windows are smooth. Whitened, they are
# edges and lines of some width and direction: what trained networks have in their first layer, too.

plt.show()
