"""Layout: positions in columns, shifts as offsets, tables of maps; on maps written by hand."""

from __future__ import annotations

import pytest
import torch

from neural_kernels.algebra import Matrix, Separable, Taps
from neural_kernels.exact.compile.layout import Layout, matrix_table, reach, shift_table, shifts, taps_table

SAME = Taps(torch.tensor([[-1, 0, 1], [0, 1, 2], [1, 2, -1]]), 0.5, 3)  # a window of three with zeros around
TALL = Taps(torch.tensor([[-1, 0, 1, 2], [0, 1, 2, 3], [1, 2, 3, -1]]), 1.0, 4)
VALID = Taps(torch.tensor([[0, 1, 2], [1, 2, 3]]), 1.0, 4)
CIRCULAR = Taps(torch.tensor([[2, 0, 1], [0, 1, 2], [1, 2, 0]]), 1.0, 3)
STRIDED = Taps(torch.tensor([[0, 2], [1, 3]]), 1.0, 4)


def test_columns_of_an_image() -> None:
    layout = Layout.of((2, 3), (1, 1))
    assert layout.pitches == (4, 1)  # three pixels and a gap of one
    assert layout.columns.tolist() == [0, 1, 2, 4, 5, 6]
    assert (layout.rows, layout.width, layout.margin, layout.length) == (6, 8, 6, 20)  # a whole vector of columns


def test_vectors_are_one_position() -> None:
    layout = Layout.of((), ())
    assert (layout.rows, layout.width, layout.columns.tolist()) == (1, 1, [0])


def test_fewer_positions_stay_where_they_are() -> None:
    layout = Layout.of((4, 3), (1, 1)).shrunk((3, 2))
    assert layout.columns.tolist() == [0, 1, 4, 5, 8, 9]


@pytest.mark.parametrize(
    ("axis", "moves"),
    [
        (SAME, [-1, 0, 1]), (VALID, [0, 1]), (CIRCULAR, None), (STRIDED, None),
        (Taps(torch.tensor([[-1, -1, -1], [0, 1, 2]]), 1.0, 3), [3, 0]),  # a tap that takes nothing
        (Taps(torch.tensor([[-1, 1, 2]]), 1.0, 3), None),  # zero where the shift would take a position
        (Matrix(torch.eye(3)), None),
    ],
)  # fmt: skip
def test_shifts(axis: Taps | Matrix, moves: list[int] | None) -> None:
    assert shifts(axis) == moves


def test_reach_is_that_of_the_farthest_map() -> None:
    far = Taps(torch.tensor([[-1, -1, 0], [2, -1, -1]]), 1.0, 3)
    assert reach([Separable((SAME,)), Separable((far, SAME))]) == (2, 1)


@pytest.mark.parametrize("axes", [(SAME,), (TALL, SAME), (VALID, SAME)])
def test_shifted_rows_are_what_the_map_takes(axes: tuple[Taps, ...]) -> None:
    """Reading a spaced row from another column on gives every term of the map, zeros at the edges included."""
    by = Separable(axes)
    layout = Layout.of(tuple(axis.size for axis in axes), reach([by]))
    offsets, table = shift_table(by, layout), taps_table(by)
    assert offsets is not None
    values = torch.arange(1.0, layout.rows + 1)
    memory = torch.zeros(layout.length)
    memory[layout.margin + layout.columns] = values
    after = layout.shrunk(by.after)
    for offset, index in zip(offsets.tolist(), table.index, strict=True):
        taken = memory[layout.margin + offset + after.columns]
        assert torch.equal(taken, torch.where(index < 0, 0, values[index]))


def test_no_offset_leaves_the_margin() -> None:
    by = Separable((TALL, SAME))
    assert shift_table(by, Layout.of((4, 3), (0, 0))) is None
    assert shift_table(Separable((TALL, CIRCULAR)), Layout.of((4, 3), (1, 1))) is None


@pytest.mark.parametrize("axes", [(SAME,), (CIRCULAR, STRIDED), (TALL, SAME)])
def test_table_of_taps_is_the_map(axes: tuple[Taps, ...]) -> None:
    by = Separable(axes)
    table = taps_table(by)
    generator = torch.Generator().manual_seed(0)
    k = torch.rand([axis.size for axis in axes], generator=generator, dtype=torch.float64)
    summed = sum(torch.where(index < 0, 0, k.reshape(-1)[index]) for index in table.index)
    torch.testing.assert_close(table.weight * summed, by.diagonal(k).reshape(-1))


def test_table_of_a_matrix_is_the_map() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.rand(2, 4, generator=generator), torch.eye(3)[:2] + torch.eye(3)[1:]
    table = matrix_table(Separable((Matrix(first), Matrix(second))))
    assert table.weights is not None
    dense = torch.zeros(4, 12, dtype=torch.float64)
    for index, weights in zip(table.index, table.weights, strict=True):
        for row, (column, weight) in enumerate(zip(index.tolist(), weights.tolist(), strict=True)):
            dense[row, column] += weight if column >= 0 else 0
    torch.testing.assert_close(dense, torch.kron(first.double(), second.double()))
    assert len(table.index) == 4 * 2  # no more terms than the fullest row has entries
