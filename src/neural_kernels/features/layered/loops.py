"""The compiled loops: sums over windows."""

from __future__ import annotations

from neural_kernels.runtime.jit import compiled


@compiled
def add_windows(x, sources, factors, turns, out):
    """``out[i, p, (j + turns[a]) % m] = sum_a factors[a, (j + turns[a]) % m] * x[i, sources[a, p], j]``.

    A source that is no position of x adds nothing. The row of the result stays in the core's first cache.
    """
    positions, columns = x.shape[1], x.shape[2]
    for i in range(x.shape[0]):
        for p in range(out.shape[1]):
            row = out[i, p]
            row[:] = out.dtype.type(0)
            for a in range(sources.shape[0]):
                q = sources[a, p]
                if q < positions:
                    source, factor, turn = x[i, q], factors[a], turns[a]
                    rest = columns - turn
                    _add_product(row[turn:], factor[turn:], source[:rest])
                    _add_product(row[:turn], factor[:turn], source[rest:])


@compiled
def _add_product(total, a, b):
    for j in range(total.size):
        total[j] += a[j] * b[j]
