"""The engine: compiled loops that run programs, knowing arrays and nothing of networks.

A kernel of a network is a chain of elementwise operations on one minus a correlation, each cheap beside the traffic of
a whole matrix through memory. So the loop over layers is *inside* the loop over rows: a row of the matrix, or a strip
of it that stays in the first cache, goes through all operations before the next one is touched.

Which operations those are is data. A program is a table of integers, and the machine one loop with a branch for each
operation, compiled once for each precision. Code generated for each network would save the branch, which costs nothing
beside a row of hundreds of columns, and would take seconds to compile for every new network, longer than most kernels
take to compute.

Compiled code is cached on disk between processes. numba dates its cache by the file of a function alone, not by those
of what it calls, so every function carries a digest of all sources of the engine (`runtime.jit`): a change of any file
compiles all of them anew, and no machine code outlives its source.

- `inputs`: rows of data as the engine takes them, and one minus their cosines.
- `codes`: operations that both machines have.
- `arc`: the angle between two variables, by polynomials that vectorise.
- `row_operations`: the operations themselves, each a loop over one row.
- `tables`: one more operation, for the activations that are Chebyshev sums in the norms and in an angle.
- `quadrants`: probabilities that two normal variables exceed thresholds, for activations with kinks off the origin.
- `normal_tails`, `corners`, `kinks`: one more operation, for activations of polynomial pieces; tails of the normal
  distribution, what a quadrant of two normal variables is made of, and value and slope as sums of moments over it.
- `waves`: one more operation, for sines, cosines and bumps of large norms, by their closed form.
- `meetings`: what such a table lacks of functions with kinks off the origin, where a kink of one variable meets one of
  the other.
- `rays`: expectations of functions whose pieces have no closed form, pair by pair, as sums over angles.
- `vectors/`: the machine for kernels of vectors. Its registers hold a strip of one row of the matrix.
- `positions/`: the machine for kernels of images, sequences and graphs. Its rows are positions of one example.
"""
