"""Tables of duals: right at any norm against quadrature of the definition, and taken where they should be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from test_elementwise_quadrature import reference

import neural_kernels as nk
import neural_kernels.activations as act
from neural_kernels.activations import tables
from neural_kernels.activations.cell_table import CellTable
from neural_kernels.activations.expectations.hermite import derivative
from neural_kernels.activations.expectations.polar import mean_products, polar_products
from neural_kernels.activations.norm_cells import FINE, USUAL
from neural_kernels.engine.tables import NUMBERS
from neural_kernels.exact.compile.pools import Pools
from plain_path import is_compiled
from usual import others_are_slow

BIAS = 0.1


def unit_pairs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations behind the first layer of a network with biases, and one minus the correlations."""
    rows = np.concatenate([x / math.sqrt(x.shape[1]), np.full((len(x), 1), math.sqrt(BIAS))], 1)
    std = np.linalg.norm(rows, axis=1)
    unit = rows / std[:, None]
    return std, ((unit[:, None] - unit[None]) ** 2).sum(-1) / 2


def expected(activation: act.Activation, x: np.ndarray, readout: float) -> tuple[np.ndarray, np.ndarray]:
    """Kernels of one hidden layer by quadrature."""
    std, delta = unit_pairs(x)
    kernels = []
    for fn in (activation.fn, lambda z: derivative(activation.fn, z)):
        kernel = np.zeros_like(delta)
        for i, j in zip(*np.triu_indices(len(x)), strict=True):
            kernel[i, j] = kernel[j, i] = reference(fn, activation.kinks, std[i], std[j], delta[i, j])
        kernels.append(readout * kernel)
    nngp = kernels[0] + BIAS
    return nngp, nngp + kernels[1] * np.outer(std, std) * (1 - delta)


def error(activation: act.Activation, x: np.ndarray) -> float:
    net = nk.mlp(1, activation, bias_var=BIAS)
    assert is_compiled(net, x) or activation.closed_form
    errors = []
    for kernel, exact in zip(nk.kernels(net, x), expected(activation, x, net.layers[-1].weight_var), strict=True):
        size = np.sqrt(exact.diagonal())
        errors.append(float(np.abs((kernel - exact) / np.outer(size, size)).max()))
    return max(errors)


def rows(*norms: float) -> np.ndarray:
    x = np.random.default_rng(0).standard_normal((len(norms), 3))
    return x / np.sqrt((x * x).mean(1, keepdims=True)) * np.array(norms)[:, None]


@pytest.mark.parametrize("activation", [act.Tanh(), act.SELU(), act.Elementwise(torch.atan)], ids=repr)
def test_norms_of_all_sizes_in_one_batch(activation):
    assert error(activation, rows(1e-3, 3.0, 100.0)) < 1e-9


ANY = [act.Tanh(), act.Sigmoid(), act.Softplus(), act.SiLU(), act.Mish(), act.LogSigmoid(), act.Tanhshrink()]
ANY += [act.GELUTanh(), act.ELU(), act.SELU(), act.CELU(2.0), act.Softsign(), act.GELU(), act.Erf()]
ANY += [act.Elementwise(torch.atan), act.Elementwise(F.elu, kinks=(0.0,)), act.RectifiedMonomial(2)]
ANY += [act.HardTanh(), act.HardSigmoid(), act.HardSwish(), act.ReLU6(), act.SoftShrink(), act.HardShrink(1.0)]


@pytest.mark.slow
@pytest.mark.parametrize("activation", ANY, ids=repr)
@pytest.mark.parametrize("norms", [(1e-3, 0.03, 0.3, 1.0, 6.0, 1000.0), (2.0, 5.0, 12.0, 40.0, 300.0, 1000.0)])
def test_every_activation_at_all_norms(activation, norms):
    assert error(activation, rows(*norms)) < 2e-9


