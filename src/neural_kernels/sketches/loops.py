"""The compiled loops: over non-zeros, and butterflies."""

from __future__ import annotations

from neural_kernels.runtime.jit import compiled


@compiled
def hash_dense(x, buckets, signs, scale, out):
    """``out[i, buckets[j, t]] += scale * signs[j, t] * x[i, j]``, from zero."""
    scale = out.dtype.type(scale)
    for i in range(x.shape[0]):
        row = out[i]
        row[:] = out.dtype.type(0)
        for j in range(x.shape[1]):
            value = scale * x[i, j]
            for t in range(buckets.shape[1]):
                row[buckets[j, t]] += signs[j, t] * value


@compiled
def hash_sparse(indptr, indices, data, buckets, signs, scale, out):
    """``out[i, buckets[j, t]] += scale * signs[j, t] * x[i, j]``, from zero, over a CSR matrix's entries x[i, j]."""
    scale = out.dtype.type(scale)
    for i in range(out.shape[0]):
        row = out[i]
        row[:] = out.dtype.type(0)
        for k in range(indptr[i], indptr[i + 1]):
            j, value = indices[k], scale * data[k]
            for t in range(buckets.shape[1]):
                row[buckets[j, t]] += signs[j, t] * value


@compiled
def densify(indptr, indices, data, out):
    """Write rows of a CSR matrix as dense ones, duplicates summed."""
    for i in range(out.shape[0]):
        row = out[i]
        row[:] = out.dtype.type(0)
        for k in range(indptr[i], indptr[i + 1]):
            row[indices[k]] += data[k]


@compiled
def signed_copies(x, signs, out):
    """``out[i, b, j] = signs[b, j] * x[i, j]``, 0 beyond the columns of x."""
    features = x.shape[1]
    for i in range(x.shape[0]):
        source = x[i]
        for b in range(signs.shape[0]):
            target, sign = out[i, b], signs[b]
            for j in range(features):
                target[j] = sign[j] * source[j]
            for j in range(features, target.size):
                target[j] = out.dtype.type(0)


@compiled
def multiply_entries(x, first, y, second, scale, out):
    """``out[i, j] = scale * x[i, first[j]] * y[i, second[j]]``."""
    scale = out.dtype.type(scale)
    for i in range(x.shape[0]):
        a, b, target = x[i], y[i], out[i]
        for j in range(target.size):
            target[j] = scale * a[first[j]] * b[second[j]]


@compiled
def multiply_complex(x, first, y, second, scale, out):
    """``scale * x[i, first[j]] * y[i, second[j]]`` of complex rows.

    Real and imaginary parts are apart: axis 1 of `x` and `y`, the first and the other columns of the result, which has
    room for all real parts and, where its width is odd, for all imaginary parts but the last.
    """
    scale, count = out.dtype.type(scale), first.size
    rest = out.shape[1] - count
    for i in range(x.shape[0]):
        a, b, c, d = x[i, 0], x[i, 1], y[i, 0], y[i, 1]
        real, imaginary = out[i, :count], out[i, count:]
        for j in range(count):
            k, m = first[j], second[j]
            real[j] = scale * (a[k] * c[m] - b[k] * d[m])
            if j < rest:
                imaginary[j] = scale * (a[k] * d[m] + b[k] * c[m])


@compiled
def butterflies(x, stride):
    """Transform rows of a power of two in place, where blocks of `stride` columns have been transformed.

    Two levels a pass over a row, which stays in the core's first cache; columns next to each other go in parallel.
    """
    size = x.shape[1]
    for i in range(x.shape[0]):
        row = x[i]
        s = stride
        while 4 * s <= size:
            for start in range(0, size, 4 * s):
                part = row[start : start + 4 * s]
                _two_levels(part[:s], part[s : 2 * s], part[2 * s : 3 * s], part[3 * s :])
            s *= 4
        if s < size:
            _one_level(row[:s], row[s:])


@compiled
def _two_levels(a, b, c, d):
    for j in range(a.size):
        sum1, difference1 = a[j] + b[j], a[j] - b[j]
        sum2, difference2 = c[j] + d[j], c[j] - d[j]
        a[j], b[j] = sum1 + sum2, difference1 + difference2
        c[j], d[j] = sum1 - sum2, difference1 - difference2


@compiled
def _one_level(a, b):
    for j in range(a.size):
        a[j], b[j] = a[j] + b[j], a[j] - b[j]
