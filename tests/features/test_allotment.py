"""How columns are divided among the parts of a factor."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from neural_kernels.features.allotment import Part, allot

parts = st.lists(
    st.builds(
        Part,
        share=st.floats(0, 1e6, allow_subnormal=False),
        exact=st.none() | st.integers(1, 2000),
        copies=st.integers(1, 3),
    ),
    max_size=8,
)


@given(parts, st.integers(1, 20_000))
def test_never_more_than_there_are(parts, columns):
    widths = allot(parts, columns)
    assert len(widths) == len(parts)
    assert sum(width * part.copies for width, part in zip(widths, parts, strict=True)) <= columns
    for width, part in zip(widths, parts, strict=True):
        assert 0 <= width <= (part.exact or columns)
        assert part.share or not width


def test_sketched_parts_take_columns_by_their_share():
    assert allot([Part(3.0), Part(1.0)], 4000) == [3000, 1000]
    assert allot([Part(1.0), Part(1.0, copies=3)], 400) == [200, 66]


def test_a_part_is_exact_where_that_lowers_the_error():
    assert allot([Part(1.0, exact=784), Part(0.7)], 4096) == [784, 3312]
    wide = allot([Part(0.1, exact=3000), Part(1.0)], 4096)  # worth little, costs much
    assert wide[0] < 400
    assert allot([Part(1.0, exact=10)], 4096) == [10]