@pytest.mark.parametrize("std", [0.3, 4.0, 50.0, 700.0])
@pytest.mark.parametrize("activation", [act.Tanh(), act.ELU()], ids=repr)
def test_nearly_equal_norms_and_angles_keep_their_distance(activation, std):
    """One minus the correlation is right to relative accuracy, by the slope."""
    p = torch.tensor([std], dtype=torch.float64)
    cell = int(USUAL.of(p))
    table = tables.cell_tables(activation, [cell], [cell])[cell, cell]
    assert table is not None
    assert table.weighted
    for turn in (1e-12, 1e-9, 1e-5):
        delta = turn / max(1, std * std)
        _, rows_ = USUAL.polynomials(p)
        y, z = math.sqrt(delta / 2), math.sqrt(1 - delta / 2)
        x = (math.asinh(table.stretch * y) - math.asinh(table.stretch * z)) / math.asinh(table.stretch)
        basis = torch.cos(torch.arange(table.value.shape[2] - 1, dtype=torch.float64) * math.acos(x))
        value = (
            delta
            / math.sqrt(1 + (table.stretch * y) ** 2)
            * torch.einsum("i,j,ijk,k", rows_[:, 0], rows_[:, 0], table.value[..., 1:], basis)
        )
        exact = delta * std**2 * (activation.slope_std(p) / activation.std(p)) ** 2
        torch.testing.assert_close(value, exact[0], rtol=max(1e-7, 2e-9 * std, 2 * turn), atol=0)  # of first order


@pytest.mark.parametrize("activation", [act.Tanh(), act.ELU()], ids=repr)
def test_what_the_lengths_leave_out_is_small(activation):
    table = tables.cell_tables(activation, [1], [3])[1, 3]
    assert table is not None
    assert table.transposed is table.transposed
    for part in (table, table.transposed):
        for dtype, tolerance in ((torch.float64, 2e-11), (torch.float32, 4e-9)):
            packed = part.packed(dtype)
            at, place = sum(packed.counts), NUMBERS + tables.NODES**2
            kept = [torch.zeros_like(series) for series in (part.value[..., 1:], part.slope)]
            for target in kept:
                for i in range(tables.NODES):
                    count = int(packed.integers[at])
                    for j, length in enumerate(packed.integers[at + 1 : at + 1 + count].tolist()):
                        target[i, j, :length] = packed.numbers[place : place + length]
                        place += length
                    at += 1 + count
            assert (at, place) == (len(packed.integers), len(packed.numbers))
            for target, series in zip(kept, (part.value[..., 1:], part.slope), strict=True):
                assert (target == 0).any()
                assert (kept[0] != 0).any()
                size = max(1.0, float(series[0, 0].abs().max()))
                assert float((series - target).abs().max()) <= 5 * tolerance * size
    assert table.packed(torch.float32).counts < table.packed(torch.float64).counts


def test_one_rule_for_all_norms():
    std = torch.tensor([0.01, 0.7, 30.0, 1000.0, 1e6], dtype=torch.float64)
    delta = torch.tensor([1e-12, 1e-7, 0.3, 1.9, 2 - 1e-7, 2.0], dtype=torch.float64)
    one_plus = torch.tensor([2.0, 2 - 1e-7, 1.7, 0.1, 1e-7, 1e-12], dtype=torch.float64)
    value, slope = polar_products(act.Erf().fn, std, std, delta, one_plus)
    normal = act.BivariateNormal(std[:, None, None], std[:, None], delta, one_plus)
    for rule, exact in ((value, act.Erf().dual(normal)), (slope, act.Erf().dual_slope(normal))):
        torch.testing.assert_close(rule, exact, rtol=1e-7, atol=1e-11)
    squares = mean_products(act.Erf().fn, std, std)
    for rule, exact in zip(squares, (act.Erf().std(std), act.Erf().slope_std(std)), strict=True):
        torch.testing.assert_close(rule.sqrt(), exact, rtol=1e-10, atol=0)


