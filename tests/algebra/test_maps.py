"""Maps of positions against the matrices they stand for, and what follows a layer in a pair of kernels."""

import pytest
import torch

from neural_kernels.algebra import Graph, KernelPair, Matrix, Nothing, PerExample, PerExampleMatrix, Separable, Taps

SHIFTS = Taps(torch.tensor([[-1, 0, 1], [0, 1, 2], [2, 2, -1]]), 0.5, 3)
MEANS = Matrix(torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]], dtype=torch.float64))
MAPS = {
    "shifts": Separable((SHIFTS,)),
    "matrix": Separable((MEANS,)),
    "both": Separable((SHIFTS, MEANS)),
    "collapse": Separable((Matrix(torch.ones(1, 3, dtype=torch.float64)),), collapse=True),
}


def dense(positions: Separable) -> list[torch.Tensor]:
    """All S_a, shape (after, before), from what they make of unit vectors."""
    sizes = [axis.size for axis in positions.axes]
    unit = torch.eye(int(torch.tensor(sizes).prod()), dtype=torch.float64)
    return [part.reshape(len(unit), -1).T for part in positions.spread(unit.reshape(-1, *sizes), 0)]


@pytest.mark.parametrize("name", MAPS)
def test_all_pairs_are_sums_over_the_matrices(name: str) -> None:
    positions = MAPS[name]
    matrices, sizes = dense(positions), [axis.size for axis in positions.axes]
    assert len(matrices) == positions.count
    before = matrices[0].shape[1]
    k = torch.randn(2, before, before, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mapped = positions.all_pairs(k.reshape(2, *sizes, *sizes), lambda sides: (sides[0], sides[-1]))
    assert mapped.shape == (2, *positions.after, *positions.after)
    expected = torch.stack([s @ k @ s.T for s in matrices]).sum(0)
    torch.testing.assert_close(mapped.reshape(expected.shape), expected)


@pytest.mark.parametrize("name", MAPS)
def test_the_diagonal_suffices_exactly_where_nothing_mixes(name: str) -> None:
    positions = MAPS[name]
    sizes = [axis.size for axis in positions.axes]
    variances = torch.rand(2, *sizes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert positions.mixing == any(bool(((s != 0).sum(1) > 1).any()) for s in dense(positions))
    if positions.mixing:
        with pytest.raises(TypeError, match="all pairs"):
            positions.diagonal(variances)
    else:
        k = variances.flatten(1).diag_embed().reshape(2, *sizes, *sizes)
        mapped = positions.all_pairs(k, lambda sides: (sides[0], sides[-1])).reshape(2, 3, 3)
        torch.testing.assert_close(positions.diagonal(variances), mapped.diagonal(dim1=-2, dim2=-1))


def test_sources_are_where_the_matrices_have_their_entries() -> None:
    positions = Separable((SHIFTS, Taps(torch.tensor([[1, 3], [-1, 0]]), 3.0, 4)))
    expected = torch.zeros(positions.count, 6, 12 + 1, dtype=torch.float64)
    expected.scatter_(2, positions.sources[..., None], positions.weight)
    torch.testing.assert_close(torch.stack(dense(positions)), expected[..., :12])
    with pytest.raises(TypeError, match="more than one source"):
        _ = MAPS["both"].sources


def test_matrices_of_each_example() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, 2, 3, dtype=torch.float64, generator=generator) for n in (4, 5))
    k = torch.randn(4, 5, 3, 3, dtype=torch.float64, generator=generator)
    positions = PerExampleMatrix((a, b), (2,))
    mapped = positions.all_pairs(k, lambda sides: (sides[0][:, None], sides[1][None]))
    torch.testing.assert_close(mapped[1, 2], a[1] @ k[1, 2] @ b[2].T)
    (spread,) = positions.spread(k[:, 0, 0], 0)
    torch.testing.assert_close(spread[3], a[3] @ k[3, 0, 0])


class Scaled:
    """A kernel that remembers what it was scaled by."""

    def __init__(self, positions: tuple[int, ...], by: PerExample | None = None) -> None:
        self.positions, self.by = positions, by

    def scale(self, factor: PerExample) -> "Scaled":
        return Scaled(self.positions, factor)


@pytest.mark.parametrize("positions", [(3,), ()])
def test_after_a_layer_absent_nodes_are_zero_and_the_width_is_kept(positions: tuple[int, ...]) -> None:
    present = PerExample((torch.tensor([[1.0, 1.0, 0.0]]),))
    graph = Graph(PerExample((torch.eye(3)[None],)), present)
    pair = KernelPair(Scaled(positions), Nothing(), 7, graph)  # pyright: ignore[reportArgumentType]
    kernel = Scaled(positions)
    after = pair.after(kernel, Nothing())  # pyright: ignore[reportArgumentType]
    assert after.nngp.by is (present if positions else None)  # pyright: ignore[reportAttributeAccessIssue]
    assert isinstance(after.ntk, Nothing)
    assert (after.width, after.graph) == (7, graph)
    assert pair.after(kernel, Nothing(), width=None).width is None  # pyright: ignore[reportArgumentType]
    assert pair.after(kernel, Nothing(), width=9).width == 9  # pyright: ignore[reportArgumentType]
