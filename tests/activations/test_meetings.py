"""Tables of functions with curved pieces and kinks off the origin, less what is singular where two kinks meet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from test_tables import error, rows
from torch import Tensor

import neural_kernels as nk
import neural_kernels.activations as act
from neural_kernels.activations import tables
from neural_kernels.activations.expectations.meetings import Bend, bends, meetings, met
from neural_kernels.activations.norm_cells import FINE
from plain_path import is_compiled
from usual import others_are_slow

END = math.asinh(3)


def raised_tanh(x: Tensor) -> Tensor:
    return torch.maximum(torch.tanh(x), torch.full_like(x, 0.5))


def capped_exp(x: Tensor) -> Tensor:
    return torch.exp(x.clamp(max=math.log(3)))


def clipped_sinh(x: Tensor) -> Tensor:
    return torch.sinh(x.clamp(-END, END))


def clipped_identity(x: Tensor) -> Tensor:
    """It goes on as the logarithm: no jump of the slope."""
    return torch.where(x.abs() > 1, torch.sign(x) * (1 + torch.log(x.abs().clamp(min=1))), x)


def leaky_tanh(x: Tensor) -> Tensor:
    return torch.where(x > 0, torch.tanh(x).clamp(max=0.6), 0.1 * x)


RAISED = act.Elementwise(raised_tanh, kinks=[math.atanh(0.5)])
FUNCTIONS = [
    RAISED,
    act.Elementwise(capped_exp, kinks=[math.log(3)]),
    act.Elementwise(clipped_sinh, kinks=[-END, END]),
    act.Elementwise(clipped_identity, kinks=[-1, 1]),
    act.Elementwise(leaky_tanh, kinks=[0, math.atanh(0.6)]),
    act.Elementwise(lambda x: torch.relu(torch.sigmoid(x) - 0.3), kinks=[math.log(3 / 7)]),
]


def tabulated(activation: act.Activation, x: np.ndarray) -> float:
    """The error of the kernels of one hidden layer, after tables were made for its norms."""
    std = torch.from_numpy(np.sqrt((x * x).mean(1) + 0.1))
    cells = FINE.of(std).unique().tolist()
    assert None not in tables.cell_tables(activation, cells, cells).values()
    return error(activation, x)


@pytest.mark.parametrize("activation", others_are_slow(FUNCTIONS, FUNCTIONS[:3]), ids=repr)
def test_near_and_opposite_rows_of_like_norms(activation):
    x = rows(0.8, 1.5)
    assert tabulated(activation, np.concatenate([x, 1.001 * x, -0.98 * x, x[:1]])) < 5e-9


@pytest.mark.slow
@pytest.mark.parametrize("norms", [(1e-3, 0.03, 0.2, 0.5), (0.8, 1.5, 2.5, 6.0), (1e-3, 1.0, 1e3), (20.0, 100.0, 1e3)])
@pytest.mark.parametrize("activation", FUNCTIONS, ids=repr)
def test_all_norms(activation, norms):
    x = rows(*norms)
    assert tabulated(activation, np.concatenate([x, 1.001 * x, -0.98 * x])) < 8e-9


def test_few_rows_are_integrated_pair_by_pair_where_tables_would_cost_more(monkeypatch):
    monkeypatch.setattr(tables, "_known", {})
    x, net = rows(1.0, 1.2, 1.5), nk.mlp(1, RAISED, bias_var=0.1)
    assert not is_compiled(net, x)
    direct = nk.NTK(net)(x)
    assert not tables._known
    many = np.random.default_rng(0).standard_normal((300, 3))
    many /= np.sqrt((many * many).mean(1, keepdims=True))  # one cell
    nk.NTK(net)(many)
    assert len(tables._known) == 1
    std = torch.from_numpy(np.sqrt((x * x).mean(1) + 0.1))
    cells = FINE.of(std).unique().tolist()
    tables.cell_tables(RAISED, cells, cells)
    assert is_compiled(net, x)
    np.testing.assert_allclose(nk.NTK(net)(x), direct, rtol=1e-8)


def test_blocks_and_dtypes_agree():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 4))
    x *= rng.uniform(0.7, 1.0, (400, 1)) / np.sqrt((x * x).mean(1, keepdims=True))
    kernel = nk.NTK(nk.mlp(1, RAISED, bias_var=0.1))
    whole = kernel(x)
    np.testing.assert_array_equal(whole, whole.T)
    np.testing.assert_allclose(kernel(x[:7], x), whole[:7], rtol=1e-9)
    single = kernel(x.astype(np.float32))
    assert single.dtype == np.float32
    assert np.abs(single - whole).max() < 1e-5 * whole.max()
    assert np.linalg.eigvalsh(whole).min() > -1e-7 * whole.max()


@pytest.mark.parametrize("sides", [(1, 1), (1, -1)])
def test_the_slope_is_the_derivative_of_the_value(sides):
    """By the covariance, as Price's theorem has it."""
    one, other = Bend(sides[0], 0.6, (0.7, -0.4, 0.3, 1.0, -2.0)), Bend(sides[1], 0.8, (0.5, 0.9, -0.2, 0.4, 1.0))
    p, q = torch.tensor([0.9, 1.4], dtype=torch.float64), torch.tensor([1.2, 1.9], dtype=torch.float64)
    step = 1e-5
    delta = torch.tensor([0.02, 0.5, 1.3, 1.95], dtype=torch.float64)
    _, slope = met(one, other, p, q, delta, 2 - delta, 3.0)
    after, before = (met(one, other, p, q, delta + h, 2 - delta - h, 3.0)[0] for h in (step, -step))
    torch.testing.assert_close(
        slope, (before - after) / (2 * step * p[:, None, None] * q[:, None]), rtol=1e-6, atol=1e-9
    )


