"""Kernels that are a function of the angle between two rows: one power series of its cosine, whatever the depth.

- `power_series`: the representation by which a network becomes such a series;
- `angle_map`: the columns of degrees 0 and 1, which are exact, and of all others (`Rest`);
- `gegenbauer`: one activation whose random features have the series as their kernel;
- `lookup`: functions of one number by a table, as that activation is kept;
- `powers`: sketches of the powers of a row, by one tree;
- `degree_plan`: up to which degree powers are sketched, and with how many columns each;
- `anchored`: random features corrected by the exact kernel at rows of the data.
"""
