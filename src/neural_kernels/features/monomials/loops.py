"""Products of a few coordinates for many rows at once, compiled."""

from __future__ import annotations

from neural_kernels.runtime.jit import compiled


@compiled
def products_of_sparse(indptr, indices, data, starts, factors, degrees, scales, memory, out):
    """``out[i, j] = scales[j] * prod_t x[i, factors[j, t]]``, over a CSR matrix's entries.

    Columns are sorted by their first factor: those of factor f lie from ``starts[f]`` to ``starts[f + 1]``. `memory`
    holds a row: zeros, but for a 1 at the end, which is the factor of a column without any.
    """
    last = memory.size - 1
    for i in range(out.shape[0]):
        target, first, end = out[i], indptr[i], indptr[i + 1]
        target[:] = out.dtype.type(0)
        for k in range(first, end):
            memory[indices[k]] = data[k]
        for k in range(first, end):
            _columns_of(indices[k], memory, starts, factors, degrees, scales, target)
        _columns_of(last, memory, starts, factors, degrees, scales, target)
        for k in range(first, end):
            memory[indices[k]] = out.dtype.type(0)


@compiled
def products_of_dense(x, starts, factors, degrees, scales, memory, out):
    """The same for dense rows."""
    last = memory.size - 1
    for i in range(out.shape[0]):
        target = out[i]
        for k in range(last):
            memory[k] = x[i, k]
        for factor in range(memory.size):
            _columns_of(factor, memory, starts, factors, degrees, scales, target)
    memory[:last] = out.dtype.type(0)


@compiled
def _columns_of(factor, memory, starts, factors, degrees, scales, target):
    value = memory[factor]
    for j in range(starts[factor], starts[factor + 1]):
        product = scales[j] * value
        for t in range(1, degrees[j]):
            product *= memory[factors[j, t]]
            if product == 0:
                break
        target[j] = product


@compiled
def cap_dense(out, degrees, weights, norms):
    """Bring the columns of each degree to a norm of at most 1 a row, then times the row's weight of the degree."""
    for i in range(out.shape[0]):
        target = out[i]
        norms[:] = 0.0
        _add_squares(target, 0, target.size, degrees, norms)
        _factors(norms, weights[i])
        _multiply(target, 0, target.size, degrees, norms)


@compiled
def cap_sparse(indptr, indices, starts, out, degrees, weights, norms):
    """The same for products of a CSR matrix's rows, at those columns alone that its entries have written."""
    last = starts.size - 2
    for i in range(out.shape[0]):
        target, first, end = out[i], indptr[i], indptr[i + 1]
        norms[:] = 0.0
        for k in range(first, end):
            _add_squares(target, starts[indices[k]], starts[indices[k] + 1], degrees, norms)
        _add_squares(target, starts[last], target.size, degrees, norms)
        _factors(norms, weights[i])
        for k in range(first, end):
            _multiply(target, starts[indices[k]], starts[indices[k] + 1], degrees, norms)
        _multiply(target, starts[last], target.size, degrees, norms)


@compiled
def _add_squares(target, start, end, degrees, norms):
    for j in range(start, end):
        norms[degrees[j]] += target[j] * target[j]


@compiled
def _factors(norms, weight):
    for p in range(norms.size):
        norms[p] = weight[p] / max(1.0, norms[p]) ** 0.5


@compiled
def _multiply(target, start, end, degrees, factors):
    for j in range(start, end):
        target[j] *= target.dtype.type(factors[degrees[j]])
