"""How many bits an emulator that knows probabilities needs for maps that it has never seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.evaluate.bootstrap import clustered

if TYPE_CHECKING:
    from skyloom.api.data import Samples
    from skyloom.api.trained import Run

AT_ONCE = 64


def bits_of(run: Run, data: Samples, rows: np.ndarray) -> dict[str, Any] | None:
    """Return the bits of real maps as whole numbers, None where the method gives no such probability.

    Args:
        run: A run of task ``emulate``.
        data: Its samples.
        rows: Rows of the maps in the stored set.

    Returns:
        ``per_dimension`` and ``per_pixel`` with ``value``, ``low`` and ``high`` of a bootstrap over groups;
        ``dimensions`` and ``pixels`` of a map; ``clipped``, the share of values beyond the bounds of the
        train side, which count as the value at the bound.
    """
    import torch

    from skyloom.methods.generative.autoregressive import Autoregressive

    method: Any = run.method
    if not isinstance(method, Autoregressive):
        return None
    table = data.reader.table.isel(sample=rows)
    conditions = run.task.targets(table)
    found = []
    for start in range(0, len(rows), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        maps = torch.from_numpy(run.inputs(data.maps(rows[here])))
        found.append(method.bits(maps, torch.from_numpy(conditions[here])))
    bits, clipped, values = (torch.cat(column).double().numpy() for column in zip(*found, strict=True))
    settings = run.recipe.evaluate
    mean = clustered(
        lambda w: w @ bits[:, None] / w.sum(axis=-1, keepdims=True),
        table["group"].values.astype(str),
        draws=settings.bootstrap,
        seed=settings.seed,
    )
    ends = {name: float(np.ravel(getattr(mean, name))[0]) for name in ("value", "low", "high")}
    dimensions, pixels = method.dimensions, method.quantiser.pixels
    return {
        "per_dimension": {name: end / dimensions for name, end in ends.items()},
        "per_pixel": {name: end / pixels for name, end in ends.items()},
        "dimensions": dimensions,
        "pixels": pixels,
        "clipped": float(clipped.sum() / max(values.sum(), 1)),
    }
