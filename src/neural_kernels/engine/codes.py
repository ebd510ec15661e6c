"""Operations on rows that both machines have, by number: programs are arrays, so that none is compiled."""

# CHAIN: a blend with a product, its third operand in place 5
ARC, SCHUR, BLEND, CHAIN, MIX, SERIES, POWERS, TABLE, KINKS, RAISED, WAVES = range(11)
GROUP = 4  # terms of POWERS in one pass over the columns
INPUT, OPPOSITE = range(2)  # registers of vectors' programs: one minus and one plus the cosines of the data
