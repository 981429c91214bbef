"""What is the best that can be reached: the ceiling that noise in the labels sets.

A map cut from a box is labelled with a property of the whole box (``x_HI``), but shows its own
(``x_HI_slice``). Even who reads that perfectly errs by their difference. The ceiling regresses the box label
on the slice label, on the train side, and is judged as a prediction like any other; only what the shapes in
the slice tell of the rest of its box lies above it. It holds for any pair ``<name>`` and ``<name>_slice``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from skyloom.errors import DataError
from skyloom.tasks.prediction import prediction


def label_noise(
    train: xr.Dataset,
    side: xr.Dataset,
    parameters: Sequence[str],
    *,
    levels: Sequence[float] = (0.68, 0.95),
    scores: Sequence[str] = (),
) -> xr.Dataset | None:
    """Predict box labels from the true slice labels by a straight line fitted on the train side.

    Args:
        train: Table (coordinates on ``sample``) of the train side.
        side: Table of the side to judge.
        parameters: Names of the targets; those without a ``<name>_slice`` in both tables are left out.
        levels: Levels of the intervals, from the residual sd on the train side.
        scores: Names of the scores to judge by.

    Returns:
        A prediction of those parameters, or None if there are none.

    Raises:
        DataError: A slice label is the same in all train samples, or a label is not finite.

    Example:
        >>> own = np.linspace(0, 1, 5)
        >>> table = xr.Dataset(coords={"sample": list("abcde"), "group": ("sample", list("abcde")),
        ...     "x_HI": ("sample", 0.1 + 0.8 * own), "x_HI_slice": ("sample", own)})
        >>> label_noise(table, table, ["x_HI"])["mean"].values.ravel().round(2).tolist()
        [0.1, 0.3, 0.5, 0.7, 0.9]
    """
    pairs = [
        name
        for name in parameters
        if all(f"{name}_slice" in t.coords and name in t.coords for t in (train, side))
    ]
    if not pairs:
        return None
    columns = [_line(train, side, name) for name in pairs]
    mean = np.stack([line for line, _ in columns], axis=1)
    sd = np.broadcast_to([spread for _, spread in columns], mean.shape)
    units = {name: str(side[name].attrs.get("units", "")) for name in pairs}
    return prediction({"mean": mean, "sd": sd}, side, units=units, levels=levels, scores=scores)


def _line(train: xr.Dataset, side: xr.Dataset, name: str) -> tuple[np.ndarray, float]:
    """Predicted box label of the side and the residual sd on the train side."""
    own, box = (np.asarray(train[key].values, float) for key in (f"{name}_slice", name))
    seen = np.asarray(side[f"{name}_slice"].values, float)
    if (
        not (np.isfinite(own).all() and np.isfinite(box).all() and np.isfinite(seen).all())
        or np.ptp(own) == 0
    ):
        raise DataError(
            f"labels '{name}' and '{name}_slice' must be finite and the latter must vary over the train side",
            hint="mend the table; without the slice label no ceiling is computed",
        )
    slope, intercept = np.polyfit(own, box, 1)
    residual = box - (intercept + slope * own)
    spread = max(float(np.sqrt((residual**2).mean())), 1e-6 * float(box.std()))
    return intercept + slope * seen, spread
