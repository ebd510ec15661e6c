"""scikit-learn estimators: exact kernel regression and classification, and ridge regression on feature maps."""

from neural_kernels.estimators.classifier import NeuralKernelClassifier
from neural_kernels.estimators.features import NeuralFeatureClassifier, NeuralFeatureRegressor, NeuralFeatures
from neural_kernels.estimators.regressor import NeuralKernelRegressor

__all__ = [
    "NeuralFeatureClassifier",
    "NeuralFeatureRegressor",
    "NeuralFeatures",
    "NeuralKernelClassifier",
    "NeuralKernelRegressor",
]
