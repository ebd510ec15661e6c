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
def cap(out, degrees, weights, norms):
    """Bring the columns of each degree to a norm of at most 1 a row, then times the row's weight of the degree."""
    for i in range(out.shape[0]):
        target, weight = out[i], weights[i]
        norms[:] = 0.0
        for j in range(target.size):
            norms[degrees[j]] += target[j] * target[j]
        for p in range(norms.size):
            norms[p] = weight[p] / max(1.0, norms[p]) ** 0.5
        for j in range(target.size):
            target[j] *= out.dtype.type(norms[degrees[j]])
