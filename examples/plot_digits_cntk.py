"""
Images: a convolutional kernel, a support vector machine, a trained network
===========================================================================

The neural tangent kernel of a convolutional network compares images window by window. Arora et al. (2020, `arXiv
1910.01663 <https://arxiv.org/abs/1910.01663>`_) report that such kernels do well where labelled examples are few. Here
are learning curves on scikit-learn's digits, 8 x 8 pixels, for 10 to 1,000 training images.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.svm import SVC
from torch import nn

import neural_kernels as nk

pixels, y = load_digits(return_X_y=True)
x = np.asarray(pixels, dtype=np.float32).reshape(-1, 1, 8, 8)  # images, channels, height, width
x = (x - x.mean()) / x.std()
train, test = train_test_split(np.arange(len(x)), train_size=1000, test_size=300, stratify=y, random_state=0)
x_train, y_train, x_test, y_test = x[train], y[train], x[test], y[test]

# %%
# The estimators take images as they take tables. ``nk.cnn(3)`` is three 3 x 3 convolutions and a mean over all
# positions; of several ``alpha`` the one with the best leave-one-out score is taken.

alphas = np.logspace(-6, 0, 7)
model = nk.NeuralKernelClassifier(network=nk.cnn(3), alpha=alphas).fit(x_train[:50], y_train[:50])
print(f"50 images: accuracy {model.score(x_test[:100], y_test[:100]):.2f}, alpha {model.alpha_:g}")

# %%
# For learning curves the kernels of all images are computed once, and their parts used as precomputed Gram matrices.
# The mean over positions needs all pairs of positions, 64 times the work of the network that ends in ``Flatten``: its
# curve stops at 100 images here.

networks = {
    "NTK, mean over positions": (nk.cnn(3), 100),
    "NTK, flatten": (nk.cnn(3, pooling="flatten"), 1000),
}
grams = {
    name: (nk.NTK(net)(x_train[:most]), nk.NTK(net)(x_test, x_train[:most])) for name, (net, most) in networks.items()
}


def kernel_accuracy(name, rows):
    gram, cross = grams[name]
    machine = nk.NeuralKernelClassifier(kernel="precomputed", alpha=alphas if len(rows) > 10 else 1e-4)
    return machine.fit(gram[np.ix_(rows, rows)], y_train[rows]).score(cross[:, rows], y_test)


# %%
# The support vector machine chooses C and gamma by cross-validation, where every class has two examples or more.


def svm_accuracy(rows):
    vectors, machine = x_train[rows].reshape(len(rows), -1), SVC(C=10)
    folds = min(5, np.bincount(y_train[rows], minlength=10).min())
    if folds > 1:
        machine = GridSearchCV(machine, {"C": [1, 10, 100], "gamma": np.logspace(-3, -1.5, 4)}, cv=folds)
    return machine.fit(vectors, y_train[rows]).score(x_test.reshape(len(x_test), -1), y_test)


# %%
# The trained network has batch normalisation, max pooling, dropout, weight decay and a falling step size: all that the
# kernel has not.


def cnn_accuracy(rows, seed, steps=100):
    torch.manual_seed(seed)
    images, labels = torch.as_tensor(x_train[rows]), torch.as_tensor(y_train[rows])
    layers = []
    for before, after in ((1, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]
    network = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 10))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = torch.randperm(len(rows))[:64]
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images[batch]), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        return np.mean(network(torch.as_tensor(x_test)).argmax(1).numpy() == y_test)


# %%
# Training images are drawn with all classes alike, from the first 100 for up to 100; of small sets three draws are
# averaged. From one image of each class leave-one-out learns nothing of alpha, for it leaves the class out: alpha is
# 1e-4 then, as C is 10.


def balanced(labels, n, seed):
    order = np.random.default_rng(seed).permutation(len(labels))
    rank = [np.sum(labels[order[:i]] == labels[order[i]]) for i in range(len(order))]
    return order[np.argsort(rank, kind="stable")[:n]]


curves = {}
print(f"{'n':>5}  " + "  ".join([*networks, "RBF SVM", "trained CNN"]))
for n in (10, 30, 100, 300, 1000):
    scores = []
    for seed in range(3 if n < 100 else 1):
        rows = balanced(y_train[: max(n, 100)], n, seed)
        row = {name: kernel_accuracy(name, rows) for name, (_, most) in networks.items() if n <= most}
        scores.append(row | {"RBF SVM": svm_accuracy(rows), "trained CNN": cnn_accuracy(rows, seed)})
    means = {name: np.mean([row[name] for row in scores]) for name in scores[0]}
    for name, mean in means.items():
        curves.setdefault(name, []).append((n, mean))
    print(f"{n:>5}  " + "  ".join((f"{means[name]:.3f}" if name in means else "").rjust(len(name)) for name in curves))

# %%
figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for name, curve in curves.items():
    sizes, accuracies = zip(*curve, strict=True)
    axis.semilogx(sizes, accuracies, "o-", label=name)
axis.set_xticks([10, 30, 100, 300, 1000], ["10", "30", "100", "300", "1000"])
axis.minorticks_off()
axis.set(xlabel="training images", ylabel="accuracy on 300 other images")
axis.legend()
