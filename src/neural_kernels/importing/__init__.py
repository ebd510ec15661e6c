"""From torch modules to descriptions: the foreign side, where a registry by type is the right tool."""

from neural_kernels.importing import elementwise, positions, vectors
from neural_kernels.importing.registry import from_torch

__all__ = ["elementwise", "from_torch", "positions", "vectors"]
