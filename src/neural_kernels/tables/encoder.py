"""All columns of a table as numbers, as a scikit-learn transformer."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from neural_kernels.checks import require_integer
from neural_kernels.estimators.atomic import atomic
from neural_kernels.tables.codes import Code, DateCode, NumberCode, OrderCode
from neural_kernels.tables.frames import is_frame, read_columns
from neural_kernels.tables.levels import LevelCode
from neural_kernels.tables.names import distinct, input_names
from neural_kernels.tables.values import Column

# What a column may be later, beside what it was in `fit`.
_ALSO = {
    "number": ("boolean",),
    "boolean": ("number",),
    "ordered": ("text", "category"),
    "mixed": ("text", "category", "number", "boolean"),
}
_NAMES = 10  # rows from which text that is different in all of them is taken for names


class TableEncoder(TransformerMixin, BaseEstimator):
    """Columns of numbers, booleans, text, categories and dates as columns of numbers.

    - *Numbers*, booleans (0 and 1), decimals, durations (days) and times of the day (hours) stay one column; missing
      values are NaN, which `TableScaler` fills.
    - *Text and categories* become an indicator (0 or 1) for each level. A missing value is a level of its own. Levels
      of fewer than `min_rows` rows share one, "infrequent"; so does, where there is that, a level that comes up later,
      which else has no indicator at all. Of two levels the less frequent one has an indicator.
    - *Ordered categories* of pandas become their place in the order.
    - *Dates* become days since the first one, and a sine and a cosine for each of the year, the week and the day,
      where the dates extend over more than one of it and vary within it.
    - Columns that do not vary are dropped, and so is, with a warning, text that is different in all of more than 10
      rows.

    Indicators keep their width in `TableScaler`: the variances of the levels of one column sum to less than 1, as
    much as one column of numbers has.

    Parameters
    ----------
    min_rows : int
        Rows that a level must have to be one of its own; less with fewer than 20 times as many rows, a twentieth of
        them.
    max_levels : int
        Levels of a column at most, the most frequent ones.

    Attributes
    ----------
    groups_ : ndarray of int, of shape (n_features_out,)
        The column of the table that each column of numbers comes from.
    kinds_ : list of str
        What each column of the table is: "number", "boolean", "text", "category" (of other values than text),
        "ordered", "mixed", "date", "duration", "time" or "empty".
    dropped_ : dict of str to str
        Columns that are not used, and why.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where the table has names.

    Raises
    ------
    TypeError
        A column is of another kind than in `fit`, or of none of these; X is no table.
    ValueError
        Columns are missing, or names twice; numbers are infinite; no column varies.

    See Also
    --------
    TableScaler : Brings the numbers to one scale, and fills missing ones.
    table_pipeline : Both, and an estimator.

    Notes
    -----
    Tables are frames of pandas and polars, or arrays of NumPy and lists, of objects too. Columns of frames are found by
    their names, in any order, and others are left alone; those of arrays by their places. Results are float32 if all
    columns of numbers are, else float64.

    Examples
    --------
    >>> import pandas as pd
    >>> from neural_kernels.tables import TableEncoder
    >>> X = pd.DataFrame({"size": [1, 2, 4], "colour": ["red", "blue", None], "unit": "cm"})
    >>> encoder = TableEncoder().set_output(transform="pandas").fit(X)
    >>> encoder.transform(X)
       size  colour=missing  colour=blue  colour=red
    0   1.0             0.0          0.0         1.0
    1   2.0             0.0          1.0         0.0
    2   4.0             1.0          0.0         0.0
    >>> encoder.groups_, encoder.dropped_
    (array([0, 1, 1, 1]), {'unit': 'does not vary'})
    """

    def __init__(self, *, min_rows: int = 2, max_levels: int = 200):
        self.min_rows = min_rows
        self.max_levels = max_levels

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.categorical = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # pyright: ignore[reportOptionalMemberAccess]
        return tags

    @atomic
    def fit(self, X: Any, y: Any = None) -> TableEncoder:
        """Find out what the columns of a table are; y is ignored."""
        require_integer(self, min_rows=self.min_rows, max_levels=self.max_levels)
        columns = self._columns(X, reset=True)
        names = input_names(self)
        self.kinds_ = [column.kind for column in columns]
        reasons = [self._reason(column) for column in columns]
        self.dropped_ = {name: reason for name, reason in zip(names, reasons, strict=True) if reason}
        self._codes: list[Any] = [
            None if reason else self._code(column) for column, reason in zip(columns, reasons, strict=True)
        ]
        counts = [len(code.names("")) if code else 0 for code in self._codes]
        if not sum(counts):
            about = self.dropped_ or "none is there"
            raise ValueError(f"no column to learn from, with n_samples = {len(columns[0].values)}: {about}")
        self.groups_ = np.repeat(np.arange(len(columns)), counts)
        for name, reason in self.dropped_.items():
            if reason.startswith("text"):
                warnings.warn(f"column {name!r} is dropped: {reason}", stacklevel=2)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Numbers of a table, shape (n, n_features_out)."""
        check_is_fitted(self)
        columns = self._columns(X, reset=False)
        for name, kind, column in zip(input_names(self), self.kinds_, columns, strict=True):
            _require_kind(name, kind, column)
        parts = [code.encode(column) for code, column in zip(self._codes, columns, strict=True) if code]
        plain = [column.values.dtype for column in columns if column.kind == "number"]
        single = bool(plain) and all(dtype == np.float32 for dtype in plain)
        return np.concatenate(parts, axis=1, dtype=np.float32 if single else np.float64)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives, such as ``size``, ``colour=red``, ``date_year_sin``."""
        check_is_fitted(self)
        names = input_names(self, input_features)
        return distinct(new for name, code in zip(names, self._codes, strict=True) if code for new in code.names(name))

    def _columns(self, X: Any, *, reset: bool) -> list[Column]:
        """The columns of a table in the order of `fit`."""
        if is_frame(X):
            X = self._named(X, reset)
        else:
            X = np.array(X, dtype=object) if isinstance(X, list | tuple) else X
            X = validate_data(self, X, reset=reset, dtype=None, ensure_all_finite=False)
        return read_columns(X, input_names(self))

    def _named(self, X: Any, reset: bool) -> Any:
        """A frame with the columns of `fit`, in that order."""
        labels = list(X.columns)
        names = [str(name) for name in labels]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"X: several columns named {', '.join(map(repr, twice))}: give each a name of its own")
        if 0 in X.shape:
            raise ValueError(f"X: expected a row and a column at least, got shape {X.shape}")
        if reset:
            self.n_features_in_ = len(names)
            self.feature_names_in_ = np.array(names, dtype=object)
            return X
        if not hasattr(self, "feature_names_in_"):  # fitted to an array
            if len(names) != self.n_features_in_:
                raise ValueError(
                    f"X has {len(names)} features, but {type(self).__name__} is expecting {self.n_features_in_} "
                    "features as input"
                )
            return X
        missing = [name for name in self.feature_names_in_ if name not in names]
        if missing:
            known = set(self.feature_names_in_)
            others = [name for name in names if name not in known]
            raise ValueError(
                f"X: no columns {missing}, which were there in fit; those that were not: {others or 'none'}. Give the "
                "columns the names that they had"
            )
        return X[[labels[names.index(name)] for name in self.feature_names_in_]]

    def _reason(self, column: Column) -> str:
        """Why a column is of no use; nothing if it is."""
        missing = column.missing
        present = column.values[~missing]
        if not len(present):
            return "all values are missing"
        different = len(set(present.tolist()))
        if different == 1 and not missing.any():
            return "does not vary"
        if column.kind in ("text", "mixed") and different == len(present) > _NAMES:
            return (
                "text that is different in all rows, as names are. If it tells something, make columns of that; if it "
                "is numbers or dates, convert it"
            )
        return ""

    def _code(self, column: Column) -> Code:
        if column.kind == "date":
            return DateCode.of(column)
        if column.kind == "ordered":
            return OrderCode(column.categories)
        if column.kind in ("text", "category", "mixed"):
            return LevelCode.of(column, self.min_rows, self.max_levels)
        return NumberCode()


def _require_kind(name: str, kind: str, column: Column) -> None:
    """Refuse a column that is of another kind than in `fit`."""
    if "empty" in (kind, column.kind) or column.kind in (kind, *_ALSO.get(kind, ())):
        return
    raise TypeError(
        f"column {name!r} is of kind {column.kind!r}, and was {kind!r} in fit: convert it to what it was (text that "
        "should be numbers may hold a word for missing values)"
    )
