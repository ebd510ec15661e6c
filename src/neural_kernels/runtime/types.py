"""Names of types that every room uses."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Shape = tuple[int, ...]
Array = npt.NDArray[np.float64]
