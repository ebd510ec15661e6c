"""Tables as they are: data frames as numbers, and models that choose everything by themselves.

- `regressor`, `classifier`: models, what users call; `base` is what they share: the search, and the last fit;
- `candidates`: kernels that learn a metric, judged by exact leave-one-out;
- `deadline`: until when they are tried;
- `blend`: one kernel of many;
- `report`: what was tried and chosen;
- `pipeline`: `encoder` and `scaler` before an estimator;
- `encoder`: all columns of a table as numbers;
- `codes`: what becomes of other columns: numbers, ordered categories, dates;
- `frames`: frames of pandas and polars, and arrays, as columns of few kinds;
- `values`: what kind of column the values of Python in it make;
- `levels`: categories: which values are levels of their own, and their indicators;
- `scaler`: columns of numbers with bounded tails;
- `quantiles`: medians and other quantiles of weighted values;
- `names`: names of columns, in and out.
"""

from neural_kernels.tables.classifier import TableClassifier
from neural_kernels.tables.encoder import TableEncoder
from neural_kernels.tables.pipeline import table_pipeline
from neural_kernels.tables.regressor import TableRegressor
from neural_kernels.tables.scaler import TableScaler

__all__ = ["TableClassifier", "TableEncoder", "TableRegressor", "TableScaler", "table_pipeline"]
