"""scikit-learn's own checks of the transformers of tables."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

import neural_kernels as nk


@parametrize_with_checks([nk.TableScaler(), nk.TableScaler(indicators=False), nk.TableEncoder()])
def test_scikit_learns_checks(estimator: Any, check: Any) -> None:
    check(estimator)