def test_where_kinks_meet_the_rest_is_smooth():
    """Its sixth differences across the place fall as the sixth power of the step, those of the whole as the third."""
    p = torch.tensor([1.0], dtype=torch.float64)
    found = bends(RAISED.fn, RAISED.kinks)
    assert found is not None
    sizes = []
    for step in (0.08, 0.04):
        q = 1 + step * torch.arange(-3.0, 4, dtype=torch.float64)
        whole = RAISED.aligned(p, q)[0]
        zero = torch.zeros(1, dtype=torch.float64)
        rest = whole - met(found[0], found[0], p, q, zero, zero + 2, 4.0)[0][0, :, 0]
        sizes.append([float(torch.diff(part, n=6).abs().max()) for part in (whole, rest)])
    (whole1, rest1), (whole2, rest2) = sizes
    assert whole1 / whole2 < 12
    assert rest1 / rest2 > 40
    assert rest2 < whole2 / 20


def test_a_slope_that_vanishes_near_the_origin_makes_no_numbers_that_are_none():
    """A kink at .2: within the first cell the slope goes from nothing to what matters."""
    low = act.Elementwise(lambda x: torch.tanh(x).clamp(min=0.2), kinks=[math.atanh(0.2)])
    for table in tables.cell_tables(low, [0, 3], [0, 3]).values():
        assert table is None or bool(table.value.isfinite().all() & table.slope.isfinite().all())


class Unhashable:
    """Callable objects that compare by value have no hash."""

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __call__(self, x: Tensor) -> Tensor:
        return raised_tanh(x)


def test_a_function_without_a_hash():
    x = rows(1.0, 30.0)
    for kinks in ([math.atanh(0.5)], []):
        own, usual = (nk.NTK(nk.mlp(1, act.Elementwise(fn, kinks=kinks))) for fn in (Unhashable(), raised_tanh))
        np.testing.assert_allclose(own(x), usual(x), rtol=1e-12)


def test_a_function_that_jumps_has_no_table():
    step = act.Elementwise(lambda x: torch.where(x > 0.5, torch.tanh(x), 0.0 * x), kinks=[0.5])
    assert bends(step.fn, step.kinks) is None
    assert tables.cell_tables(step, [3], [3]) == {(3, 3): None}
    assert tables.bends_of(act.Tanh()) == tables.bends_of(act.ELU()) == ()


def test_an_odd_function_meets_on_one_side_alone():
    odd = bends(clipped_sinh, [-END, END])
    assert odd is not None
    assert [bend.leads for bend in odd] == [False, True]
    assert odd[1].jumps[0] == pytest.approx(-math.sqrt(2) * math.cosh(END))
    lopsided = bends(lambda x: torch.sinh(x.clamp(-END, 0.5)), [-END, 0.5])
    assert lopsided is not None
    assert all(bend.leads for bend in lopsided)
    assert meetings(odd, (0.9, 1.1), (0.9, 1.1)) == ((1, 0), (1, 1))
    assert meetings(odd, (0.9, 1.1), (9.0, 11.0)) == ()
    assert meetings(odd, (0.1, 0.2), (0.1, 0.2)) == ()  # too far out
