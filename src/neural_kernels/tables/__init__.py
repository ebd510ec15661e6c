"""Tables: data frames as numbers on the scales that kernels expect.

frames     frames of pandas and polars, and arrays, as columns of few kinds
values     what kind of column the values of Python in it make
levels     categories: which values are levels of their own, and their indicators
codes      what becomes of other columns: numbers, ordered categories, dates
encoder    all columns of a table as numbers
names      names of columns, in and out
quantiles  medians and other quantiles of weighted values
scaler     columns of numbers with bounded tails
pipeline   both before an estimator
"""

from neural_kernels.tables.encoder import TableEncoder
from neural_kernels.tables.pipeline import table_pipeline
from neural_kernels.tables.scaler import TableScaler

__all__ = ["TableEncoder", "TableScaler", "table_pipeline"]
