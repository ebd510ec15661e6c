"""
Displays
========

What a model and a kernel know of themselves, drawn. All displays follow scikit-learn's convention: ``from_estimator``
computes and draws, ``ax=`` says where, and the result holds the numbers, the axes and the figure.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels import displays

X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.4, random_state=0)
model = make_pipeline(StandardScaler(), nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))).fit(X_train, y_train)

# %%
# How alpha was chosen, and how sure predictions are
# --------------------------------------------------
# Leave-one-out scores are exact. Intervals are counted on rows of a test: within the band, what is off the diagonal may
# be chance.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
displays.AlphaPathDisplay.from_estimator(model, ax=axes[0])
displays.CoverageDisplay.from_estimator(model, X_test, y_test, ax=axes[1])
displays.CoverageDisplay.from_estimator(model, X_test, y_test, response_method="predict", ax=axes[1])

# %%
# Which columns count
# -------------------
# The mean squares of the gradient by each (standardised) column, and all products of such gradients: columns of one
# colour move the prediction together, the two colours against each other.

figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
displays.AgopDisplay.from_estimator(model, ax=axes[0])
displays.AgopDisplay.from_estimator(model, kind="matrix", ax=axes[1])

# %%
# How a metric was learnt
# -----------------------
# The same gradients become weights of the columns, a few times; each power has its path.

learnt = make_pipeline(StandardScaler(), nk.FeatureLearning(nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))))
learnt.fit(X_train, y_train)
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
displays.MetricPathDisplay.from_estimator(learnt, ax=axes[0])
displays.AgopDisplay.from_estimator(learnt, ax=axes[1])

# %%
# Learning in time
# ----------------
# With hardly any ridge a network learns the noise as well, given time; directions of large eigenvalues come first, and
# much of what can be learnt lies in the first few.

free = nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1), alpha=1e-3, solver=nk.solvers.Spectral())
free = make_pipeline(StandardScaler(), free).fit(X_train, y_train)
figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
displays.TrainingTimeDisplay.from_estimator(free, X_train, y_train, X_test, y_test, ax=axes[0])
displays.SpectrumDisplay.from_estimator(free, X_train, y_train, ax=axes[1])

# %%
# How many features
# -----------------
# Two methods on the same axes. A model with an intercept sees the centred kernel.

figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
for method in (nk.Nystrom(), nk.RandomFeatures()):
    features = nk.NeuralFeatures(nk.mlp(2, bias_var=0.1), method=method, random_state=0)
    displays.KernelErrorDisplay.from_estimator(
        make_pipeline(StandardScaler(), features), X_train, n_components=[16, 32, 64, 128], ax=axis
    )
