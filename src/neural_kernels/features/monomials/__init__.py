"""Features that are sampled monomials, products of a few coordinates of a row of norm 1.

- `expansion`: kernels as sums over degrees of a coefficient of each row, times powers of the cosine;
- `candidates`: monomials drawn in proportion to their squares on the data, and with which probability;
- `selection`: which of the candidates are kept, by their leverage in the kernel of the data;
- `monomials`: the columns they make;
- `loops`: the compiled loops of those.
"""
