"""From torch modules to descriptions: the foreign side, where a registry by type is the right tool.

registry     `from_torch`, and where rules are registered
vectors      rules for chains and for what acts on vectors as on images
elementwise  rules for activations
positions    rules for convolutions, pools and what else knows of positions
"""

from neural_kernels.importing import elementwise, positions, vectors
from neural_kernels.importing.registry import from_torch

__all__ = ["elementwise", "from_torch", "positions", "vectors"]
