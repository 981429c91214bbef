"""Testing a trained run on other suites, and the table of who was tested on what."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.api.data import Samples, samples, write_dataset
from skyloom.api.judging import finished
from skyloom.api.training import fingerprints
from skyloom.errors import DataError
from skyloom.evaluate.scorecard import scorecard
from skyloom.fields import store
from skyloom.runs import RunFolder
from skyloom.runs.transfers import Tested, suites, transfer_file, with_variants
from skyloom.splits import check_foreign

if TYPE_CHECKING:
    from skyloom.api.trained import Run
    from skyloom.recipe import Recipe

Progress = Callable[[int, int], None]


def transfer(path: Path, *, progress: Progress | None = None) -> dict[str, dict[str, Any]]:
    """Test a trained run on every other suite of its recipe and write ``transfer/<suite>/``.

    All maps of a suite are unseen; units are converted, transforms and intervals are those of the run. Of a
    suite with the run's own source and other maps, the simulations of the test side are taken.

    Args:
        path: The run's folder.
        progress: Called with (done, all) while data are made.

    Returns:
        Suite to the content of its ``metrics.json``: the scorecard, with ``suite``, ``shift`` (how unlike the
        training maps it is) and ``note`` (what else differs, such as the pixel scale).

    Raises:
        LeakError: A suite shares a simulation, a seed or a map with the train or the validation side.
        DataError: The folder is no evaluated run, or a suite lacks a field or a label.
    """
    run, own = finished(path)
    repaired = run.calibration is not None or run.task.answers == "fields"  # translations have no errors
    if not repaired or run.shift is None:
        raise DataError(f"{path}: was not evaluated yet", hint=f"skyloom evaluate {path}")
    cards = {}
    foreign = run.recipe.foreign()
    if not foreign:
        return {}
    seen = replace(own, rows=own.rows_of((*run.split.sides["train"], *run.split.sides["validation"])))
    prints = fingerprints(seen)
    for name in foreign:
        data = samples(_as_training(run.recipe, name), progress=progress)
        if foreign[name].source == run.recipe.data.source:
            data = _of_test_side(run, own, data, name)
        check_foreign(seen.table, data.table, fingerprints=(prints, fingerprints(data)), name=name)
        cards[name] = _tested(run, own, data, name)
        run.folder.write_json(transfer_file(name), cards[name])
    return cards


def transfer_tables(folders: list[Path]) -> dict[str, list[tuple[str, ...]]]:
    """Return, for each parameter, training suites in rows and test suites in columns, header first.

    Args:
        folders: Runs that were evaluated; their variants come with them.

    Returns:
        Parameter to rows of text; a cell has R² (of classes the balanced accuracy) with its interval, the
        bias over the predicted error, the shares inside the 68 % and 95 % intervals, and the share
        of maps flagged as unlike the training maps. Empty if no run was tested on another suite.
    """
    members = _members(folders)
    columns = suites(members)
    if not any(len(member.cards) > 1 for member in members):
        return {}
    parameters = dict.fromkeys(
        name for m in members for card in m.cards.values() for name in card["parameters"]
    )
    tables: dict[str, list[tuple[str, ...]]] = {}
    for parameter in parameters:
        tables[parameter] = [("run", "trained on", *(f"tested on {name}" for name in columns))]
        for member in members:
            label = member.label + (" (leaky)" if member.leaky else "")
            cells = (_cell(member.cards.get(name), parameter) for name in columns)
            tables[parameter].append((label, member.suite, *cells))
    return tables


def _members(folders: list[Path]) -> list[Tested]:
    from skyloom.report.comparison import labels

    found: list[Tested] = []
    for folder, name in zip(folders, labels(folders), strict=True):
        for member in with_variants(RunFolder.open(folder), name):
            whose = "" if member.label == name or len(folders) == 1 else f"{name}: "
            found.append(replace(member, label=whose + member.label))
    return found


def _as_training(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe with the data of another suite in the place of its own."""
    suite = recipe.transfer[name]
    changes: dict[str, Any] = {
        "data.source": suite.source,
        "data.maps": suite.maps and suite.maps.model_dump(mode="json"),
        "data.balance": None,
    }
    if suite.select is not None:
        changes["data.select"] = suite.select
    return recipe.with_overrides(changes)


def _of_test_side(run: Run, own: Samples, data: Samples, name: str) -> Samples:
    """Return the samples of the simulations that only the test side holds."""

    def groups(*sides: str) -> list[str]:
        rows = own.rows_of(tuple(sample for side in sides for sample in run.split.sides[side]))
        return [str(group) for group in own.reader.table["group"].values[rows]]

    unseen = set(groups("test")) - set(groups("train", "validation"))
    if not unseen:
        raise DataError(
            f"the suite {name!r} has the source of the training, and no simulation is on the test side alone",
            hint="split by group or by held_out, or take it out of transfer",
        )
    return replace(data, rows=data.rows[np.isin(data.table["group"].values.astype(str), sorted(unseen))])


def _tested(run: Run, own: Samples, data: Samples, name: str) -> dict[str, Any]:
    """Predict for all samples of a suite, judge, and write the prediction."""
    from skyloom.api import translating

    ds = store.open(data.reader.folder).isel(sample=data.rows)
    prediction = run.predict(ds).assign_attrs(side=name, leaky=0)
    path = run.folder.path_of(f"transfer/{name}/predictions.nc")
    if run.task.answers == "fields":
        card = translating.judged_elsewhere(run, own, ds, prediction)
        translating.write_maps(path, prediction)
    else:
        settings = run.recipe.evaluate
        card = scorecard(prediction, bootstrap=settings.bootstrap, seed=settings.seed)
        write_dataset(path, prediction)
    card |= {"suite": str(ds.attrs["suite"]), "note": prediction.attrs["note"]}
    card["shift"] = json.loads(prediction.attrs["shift"])
    return card


def _cell(card: Mapping[str, Any] | None, parameter: str) -> str:
    """Return what a run is worth on a suite, in three lines."""
    scores = (card or {}).get("parameters", {}).get(parameter, {}).get("scores")
    if card is None or not scores:
        return "–"
    name, shift = card.get("headline", "r2"), card.get("shift")
    main, title = scores.get(name, {}), "R²" if name == "r2" else name.replace("_", " ")
    bounds = "" if main.get("low") is None else f" [{main['low']:.3f}, {main['high']:.3f}]"
    first = f"{title} –" if main.get("value") is None else f"{title} {main['value']:.3f}{bounds}"
    known = {key: score["value"] for key, score in scores.items() if score.get("value") is not None}
    beside = [f"bias/σ {known['pull']:+.2f}"] if "pull" in known else []
    inside = [f"{100 * known[key]:.0f}" for key in ("coverage_68", "coverage_95") if key in known]
    beside += [f"inside {' / '.join(inside)} %"] if inside else []
    second = ", ".join(beside)
    third = "" if shift is None else f"{100 * shift['share']['value']:.0f} % unlike"
    mark = {True: ", flagged", None: ", too few to tell"}.get(shift["unlike"], "") if shift else ""
    return "\n".join(filter(None, (first, second, third + mark)))
