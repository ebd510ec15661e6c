"""A torch module as a function of its parameters and of a batch: what of the user's enters here, checked.

- `batches`: examples in any structure that a module takes, in memory or streamed, as an `ExampleSource`.
- `parameters`: which parameters a kernel differentiates by (`LastLayers`, name patterns).
- `outputs`: which combinations of the module's outputs a kernel is of, as an `OutputProjection`.
- `model`: the module with all of these, callable at other values of its parameters, as a `Model`.
- `derivative`: the derivative of such a function along a direction of the parameters.
- `jacobian`: the gradients of every example and output by `torch.func`, for parameters that no layer's rule explains,
  and for results that are themselves differentiated.
"""
