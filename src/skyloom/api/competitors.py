"""What the recipe's baselines answer: fitted on what the network sees, or on readings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import registry
from skyloom.api.data import Samples
from skyloom.api.trained import Run
from skyloom.errors import DataError, nearest
from skyloom.fields import parameters

if TYPE_CHECKING:
    import xarray as xr


def predict_baselines(run: Run, data: Samples, side: str) -> dict[str, xr.Dataset]:
    """Fit the recipe's baselines on the train side, and let them predict.

    Args:
        run: The trained run.
        data: Its samples.
        side: The side to predict for.

    Returns:
        Label of each baseline -> its prediction.
    """
    train, here = (data.rows_of(run.split.sides[name]) for name in ("train", side))
    maps = {name: run.inputs(data.maps(rows)) for name, rows in (("train", train), ("here", here))}
    table, side_table = (data.reader.table.isel(sample=rows) for rows in (train, here))
    targets = run.task.targets(table)
    found = {}
    specs = run.recipe.evaluate.baselines
    for name, spec in zip(labels(specs), specs, strict=True):
        baseline = registry.build(spec, "baseline")
        baseline.fit(
            readings(table, baseline.columns) if baseline.columns else maps["train"],
            targets,
            table["group"].values,
            box=data.box,
            periodic=data.periodic,
            answers=run.task.answers,
        )
        outputs = baseline.predict(
            readings(side_table, baseline.columns) if baseline.columns else maps["here"]
        )
        found[name] = run.task.interpret(outputs, side_table, side=side, leaky=run.split.leaky)
    return found


def readings(table: xr.Dataset, columns: Sequence[str]) -> np.ndarray:
    """Return columns of a table in the shape of maps, ``(n, F, 1, 1)``.

    Args:
        table: Coordinates of ``n`` samples.
        columns: Names of parameters or labels.

    Raises:
        DataError: There is no such column.
    """
    known = parameters(table)
    for name in columns:
        if name not in known:
            raise DataError(f"baseline readings: the data have no label {name!r}", hint=nearest(name, known))
    return np.stack([np.asarray(table[name].values, float) for name in columns], axis=1)[:, :, None, None]


def labels(specs: list[dict[str, Any]]) -> list[str]:
    """Return a label for each component: its title, or its name and what tells it from others of that name.

    Args:
        specs: Components of one kind, every default written out.

    Example:
        >>> labels([{"name": "mean"}, {"name": "moments", "moments": 2}, {"name": "moments", "moments": 3}])
        ['mean', 'moments-2', 'moments-3']
        >>> labels([{"name": "readings", "columns": ["nHit"], "title": "size"}])
        ['size']
    """
    found = []
    for spec in specs:
        if spec.get("title"):
            found.append(str(spec["title"]))
            continue
        rivals = [other for other in specs if other["name"] == spec["name"]]
        apart = [key for key in spec if any(other.get(key) != spec[key] for other in rivals)]
        tags = [_told(key, spec) for key in apart]
        found.append("-".join([spec["name"], *tags]))
    return found


def _told(key: str, spec: dict[str, Any]) -> str:
    if isinstance(spec[key], list):
        return "+".join(map(str, spec[key]))
    return f"{spec[key]}" if key == spec["name"] else f"{key}={spec[key]}"
