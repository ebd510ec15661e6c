"""scikit-learn estimators: exact kernel regression and classification, and ridge regression on feature maps."""

from neural_kernels.estimators.feature_regressor import NeuralFeatureClassifier, NeuralFeatureRegressor, NeuralFeatures
from neural_kernels.estimators.kernel_classifier import NeuralKernelClassifier
from neural_kernels.estimators.kernel_regressor import NeuralKernelRegressor

__all__ = [
    "NeuralFeatureClassifier",
    "NeuralFeatureRegressor",
    "NeuralFeatures",
    "NeuralKernelClassifier",
    "NeuralKernelRegressor",
]
