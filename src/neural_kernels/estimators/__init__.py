"""scikit-learn estimators: exact kernel regression and classification, and ridge regression on feature maps.

What users call:

- `kernel_regressor`, `kernel_classifier`: exact, by a Gram matrix; they share `kernel_base`, `held_factor` and, to be
  given rows more or fewer, `editing`;
- `feature_transformer`, `feature_regressor`, `feature_classifier`: by a feature map, for many rows; they share
  `feature_model` and, the linear ones, `feature_parts`, `feature_blocks`, `feature_base`;
- `feature_logistic`: logistic regression on them, in passes over the rows; it is made of `logistic_model`,
  `logistic_rows`, `logistic_search`, `logistic_training`, `logistic_checkpoint`;
- `stream_pipeline`: steps before them, fitted to blocks too;
- `feature_learning`: a metric on the inputs, learnt by either of them; `learnt_metrics`: how one follows another;
  `measured_inputs`: what it is of, columns or windows of images;
- `images`: images scaled for either of them;
- `on_disk`: features of many rows in a file;
- `linearized`: what training a torch module would give, by its empirical kernel.

What they are made of:

- `settings`: parameters (alpha, solver, network, memory_budget), read and refused in one place;
- `network_parameters`: those of the network, under the names that scikit-learn gives to those of parts;
- `inputs`: arrays and weights, and what is said where shapes do not fit;
- `examples`: rows of no weight left out, copies merged; `ledger`: the rows that they were made of;
- `survey`: a first look at rows in parts, by which models of them all begin;
- `row_table`: such rows of a stream, in tables that add up, and samples of them;
- `row_sample`: some rows of a stream, drawn at random, for a map;
- `blocks`: rows that come in blocks, checked one after the other; `block_scores`: R^2 and accuracy of them;
- `fit_state`, `checkpoints`: what was seen, stored now and then, for fits that go on where they were killed;
- `built`, `accumulation`: sums over them, and all that a model on features has seen, apart from solving;
- `scales`, `region`: warnings of columns, rows and new rows on other scales than the rest;
- `selection`, `scores`, `jury`, `held_out`: which alpha is used, by which score, of which examples;
- `atomic`: a fit that does not end leaves the estimator as it was;
- `kernel_posterior`, `feature_posterior`, `predictive`, `pathwise`: deviations, samples and intervals of targets;
- `feature_novelty`: how far rows are from those that a model on features has seen;
- `ensemble_noise`: how far apart trained networks are, and how noisy the targets;
- `map_properties`: what models on features say of their map;
- `input_gradients`: how predictions change with their inputs; `passing_gradients`: predictions that torch
  differentiates;
- `leave_one_out`: what is predicted without an example, and jackknife+ intervals;
- `labels`, `class_weight`, `calibration`: labels as targets, and scores as probabilities.
"""

from neural_kernels.estimators.checkpoints import Checkpoint
from neural_kernels.estimators.feature_classifier import NeuralFeatureClassifier
from neural_kernels.estimators.feature_learning import FeatureLearning
from neural_kernels.estimators.feature_logistic import NeuralFeatureLogisticClassifier
from neural_kernels.estimators.feature_regressor import NeuralFeatureRegressor
from neural_kernels.estimators.feature_transformer import NeuralFeatures
from neural_kernels.estimators.images.scaler import ImageScaler
from neural_kernels.estimators.kernel_classifier import NeuralKernelClassifier
from neural_kernels.estimators.kernel_regressor import NeuralKernelRegressor
from neural_kernels.estimators.on_disk import transform_to_disk
from neural_kernels.estimators.stream_pipeline import StreamPipeline

__all__ = [
    "Checkpoint",
    "FeatureLearning",
    "ImageScaler",
    "NeuralFeatureClassifier",
    "NeuralFeatureLogisticClassifier",
    "NeuralFeatureRegressor",
    "NeuralFeatures",
    "NeuralKernelClassifier",
    "NeuralKernelRegressor",
    "StreamPipeline",
    "transform_to_disk",
]
