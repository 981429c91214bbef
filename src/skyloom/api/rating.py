"""Judging what a trained emulator draws, at the conditions of maps that it has never seen."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.api.data import evenly, samples, write_dataset
from skyloom.api.emulating import draw, emulator
from skyloom.api.likelihood import bits_of
from skyloom.api.progress import counting
from skyloom.api.tables import judge_table
from skyloom.api.training import fingerprints
from skyloom.errors import DataError, UsageError
from skyloom.evaluate.scorecard import as_json, scorecard
from skyloom.fields import store
from skyloom.splits import check_foreign
from skyloom.tasks.emulate import Emulate, conditions_of

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.api.data import Samples
    from skyloom.api.trained import Run
    from skyloom.evaluate.generated import Scorecard

SEED = 0  #: of the maps that a side is judged by
EXAMPLES, COLUMNS = 5, 4  #: points, and maps at each, that the page shows
GROUPS = 4  #: of the real set, at least, that a scorecard needs
BESIDE = ("fixed", "one_parameter")  #: further sets of a task, each of which the scorecard knows by that name


def evaluate_ensemble(run: Run, data: Samples, side: str, *, progress: str | None = None) -> dict[str, Any]:
    """Draw maps at the conditions of a side, judge them, and write ``evaluate/<side>/``.

    Args:
        run: A run of task ``emulate``.
        data: Its samples.
        side: The side whose real maps are held against generated ones.
        progress: ``quiet`` for no bar.

    Returns:
        The content of ``metrics.json``.
    """
    task, folder = emulator(run), run.folder.path_of(f"evaluate/{side}")
    rows = data.rows_of(run.split.sides[side])
    real = _real(data, rows, task.independent)
    kinds = len(np.unique(real["group"].values))
    if kinds < GROUPS:
        raise DataError(
            f"the {side} side has {kinds} independent {task.independent}s; a scorecard needs {GROUPS}",
            hint="give that side more simulations, or see 'independent' of task emulate",
        )
    looks = run.folder.look(side)
    table = data.reader.table.isel(sample=rows)
    chosen = evenly(len(rows), task.samples)
    points = [conditions_of(table, task.names)[row] for row in chosen]
    begin = time.perf_counter()
    with counting("samples", progress) as count:
        generated = draw(run, points, seed=SEED, progress=count)
    seconds = (time.perf_counter() - begin) / len(points)
    card = _judged(run, data, real, generated, seconds, progress)
    _store_again(generated, folder / "samples")
    uniform = None
    if data.size == 1:
        uniform = judge_table(run, task, (real, generated), folder, draw, progress=progress)
    else:
        write_dataset(folder / "examples.nc", _examples(task, real, generated))
    card.write(folder)
    metrics: dict[str, Any] = as_json(
        {
            "answers": "ensembles",
            "side": side,
            "leaky": run.split.leaky,
            "samples": len(rows),
            "groups": len(np.unique(table["group"].values)),
            "looks": looks,
            "generated": len(points),
            "seconds_per_sample": seconds,
            "parameters": {},
            "independent": task.independent,
            "scorecard": card.numbers,
            "uniform": uniform,
            "bits": bits_of(run, data, rows),
        }
    )
    run.folder.write_json(f"evaluate/{side}/metrics.json", metrics)
    run.folder.mark("evaluated", side=side)
    return metrics


def ensemble_rows(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the scorecard of an evaluation as a table, header first; per cents stand on the page.

    Args:
        metrics: ``metrics.json`` of an emulator.
    """
    card = metrics["scorecard"]
    rows = [row for row in card["rows"] if row["unit"] != "%"]
    others = list(rows[0]["baselines"]) if rows else []
    table: list[tuple[str, ...]] = [("score", "of", "generated", "real halves", *others, "verdict")]
    words = {True: "as real", False: "differs", None: "–"}
    for row in rows:
        ends = [row["floor"][end] for end in ("low", "high")]
        floor = f"{_short(row['floor']['value'])} [{_short(ends[0])}, {_short(ends[1])}]"
        own = row["generated"]
        bounds = "" if own["low"] is None else f" [{_short(own['low'])}, {_short(own['high'])}]"
        name = row["label"] + (f" [{row['unit']}]" if row["unit"] else "")
        cells = (_short(row["baselines"].get(other, {}).get("value")) for other in others)
        table.append((name, row["of"], _short(own["value"]) + bounds, floor, *cells, words[row["real"]]))
    for key, own in (metrics.get("bits") or {}).items():
        if isinstance(own, dict):
            told = f"{own['value']:.4f} [{own['low']:.4f}, {own['high']:.4f}]"
            name = f"bits {key.replace('_', ' ')} of real maps"
            table.append((name, "", told, "–", *("–" for _ in others), "–"))
    return table


