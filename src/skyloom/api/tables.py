"""Judging tables that an emulator drew, at the conditions of real events and at even ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.api.data import write_dataset
from skyloom.api.progress import counting
from skyloom.tasks.emulate import Emulate, conditions_of

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.api.trained import Run

MAXIMUM = 5000  #: events of each set that the figures show
SEED = 1  #: of what is drawn at even conditions; those of the real events have 0


def judge_table(
    run: Run,
    task: Emulate,
    sets: tuple[xr.Dataset, xr.Dataset],
    folder: Path,
    draw: Callable[..., xr.Dataset],
    *,
    progress: str | None = None,
) -> dict[str, Any] | None:
    """Write ``table.nc``, what the figures of a table show, and judge it at even conditions too.

    Conditions of real events crowd where these are frequent, and a generator may do well there alone. So
    half of the real events are chosen such that their conditions are spread evenly, and held against events
    that are drawn at those very conditions.

    Args:
        run: A run of task ``emulate``.
        task: Its task.
        sets: The real and the generated table.
        folder: Of the evaluation.
        draw: ``emulating.draw``.
        progress: ``quiet`` for no bar.

    Returns:
        The numbers of the scorecard at even conditions; None for an emulator without conditions.
    """
    from skyloom.evaluate.generated import judge
    from skyloom.evaluate.generated.sample import common_fields, gather
    from skyloom.evaluate.generated.tables import tabulate, uniform_rows

    names = task.names
    fields = common_fields(*sets, "generated")
    seed = run.recipe.evaluate.seed

    def ensembles(pair: tuple[xr.Dataset, xr.Dataset]) -> Any:
        return tuple(gather(ds, fields, names, maximum=MAXIMUM, seed=seed) for ds in pair)

    pairs = {"real": ensembles(sets)}
    numbers: dict[str, Any] | None = None
    if names:
        even = sets[0].isel(sample=uniform_rows(task.targets(sets[0]), seed=seed))
        drawn = draw(run, conditions_of(even, names), seed=SEED)
        with counting("scorecard at even conditions", progress) as count:
            card = judge(even, drawn, parameters=names, network=False, seed=seed, progress=count)
        numbers = card.numbers
        pairs["uniform"] = ensembles((even, drawn))
    write_dataset(folder / "table.nc", tabulate(pairs, names[0] if names else None))
    return numbers