def test_rows_of_norm_zero():
    x = np.concatenate([np.zeros((2, 3)), rows(1.0, 50.0)])
    for activation in (act.Sigmoid(), act.ELU()):
        net = nk.mlp(1, activation)
        kernel = nk.NTK(net)(x)
        assert np.isfinite(kernel).all()
        np.testing.assert_allclose(kernel[0, 1], kernel[0, 0], rtol=1e-9)
        close = nk.NTK(net)(np.where(x == 0, 1e-9, x))
        np.testing.assert_allclose(kernel, close, rtol=1e-7, atol=1e-7)


def test_float32_agrees_with_float64():
    x = np.random.default_rng(1).standard_normal((40, 5)) * np.geomspace(0.01, 300, 40)[:, None]
    net = nk.mlp(2, act.GELU(), bias_var=BIAS)
    wide, narrow = nk.NTK(net)(x), nk.NTK(net)(x.astype(np.float32))
    size = np.sqrt(wide.diagonal())
    assert narrow.dtype == np.float32
    assert np.abs((narrow - wide) / np.outer(size, size)).max() < 2e-5


def test_two_batches_and_one_are_the_same():
    x = np.random.default_rng(2).standard_normal((1200, 4)) * np.geomspace(0.1, 30, 1200)[:, None]
    net = nk.mlp(1, act.GELU(), bias_var=BIAS)
    whole, part = nk.NTK(net)(x), nk.NTK(net)(x[5:9], x)
    np.testing.assert_allclose(whole[5:9], part, rtol=1e-12, atol=1e-12 * whole.max())


def test_long_rows_are_those_of_their_parts():
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((n, 3)) * 10 ** rng.uniform(-1, 2, (n, 1)) for n in (2, 4500))
    kernel = nk.NTK(nk.mlp(1, act.ELU(), bias_var=BIAS))
    parts = np.concatenate([kernel(left, right[k : k + 700]) for k in range(0, 4500, 700)], 1)
    np.testing.assert_allclose(kernel(left, right), parts, rtol=1e-11, atol=0)


@pytest.mark.parametrize("norm_cells", [USUAL, FINE])
def test_cells_cover_every_norm(norm_cells):
    std = torch.cat([torch.zeros(1), torch.logspace(-6, 7, 4001, dtype=torch.float64)])
    cells = norm_cells.of(std)
    assert bool((cells.diff() >= 0).all())
    assert bool((cells.diff() <= 1).all())
    _, rows_ = norm_cells.polynomials(std)
    assert float(rows_[1].abs().max()) <= 1 + 1e-12


TABULATED = [activation for activation in ANY if not any(activation.kinks) and activation.arc_order is None]


@pytest.mark.parametrize("cell", [20, 24, 28])
@pytest.mark.parametrize("activation", others_are_slow(TABULATED, [act.ELU(), act.Erf()]), ids=repr)
def test_norms_of_millions_have_tables(activation, cell):
    assert tables.cell_tables(activation, [cell], [cell])[cell, cell] is not None


def test_a_function_that_oscillates_has_no_table():
    table = tables.cell_tables(act.Elementwise(torch.sin), [8], [8])[8, 8]
    assert table is None
    node = nk.NTK(nk.mlp(1, act.Sin()))
    assert np.isfinite(node(rows(1.0, 40.0))).all()


def test_tables_are_kept(monkeypatch):
    x, net = rows(3.0, 4.0, 5.0), nk.mlp(1, act.Mish(), bias_var=BIAS)
    first = nk.NTK(net)(x)
    monkeypatch.setattr(tables, "_tabulate", None)
    np.testing.assert_array_equal(nk.NTK(nk.mlp(1, act.Mish(), bias_var=BIAS))(x), first)
    assert Pools(torch.float64).integers().size == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_table_whose_coefficients_vanish_keeps_two_of_them(dtype):
    """Where the slope hardly varies, nothing of its series is above the tolerance of a precision."""
    value, slope = torch.zeros(2, tables.NODES, tables.NODES, 5, dtype=torch.float64)
    value[0, 0] = 1.0
    packed = CellTable(2.0, True, value, slope).packed(dtype)
    assert packed.counts == (4, 2)
    assert float(packed.numbers[-4:].abs().min()) == 1.0