def ensemble_scores(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return key to generated score of every row of the scorecard, for a table of runs.

    Args:
        metrics: ``metrics.json`` of an emulator.
    """
    rows = metrics["scorecard"]["rows"]
    return {row["key"]: row["generated"]["value"] for row in rows if row["unit"] != "%"}


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _real(data: Samples, rows: np.ndarray, independent: str) -> xr.Dataset:
    ds = store.open(data.reader.folder)[list(data.fields)].isel(sample=rows)
    return ds.assign_coords(group=("sample", ds[independent].values)).load()


def _judged(
    run: Run, data: Samples, real: xr.Dataset, generated: xr.Dataset, seconds: float, progress: str | None
) -> Scorecard:
    from skyloom.evaluate.generated import judge

    task = emulator(run)
    train = _real(data, data.rows_of(run.split.sides["train"]), "group")
    beside: dict[str, Any] = {
        name: _beside(run, data, name, progress) for name in BESIDE if getattr(task, name)
    }
    with counting("scorecard", progress) as count:
        card = judge(
            real,
            generated,
            train=train,
            **beside,
            parameters=[name for name in task.names if name not in task.angles] or None,
            statistics=task.statistics,
            seconds_per_sample=seconds,
            seed=run.recipe.evaluate.seed,
            network=bool(task.parameters) and task.judge is None,
            steps=task.judge_steps,
            progress=count,
        )
    if task.judge is not None:
        card.numbers["judge"] = read_by(Path(task.judge), real, generated, task.parameters)
    # Codes of classes are no scale: a slope along them means nothing.
    card.numbers["rows"] = [
        row for row in card.numbers["rows"] if (row["section"], row["label"]) != ("response", task.label)
    ]
    return card


def _beside(run: Run, data: Samples, name: str, progress: str | None) -> tuple[xr.Dataset, xr.Dataset]:
    """Return another set, and as many maps drawn at its parameters as a side is judged by.

    Raises:
        LeakError: It shares a simulation, a seed or a map with the train or the validation side.
    """
    task = emulator(run)
    source = source_of(run.recipe.data.source, getattr(task, name), name)
    changes = {"data.source": source, "data.select": {}, "data.balance": None}
    other = samples(run.recipe.with_overrides(changes))
    seen = replace(data, rows=data.rows_of((*run.split.sides["train"], *run.split.sides["validation"])))
    check_foreign(seen.table, other.table, fingerprints=(fingerprints(seen), fingerprints(other)), name=name)
    real = _real(other, other.rows, "group")
    points = conditions_of(other.table, task.names)
    chosen = [points[row] for row in evenly(len(points), task.samples)]
    with counting(f"samples, {name}", progress) as count:
        # Numbers of their own: no map begins as the same noise as one of the judged side.
        return real, draw(run, chosen, seed=SEED + 1 + BESIDE.index(name), progress=count)


def source_of(own: Mapping[str, Any], given: str | Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the source of a further set.

    Args:
        own: The recipe's own source, every default written out.
        given: The name of one of its sets, or a whole source.
        name: What asks for it, for the message.

    Raises:
        UsageError: The own source has no sets.

    Example:
        >>> source_of({"name": "cosmic_web", "set": "LH", "simulations": 400}, "CV", "fixed")
        {'name': 'cosmic_web', 'set': 'CV', 'simulations': None}
    """
    if not isinstance(given, str):
        return dict(given)
    if "set" not in own:
        raise UsageError(
            f"task.{name} is the set {given!r}, and the source {own['name']!r} has no sets",
            hint="give a whole source: {name: ..., path: ...}",
        )
    # A number of simulations is that of the own set; another has its own.
    return {**own, "set": given, **({"simulations": None} if "simulations" in own else {})}


def read_by(path: Path, real: xr.Dataset, generated: xr.Dataset, parameters: Sequence[str]) -> dict[str, Any]:
    """Let a trained run read the parameters off real maps that it has not seen, and off generated ones.

    Args:
        path: A run of task ``infer``.
        real: Real maps; simulations that the run learnt from are left out.
        generated: Generated maps; what their table says of the parameters is taken for the truth.
        parameters: Those that are scored, as far as the run reads them.

    Returns:
        As ``judge`` of the scorecard.

    Raises:
        UsageError: The run reads none of the parameters.
        DataError: It has seen every real simulation.
    """
    from skyloom.api.trained import load_run
    from skyloom.evaluate.generated.network import SCORES

    judge = load_run(path)
    known = [name for name in parameters if name in getattr(judge.task, "parameters", ())]
    if judge.task.answers != "parameters" or not known:
        raise UsageError(
            f"{path} reads none of {', '.join(parameters)} off maps", hint="give a run of task infer of these"
        )
    learnt = [*judge.split.sides["train"], *judge.split.sides["validation"]]
    groups = real["group"].values.astype(str)
    seen = np.unique(groups[np.isin(real["sample"].values.astype(str), learnt)])
    unseen = real.isel(sample=np.flatnonzero(~np.isin(groups, seen)))
    if not unseen.sizes["sample"]:
        raise DataError(
            f"{path} has learnt from every simulation of the real maps",
            hint="give both runs one split: then the test side of one is that of the other",
        )
    told = {}
    for name, ds in (("real", unseen), ("generated", generated)):
        card = scorecard(judge.predict(ds), bootstrap=500)
        told[name] = {
            key: {"unit": found["unit"], **{score: found["scores"][score] for score in SCORES}}
            for key, found in card["parameters"].items()
            if key in known
        }
    epochs = judge.folder.read_json("timing.json")["epochs"]
    trained = len(judge.split.sides["train"])
    return {**told, "trained": trained, "unseen": unseen.sizes["sample"], "epochs": epochs}


def _examples(task: Emulate, real: xr.Dataset, generated: xr.Dataset) -> xr.Dataset:
    """Return some real maps beside some that were drawn at the same, or the nearest, conditions."""
    import xarray as xr

    targets = {"real": task.targets(real), "generated": task.targets(generated)}
    points = np.unique(targets["generated"], axis=0)
    if len(points) > EXAMPLES:
        points = points[np.linspace(0, len(points) - 1, EXAMPLES).round().astype(int)]
    sets = {"real": real, "generated": generated}
    chosen = {
        kind: np.stack([_nearest(targets[kind], point, len(points)) for point in points]) for kind in sets
    }
    data = {
        name: (
            ("kind", "point", "column", "y", "x"),
            np.stack([sets[kind][name].values[rows] for kind, rows in chosen.items()]),
            {"units": str(real[name].attrs["units"])},
        )
        for name in map(str, generated.data_vars)
    }
    first = chosen["generated"][:, 0]
    words = [task.words({name: float(generated[name].values[row]) for name in task.names}) for row in first]
    return xr.Dataset(data, coords={"kind": list(chosen), "point": words})


def _nearest(targets: np.ndarray, point: np.ndarray, points: int) -> np.ndarray:
    """Return rows whose conditions are nearest to a point, spread over those that are as near."""
    count = min(COLUMNS, len(targets))
    order = np.argsort(np.square(targets - point).sum(axis=1), kind="stable")
    near: np.ndarray = np.sort(order[: max(count, len(targets) // points)])
    return np.asarray(near[np.linspace(0, len(near) - 1, count).round().astype(int)])


def _store_again(ds: xr.Dataset, folder: Path) -> None:
    """Store a set in the place of that of an earlier evaluation."""
    import shutil

    if folder.exists():
        shutil.rmtree(folder)
    store.write(ds, folder)
