"""Evaluating, explaining and reporting a trained run."""

from __future__ import annotations

import json
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
from skyloom.evaluate.shift import LEVEL, Shift, in_words
from skyloom.fields import store
from skyloom.runs import SIDES, write_text
from skyloom.tasks import classes, translate
from skyloom.tasks import prediction as numbers

if TYPE_CHECKING:
    import xarray as xr

OBSERVED = ("fits", "arrays")  #: formats of maps that need not be as those of a training
SLICES = 8  #: maps cut from each cube that is predicted for
EXPLAINED = 96  #: maps of the validation side that explanations look at
_SUMMARIES = {
    "parameters": numbers.summary_rows,
    "classes": classes.summary_rows,
    "fields": translate.summary_rows,
}
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


def predict(
    path: Path,
    field_set: Path,
    output: Path,
    *,
    format: str | None = None,
    options: dict[str, Any] | None = None,
    mask: Path | None = None,
    beam: float | None = None,
) -> Path:
    """Predict for the maps of a stored field set or native file, and write netCDF.

    An observed map (a FITS image or plain arrays, or whatever has a mask or a beam) is first brought to the
    pixels and the size of the training; see `skyloom.fields.observed`.

    Args:
        path: The run's folder.
        field_set: What to read; cubes are cut into ``SLICES`` slices across the line of sight.
        output: The netCDF file to write. Translated fields go into a field set, in the folder of that name,
            unless it ends in ``.nc``.
        format: Name of the reader; found by looking if not given.
        options: Arguments of the reader.
        mask: A map of the same shape, 0 where a pixel was not observed.
        beam: Full width at half maximum of the beam, in the unit of the box.

    Returns:
        ``output``.

    Raises:
        DataError: A field is missing or not finite, or an observed map does not fit what the run has seen.
    """
    from skyloom import formats
    from skyloom.fields.observed import windows
    from skyloom.fields.project import cut

    name = format or formats.recognise(Path(field_set))
    ds = formats.read(field_set, format=name, **(options or {}))
    if "z" in ds.dims:
        ds = cut(ds, kind="slice", axes=["z"], count=min(SLICES, ds.sizes["z"]))
    run, target = load_run(path), Path(output)
    told: list[str] = []
    if name in OBSERVED or mask is not None or beam is not None:
        inputs = [field for field in run.recipe.inputs if field in ds]
        if len(inputs) < len(run.recipe.inputs) and len(run.recipe.inputs) == 1 and len(ds.data_vars) == 1:
            # A file with one image needs no name for it.
            ds = ds.rename({str(next(iter(ds.data_vars))): run.recipe.inputs[0]})
        seen = None if mask is None else _mask(mask)
        ds, told = windows(ds, run.trained_on, mask=seen, beam=beam)
    found = run.predict(ds)
    found.attrs["note"] = "; ".join(filter(None, [found.attrs.get("note", ""), *told]))
    if run.task.answers == "fields" and target.suffix != ".nc":
        store.write(found, target)
    else:
        write_dataset(target, found)
    return target


def _mask(path: Path) -> np.ndarray:
    """Return where a mask is not 0, shape ``(y, x)``."""
    from skyloom import formats

    ds = formats.read(path)
    (field, *others) = ds.data_vars.values()
    values = np.asarray(field.values).squeeze()
    if others or values.ndim != 2:
        raise DataError(
            f"{path}: holds more than one map", hint="a mask is one map, 0 where nothing was seen"
        )
    seen: np.ndarray = np.isfinite(values) & (values != 0)
    return seen


def predicted(output: Path) -> list[tuple[str, ...]]:
    """Return what a file of predictions says on average, by simulation and redshift, header first.

    Args:
        output: What :func:`predict` wrote.

    Returns:
        Rows of text: simulation, redshift, maps, what ``summary_rows`` of the prediction says of them, and
        how many are flagged as unlike the training maps.
    """
    with _opened(output) as ds:
        summed = _SUMMARIES[str(ds.attrs.get("answers", "parameters"))]
        header, _ = summed(ds)
        rows: list[tuple[str, ...]] = [("simulation", "redshift", "maps", *header, "unlike")]
        # A set without redshifts has NaN, which equals nothing: text tells them apart.
        groups, z = ds["group"].values, np.array([f"{value:.2f}" for value in ds["redshift"].values])
        for group, redshift in sorted(set(zip(groups.tolist(), z.tolist(), strict=True))):
            here = np.flatnonzero((groups == group) & (z == redshift))
            one = ds.isel(sample=here)
            unlike = str(int((one["shift_p"] <= LEVEL).sum())) if "shift_p" in one else "-"
            rows += [(group, redshift, str(len(here)), *row, unlike) for row in summed(one)[1]]
    return rows


def doubts(output: Path) -> str:
    """Return what a file of predictions says against itself; empty where there is nothing.

    Args:
        output: What :func:`predict` wrote.
    """
    with _opened(output) as ds:
        said = [str(ds.attrs.get("note", ""))]
        card = json.loads(ds.attrs.get("shift", "null"))
    if card is not None and card["unlike"] is not False:
        said.append(in_words(card))
    return "; ".join(filter(None, said))


def _opened(output: Path) -> xr.Dataset:
    """Open what ``predict`` wrote: netCDF, or a stored field set."""
    import xarray as xr

    return store.open(output) if Path(output).is_dir() else xr.open_dataset(output, engine="h5netcdf")


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
