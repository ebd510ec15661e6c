"""Random maps to fewer dimensions that keep inner products, and powers of them, in expectation; usable on their own."""

from neural_kernels.sketches.count_sketch import CountSketch
from neural_kernels.sketches.hadamard import hadamard
from neural_kernels.sketches.osnap import OSNAP
from neural_kernels.sketches.poly_sketch import PolySketch
from neural_kernels.sketches.seeds import derive_seed
from neural_kernels.sketches.srht import SRHT
from neural_kernels.sketches.tensor_sketch import TensorSketch
from neural_kernels.sketches.tensor_srht import TensorSRHT

__all__ = [
    "OSNAP",
    "SRHT",
    "CountSketch",
    "PolySketch",
    "TensorSRHT",
    "TensorSketch",
    "derive_seed",
    "hadamard",
]
