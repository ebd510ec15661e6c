"""The classes that files may name, and where they are; nothing is imported by a name that a file holds."""

from __future__ import annotations

from importlib import import_module

from neural_kernels.errors import LoadError

# Names of a class never change once a file may hold them; where it lives may.
_HOMES = {
    "layers.attention": "Attention Positions",
    "layers.containers": "Concat Product Residual Sequential",
    "layers.convolution": "Conv ConvTranspose LocalConv",
    "layers.dense": "Dense",
    "layers.graph": "GraphAggregate",
    "layers.measured": "FixedMap WindowMap",
    "layers.normalization": "Dropout LayerNorm",
    "layers.pooling": "AvgPool Flatten GlobalAvgPool GlobalSumPool SumPool",
    "layers.resize": "Resize",
    "algebra.input_map": "ChannelMap Metric",
    "activations.clipped": "HardShrink HardSigmoid HardSwish HardTanh ReLU6 SoftShrink",
    "activations.elementwise": "Elementwise",
    "activations.elu": "CELU ELU SELU",
    "activations.erf": "Erf",
    "activations.exponential": "Exp Gabor Gaussian",
    "activations.gelu": "GELU",
    "activations.normalized": "NormalizedGaussian",
    "activations.polynomial": "Hermite Identity Monomial Polynomial",
    "activations.rectified": "RectifiedMonomial Sign Step",
    "activations.relu": "ABReLU Abs LeakyReLU ReLU",
    "activations.smooth": "GELUTanh LogSigmoid Mish SiLU Sigmoid Softplus Tanh Tanhshrink",
    "activations.softsign": "Softsign",
    "activations.trigonometric": "Cos RBF Sin",
    "exact.flips": "FlipAverage",
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
    "sketches.count_sketch": "CountSketch",
    "sketches.osnap": "OSNAP",
    "sketches.poly_sketch": "PolySketch",
    "sketches.srht": "SRHT",
    "sketches.tensor_sketch": "TensorSketch",
    "sketches.tensor_srht": "TensorSRHT",
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
    "estimators.predictive": "TargetVariances",
    "estimators.region": "Region",
    "estimators.row_table": "RowTable",
    "estimators.selection": "AlphaChoice",
    "torch.nn.modules.container": "ModuleDict ModuleList",
    "torch.nn.modules.linear": "Identity",
}


def _named(home: str, name: str) -> tuple[str, tuple[str, str]]:
    """What a class is called in a file, which for torch's begins with `torch`; and where it is."""
    return (f"torch.{name}", (home, name)) if home.startswith("torch.") else (name, (f"neural_kernels.{home}", name))


_CLASSES = dict(_named(home, name) for home, names in _HOMES.items() for name in names.split())
_NAMES = {place: name for name, place in _CLASSES.items()}


def name_of(kind: type) -> str | None:
    """The name of a class in files; None where they may not hold its objects."""
    return _NAMES.get((kind.__module__, kind.__name__))


def resolve(name: object) -> type:
    """The class of a name."""
    if not isinstance(name, str) or name not in _CLASSES:
        raise LoadError(
            f"the file holds an object of class {name!r}, which this version of neural_kernels does not have, or does "
            "not read from files"
        )
    home, attribute = _CLASSES[name]
    return getattr(import_module(home), attribute)
