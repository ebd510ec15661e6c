"""Kernels as expressions: a graph that the layers of a network build, before anything of size n1 x n2 is computed.

- `pairs`: on which pairs of units an expression is evaluated, and what was evaluated on them.
- `nodes`: what an expression is, and the plain ones: the input, multiples, sums, products.
- `fixed`: zero, constants, noise.
- `duals`: value and slope of an activation.
- `positions`: maps of positions, and kernels without correlation between positions.

They know the formulas in torch, which are the reference, the differentiable path and that of a GPU. The compiler reads
them; they know nothing of it.
"""
