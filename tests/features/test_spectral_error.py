"""What theory promises of random features for ridge regression: the regularised kernel, up to a factor near 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import neural_kernels as nk

SAMPLERS = [nk.RandomFeatures(sampler) for sampler in ("orthogonal", "gaussian", "leverage")]
METHODS = [*SAMPLERS, nk.ZonalFeatures()]
SEEDS = 4


def digits(n=150):
    """Images as rows of norm 1."""
    x = torch.from_numpy(np.asarray(load_digits().data[:n]))
    return x / torch.linalg.vector_norm(x, dim=1, keepdim=True)


X = digits()


def kernel_and_ridge(net, share, kernel="ntk"):
    """The exact kernel, and that share of n times its mean diagonal."""
    exact = (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(X)
    return exact, share * float(exact.trace())


def distance(exact, features, ridge):
    """The least eps with (1 - eps)(K + l) <= Z Z^T + l <= (1 + eps)(K + l)."""
    eye = torch.eye(len(exact), dtype=exact.dtype)
    root = torch.linalg.cholesky(exact + ridge * eye)
    left = torch.linalg.solve_triangular(root, features @ features.T + ridge * eye, upper=False)
    both = torch.linalg.solve_triangular(root, left.T, upper=False)
    return float((torch.linalg.eigvalsh(both) - 1).abs().max())


def mean_distance(net, method, width, exact, ridge, kernel="ntk"):
    features = (nk.feature_map(net, kernel, width, method, seed)(X) for seed in range(SEEDS))
    return float(np.mean([distance(exact, z, ridge) for z in features]))


def statistical_dimension(exact, ridge):
    values = torch.linalg.eigvalsh(exact)
    return float((values / (values + ridge)).sum())


@pytest.mark.parametrize(
    ("depth", "share"), [(1, 0.01), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, 0.1), (2, 0.01)))]
)
@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_spectral_error_falls_as_the_root_of_the_width(method, depth, share):
    net = nk.mlp(depth)
    exact, ridge = kernel_and_ridge(net, share)
    few, many = (mean_distance(net, method, width, exact, ridge) for width in (512, 8192))
    assert few < 1
    assert many < 0.1
    assert 3 < few / many < 6.5  # 4, more while products of two errors matter; largest of 150 eigenvalues, 4 seeds


@pytest.mark.parametrize("net", [nk.mlp(1, nk.GELU(), bias_var=0.1), nk.mlp(1, nk.Erf())], ids=repr)
@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
def test_so_it_does_where_activations_are_not_homogeneous(net, kernel):
    exact, ridge = kernel_and_ridge(net, 1e-3, kernel)
    few, many = (mean_distance(net, nk.RandomFeatures(), width, exact, ridge, kernel) for width in (512, 8192))
    assert many < 0.15
    assert 2.5 < few / many < 8


@pytest.mark.slow
@pytest.mark.parametrize("method", SAMPLERS, ids=repr)
def test_small_ridges(method):
    net = nk.mlp(1)
    exact, ridge = kernel_and_ridge(net, 1e-4)
    few, many = (mean_distance(net, method, width, exact, ridge) for width in (4096, 65_536))
    assert 3 < few / many < 6.5


def test_zonal_features_leave_out_a_part_of_the_diagonal():
    """Degrees above 60: for a ridge as small as their share, they are what remains at any width."""
    net = nk.mlp(1)
    exact, ridge = kernel_and_ridge(net, 1e-4)
    errors, completed = [], []
    for width in (4096, 32_768):
        phi = nk.feature_map(net, n_components=width, method=nk.ZonalFeatures())
        z = phi(X)
        rest = torch.eye(len(X), dtype=z.dtype) * (phi.map.rest.truncation * exact[0, 0]).sqrt()
        errors.append(distance(exact, z, ridge))
        completed.append(distance(exact, torch.cat([z, rest], 1), ridge))
    assert errors[0] / errors[1] < 2
    assert completed[0] / completed[1] > 2.2  # 2.8, but for the share of pairs of similar rows


def random_part(exact, ridge):
    """The largest eigenvalue and the trace, as the regularised kernel sees them, of degrees 2 and more of ReLU's."""
    values, vectors = torch.linalg.eigh(exact)
    root = vectors * (values + ridge).rsqrt() @ vectors.T
    part = root @ (exact - exact[0, 0] * (1 / (2 * math.pi) + X @ X.T / 2)) @ root
    return float(torch.linalg.eigvalsh(part).max()), float(part.trace())


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_columns_in_proportion_to_the_statistical_dimension_suffice(method):
    """At m = 64 s, s = tr K (K + l)^-1, normal features of s directions would be within 2 / 8 + 1 / 64 of 1."""
    net, constants = nk.mlp(1), []
    for share in (0.1, 0.01, 0.001):
        exact, ridge = kernel_and_ridge(net, share)
        width = int(64 * statistical_dimension(exact, ridge))
        error = mean_distance(net, method, width, exact, ridge)
        assert error < 2 / 8 + 1 / 64
        largest, dimension = random_part(exact, ridge)
        constants.append(error / math.sqrt(largest * dimension / width))
    # What is not exact errs as matrix concentration says, with the same constant for all ridges.
    assert max(constants) < 3.2
    assert max(constants) / min(constants) < 2


def mean_squares(net, method, width, seeds, kernel="ntk"):
    """Off the diagonal, of every seed."""
    exact = (nk.NTK if kernel == "ntk" else nk.NNGP)(net)(X)
    off = ~torch.eye(len(X), dtype=torch.bool)
    features = (nk.feature_map(net, kernel, width, method, seed)(X) for seed in range(seeds))
    return torch.stack([(z @ z.T - exact)[off].square().mean() for z in features])


@pytest.mark.parametrize("kernel", ["ntk", "nngp"])
@pytest.mark.parametrize("activation", [nk.ReLU(), nk.Erf(), nk.GELU()], ids=repr)
def test_orthogonal_directions_are_no_worse_than_gaussian_ones(activation, kernel):
    net = nk.mlp(1, activation)
    orthogonal, gaussian = (
        mean_squares(net, nk.RandomFeatures(sampler), 512, 16, kernel) for sampler in ("orthogonal", "gaussian")
    )
    spread = float((orthogonal.var() / 16 + gaussian.var() / 16).sqrt())
    assert float(orthogonal.mean()) < float(gaussian.mean()) + 2 * spread


def test_orthogonal_directions_are_better_for_relu():
    """Strictly, where a whole block of directions is in use."""
    orthogonal, gaussian, leverage = (mean_squares(nk.mlp(1), method, 2048, 12, "nngp").mean() for method in SAMPLERS)
    assert float(orthogonal) < 0.8 * float(gaussian)
    assert float(leverage) < 1.1 * float(gaussian)
