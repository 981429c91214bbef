"""Samples drawn while an emulator trains: a picture and a set after every so many epochs.

They stand at the conditions of maps of the validation side, and every time at the same ones and from the same
noise, so that pictures differ by what was learnt in between and by nothing else.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from skyloom.api.data import Samples, evenly, write_dataset
from skyloom.api.emulating import draw
from skyloom.api.trained import Run
from skyloom.fields import store
from skyloom.fields.transforms import FieldTransforms
from skyloom.runs import RunFolder, atomic_write
from skyloom.splits import AuditedSplit
from skyloom.tasks.emulate import Emulate, conditions_of

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.recipe import Recipe
    from skyloom.training.session import Artist

MAPS, EVENTS = 4, 1000  #: drawn of maps, and of tables, whose samples are one number a field


def artist(
    recipe: Recipe,
    data: Samples,
    audited: AuditedSplit,
    fitted: tuple[FieldTransforms, Any],
    run: RunFolder,
) -> Artist | None:
    """Return what draws samples into ``samples/`` of a run, None where the recipe asks for none.

    Args:
        recipe: The recipe.
        data: Its samples.
        audited: Their split.
        fitted: The fitted transforms and the fitted task.
        run: The run, whose ``emulator.json`` and ``split.json`` are written.
    """
    transforms, task = fitted
    if recipe.train.draw_every is None or not isinstance(task, Emulate):
        return None
    rows = data.rows_of(audited.ids("validation"))
    rows = rows[evenly(len(rows), EVENTS if data.size == 1 else MAPS)]
    real = store.open(data.reader.folder)[list(data.fields)].isel(sample=rows).load()
    points = conditions_of(real, task.names)

    def after(method: Any, epoch: int) -> None:
        drawn = draw(Run(run, recipe, task, method, transforms, None, None), points)
        stem = f"samples/epoch_{epoch:04d}"
        write_dataset(run.path_of(f"{stem}.nc"), drawn)
        with atomic_write(run.path_of(f"{stem}.png")) as file:
            file.write(_picture(real, drawn))

    return after


def _picture(real: xr.Dataset, drawn: xr.Dataset) -> bytes:
    """Return a PNG: maps side by side, or histograms of a table."""
    from skyloom.report.style import PAGE, drawn_alone

    names = list(map(str, drawn.data_vars))
    if drawn[names[0]].sizes["x"] == 1:
        from skyloom.evaluate.generated.sample import gather
        from skyloom.evaluate.generated.tables import tabulate
        from skyloom.report.sections.tabulated import fill_histograms, histogram_height

        first, second = (gather(ds, names, [], maximum=EVENTS, seed=0) for ds in (real, drawn))
        table = tabulate({"real": (first, second)}, None).sel(labels="real")
        size = PAGE, histogram_height(len(names))
        return drawn_alone(partial(fill_histograms, table, names), size=size, kind="png")
    from skyloom.report.figures.generated import side_by_side

    # The mask of a detector, which is the same in all, shows nothing.
    shown = [name for name in names if (real[name].values != real[name].values[0]).any()] or names
    fields = [(name, real[name].values, drawn[name].values, drawn[name].attrs) for name in shown]
    size = PAGE, 0.85 * len(fields) + 0.3
    return drawn_alone(lambda figure: side_by_side(figure, fields), size=size, kind="png")
