"""Columns of numbers with bounded tails, as a scikit-learn transformer."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from neural_kernels.estimators.atomic import atomic
from neural_kernels.runtime.boundary import refuse_lazy
from neural_kernels.tables.names import distinct, input_names
from neural_kernels.tables.quantiles import quantiles

_FLOATS = (np.float64, np.float32)


class TableScaler(TransformerMixin, BaseEstimator):
    r"""Scale columns by median and inter-quartile range, and bend their tails to a bound.

    A column x with median m and inter-quartile range s becomes

    .. math:: \frac{z}{\sqrt{1 + (z / 3)^2}}, \qquad z = \frac{x - m}{s},

    which is nearly z in the middle of the column and stays between -3 and 3, whatever comes: kernels of networks go on
    linearly outside the training data, so that one row with a value of 4,000 deviations would be predicted at thousands
    of deviations of the target. Where half of the values or more are equal, s is 0 and in its place stands the median
    distance of the others from m: columns of zeros and ones thus keep their width of 1, and counts that are mostly zero
    are measured by the counts that are not.

    Parameters
    ----------
    indicators : bool
        Whether columns in which values are missing (NaN) are followed, behind all columns, by one that says where: 1
        for missing, 0 for not, less its median. Missing values themselves become 0, the place of the median, in
        either case, also in columns where none was missing in `fit`.

    Attributes
    ----------
    center_, scale_ : ndarray of shape (d,)
        Medians, and what values less median are divided by: 0 for columns that do not vary, which become 0.
    missing_ : ndarray of int
        The columns with indicators, in their order.
    indicator_center_ : ndarray
        The median of each indicator, 1 where most values are missing.
    groups_ : ndarray of int, of shape (n_features_out,)
        The column of the input that each column of the output comes from.
    n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where the input has names.

    Raises
    ------
    ValueError
        Infinite values; say whether they are to be missing (NaN) or a large number.

    See Also
    --------
    TableEncoder : Numbers of frames with text, dates and categories, before this.
    table_pipeline : Both, and an estimator.

    Notes
    -----
    Quantiles are those of the weighted values: a weight of 2 is the row twice, of 0 the row left out. float32 stays
    float32, all other numbers become float64; each column is computed in float64. Time n log n for each column, memory
    that of the result.

    References
    ----------
    D. Holzmüller, L. Grinsztajn, I. Steinwart, "Better by default: strong pre-tuned MLPs and boosted trees on tabular
    data", 2024, arXiv:2407.04491, appendix A: robust scaling and smooth clipping. There columns with s = 0 are divided
    by half of their range, which a single outlier would decide.

    Examples
    --------
    >>> import numpy as np
    >>> from neural_kernels.tables import TableScaler
    >>> X = np.array([[0.0, 1.0], [1.0, 2.0], [2.0, np.nan], [3.0, 3.0], [1e30, 3.0]])
    >>> TableScaler().fit_transform(X).round(2) + 0
    array([[-0.95, -0.95,  0.  ],
           [-0.49, -0.33,  0.  ],
           [ 0.  ,  0.  ,  0.95],
           [ 0.49,  0.33,  0.  ],
           [ 3.  ,  0.33,  0.  ]])
    """

    def __init__(self, *, indicators: bool = True):
        self.indicators = indicators

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]  # pyright: ignore[reportOptionalMemberAccess]
        return tags

    @atomic
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> TableScaler:
        """Find medians and ranges of columns, shape (n, d); y is ignored.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Numbers; NaN is missing.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Weights of the rows, not negative.
        """
        rows = self._rows(X, reset=True)
        weights = _check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
        if not weights.any():
            raise ValueError("sample_weight: expected one positive weight at least, got zeros only")
        rows, weights = rows[weights > 0], weights[weights > 0]
        centers, scales, missing = [], [], []
        for j, column in enumerate(rows.T):
            absent = np.isnan(column)
            center, scale = _center_and_scale(column[~absent].astype(np.float64), weights[~absent])
            centers.append(center)
            scales.append(scale)
            if self.indicators and absent.any() and not absent.all():
                missing.append((j, float(quantiles(absent.astype(np.float64), weights, (0.5,))[0])))
        self.center_, self.scale_ = np.array(centers), np.array(scales)
        self.missing_ = np.array([j for j, _ in missing], dtype=np.intp)
        self.indicator_center_ = np.array([center for _, center in missing])
        self.groups_ = np.concatenate([np.arange(rows.shape[1]), self.missing_])
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Scale columns, shape (n, d), to between -3 and 3."""
        check_is_fitted(self)
        rows = self._rows(X, reset=False)
        scaled = np.zeros((len(rows), len(self.groups_)), rows.dtype)
        for j, (center, scale) in enumerate(zip(self.center_, self.scale_, strict=True)):
            if scale > 0:
                scaled[:, j] = _bent(rows[:, j], center, scale)
        for k, (j, center) in enumerate(zip(self.missing_, self.indicator_center_, strict=True)):
            scaled[:, rows.shape[1] + k] = _bent(np.isnan(rows[:, j]), center, 1.0)
        return scaled

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns that `transform` gives; those of indicators end in ``_missing``."""
        check_is_fitted(self)
        names = input_names(self, input_features)
        return distinct([*names, *(f"{names[j]}_missing" for j in self.missing_)])

    def _rows(self, X: Any, *, reset: bool) -> np.ndarray:
        refuse_lazy(X, "X")
        rows: Any = validate_data(self, X, reset=reset, dtype=_FLOATS, ensure_all_finite="allow-nan")
        return rows


def _center_and_scale(values: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Median and inter-quartile range, or what stands in its place; a scale of 0 for values that do not vary."""
    if not len(values):
        return 0.0, 0.0
    low, center, high = quantiles(values, weights, (0.25, 0.5, 0.75))
    with np.errstate(over="ignore"):
        scale, others = high - low, values != center
        if scale == 0 and others.any():
            scale = quantiles(np.abs(values[others] - center), weights[others], (0.5,))[0]
    return float(center), float(min(scale, np.finfo(np.float64).max))


def _bent(values: np.ndarray, center: float, scale: float) -> np.ndarray:
    """Z / sqrt(1 + (z / 3)^2), as 3 sin(arctan(z / 3)), which is 3 where z overflows."""
    with np.errstate(over="ignore"):
        z = (values.astype(np.float64) - center) / scale
    bent = 3 * np.sin(np.arctan(z / 3))
    return np.where(np.isnan(z), 0.0, bent)
