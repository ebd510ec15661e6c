"""
A first model
=============

A neural network that is infinitely wide can be trained exactly: it is kernel regression with its *neural tangent
kernel*. Three lines make a classifier of it. The columns are scaled in the pipeline: the kernel of unscaled columns is
that of the largest one.
"""

from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import neural_kernels as nk

x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=1 / 2, stratify=y, random_state=0)

classifier = nk.NeuralKernelClassifier(nk.mlp(depth=3), alpha=[1e-4, 1e-3, 1e-2, 1e-1, 1])
model = make_pipeline(StandardScaler(), classifier)
model.fit(x_train, y_train)
print(f"accuracy {model.score(x_test, y_test):.3f}, alpha {classifier.alpha_:g}")

# %%
# Of several ``alpha``, the one with the best leave-one-out score is taken. That score is exact and needs no refits.
# Probabilities come from the scores by a link of two parameters, which is fitted to leave-one-out scores.

probability = model.predict_proba(x_test)
print("most doubtful digit:", probability.max(axis=1).argmin(), probability[probability.max(axis=1).argmin()].round(2))
ConfusionMatrixDisplay.from_estimator(model, x_test, y_test, colorbar=False)

# %%
# The kernel itself is a function of two arrays, and scikit-learn's own machines take it.

svc = SVC(kernel=nk.NTK(nk.mlp(depth=3)), C=10)  # pyright: ignore[reportArgumentType]
machine = make_pipeline(StandardScaler(), svc)
print(f"support vector machine: {machine.fit(x_train, y_train).score(x_test, y_test):.3f}")
