"""scikit-learn estimators: exact kernel regression and classification."""

from neural_kernels.estimators.classifier import NeuralKernelClassifier
from neural_kernels.estimators.regressor import NeuralKernelRegressor

__all__ = ["NeuralKernelClassifier", "NeuralKernelRegressor"]
