"""The compiler: from expressions of kernels to programs of the engine.

Kernels over positions go through these passes, each a file that says what comes in, what goes out and why:

    expressions -> `lower` -> `schedule` -> `allocate` (with `layout`) -> `operands` -> `assemble` -> `run`

- `lower` makes rows of expressions: one operation each, and what it reads (`rows`). Smooth activations become series
  (`expansions`).
- `layout` says which columns of a row hold positions, so that a convolution is a sum of shifted slices.
- `schedule` puts rows into stages, and the positions of all stages into an order.
- `allocate` gives every row an address: a register, or a ring that later stages read.
- `operands` lays out what depends on one example alone.
- `assemble` writes it all as arrays of integers and numbers.
- `run` is the front door: it hands the program to the engine, or says that there is none.

Kernels of vectors have one pass, `vectors`, over a `graph` of expressions. `functions` says which operation each
activation is: smooth ones can be tables, too (`tabulation`), those of polynomial pieces are moments over quadrants
(`piecewise`), sines, cosines and bumps of large norms have a closed form (`oscillations`), with numbers of their own in
`pools`. `halves` has programs whose right side stays, `steps` the numbers of their left. `listing` prints programs.

The NTK of a network with one hidden layer of ReLUs is two operations for every pair of vectors. Register 0 holds one
minus the cosine of the data, register 1 one plus it; ARC takes them to one minus the correlations of the activation's
outputs (r2) and of its slopes (r3); CHAIN is the sum rule for the NTK behind the last layer, half of it ntk * slope and
half the NNGP kernel.

>>> import torch
>>> import neural_kernels as nk
>>> from neural_kernels.engine.inputs import DenseRows
>>> from neural_kernels.exact.compile.listing import list_stages, list_vectors
>>> from neural_kernels.exact.compile.vectors import compile_vectors
>>> from neural_kernels.exact.gram import propagate
>>> ntk = propagate(nk.mlp(1), [DenseRows.of(torch.eye(2))]).ntk.expression
>>> print(list_vectors(compile_vectors([ntk], torch.float32)))
r2, r3 = ARC r0; 1 0
r4 = CHAIN r0, r3, r2; 0.5 0.5
result r4

The same with a convolution in front and a pool behind, on images of 4 x 4 pixels, after lowering and scheduling. The
24 columns are the 16 pixels, a gap of one between lines, and further gaps up to whole vectors of the processor. One
minus the cosines of all pairs of pixels (0) become excesses (1) that a window of nine adds up (2, 3); value (4) and
slope (5) of the activation follow; entries of the NNGP kernel (6) and of the NTK (8, 9) are averaged over the columns
(7, 10), then over the rows (11, 12), and added.

>>> from neural_kernels.exact.compile.lower import Lowering
>>> from neural_kernels.exact.compile.schedule import stages_of
>>> ntk = propagate(nk.cnn(1), [DenseRows.of(torch.ones(1, 4, 4, 3))]).ntk.expression
>>> print(list_stages(stages_of([Lowering([ntk], True, torch.float32).output(ntk)])))
stage 0, 16 positions in 24 columns
   0 GAP
   1 EXCESS 0
stage 1, 16 positions in 24 columns
   2 LOAD 1
   3 WINDOW 2
   4 ARC 3
   5 SECOND 4
   6 ENTRIES 4
   7 POOL 6
   8 ENTRIES 3
   9 MULTIPLY_ENTRIES 8 5
  10 POOL 9
stage 2, 1 positions in 1 columns
  11 WEIGHTED 7
  12 WEIGHTED 10
  13 BLEND 11 12
  14 BLEND 13 13

A step is one pixel of one stage: stage 1 starts when stage 0 has done the first line and two pixels of the second.
"""
