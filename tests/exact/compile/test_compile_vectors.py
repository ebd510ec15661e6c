"""The compiler for vectors: its table of operations means the expression, in registers that hold what is read."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import neural_kernels as nk
from compiler_models import expressions
from neural_kernels.engine import codes as c
from neural_kernels.engine.inputs import DenseRows
from neural_kernels.engine.vectors.program import VectorProgram
from neural_kernels.exact.compile.vectors import compile_vectors
from neural_kernels.exact.expressions.pairs import BlockPairs

NETWORKS = {
    "relu": nk.mlp(3, bias_var=0.1),
    "smooth": nk.mlp(2, nk.GELU()),
    "smooth before a cusp": nk.Sequential(nk.Dense(1.0, 0.1), nk.Erf(), nk.Dense(2.0), nk.ReLU(), nk.Dense()),
    "residual": nk.Sequential(nk.Dense(), nk.Residual(nk.Sequential(nk.ReLU(), nk.Dense())), nk.ReLU(), nk.Dense()),
    "product": nk.Sequential(nk.Product(nk.Dense(), nk.Sequential(nk.Dense(), nk.Erf())), nk.Dense(), nk.ReLU()),
}

SHARED = [nk.ReLU(), nk.Tanh(), nk.HardTanh(), nk.Erf(), nk.Sin(), nk.ELU(), nk.RectifiedMonomial(2), nk.Sign()]


def branches(first: nk.Dual, second: nk.Dual) -> list[nk.Sequential]:
    """Two branches with an activation each: of multiples of one kernel, of one kernel, one behind the other."""
    apart = nk.Sequential(nk.Dense(), first), nk.Sequential(nk.Dense(4.0), second)
    same = nk.Sequential(first, nk.Dense()), nk.Sequential(second, nk.Dense(2.0))
    behind = nk.Residual(nk.Sequential(first, nk.Dense())), second
    return [
        nk.Sequential(nk.Concat(*apart), nk.Dense()),
        nk.Sequential(nk.Dense(), nk.Concat(*same), nk.Dense()),
        nk.Sequential(nk.Dense(), *behind, nk.Dense()),
    ]


def interpreted(program: VectorProgram, delta: torch.Tensor) -> list[torch.Tensor]:
    """All kernels of a program by the formulas of its operations; a register that nobody wrote is none."""
    registers: dict[int, torch.Tensor] = {0: delta}
    registers |= {r: torch.full_like(delta, value) for r, value in program.constants.items()}
    left, right = torch.from_numpy(program.left), torch.from_numpy(program.right)
    for operation, (x, y) in zip(program.table.tolist(), program.numbers.tolist(), strict=True):
        code, target, second, first, other, vector, even, odd = operation
        a = registers[first]
        products = left[:, :, None] * right[:, None]
        match code:
            case c.ARC:
                angle = torch.arccos((1 - a).clamp(-1, 1))
                results = {target: a - x * (angle.sin() - angle * angle.cos()) / torch.pi, second: x * angle / torch.pi}
            case c.SCHUR:
                results = {target: 1 - (1 - a) * (1 - registers[other])}
            case c.BLEND:
                results = {target: x * a + y * registers[other]}
            case c.CHAIN:
                results = {target: x * (1 - (1 - a) * (1 - registers[other])) + y * registers[vector]}
            case c.MIX:
                shares = products[vector], products[vector + 1]
                results = {target: 1 - shares[0] * (1 - a) - shares[1] * (1 - registers[other])}
            case _:
                degrees = range(even) if code == c.SERIES else [*range(0, 2 * even, 2), *range(1, 2 * odd, 2)]
                terms = [products[vector + k] * (1 - a) ** degree for k, degree in enumerate(degrees)]
                results = {target: 1 - torch.stack(terms).sum(0)}
        assert not set(results) & set(program.constants)
        registers |= results
    pairs = zip(program.outputs.tolist(), program.stds.tolist(), strict=True)
    return [left[s][:, None] * right[s][None] * (1 - registers[r]) for r, s in pairs]


@pytest.mark.parametrize("name", NETWORKS)
def test_programs_mean_the_expression(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    x, z = (DenseRows.of(torch.randn(n, 6, dtype=torch.float64, generator=generator)) for n in (4, 3))
    kernels = expressions(NETWORKS[name], x, z)
    program = compile_vectors(kernels, torch.float64)
    assert program is not None
    everything = BlockPairs(slice(None), slice(None))
    ours = interpreted(program, kernels[0].root.delta(everything, True))
    for kernel, result in zip(kernels, ours, strict=True):
        torch.testing.assert_close(result, kernel.entries(everything, True), rtol=1e-9, atol=1e-12)


def test_a_layer_is_two_operations() -> None:
    x = DenseRows.of(torch.randn(2, 6, generator=torch.Generator().manual_seed(0)))
    program = compile_vectors(expressions(nk.mlp(5), x)[1:], torch.float32)
    assert program is not None
    assert program.table[:, 0].tolist() == [c.ARC, c.CHAIN] * 5


def test_registers_are_used_again() -> None:
    """As many for an NTK of ten layers as of five: a strip of all of them stays in the cache at any depth."""
    x = DenseRows.of(torch.randn(2, 6, generator=torch.Generator().manual_seed(0)))
    counts = []
    for depth in (5, 10):
        program = compile_vectors(expressions(nk.mlp(depth), x)[1:], torch.float32)
        assert program is not None
        counts.append(program.registers)
    assert counts[0] == counts[1] <= 6  # two of them the input's, which stay


def test_activations_take_a_short_series_a_table_or_pieces_or_are_left_to_torch() -> None:
    x = DenseRows.of(30 * torch.ones(2, 6, dtype=torch.float64))
    for activation, code in (
        (nk.Tanh(), c.TABLE),
        (nk.Hermite(3), c.POWERS),
        (nk.ReLU(), c.ARC),
        (nk.HardTanh(), c.KINKS),
    ):
        program = compile_vectors(expressions(nk.mlp(1, activation), x), torch.float64)
        assert program is not None
        assert program.table[0, 0] == code
    kinked = nk.Elementwise(lambda z: torch.relu(z - 1) ** 3, kinks=(1.0,))
    assert compile_vectors(expressions(nk.mlp(1, kinked), x), torch.float64) is None


@pytest.mark.parametrize("scale", [1.0, 5.0])
@pytest.mark.parametrize("activation", SHARED, ids=repr)
def test_branches_may_share_an_activation(activation: nk.Activation, scale: float) -> None:
    x = scale * torch.randn(5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    other = replace(activation)
    assert other is not activation
    for shared, apart in zip(branches(activation, activation), branches(activation, other), strict=True):
        for kernel in (nk.NNGP, nk.NTK):
            torch.testing.assert_close(kernel(shared)(x), kernel(apart)(x), rtol=1e-10, atol=1e-12)
            both = kernel(shared)
            torch.testing.assert_close(both(x, x[:1]), both(x)[:, :1], rtol=1e-7, atol=1e-9)
