"""Kernels of torch modules as they are: tangent kernels at the present parameters.

The road of a module and a batch to entries, from ``EmpiricalKernel.__call__`` on:

1. `module.model` checks the module and chooses its parameters: a `Model`, a function of parameters and batch.
2. `module.batches` reads the examples: an `ExampleSource`, in memory or streamed.
3. `capture.discover` probes the model once for each shape of examples. With hooks on layers it records what each reads
   and writes; the rules of `rules` say which gradients follow, and autograd confirms it, group by group.
4. `kernels` says which combinations of outputs count: an `OutputProjection`.
5. `factored.plan` chooses for each group of parameters the smaller form of its gradients: whole, or two factors.
6. `factored.gram_blocks` goes through blocks of examples. For each, `factored.passes` runs forward and backward
   passes, if need be through copies of the module at the same time; `factored.accumulate` writes the gradients.
7. Parameters that no layer's rule explains are differentiated by `module.jacobian`, example by example.
8. `factored.contractions` multiplies the gradients of two blocks, group by group, in the cheapest of three orders.
9. `factored.gram_blocks` adds these up, checks that they are finite, and writes them to the result.
10. `base` gives it the shape of the kernel, and makes an array of it if the examples were arrays.

Which kernel: :class:`PseudoNTK` takes one backward pass whatever the number o of outputs, and is the one to begin with.
:class:`TraceNTK` takes o of them, and is the nearest kernel of numbers to the full one. :class:`EmpiricalNTK` is the
full one, with o passes and o^2 numbers an entry, for what needs the covariances between outputs.

Which way, all with the same result:

- ``method="factored"``, the default, is best wherever most parameters sit in layers that have a rule (linear maps,
  convolutions, embeddings, attention, norms) or are broadcast over the examples: a backward pass then costs one by what
  layers write, and gradients of wide layers are never formed.
- ``method="jacobian"`` forms every gradient by `torch.func`: slow and large, for comparison, and for modules that call
  other layers for other examples.
- Examples that require gradients take the second way, for its result can be differentiated.
- `matvec` never forms entries: two passes for each vector, best for a few vectors and very many examples.
- :class:`GradientFeatures` sketches gradients to m numbers: linear models on these stand for the kernel where its n^2
  entries are too many.

The files, in reading order; each folder describes its own:

- `module/`: a module as a function of its parameters and a batch; the boundary to the user.
- `rules/`: how each kind of layer's gradients follow from what it read and the gradients by what it wrote.
- `capture/`: hooks, recordings, and the discovery of a module's structure.
- `factored/`: gradients in the cheapest form, and Gram matrices of them.
- `matvec`: kernels times vectors.
- `module_on_disk`: a kernel and its examples as a matrix on disk.
- `base`: what the three kernels share: calls, `diag`, `matvec`, `to_disk`.
- `kernels`: the three kernels.
- `linearize`: first-order Taylor models that train.
- `gradient_sketch`, `parameter_gradients`, `gradient_features`: features from sketches of gradients.
"""

from neural_kernels.empirical.kernels import EmpiricalNTK, PseudoNTK, TraceNTK
from neural_kernels.empirical.module.parameters import LastLayers

__all__ = ["EmpiricalNTK", "LastLayers", "PseudoNTK", "TraceNTK"]
