"""The boundary: arrays of any make in, checked numbers inside, the same make out, in one set of messages.

Makes are NumPy, torch (any device, strided or CSR), SciPy sparse of any format, pandas, polars, lists, and whatever has
``__array__``, such as the blocks that Dask hands to a function. Memory is shared wherever torch can; no library is
imported but the one that an object came from.

- `makes`: which library an array is of, and the names of its rows and columns
- `precision`: the one policy of what numbers become, float32 or float64
- `reading`: an array as a tensor or as rows in CSR; what is not numbers is refused
- `require`: finite numbers, the shape and the device that something was built for
- `results`: memory for a result, and results as the make of array that came in
"""

from neural_kernels.runtime.boundary.makes import columns_of, index_of
from neural_kernels.runtime.boundary.precision import precision_of
from neural_kernels.runtime.boundary.reading import CSRRows, as_array, is_of_dask, read_dense, read_rows, refuse_lazy
from neural_kernels.runtime.boundary.require import (
    refuse_infinite,
    require_device,
    require_examples,
    require_finite,
    require_range,
    require_whole_rows,
)
from neural_kernels.runtime.boundary.results import dress, read_out

__all__ = [
    "CSRRows",
    "as_array",
    "columns_of",
    "dress",
    "index_of",
    "is_of_dask",
    "precision_of",
    "read_dense",
    "read_out",
    "read_rows",
    "refuse_infinite",
    "refuse_lazy",
    "require_device",
    "require_examples",
    "require_finite",
    "require_range",
    "require_whole_rows",
]
