"""Frames to predictions: the encoder, the scaler and an estimator as one pipeline."""

from __future__ import annotations

from typing import Any

from sklearn.pipeline import Pipeline

from neural_kernels.tables.encoder import TableEncoder
from neural_kernels.tables.scaler import TableScaler


def table_pipeline(estimator: Any, *, memory: Any = None, verbose: bool = False) -> Pipeline:
    """An estimator of numbers that takes data frames: `TableEncoder`, `TableScaler` and the estimator, in a pipeline.

    Parameters
    ----------
    estimator : estimator
        Of this library or any other of scikit-learn's kind.
    memory, verbose
        As for ``sklearn.pipeline.Pipeline``.

    Returns
    -------
    sklearn.pipeline.Pipeline
        With steps "encode", "scale" and "model", not fitted.

    Examples
    --------
    >>> import pandas as pd
    >>> import neural_kernels as nk
    >>> from neural_kernels.tables import table_pipeline
    >>> X = pd.DataFrame({"size": [1.0, 2.0, None, 4.0] * 10, "colour": ["red", "blue", "red", None] * 10})
    >>> model = table_pipeline(nk.NeuralKernelRegressor(nk.mlp(2, bias_var=0.1))).fit(X, [1.0, 3.0, 2.0, 5.0] * 10)
    >>> model[:-1].get_feature_names_out().tolist()
    ['size', 'colour=red', 'colour=missing', 'colour=blue', 'size_missing']
    >>> model.predict(X[:4]).round()
    array([1., 3., 2., 5.])
    """
    steps = [("encode", TableEncoder()), ("scale", TableScaler()), ("model", estimator)]
    return Pipeline(steps, memory=memory, verbose=verbose)
