"""Networks on a grid: their arguments are parameters of estimators."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import neural_kernels as nk
from neural_kernels.dask import DaskNeuralFeatureRegressor

ESTIMATORS = [
    nk.NeuralKernelRegressor,
    nk.NeuralKernelClassifier,
    nk.NeuralFeatures,
    nk.NeuralFeatureRegressor,
    nk.NeuralFeatureClassifier,
    nk.NeuralFeatureLogisticClassifier,
    DaskNeuralFeatureRegressor,
]


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_arguments_are_parameters(kind):
    net = nk.mlp(2, "erf")
    model = kind(net)
    assert model.get_params()["network__depth"] == 2
    assert not [name for name in model.get_params(deep=False) if "__" in name]
    other = clone(model).set_params(network__depth=4, network__bias_var=0.5)
    assert other.network == nk.mlp(4, nk.Erf(), bias_var=0.5)
    assert model.network is net
    assert clone(other).get_params()["network__depth"] == 4
    assert "mlp(4, activation='erf', bias_var=0.5)" in repr(other)
    assert other.set_params(**model.get_params()).network == net


def test_the_default_network_has_parameters():
    model = nk.NeuralKernelRegressor().set_params(network__depth=1)
    assert model.network == nk.mlp(1, bias_var=0.1)
    assert nk.NeuralKernelRegressor().set_params(network=nk.cnn(1), network__depth=2).network == nk.cnn(2)


def test_what_has_no_parameters_says_so():
    with pytest.raises(ValueError, match="written layer by layer"):
        nk.NeuralFeatures(nk.Sequential(nk.Dense())).set_params(network__depth=2)
    with pytest.raises(ValueError, match="mlp has no argument 'dept'"):
        nk.NeuralFeatures().set_params(network__dept=2)
    with pytest.raises(ValueError, match="Invalid parameter 'net'"):
        nk.NeuralFeatures().set_params(net__depth=2)


def test_one_grid_over_depth_activation_and_alpha():
    x, y = load_wine(return_X_y=True)
    model = make_pipeline(StandardScaler(), nk.NeuralKernelClassifier(nk.mlp(2, bias_var=0.1)))
    grid = {"network__depth": np.arange(1, 4), "network__activation": ["relu", nk.Erf()], "alpha": [0.01, 1.0]}
    search = GridSearchCV(model, {f"neuralkernelclassifier__{k}": v for k, v in grid.items()}, cv=3).fit(x, y)
    results = pd.DataFrame(search.cv_results_)
    by_depth = results.groupby("param_neuralkernelclassifier__network__depth").mean_test_score
    assert by_depth.size().to_dict() == {1: 4, 2: 4, 3: 4}
    best = pickle.loads(pickle.dumps(search.best_estimator_))
    assert best[-1].network_.arguments["depth"] == search.best_params_["neuralkernelclassifier__network__depth"]
    assert best.score(x, y) > 0.98
    again = [row.mean_test_score for row in results.itertuples()]
    networks = [nk.mlp(d, a, bias_var=0.1) for a in ("relu", "erf") for d in (1, 2, 3)]
    by_hand = GridSearchCV(
        model,
        {"neuralkernelclassifier__alpha": [0.01, 1.0], "neuralkernelclassifier__network": networks},
        cv=3,
    ).fit(x, y)
    assert again == list(by_hand.cv_results_["mean_test_score"])
    assert model[-1].network == nk.mlp(2, bias_var=0.1)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_diagrams_show_short_names(kind):
    diagram = make_pipeline(StandardScaler(), kind(nk.myrtle(10)))._repr_html_()
    assert "myrtle(10)" in diagram
    assert "Conv(" not in diagram
