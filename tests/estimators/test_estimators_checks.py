"""scikit-learn's own checks: none is left out.

scikit-learn itself skips `check_array_api_input` unless SCIPY_ARRAY_API=1 is set; it passes with that. With
``kernel="precomputed"`` the checks hand over matrices that are not symmetric or not positive semi-definite, which are
refused on purpose: tests of that kernel are in test_estimators.py.
"""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from neural_kernels.estimators import NeuralKernelClassifier, NeuralKernelRegressor


@pytest.mark.filterwarnings("ignore")  # the checks warn about what they try out
@parametrize_with_checks(
    [
        NeuralKernelRegressor(),
        NeuralKernelRegressor(kernel="nngp", alpha=[1e-3, 1e-2]),
        NeuralKernelClassifier(),
        NeuralKernelClassifier(kernel="nngp", alpha=[1e-3, 1e-2], class_weight="balanced"),
    ]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)
