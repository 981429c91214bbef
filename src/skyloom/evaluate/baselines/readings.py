"""A baseline on numbers that are known of each sample beside its map, such as a reconstruction's."""

from __future__ import annotations

import numpy as np

from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate.baselines.estimators import Classifier
from skyloom.evaluate.baselines.features import OnFeatures


class Readings(OnFeatures):
    """An estimator on columns of the table: what one would do with a few well-chosen numbers and no map.

    It sees the columns in place of the maps, ``(n, F, 1, 1)``, one pixel each. Whoever names a column says
    that it could be measured: the truth of a simulation is in the same table.

    Args:
        columns: Labels of the field set.
        title: What to call it beside others; empty for the names of the columns.
        logarithms: Those of which the logarithm is taken; numbers below the smallest positive one of
            the train side count as that.
        degree: Highest degree of their products.
        classifier: What answers classes: logistic regression or linear discriminant analysis.

    Raises:
        UsageError: There is no column, or a logarithm is of none of them.

    Example:
        >>> x = np.linspace(1, 100, 60)
        >>> fitted = Readings(columns=["size"], logarithms=["size"]).fit(
        ...     x[:, None, None, None], np.log(x)[:, None], np.arange(60), box=1.0, periodic=False)
        >>> bool(np.abs(fitted.predict(x[:, None, None, None])["mean"][:, 0] - np.log(x)).max() < 0.02)
        True
    """

    def __init__(
        self,
        *,
        columns: list[str],
        title: str = "",
        logarithms: list[str] | None = None,
        degree: int = 2,
        classifier: Classifier = "logistic",
    ) -> None:
        super().__init__(degree, classifier)
        strange = [name for name in logarithms or [] if name not in columns]
        if not columns or strange:
            raise UsageError(
                f"baseline readings: columns are {columns}, logarithms {logarithms}",
                hint="name at least one column, and logarithms of columns only",
            )
        self.columns, self.title = tuple(columns), title
        self._logarithmic = np.isin(columns, logarithms or [])

    def _features(self, maps: np.ndarray, *, fit: bool) -> np.ndarray:
        values = maps.reshape(len(maps), -1).astype(float)
        if values.shape[1] != len(self.columns):
            raise ShapeError(
                f"baseline readings: {values.shape[1]} numbers a sample, but {len(self.columns)} columns",
                hint=f"give one pixel for each of {', '.join(self.columns)}",
            )
        if fit:
            positive = np.where(values > 0, values, np.inf).min(axis=0)
            self._least = np.where(np.isfinite(positive), positive, 1.0)
        return np.where(self._logarithmic, np.log(np.maximum(values, self._least)), values)
