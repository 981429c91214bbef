"""How much more would more simulations help: the score against the number that is learnt from.

Each point is a run of the recipe with ``train.simulations`` set; validation and test sides are the same for
all. The simulations of a smaller point are among those of a larger one, for each seed.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.api.all_in_one import TEST, best_baseline, run
from skyloom.api.data import samples
from skyloom.api.progress import counting
from skyloom.api.training import assign
from skyloom.errors import UsageError
from skyloom.runs import read_json, write_text

if TYPE_CHECKING:
    from skyloom.recipe import Recipe

TABLE, PICTURE = "curve.csv", "curve.png"
COLUMNS = ("simulations", "parameter", "score", "value", "low", "high", "baseline", "baseline_value")


def curve(
    recipe: Recipe,
    folder: Path,
    *,
    points: int = 4,
    counts: list[int] | None = None,
    progress: str | None = None,
) -> Path:
    """Score a recipe by the number of its training simulations.

    Args:
        recipe: The recipe, of task ``infer`` or ``classify``.
        folder: Where the runs go; points that are done there are not done again.
        points: Numbers of simulations, in equal ratios up to all of them.
        counts: The numbers themselves, instead.
        progress: ``bar``, ``lines`` or ``quiet``.

    Returns:
        ``folder``, with ``curve.csv``, ``curve.png`` and a run a point.

    Raises:
        UsageError: There are fewer simulations, or the task has no score of parameters or classes.
    """
    if recipe.task["name"] not in ("infer", "classify"):
        raise UsageError(
            f"a learning curve of task {recipe.task['name']!r}", hint="allowed: infer and classify"
        )
    with counting("data", progress) as count:
        data = samples(recipe, progress=count)
    whole = recipe.with_overrides({"train.simulations": None})
    dealt = assign(whole, data)
    table = data.table
    on_train = np.isin(table["sample"].values, dealt.sides["train"])
    there = len(np.unique(table["group"].values[on_train]))
    wanted = counts or spaced(there, points)
    if max(wanted) > there or min(wanted) < 1:
        raise UsageError(
            f"points at {', '.join(map(str, wanted))} simulations, and the train side has {there}",
            hint=f"allowed: 1 to {there}",
        )
    rows: list[dict[str, Any]] = []
    for number in sorted(set(wanted)):
        one = whole.with_overrides(
            {
                "train.simulations": number,
                "name": f"{recipe.name}-{number}",
                "variants": {},
                "transfer": {},
                "explain": [],
            }
        )
        done = run(one, folder / f"simulations-{number:04d}", resume=True, progress=progress)
        rows += _rows(number, read_json(done / TEST))
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / TABLE, text.getvalue())
    _draw(folder / PICTURE, rows)
    return folder


def curve_rows(folder: Path) -> list[tuple[str, ...]]:
    """Return a finished curve as rows of text, header first.

    Args:
        folder: What `curve` returned.
    """
    with (folder / TABLE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shown: list[tuple[str, ...]] = [("simulations", "parameter", "score", "95 % interval", "best baseline")]
    for row in rows:
        value, low, high, base = (
            f"{float(row[key]):.3f}" if row[key] else "-"
            for key in ("value", "low", "high", "baseline_value")
        )
        shown.append(
            (row["simulations"], row["parameter"], value, f"[{low}, {high}]", f"{base} ({row['baseline']})")
        )
    return shown


def spaced(there: int, points: int) -> list[int]:
    """Return numbers of simulations in equal ratios, the last one all of them.

    Args:
        there: All of them.
        points: How many numbers, 2 or more.

    Example:
        >>> spaced(80, 4)
        [10, 20, 40, 80]
    """
    if points < 2:
        raise UsageError(f"a curve of {points} points", hint="give 2 or more")
    return sorted({max(1, round(there / 2 ** (points - 1 - place))) for place in range(points)})


def _rows(number: int, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each parameter: its headline score, and that of the best baseline."""
    score = metrics.get("headline", "r2")
    rows = []
    for name, found in metrics["parameters"].items():
        scored = found["scores"][score]
        best = best_baseline(metrics, (name, score))
        rows.append(
            {
                "simulations": number,
                "parameter": name,
                "score": score,
                **{key: scored[key] for key in ("value", "low", "high")},
                "baseline": best,
                "baseline_value": found["baselines"][best][score]["value"] if best else "",
            }
        )
    return rows


def _draw(path: Path, rows: list[dict[str, Any]]) -> None:
    from skyloom.report.figures.curves import learning_curve
    from skyloom.report.style import drawn_alone
    from skyloom.runs import atomic_write

    content = drawn_alone(
        lambda figure: learning_curve(rows, figure.add_subplot()), size=(4.5, 3.2), kind="png"
    )
    with atomic_write(path) as file:
        file.write(content)
