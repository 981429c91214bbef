"""Evaluating, explaining and reporting a trained run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import registry
from skyloom.api.competitors import labels, predict_baselines
from skyloom.api.data import BLOCK, Samples, check_same_data, samples, write_dataset
from skyloom.api.rating import evaluate_ensemble
from skyloom.api.trained import Run, load_run, timed_outputs
from skyloom.errors import DataError, UsageError, nearest
from skyloom.evaluate.directions import angular_resolution
from skyloom.evaluate.floors import label_noise
from skyloom.evaluate.repair import fit_repair
from skyloom.evaluate.scorecard import as_json, scorecard
from skyloom.evaluate.shift import Shift
from skyloom.fields import store
from skyloom.runs import SIDES, write_text

if TYPE_CHECKING:
    import xarray as xr

EXPLAINED = 96  #: maps of the validation side that explanations look at
SEED = 0  #: of posterior draws and of the choice of maps to explain


def evaluate(path: Path, side: str = "test", *, progress: str | None = None) -> dict[str, Any]:
    """Judge a trained run on one side and write ``evaluate/<side>/``.

    The repair of its errors is fitted on the validation side first, so a look at the test side never changes
    anything but the count of looks.

    Args:
        path: The run's folder.
        side: ``validation`` or ``test``.
        progress: ``quiet`` for no bar while an emulator draws and is judged.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UsageError: There is no such side.
        DataError: The folder is no trained run.
    """
    if side not in SIDES:
        raise UsageError(f"there is no side {side!r}", hint=nearest(side, SIDES))
    run, data = finished(path)
    if run.task.answers == "fields":
        return _evaluate_fields(run, data, side)
    if run.task.answers == "ensembles":
        return evaluate_ensemble(run, data, side, progress=progress)
    run.calibration = None
    raw, _ = _predicted(run, data, "validation")
    run.calibration = fit_repair(raw, run.task.levels)
    run.folder.write_json("calibration.json", run.calibration.state())
    _know_usual_maps(run, data)
    looks = run.folder.look(side)
    prediction, seconds = _predicted(run, data, side)
    verdict = None
    if side == "test":
        prediction, verdict = run.compared(prediction, data.maps(data.rows_of(run.split.sides[side])))
    settings = run.recipe.evaluate
    others = predict_baselines(run, data, side)
    metrics = scorecard(
        prediction,
        baselines=others,
        floors=_floors(run, data, prediction),
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        looks=looks,
        seconds_per_sample=seconds,
    )
    here = data.reader.table.isel(sample=data.rows_of(run.split.sides[side]))
    resolution = angular_resolution(prediction, others, here, draws=settings.bootstrap, seed=settings.seed)
    if resolution is not None:
        metrics["angular_resolution"] = resolution
    if verdict is not None:
        metrics["shift"] = as_json(verdict.card())
    write_dataset(run.folder.path_of(f"evaluate/{side}/predictions.nc"), prediction)
    if settings.statistics:
        write_dataset(run.folder.path_of(f"evaluate/{side}/statistics.nc"), _statistics(run, data, side))
        if run.task.answers == "classes":
            by_class = _statistics(run, data, side, by_class=True)
            write_dataset(run.folder.path_of(f"evaluate/{side}/class_statistics.nc"), by_class)
    run.folder.write_json(f"evaluate/{side}/metrics.json", metrics)
    run.folder.mark("evaluated", side=side)
    return metrics


def _evaluate_fields(run: Run, data: Samples, side: str) -> dict[str, Any]:
    """As ``evaluate``, of fields: no errors to repair, and maps in the place of a table."""
    from skyloom.api import translating

    _know_usual_maps(run, data)
    looks = run.folder.look(side)
    rows = data.rows_of(run.split.sides[side])
    maps = {name: data.reader.read(name, rows) for name in data.inputs}
    outputs, seconds = timed_outputs(run, maps, seed=SEED)
    found = run.interpret(
        outputs, store.open(data.reader.folder)[list(data.inputs)].isel(sample=rows), side=side
    )
    found, verdict = run.compared(found, maps)
    metrics, curves, examples = translating.judged(
        run, data, found, side, samples=outputs.get("samples"), looks=looks, seconds=seconds
    )
    if verdict is not None and side == "test":
        metrics["shift"] = as_json(verdict.card())
    translating.write_maps(run.folder.path_of(f"evaluate/{side}/predictions.nc"), found)
    translating.write_maps(run.folder.path_of(f"evaluate/{side}/examples.nc"), examples)
    write_dataset(run.folder.path_of(f"evaluate/{side}/curves.nc"), curves)
    if run.recipe.evaluate.statistics:
        write_dataset(run.folder.path_of(f"evaluate/{side}/statistics.nc"), _statistics(run, data, side))
    run.folder.write_json(f"evaluate/{side}/metrics.json", metrics)
    run.folder.mark("evaluated", side=side)
    return metrics


def explain(path: Path) -> list[Path]:
    """Ask the trained network what the recipe's ``explain`` asks, on the validation side.

    The test side is left alone: an explanation is a look too.

    Args:
        path: The run's folder.

    Returns:
        The files written, one an explanation.
    """
    import torch

    from skyloom.explain.context import Context, class_probability

    run, data = finished(path)
    rows = data.rows_of(run.split.sides["validation"])
    if len(rows) > EXPLAINED:
        rows = np.sort(np.random.default_rng(SEED).choice(rows, EXPLAINED, replace=False))
    if run.task.answers == "fields":
        from skyloom.api import translating

        return _explained(run, translating.explain_critic(run, data, rows, labels(run.recipe.explain)))
    raw = np.stack([data.maps(rows)[name] for name in data.fields], axis=1)
    table = data.reader.table.isel(sample=rows)

    def standardise(maps: np.ndarray) -> Any:
        return torch.from_numpy(run.inputs({name: maps[:, c] for c, name in enumerate(data.fields)}))

    classes_asked = run.task.answers == "classes"
    # The probability of each class on its own maps: unlike accuracy, every class has a curve of its own.
    judged: dict[str, Any] = {"classes": True, "score": class_probability, "score_name": "probability"}
    context = Context(
        truth=run.task.targets(table),
        raw=raw,
        transform=standardise,
        groups=table["group"].values,
        parameters=run.task.columns,
        periodic=data.periodic,
        **(judged if classes_asked else {}),
    )
    written = []
    specs = run.recipe.explain
    for name, spec in zip(labels(specs), specs, strict=True):
        explanation = registry.build(spec, "explanation")
        # Each answer has its own picture, drawn from its own output.
        for place, answer in enumerate(context.parameters):
            generator = torch.Generator().manual_seed(SEED)
            found: xr.Dataset = explanation.explain(
                run.method, standardise(raw), place, generator=generator, context=context
            )
            if "sample" in found.dims:
                coords = {name: ("sample", table[name].values) for name in ("sample", "group", "parent")}
                found = found.assign_coords(coords)
            stem = f"{name}-class-{place}" if context.classes else f"{name}-{answer}"
            target = run.folder.path_of(f"explain/{stem}.nc")
            write_dataset(target, found)
            written.append(target)
    return _explained(run, written)


def _explained(run: Run, written: list[Path]) -> list[Path]:
    """Remove explanations that the recipe no longer asks for, and return those that were written."""
    for old in set(run.folder.path_of("explain").glob("*.nc")) - set(written):
        old.unlink()
    run.folder.mark("explained")
    return written


def report(path: Path) -> Path:
    """Write the run's figures, its page and its card.

    Args:
        path: The run's folder.

    Returns:
        ``report.html``.
    """
    from skyloom.report import build
    from skyloom.runs.card import card

    folder = Path(path)
    write_text(folder / "card.md", card(folder))
    page: Path = build(folder)
    return page


def finished(path: Path) -> tuple[Run, Samples]:
    """Open a run whose training has ended, with the very samples that it was trained on.

    Args:
        path: The run's folder.

    Raises:
        DataError: Its training has not ended, or the data are no longer the same.
    """
    run = load_run(path)
    if not run.folder.complete:
        raise DataError(
            f"{path}: its training has not ended (status {run.folder.status!r})",
            hint=f"skyloom train {path} --resume",
        )
    data = samples(run.recipe)
    check_same_data(run.folder, data)
    return run, data


def _know_usual_maps(run: Run, data: Samples) -> None:
    """Learn once what the maps of the training look like; it depends on nothing that training changes."""
    if run.shift is not None:
        return
    train, validation = (data.rows_of(run.split.sides[side]) for side in ("train", "validation"))
    run.shift = Shift.fit(
        run.inputs(data.maps(train)),
        data.reader.table["group"].values[train],
        run.inputs(data.maps(validation)),
        data.reader.table["group"].values[validation],
        periodic=data.periodic,
    )
    run.folder.write_json("shift.json", run.shift.state())


def _predicted(run: Run, data: Samples, side: str) -> tuple[xr.Dataset, float]:
    rows = data.rows_of(run.split.sides[side])
    outputs, seconds = timed_outputs(run, data.maps(rows), seed=SEED)
    return run.interpret(outputs, data.reader.table.isel(sample=rows), side=side), seconds


def _floors(run: Run, data: Samples, prediction: xr.Dataset) -> dict[str, xr.Dataset]:
    """The best that can be reached: for parameters, what the noise of the labels allows."""
    if run.task.answers != "parameters":
        return {}
    train = data.table.isel(sample=np.isin(data.table["sample"].values, run.split.sides["train"]))
    here = data.table.sel(sample=prediction["sample"].values)
    floor = label_noise(train, here, run.task.columns, levels=run.task.levels, scores=run.task.score_names)
    return {} if floor is None else {"label_noise": floor}


def _statistics(run: Run, data: Samples, side: str, *, by_class: bool = False) -> xr.Dataset:
    """Statistics of the train side and the one that is judged, or of each class in both together."""
    from skyloom.evaluate.statistics import compute

    rows, sides = [], []
    for name in dict.fromkeys(("train", side)):
        rows.append(data.rows_of(run.split.sides[name]))
        sides += [name] * len(rows[-1])
    both = np.concatenate(rows)
    if by_class:
        code = run.task.targets(data.reader.table.isel(sample=both)).argmax(axis=1)
        order = np.argsort(code, kind="stable")
        both, sides = both[order], [run.task.columns[place] for place in code[order]]
    blocks = [data.maps(both[i : i + BLOCK]) for i in range(0, len(both), BLOCK)]
    return compute(
        run.recipe.evaluate.statistics,
        {field: np.concatenate([block[field] for block in blocks]) for field in data.fields},
        data.reader.table.isel(sample=both),
        np.array(sides),
        box=data.box,
        periodic=data.periodic,
        units={name: data.reader.field_attrs(name)["units"] for name in data.fields},
        box_unit=data.reader.attrs["box_size_unit"],
    )
