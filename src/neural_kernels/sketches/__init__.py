"""Random maps to fewer dimensions that keep inner products, and powers of them, in expectation; usable on their own.

What all share:

- `checked_rows`: what sketches take, checked
- `seeds`: randomness by address
- `blocks`: the loop over blocks of rows
- `sketch`: the interface of a sketch of one input
- `loops`: compiled loops over entries
- `hadamard`: the fast Hadamard transform

Linear sketches of rows, then those of products and powers of rows:

- `hashing`, `count_sketch`, `osnap`: signed buckets for every coordinate
- `srht`, `complex`: random signs, a Hadamard transform, a sample of its rows; the latter with complex signs
- `tensor_srht`: the product of two rows
- `tensor_sketch`: a power of a row, by Fourier transforms
- `poly_sketch`: all powers of a row up to a degree, by a tree of products
"""

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
