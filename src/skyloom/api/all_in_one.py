"""A recipe from beginning to end: its run, the repeats with other seeds, its variants, and the page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.api.judging import evaluate, explain, report
from skyloom.api.progress import counting
from skyloom.api.training import train
from skyloom.errors import DataError, UsageError
from skyloom.evaluate.scorecard import spread
from skyloom.runs import RunFolder, read_json

if TYPE_CHECKING:
    from skyloom.recipe import Recipe

TEST = "evaluate/test/metrics.json"


def run(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: str | None = None,
) -> Path:
    """Do all that a recipe says.

    Args:
        recipe: The recipe. ``train.repeats`` above one trains further seeds in ``repeats/seed-<n>``; each
            variant is a run in ``variants/<name>``. Both are evaluated, only the main run is explained.
        folder: The run's folder.
        resume: Go on where an earlier call stopped; steps that are done are not done again.
        force: Replace a run that stands there.
        progress: ``bar``, ``lines`` or ``quiet``.

    Returns:
        ``folder``, with ``report.html`` in it.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(
            "`skyloom run` was started as several processes; only training works on several",
            hint="train under torchrun or srun; then evaluate, explain and report in one process",
        )
    main = recipe.with_overrides({"train.repeats": 1})
    metrics = [_one(main, folder, resume=resume, force=force, progress=progress)]
    for number in range(1, recipe.train.repeats):
        seed = recipe.train.seed + number
        again = main.with_overrides(
            {"train.seed": seed, "variants": {}, "name": f"{recipe.name}-seed-{seed}"}
        )
        child = folder / "repeats" / f"seed-{seed}"
        metrics.append(_one(again, child, resume=resume, force=force, progress=progress))
    if len(metrics) > 1 and not _has_spread(metrics[0]):
        RunFolder(folder).write_json(TEST, spread(metrics))
    for name in recipe.variants:
        child = folder / "variants" / name
        _one(main.variant(name), child, resume=resume, force=force, progress=progress)
    if main.explain and not (resume and _explained(folder, main)):
        explain(folder)
    report(folder)
    return folder


def headline(folder: Path) -> list[tuple[str, ...]]:
    """Return the table that a run ends with, header first: R² of the run, its variants and its baselines.

    Args:
        folder: The run's folder.

    Returns:
        Rows of text: what, then for each parameter R² on the test side with its 95 % interval.
    """
    metrics = _metrics(folder)
    names = list(metrics["parameters"])
    rows = [("", *(f"R² of {name}" for name in names))]
    where = "leaky split" if metrics["leaky"] else f"{metrics['groups']} unseen simulations"
    rows.append((f"network, {where}", *_r2(metrics, names)))
    for child in sorted((folder / "variants").glob(f"*/{TEST}")):
        found = json.loads(child.read_text(encoding="utf-8"))
        label = child.parents[2].name + (" (leaky)" if found["leaky"] else "")
        rows.append((f"variant {label}", *_r2(found, names)))
    best = _best_baseline(metrics, names[0])
    if best:
        rows.append((f"best baseline: {best}", *_r2(metrics, names, ("baselines", best))))
    return rows


def compare(folders: list[Path]) -> list[dict[str, Any]]:
    """Return one row a run: name, split, sample and group counts, and the scores on the test side.

    Args:
        folders: Runs that were evaluated.
    """
    rows = []
    for folder in folders:
        metrics = _metrics(folder)
        row: dict[str, Any] = {
            "run": folder.name,
            "leaky": metrics["leaky"],
            "samples": metrics["samples"],
            "groups": metrics["groups"],
        }
        for name, found in metrics["parameters"].items():
            for score in ("r2", "rmse", "coverage_68", "coverage_95"):
                if score in found["scores"]:
                    row[f"{score} {name}"] = found["scores"][score]["value"]
        rows.append(row)
    return rows


def _one(recipe: Recipe, folder: Path, *, resume: bool, force: bool, progress: str | None) -> dict[str, Any]:
    with counting("data", progress) as count:
        train(recipe, folder, resume=resume, force=force, progress=progress, making=count)
    if resume and _evaluated(folder):
        found: dict[str, Any] = read_json(folder / TEST)
        return found
    evaluate(folder, "validation")
    return evaluate(folder, "test")


def _evaluated(folder: Path) -> bool:
    """Whether the test side was evaluated after the last training ended."""
    events = [
        event["event"] for event in RunFolder(folder).events if event["event"] in {"trained", "evaluated"}
    ]
    return (folder / TEST).is_file() and events[-1:] == ["evaluated"]


def _explained(folder: Path, recipe: Recipe) -> bool:
    return len(list((folder / "explain").glob("*.nc"))) >= len(recipe.explain)


def _has_spread(metrics: dict[str, Any]) -> bool:
    """Whether the seeds were joined already, by a call that this one goes on from."""
    first = next(iter(metrics["parameters"].values()))
    return any("seeds" in (score or {}) for score in first["scores"].values())


def _metrics(folder: Path) -> dict[str, Any]:
    if not (folder / TEST).is_file():
        raise DataError(f"{folder}: was not evaluated on the test side", hint=f"skyloom evaluate {folder}")
    found: dict[str, Any] = read_json(folder / TEST)
    return found


def _r2(metrics: dict[str, Any], names: list[str], where: tuple[str, ...] = ("scores",)) -> list[str]:
    cells = []
    for name in names:
        scores = metrics["parameters"].get(name, {})
        for key in where:
            scores = scores.get(key, {})
        score = scores.get("r2")
        numbers = [(score or {}).get(key) for key in ("value", "low", "high")]
        value, low, high = ("-" if number is None else f"{number:.3f}" for number in numbers)
        cells.append(value if low == "-" else f"{value} [{low}, {high}]")
    return cells


def _best_baseline(metrics: dict[str, Any], parameter: str) -> str:
    found = metrics["parameters"][parameter].get("baselines", {})
    scored = {
        name: scores["r2"]["value"] for name, scores in found.items() if scores["r2"]["value"] is not None
    }
    return max(scored, key=scored.__getitem__) if scored else ""
