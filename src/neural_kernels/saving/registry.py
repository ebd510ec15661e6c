"""The classes that files may name, and where they are; nothing is imported by a name that a file holds."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from inspect import isabstract

from neural_kernels.errors import LoadError

# What these export needs no entry here: a new layer, activation or sketch is a file, its export and its tests.
_EXPORTING = "layers", "activations", "sketches"

# Names of a class never change once a file may hold them; where it lives may.
_HOMES = {
    "layers.call": "Call",
    "layers.measured": "FixedMap WindowMap",
    "algebra.input_map": "ChannelMap Metric",
    "exact.flips": "FlipAverage",
    "exact.measured": "MetricKernel",
    "exact.graphs": "Graphs",
    "exact.kernel": "AffineKernel CallableKernel KernelProduct KernelSum",
    "exact.network": "NNGP NTK",
    "exact.polynomial": "PolynomialKernel",
    "exact.stationary": "GammaExponential",
    "solvers.automatic": "Automatic",
    "solvers.block": "BlockRidge",
    "solvers.cholesky": "Cholesky CholeskyRidge",
    "solvers.conjugate_gradient": "ConjugateGradient IterativeRidge IterativeSolution",
    "solvers.moments": "Moments",
    "solvers.operators": "KernelOperator MatrixOperator",
    "solvers.preconditioner": "LowRankInverse RPCholesky",
    "solvers.spectral": "Spectral SpectralRidge",
    "sketches.complex": "ComplexSRHT",
    "features.adaptive_sampling": "AdaptiveSampling MonomialMap",
    "features.angle.anchored": "AnchoredMap",
    "features.angle.angle_map": "AngleMap",
    "features.angle.powers": "Powers",
    "features.directions": "Directions IndependentDirections",
    "features.flipped": "FlippedMap",
    "features.landmarks.flat": "FlatReadout Nugget",
    "features.landmarks.functions": "RampFunction",
    "features.landmarks.landmark_map": "LandmarkMap Widths",
    "features.landmarks.layerwise": "LayerwiseLandmarks",
    "features.landmarks.linear": "SingleStage SourceStage WindowStage",
    "features.landmarks.pointwise": "Landmarks PointStage",
    "features.landmarks.readout": "LevelReadout PooledReadout",
    "features.landmarks.residual": "RandomColumns",
    "features.landmarks.series": "SeriesFunction _Powers",
    "features.layered.draws": "Draws",
    "features.layered.layered_map": "LayeredMap _First _Mixed",
    "features.layered.mixing": "CoupledProduct PositionSigns SignedSum TensorProduct",
    "features.map": "FeatureMap",
    "features.measured": "MeasuredMap",
    "features.method": "KernelValues Task",
    "features.monomials.expansion": "AngleExpansion GaussianExpansion PolynomialExpansion",
    "features.monomials.monomials": "Monomials",
    "features.nystrom": "LandmarkFeatures Nystrom",
    "features.polynomial_sketch": "PolynomialNonlinearity PolynomialSketch PolynomialStrategy PowersRest",
    "features.random_features": "RandomFeatures RandomNonlinearity RandomStrategy",
    "features.reduction": "Reduction",
    "features.zonal_features": "TabulatedRest ZonalFeatures",
    "estimators.accumulation": "Accumulation",
    "estimators.built": "Built ClassesApart",
    "estimators.calibration": "Calibration",
    "estimators.examples": "Copies Examples",
    "estimators.feature_base": "Solution",
    "estimators.feature_classifier": "NeuralFeatureClassifier",
    "estimators.feature_learning": "FeatureLearning",
    "estimators.feature_logistic": "NeuralFeatureLogisticClassifier",
    "estimators.feature_model": "MapBuilder",
    "estimators.feature_posterior": "Judged",
    "estimators.feature_regressor": "NeuralFeatureRegressor",
    "estimators.feature_transformer": "NeuralFeatures",
    "estimators.images.scaler": "ImageScaler",
    "estimators.images.scalings": "ChannelScaling Whitening",
    "estimators.images.scatter": "Scatter",
    "estimators.kernel_classifier": "NeuralKernelClassifier",
    "estimators.kernel_regressor": "NeuralKernelRegressor",
    "estimators.leave_one_out": "LeftOut",
    "estimators.ledger": "Ledger",
    "estimators.logistic_model": "LogisticSolution",
    "estimators.predictive": "TargetVariances",
    "estimators.region": "Region",
    "estimators.row_table": "RowTable",
    "estimators.selection": "AlphaChoice",
    "tables.classifier": "TableClassifier",
    "tables.codes": "DateCode NumberCode OrderCode",
    "tables.encoder": "TableEncoder",
    "tables.levels": "LevelCode",
    "tables.regressor": "TableRegressor",
    "tables.report": "TableReport",
    "tables.scaler": "TableScaler",
    "torch.nn.modules.container": "ModuleDict ModuleList",
    "torch.nn.modules.linear": "Identity",
}


def _named(home: str, name: str) -> tuple[str, tuple[str, str]]:
    """What a class is called in a file, which for torch's begins with `torch`; and where it is."""
    return (f"torch.{name}", (home, name)) if home.startswith("torch.") else (name, (f"neural_kernels.{home}", name))


_CLASSES = dict(_named(home, name) for home, names in _HOMES.items() for name in names.split())
_NAMES = {place: name for name, place in _CLASSES.items()}


@cache
def _exported() -> dict[str, type]:
    """Classes that are made of their fields, by name."""
    rooms = (import_module(f"neural_kernels.{room}") for room in _EXPORTING)
    values = {name: getattr(room, name) for room in rooms for name in room.__all__}
    return {name: value for name, value in values.items() if isinstance(value, type) and not isabstract(value)}


def name_of(kind: type) -> str | None:
    """The name of a class in files; None where they may not hold its objects."""
    own = kind.__name__ if _exported().get(kind.__name__) is kind else None
    return _NAMES.get((kind.__module__, kind.__name__), own)


def resolve(name: object) -> type:
    """The class of a name."""
    if isinstance(name, str) and name in _exported():
        return _exported()[name]
    if not isinstance(name, str) or name not in _CLASSES:
        raise LoadError(
            f"the file holds an object of class {name!r}, which this version of neural_kernels does not have, or does "
            "not read from files"
        )
    home, attribute = _CLASSES[name]
    return getattr(import_module(home), attribute)
