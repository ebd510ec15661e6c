"""The compiled loops over the rows of a tile: cosines of dense or sparse rows, then the program on every row."""

from __future__ import annotations

from neural_kernels.engine.codes import INPUT, OPPOSITE
from neural_kernels.engine.vectors.machine import execute
from neural_kernels.runtime.jit import compiled


@compiled
def ends_dense(products, row, column, left, right, threshold, ends):
    """One minus and one plus the cosines of a dense row with several, from their inner products."""
    (x1, inverse1), (x2, inverse2) = left, right
    scales = inverse2[column : column + products.size]
    if _correlate(products, inverse1[row], scales, threshold, ends):
        others = x2[column : column + products.size]
        _refine_dense(ends[0], threshold, x1[row], inverse1[row], others, scales)
        _refine_dense(ends[1], threshold, x1[row], -inverse1[row], others, scales)


@compiled
def run_dense(products, place, left, right, threshold, program, registers, results):
    """Kernels of a tile of inner products of dense rows.

    `place` is (first row, first column, symmetric), `left` and `right` are (x, inverse norms); with `symmetric`, only
    columns at or behind the diagonal.
    """
    first_row, first_column, symmetric = place
    rows, columns = products.shape
    strip = registers.shape[1]
    for i in range(rows):
        row = first_row + i
        for j in range(max(0, row - first_column) if symmetric else 0, columns, strip):
            n, column = min(strip, columns - j), first_column + j
            ends = registers[INPUT, :n], registers[OPPOSITE, :n]
            ends_dense(products[i, j : j + n], row, column, left, right, threshold, ends)
            execute(program, registers, row, column, n, results)


@compiled
def run_sparse(products, place, left, right, threshold, program, registers, results):
    """Kernels of some sparse rows with all rows of another sparse matrix.

    `left` is (indptr, indices, data, inverse norms), `right` the same and the matrix by column (indptr, indices, data).
    """
    first_row, _, symmetric = place
    strip, columns = registers.shape[1], products.shape[1]
    for i in range(products.shape[0]):
        row = first_row + i
        _multiply_sparse(products[i], left, right, row)
        for column in range(row if symmetric else 0, columns, strip):
            n = min(strip, columns - column)
            ends = registers[INPUT, :n], registers[OPPOSITE, :n]
            _correlate_sparse(products[i, column : column + n], left, right, row, column, threshold, ends)
            execute(program, registers, row, column, n, results)


@compiled
def correlate_sparse(products, opposites, first_row, left, right, threshold):
    """One minus the cosines of some sparse rows with all rows of another sparse matrix, in `products`; and one plus."""
    for i in range(products.shape[0]):
        _multiply_sparse(products[i], left, right, first_row + i)
        _correlate_sparse(products[i], left, right, first_row + i, 0, threshold, (products[i], opposites[i]))


@compiled
def _correlate(products, a, inverse, threshold, ends):
    """One minus and one plus the cosines of a row with several; whether any is below the threshold, to be done again.

    A flag and not the smallest, whose loop would not vectorise.
    """
    one, two = products.dtype.type(1), products.dtype.type(2)
    delta, opposite = ends
    close = False
    for c in range(products.size):
        d = min(one - products[c] * a * inverse[c], two)
        delta[c], opposite[c] = d, two - d
        close |= min(d, two - d) < threshold
    return close


@compiled
def _refine_dense(delta, threshold, x, a, others, inverse):
    """What is below the threshold again, from differences of the unit rows; with -a one plus the cosines, from sums."""
    real = delta.dtype.type
    for j in range(delta.size):
        if delta[j] < threshold:
            y, b = others[j], inverse[j]
            total = real(0)
            for k in range(x.size):
                difference = x[k] * a - y[k] * b
                total += difference * difference
            delta[j] = real(0.5) * total


@compiled
def _multiply_sparse(products, left, right, row):
    """Inner products of one sparse row with all rows of a matrix that is given by column."""
    indptr, indices, data, _ = left
    start, row_of, value_of = right[4], right[5], right[6]
    products[:] = products.dtype.type(0)
    for k in range(indptr[row], indptr[row + 1]):
        column, value = indices[k], data[k]
        for q in range(start[column], start[column + 1]):
            products[row_of[q]] += value * value_of[q]


@compiled
def _correlate_sparse(products, left, right, row, first, threshold, ends):
    """One minus and one plus the cosines from the inner products with rows from `first` on; small ones once more."""
    indptr1, indices1, data1, inverse1 = left
    indptr2, indices2, data2, inverse2 = right[0], right[1], right[2], right[3]
    if not _correlate(products, inverse1[row], inverse2[first : first + products.size], threshold, ends):
        return
    delta, opposite = ends
    start, stop, scale = indptr1[row], indptr1[row + 1], inverse1[row]
    for j in range(delta.size):
        b = indptr2[first + j], indptr2[first + j + 1], inverse2[first + j]
        if delta[j] < threshold:
            delta[j] = _half_distance(indices1, data1, (start, stop, scale), indices2, data2, b)
        if opposite[j] < threshold:
            opposite[j] = _half_distance(indices1, data1, (start, stop, -scale), indices2, data2, b)


@compiled
def _half_distance(indices1, data1, a, indices2, data2, b):
    """Half the squared distance of two sparse unit rows, by merging their sorted indices."""
    p, end1, scale1 = a
    q, end2, scale2 = b
    total = data1.dtype.type(0)
    while p < end1 or q < end2:
        first = q == end2 or (p < end1 and indices1[p] <= indices2[q])
        second = p == end1 or (q < end2 and indices2[q] <= indices1[p])
        difference = data1.dtype.type(0)
        if first:
            difference += data1[p] * scale1
            p += 1
        if second:
            difference -= data2[q] * scale2
            q += 1
        total += difference * difference
    return data1.dtype.type(0.5) * total


@compiled
def mirror(matrix, first_row, rows, first_column, columns):
    """Copy what lies right of the diagonal in a tile to the other side, block by block."""
    block = 32
    for r in range(first_row, first_row + rows, block):
        for c in range(max(first_column, r), first_column + columns, block):
            for i in range(r, min(r + block, first_row + rows)):
                for j in range(max(c, i + 1), min(c + block, first_column + columns)):
                    matrix[j, i] = matrix[i, j]
