"""Kernels of Dask arrays: lazy arrays of blocks, equal to those of the rows in memory."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

import neural_kernels as nk

RNG = np.random.default_rng(0)
X, Z = RNG.normal(size=(23, 4)), RNG.normal(size=(9, 4))
KERNELS = [
    nk.NTK(nk.mlp(2)),
    nk.NNGP(nk.mlp(1, bias_var=0.1)),
    nk.Laplace(),
    nk.PolynomialKernel(degree=2, gamma=0.5),
    2 * nk.NTK(nk.mlp(1)) + nk.Laplace() * nk.NNGP(nk.mlp(1)) + 0.1,
]


def rows(values, chunk):
    return da.from_array(values, chunks=(chunk, *values.shape[1:]))


@pytest.mark.parametrize("kernel", KERNELS, ids=["ntk", "nngp", "laplace", "polynomial", "algebra"])
def test_blocks_are_those_of_the_matrix(kernel):
    x, z = rows(X, 10), rows(Z, 4)
    gram, cross, diagonal = kernel(x), kernel(x, z), kernel.diag(x)
    assert gram.chunks == ((10, 10, 3), (10, 10, 3))
    assert cross.chunks == ((10, 10, 3), (4, 4, 1))
    np.testing.assert_allclose(gram, kernel(X), rtol=1e-12)
    np.testing.assert_allclose(cross, kernel(X, Z), rtol=1e-12)
    np.testing.assert_allclose(diagonal, kernel.diag(X), rtol=1e-12)
    assert np.array_equal(gram.compute(), gram.compute().T)


def test_a_lazy_batch_beside_one_in_memory():
    kernel, x = nk.NTK(nk.mlp(2)), rows(X, 10)
    assert kernel(x, Z).chunks == ((10, 10, 3), (9,))
    assert kernel(Z, x).chunks == ((9,), (10, 10, 3))
    np.testing.assert_allclose(kernel(Z, x), kernel(Z, X), rtol=1e-12)
    assert kernel(x.astype(np.float32)).dtype == kernel(x.astype(np.float32)).compute().dtype == np.float32
    assert kernel(x.astype(np.float32), Z).dtype == np.float64


def test_images_and_sparse_blocks():
    images = RNG.normal(size=(7, 2, 5, 5))
    kernel = nk.NTK(nk.cnn(1))
    np.testing.assert_allclose(kernel(rows(images, 3)), kernel(images), rtol=1e-10)
    flips = nk.FlipAverage(kernel)
    np.testing.assert_allclose(flips(rows(images, 3)), flips(images), rtol=1e-10)
    blocks = rows(X, 10).map_blocks(sparse.csr_matrix)
    np.testing.assert_allclose(nk.NTK(nk.mlp(1))(blocks), nk.NTK(nk.mlp(1))(X), rtol=1e-10)


def test_unknown_and_empty_blocks():
    x = rows(X, 10)
    some = x[x[:, 0] > 0]
    gram = nk.NTK(nk.mlp(1))(some)
    assert np.isnan(gram.shape[0])
    np.testing.assert_allclose(gram.compute(), nk.NTK(nk.mlp(1))(X[X[:, 0] > 0]), rtol=1e-12)
    empty = da.from_array(X, chunks=((10, 0, 13), (4,)))
    np.testing.assert_allclose(nk.NTK(nk.mlp(1))(empty).compute(), nk.NTK(nk.mlp(1))(X), rtol=1e-12)
    np.testing.assert_allclose(nk.NTK(nk.mlp(1)).diag(empty).compute(), nk.NTK(nk.mlp(1)).diag(X), rtol=1e-12)


def test_refusals():
    kernel = nk.NTK(nk.mlp(1))
    with pytest.raises(ValueError, match=r"x1 has its columns in chunks.*x1\.rechunk\(\{1: -1\}\)"):
        kernel(da.from_array(X, chunks=(10, 2)))
    with pytest.raises(ValueError, match="x1 has 4 features, x2 has 3"):
        kernel(rows(X, 10), rows(Z[:, :3], 4))
    with pytest.raises(TypeError, match="the result of Dask arrays is lazy"):
        kernel(rows(X, 10), out=np.empty((23, 23)))
    delayed = dask.delayed(X)
    with pytest.raises(TypeError, match="of Dask, expected an array"):
        kernel(delayed)
