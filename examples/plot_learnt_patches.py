"""
Learnt patches: which filters an image model needs
==================================================

The first convolution of a network compares windows of two images, and takes all their pixels for equally important. A
metric on the windows, ``nk.Conv(metric=M)``, weighs directions among them, and
:class:`~neural_kernels.FeatureLearning` learns it: from the gradients of the fitted model by the windows, a few times
over. Its eigenvectors are filters. Here are images of noise first, in which one filter decides, which is to be found;
then digits under noise.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.ndimage import correlate
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import neural_kernels as nk

# %%
# One filter decides
# ------------------
#
# The target is the mean contrast of vertical edges: the absolute response to Sobel's filter, averaged over an image.

rng = np.random.default_rng(0)
sobel = np.outer([1.0, 2.0, 1.0], [-1.0, 0.0, 1.0])
noise = rng.normal(size=(700, 1, 6, 6)).astype(np.float32)
contrast = np.array([np.abs(correlate(image[0], sobel, mode="constant")).mean() for image in noise])

plain = nk.NeuralFeatureRegressor(nk.cnn(2, bias_var=0.1), n_components=256, random_state=0)
learner = nk.FeatureLearning(plain, iterations=2, diag=False, power=1.0)
plain.fit(noise[:400], contrast[:400])
learner.fit(noise[:400], contrast[:400])
print(f"R^2 of new images: {plain.score(noise[400:], contrast[400:]):.3f}")
print(f"with learnt patches: {learner.score(noise[400:], contrast[400:]):.3f}")


def filters_of(metric, count, shape):
    """Eigenvectors of the largest eigenvalues, as filters, with the largest entry positive."""
    values, vectors = np.linalg.eigh(metric)
    strongest = vectors.T[::-1][:count]
    signs = np.sign(strongest[np.arange(count), np.abs(strongest).argmax(axis=1)])
    return values[::-1][:count] / values.sum(), (strongest * signs[:, None]).reshape(count, *shape)


# %%
# Digits under noise
# ------------------
#
# 300 digits to learn from, with noise as large as the digits themselves, and windows of 5 x 5. Noise varies in all
# directions of a window, what is written in smooth ones. Each iteration is judged by leave-one-out: ``history_`` has
# the scores, here of the log-loss.

X, y = load_digits(return_X_y=True)
images = ((X - X.mean()) / X.std()).reshape(-1, 1, 8, 8)
images = (images + rng.normal(size=images.shape)).astype(np.float32)
train, test, y_train, y_test = train_test_split(images, y, train_size=300, random_state=0, stratify=y)
network = nk.Sequential(nk.Conv(5, padding="valid", bias_var=0.1), *nk.cnn(2, bias_var=0.1).layers[1:])
classifier = nk.NeuralFeatureClassifier(network, n_components=128, random_state=0)
digits = nk.FeatureLearning(classifier, iterations=2, diag=False, power=0.5).fit(train, y_train)
classifier.fit(train, y_train)
print(f"accuracy: {classifier.score(test, y_test):.3f}")
print(f"with learnt patches: {digits.score(test, y_test):.3f}")
print("leave-one-out scores:", [round(stage["score"], 3) for stage in digits.history_])

# %%
# The filters
# -----------

figure, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
axes[0, 0].imshow(sobel, cmap="RdBu", vmin=-2, vmax=2)
axes[0, 0].set_title("decides")
for row, metric, first, side in ((0, learner.metric_, 1, 3), (1, digits.metric_, 0, 5)):
    shares, filters = filters_of(metric, 5 - first, (side, side))
    for axis, share, found in zip(axes[row, first:], shares, filters, strict=True):
        largest = np.abs(found).max()
        axis.imshow(found, cmap="RdBu", vmin=-largest, vmax=largest)
        axis.set_title(f"{share:.0%} of the metric", fontsize=9)
for axis in axes.ravel():
    axis.set_axis_off()
figure.suptitle("Found in images of noise (above) and in digits under noise (below)")
plt.show()
