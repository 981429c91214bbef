"""A recipe from beginning to end: its run, the repeats with other seeds, its variants, and the page."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.api.judging import evaluate, explain, report
from skyloom.api.progress import counting
from skyloom.api.rating import ensemble_rows, ensemble_scores
from skyloom.api.training import train
from skyloom.api.transfer import transfer
from skyloom.errors import DataError, UsageError
from skyloom.evaluate.scorecard import spread
from skyloom.runs import RunFolder, read_json
from skyloom.runs.transfers import transfer_file
from skyloom.runs.unseen import unseen

if TYPE_CHECKING:
    from skyloom.recipe import Recipe

TEST = "evaluate/test/metrics.json"
#: The score to look at first, and what stands beside it.
_SHOWN = {"r2": ("r2",), "balanced_accuracy": ("balanced_accuracy", "accuracy")}
_WORDS = {"r2": "R²", "balanced_accuracy": "balanced accuracy", "accuracy": "accuracy"}
_COMPARED = ("r2", "rmse", "balanced_accuracy", "accuracy", "ece", "coverage_68", "coverage_95")


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
            variant is a run in ``variants/<name>``. Both are evaluated, only the main run is explained; it
            and its variants are tested on the other suites of ``transfer``.
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
    _transferred(main, folder, progress=progress)
    for number in range(1, recipe.train.repeats):
        seed = recipe.train.seed + number
        again = main.with_overrides(
            {"train.seed": seed, "variants": {}, "transfer": {}, "name": f"{recipe.name}-seed-{seed}"}
        )
        child = folder / "repeats" / f"seed-{seed}"
        metrics.append(_one(again, child, resume=resume, force=force, progress=progress))
    if len(metrics) > 1 and not _has_spread(metrics[0]):
        RunFolder(folder).write_json(TEST, spread(metrics))
    for name in recipe.variants:
        child = folder / "variants" / name
        variant = main.variant(name)
        _one(variant, child, resume=resume, force=force, progress=progress)
        _transferred(variant, child, progress=progress)
    if main.explain and not (resume and _explained(folder)):
        explain(folder)
    report(folder)
    return folder


def headline(folder: Path) -> list[tuple[str, ...]]:
    """Return the table that a run ends with, header first: the run, its variants and its best baseline.

    Args:
        folder: The run's folder.

    Returns:
        Rows of text: what, then for each parameter R² on the test side with its 95 % interval; for classes
        their balanced and their plain accuracy.
    """
    metrics = _metrics(folder)
    if metrics.get("answers") == "ensembles":
        return ensemble_rows(metrics)
    columns = [
        (name, score) for name in metrics["parameters"] for score in _SHOWN[metrics.get("headline", "r2")]
    ]
    rows = [("", *(f"{_WORDS[score]} of {name}" for name, score in columns))]
    split = read_json(folder / "split.json")
    where = "leaky split" if metrics["leaky"] else f"{metrics['groups']} {unseen(split)}"
    rows.append((f"network, {where}", *_cells(metrics, columns)))
    for child in sorted((folder / "variants").glob(f"*/{TEST}")):
        found = json.loads(child.read_text(encoding="utf-8"))
        label = child.parents[2].name + (" (leaky)" if found["leaky"] else "")
        rows.append((f"variant {label}", *_cells(found, columns)))
    for child in sorted(folder.glob(f"{transfer_file('*')}")):
        found = json.loads(child.read_text(encoding="utf-8"))
        label = f"network, {found['groups']} simulations of {child.parent.name}"
        rows.append((label, *_cells(found, columns)))
    best = best_baseline(metrics, columns[0])
    if best:
        rows.append((f"best baseline: {best}", *_cells(metrics, columns, ("baselines", best))))
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
        if metrics.get("answers") == "ensembles":
            row |= ensemble_scores(metrics)
        for name, found in metrics["parameters"].items():
            for score in _COMPARED:
                if score in found["scores"]:
                    row[f"{score} {name}"] = found["scores"][score]["value"]
        rows.append(row)
    return rows


def comparison(folders: list[Path], out: Path) -> Path:
    """Write one page that compares runs.

    Args:
        folders: Runs; scores of the others are also compared with the first, map by map, where the sides that
            they were judged on share maps.
        out: The HTML file to write; figures go beside it.

    Returns:
        ``out``.
    """
    from skyloom.evaluate.paired import paired
    from skyloom.report.artefacts import Artefacts, Score
    from skyloom.report.comparison import build_comparison, labels
    from skyloom.report.sections.compared import Difference

    first, *others = [run.prediction(run.side) for run in map(Artefacts, folders)]
    found = []
    for name, other in zip(labels(folders)[1:], others, strict=True):
        if first is None or other is None:
            continue
        pair = paired(first, other)
        scores = {
            parameter: {key: Score(float(d.value), float(d.low), float(d.high)) for key, d in values.items()}
            for parameter, values in pair.differences.items()
        }
        found.append(Difference(name, pair.shared, pair.sizes, pair.groups, pair.reason, scores))
    return build_comparison(folders, out, found)


def _one(recipe: Recipe, folder: Path, *, resume: bool, force: bool, progress: str | None) -> dict[str, Any]:
    with counting("data", progress) as count:
        train(recipe, folder, resume=resume, force=force, progress=progress, making=count)
    if resume and _evaluated(folder):
        found: dict[str, Any] = read_json(folder / TEST)
        return found
    # Drawing takes long, and nothing of an emulator is fitted on what the validation side's samples show.
    if recipe.task["name"] != "emulate":
        evaluate(folder, "validation")
    return evaluate(folder, "test", progress=progress)


def _transferred(recipe: Recipe, folder: Path, *, progress: str | None) -> None:
    """Test a run on the other suites of its recipe, unless that was done since it was evaluated."""
    tested = [folder / transfer_file(name) for name in recipe.foreign()]
    evaluated = (folder / TEST).stat().st_mtime_ns
    if all(path.is_file() and path.stat().st_mtime_ns >= evaluated for path in tested):
        return
    with counting("simulations", progress) as count:
        transfer(folder, progress=count)


def _evaluated(folder: Path) -> bool:
    """Whether the test side was evaluated after the last training ended."""
    events = [
        event["event"] for event in RunFolder(folder).events if event["event"] in {"trained", "evaluated"}
    ]
    return (folder / TEST).is_file() and events[-1:] == ["evaluated"]


def _explained(folder: Path) -> bool:
    names = [str(event["event"]) for event in RunFolder(folder).events]
    return "explained" in names[len(names) - names[::-1].index("trained") :] if "trained" in names else False


def _has_spread(metrics: dict[str, Any]) -> bool:
    """Whether the seeds were joined already, by a call that this one goes on from."""
    first: dict[str, Any] = next(iter(metrics["parameters"].values()), {"scores": {}})
    return any("seeds" in (score or {}) for score in first["scores"].values())


def _metrics(folder: Path) -> dict[str, Any]:
    if not (folder / TEST).is_file():
        raise DataError(f"{folder}: was not evaluated on the test side", hint=f"skyloom evaluate {folder}")
    found: dict[str, Any] = read_json(folder / TEST)
    return found


def _cells(
    metrics: dict[str, Any], columns: list[tuple[str, str]], where: tuple[str, ...] = ("scores",)
) -> list[str]:
    cells = []
    for name, shown in columns:
        scores = metrics["parameters"].get(name, {})
        for key in where:
            scores = scores.get(key, {})
        score = scores.get(shown)
        numbers = [(score or {}).get(key) for key in ("value", "low", "high")]
        value, low, high = ("-" if number is None else f"{number:.3f}" for number in numbers)
        cells.append(value if low == "-" else f"{value} [{low}, {high}]")
    return cells


def best_baseline(metrics: dict[str, Any], column: tuple[str, str]) -> str:
    """Return the baseline with the highest score; empty where none has one.

    Args:
        metrics: The content of ``metrics.json``.
        column: A parameter and a score.
    """
    parameter, score = column
    found = metrics["parameters"][parameter].get("baselines", {})
    scored = {
        name: scores[score]["value"] for name, scores in found.items() if scores[score]["value"] is not None
    }
    return max(scored, key=scored.__getitem__) if scored else ""
