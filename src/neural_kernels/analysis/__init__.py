r"""What a kernel matrix says of a network and its task: pure functions, arrays of any make in, the same make out.

A kernel matrix has shape (n, n) or, for the full empirical NTK of a network with o outputs, (n, n, o, o), its entry
[i, j, a, b] being the product of the gradients of output a at example i and of output b at example j. Beside a full
one, an (n, n) matrix K stands for what it means there, :math:`K \otimes I_o`, which is never formed.

- `matrices`: kernel matrices, checked, and what is done with them everywhere
- `spectra`: eigenvalues, and numbers that sum them up
- `change`: how far two kernels are apart
- `target`: how well a kernel fits a task
- `ridge`: the system of kernel ridge regression
- `influence`: the training examples that a prediction comes from
- `acquisition`: what labelling one more example would change
"""

from neural_kernels.analysis.acquisition import look_ahead
from neural_kernels.analysis.change import distance, eigenvalue_gap, velocity
from neural_kernels.analysis.influence import attribution, top_influences
from neural_kernels.analysis.spectra import condition_number, effective_rank, spectrum
from neural_kernels.analysis.target import alignment

__all__ = [
    "alignment",
    "attribution",
    "condition_number",
    "distance",
    "effective_rank",
    "eigenvalue_gap",
    "look_ahead",
    "spectrum",
    "top_influences",
    "velocity",
]
