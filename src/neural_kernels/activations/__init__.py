"""Activations and their dual kernels; usable alone.

base           what a kernel asks of an activation: its dual, its dual's slope, both as correlations, its slopes
expectations/  what the duals are computed with: integrals over two jointly normal variables; knows no activation
relu           piecewise linear with one kink at the origin: the arc-cosine kernels of order 1
rectified      steps and powers of the positive part: the arc-cosine kernels of every order
polynomial     polynomials, whose series is finite
trigonometric  sines and cosines, and the activation whose dual is the Gaussian kernel
exponential    exponentials of linear and quadratic forms
erf, gelu      the error function; the Gaussian error linear unit
elu            exponential linear units
normalized     a dual of the correlation alone, without an activation
numeric        activations known by their function alone, by series and quadrature
smooth         sigmoids and ramps without a closed dual
clipped        clipped ramps and shrinkage
softsign       the algebraic sigmoid
elementwise    any function as an activation
tables         duals as tables in the norms and the angle, at one cost for all of them
norm_cells     the cells of norms that tables are made for
cell_table     the coefficients of such a table that matter
"""

from neural_kernels.activations.base import Activation, Dual
from neural_kernels.activations.clipped import HardShrink, HardSigmoid, HardSwish, HardTanh, ReLU6, SoftShrink
from neural_kernels.activations.elementwise import Elementwise
from neural_kernels.activations.elu import CELU, ELU, SELU
from neural_kernels.activations.erf import Erf
from neural_kernels.activations.expectations.hermite import HermiteSeries
from neural_kernels.activations.expectations.normal import BivariateNormal
from neural_kernels.activations.exponential import Exp, Gabor, Gaussian
from neural_kernels.activations.gelu import GELU
from neural_kernels.activations.normalized import NormalizedGaussian
from neural_kernels.activations.polynomial import Hermite, Identity, Monomial, Polynomial
from neural_kernels.activations.rectified import RectifiedMonomial, Sign, Step
from neural_kernels.activations.relu import ABReLU, Abs, LeakyReLU, ReLU
from neural_kernels.activations.smooth import (
    GELUTanh,
    LogSigmoid,
    Mish,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    Tanhshrink,
)
from neural_kernels.activations.softsign import Softsign
from neural_kernels.activations.trigonometric import RBF, Cos, Sin

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "RBF",
    "SELU",
    "ABReLU",
    "Abs",
    "Activation",
    "BivariateNormal",
    "Cos",
    "Dual",
    "Elementwise",
    "Erf",
    "Exp",
    "GELUTanh",
    "Gabor",
    "Gaussian",
    "HardShrink",
    "HardSigmoid",
    "HardSwish",
    "HardTanh",
    "Hermite",
    "HermiteSeries",
    "Identity",
    "LeakyReLU",
    "LogSigmoid",
    "Mish",
    "Monomial",
    "NormalizedGaussian",
    "Polynomial",
    "ReLU",
    "ReLU6",
    "RectifiedMonomial",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Sin",
    "SoftShrink",
    "Softplus",
    "Softsign",
    "Step",
    "Tanh",
    "Tanhshrink",
]
