"""Splitting and training by a recipe, in a run folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import registry
from skyloom.api.data import BLOCK, Samples, check_same_data, data_facts, samples
from skyloom.api.trained import make_method
from skyloom.errors import LeakError, UsageError
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.runs import RunFolder
from skyloom.splits import AuditedSplit, Split, audit, fingerprint

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger

    from skyloom.recipe import Recipe
    from skyloom.tasks.base import Task

ATTRIBUTIONS = ("saliency", "integrated_gradients", "gradient_shap")  #: that share out any one number
Progress = Callable[[int, int], None]


def split(recipe: Recipe, *, progress: Progress | None = None) -> AuditedSplit:
    """Deal the samples of a recipe to sides and audit the result, without training anything.

    Args:
        recipe: The recipe.
        progress: Called with (done, all) while data are made.

    Returns:
        The audited split; ``text()`` is the audit.

    Raises:
        LeakError: Information would pass from one side to another.
    """
    data = samples(recipe, progress=progress)
    return audit(data.table, assign(recipe, data), fingerprints=fingerprints(data))


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: str | None = None,
    making: Progress | None = None,
    loggers: Sequence[Logger] = (),
) -> Path:
    """Train by a recipe.

    Args:
        recipe: The recipe.
        folder: The run's folder.
        resume: Go on with an interrupted training; return at once where it has ended.
        force: Replace a run that stands there.
        progress: ``bar``, ``lines`` or ``quiet``; the bar on a terminal if not given.
        making: Called with (done, all) while data are made.
        loggers: Further receivers of the rows of ``log.csv``.

    Returns:
        ``folder``.

    Raises:
        LeakError: The split leaks; ``audit.txt`` says where.
        Interrupted: Stopped from outside; the message gives the command that goes on.
    """
    from skyloom.api.watching import artist
    from skyloom.loading import MapDataModule
    from skyloom.training import fit

    check_answers(recipe)
    run = _open(folder, recipe, resume=resume, force=force)
    if (resume or _is_first()) and run.has("provenance.json") and run.complete:
        return run.path
    data = samples(recipe, progress=making)
    if resume and run.has("state"):
        check_same_data(run, data)
    audited, transforms, task, targets = prepare(recipe, data, run)
    # Weights follow from the seed alone, whatever was drawn before.
    method = _seeded(recipe, [len(data.inputs), len(task.columns), data.size])
    if _is_first():
        run.mark("resumed" if run.has("state") else "started")
    module = MapDataModule(
        data.reader, audited, transforms, targets, recipe.train, target_fields=recipe.targets
    )
    try:
        fit(
            method,
            module,
            recipe.train,
            run,
            resume=resume,
            progress=progress,
            loggers=loggers,
            artist=artist(recipe, data, audited, (transforms, task), run),
        )
    except BaseException as error:
        if _is_first():
            run.mark("interrupted", reason=type(error).__name__)
        raise
    if _is_first():
        run.mark("trained")
    return run.path


def prepare(
    recipe: Recipe, data: Samples, run: RunFolder
) -> tuple[AuditedSplit, FieldTransforms, Task, np.ndarray | None]:
    """Split, audit, fit transforms and task, and write them into a run's folder.

    Args:
        recipe: The recipe.
        data: Its samples.
        run: The run.

    Returns:
        The audited split, the fitted transforms, the fitted task, and its numbers for every row of the set;
        None in place of the latter where fields are the targets.

    Raises:
        LeakError: The split leaks; ``audit.txt`` says where.
    """
    audited, transforms = _audited(recipe, data, run)
    task, targets = _targets(recipe, data, audited)
    if _is_first():
        units = {name: data.reader.field_attrs(name)["units"] for name in data.fields}
        seen: dict[str, Any] = {
            "fields": transforms.state(),
            "units": units,
            "pixel": data.box / data.size,
            "box_size_unit": data.reader.attrs["box_size_unit"],
            "periodic": data.periodic,
        }
        if recipe.targets:
            seen["about"] = {name: data.reader.field_attrs(name) for name in recipe.targets}
        run.write_json("transforms.json", seen)
        run.write_json("task.json", task.state())
        if task.answers == "ensembles":
            run.write_json("emulator.json", _inherited(data))
        run.record(inputs=_inputs(data), data=data_facts(data))
    return audited, transforms, task, targets


def check_answers(recipe: Recipe) -> None:
    """Raise unless method, baselines and explanations suit what the task asks for, before any training.

    Args:
        recipe: The recipe.

    Raises:
        UsageError: One of them predicts parameters where classes are asked for, or the other way round.
    """
    task: Any = registry.get(recipe.task["name"], "task")
    if task.answers == "fields":
        _check_fields(recipe)
    if task.answers == "ensembles":
        _check_emulator(recipe)
    elif recipe.train.draw_every is not None:
        raise UsageError(
            f"train.draw_every is {recipe.train.draw_every}, and task '{recipe.task['name']}' draws nothing",
            hint="leave it out: samples are drawn of task 'emulate'",
        )
    for kind, spec in [("method", recipe.method), *(("baseline", b) for b in recipe.evaluate.baselines)]:
        found: dict[str, Any] = {name: registry.get(name, kind) for name in registry.names(kind)}
        if task.answers not in found[spec["name"]].answers:
            able = [name for name, component in found.items() if task.answers in component.answers]
            raise UsageError(
                f"task '{recipe.task['name']}' asks for {task.answers}, which {kind} '{spec['name']}' does"
                " not predict",
                hint=f"use one of {', '.join(able)}",
            )


def _check_fields(recipe: Recipe) -> None:
    """Refuse what has no meaning for fields; of a method with a critic its score can be attributed."""
    judged = hasattr(registry.get(recipe.method["name"], "method"), "scores")
    strange = [spec for spec in recipe.explain if not judged or spec["name"] not in ATTRIBUTIONS]
    for key, named, hint in (
        (
            "evaluate.baselines",
            recipe.evaluate.baselines,
            "leave evaluate.baselines empty: a constant and a per-pixel regression are always there",
        ),
        (
            "explain",
            strange,
            f"leave explain empty; of pix2pix and cyclegan {', '.join(ATTRIBUTIONS)} explain the critic",
        ),
    ):
        if named:
            raise UsageError(
                f"{key} of the recipe names {named[0]['name']!r}, which has no answer for fields", hint=hint
            )


def _check_emulator(recipe: Recipe) -> None:
    """Refuse what has no meaning for maps that are drawn, and transforms that cannot be undone."""
    from skyloom.tasks.drawable import refuse_unknown_fields, refuse_what_cannot_be_undone

    refuse_what_cannot_be_undone(recipe.data.fields)
    refuse_unknown_fields(recipe.data.fields, recipe.task.get("mask"), recipe.task.get("empty", {}))
    for key, found, why in (
        ("evaluate.baselines", recipe.evaluate.baselines, "the scorecard brings its own"),
        ("evaluate.statistics", recipe.evaluate.statistics, "name them in task.statistics"),
        ("explain", recipe.explain, "explanations are of answers, not of drawn maps"),
        ("transfer", recipe.transfer, "a generator takes no maps, so there are none to test it on"),
    ):
        if found:
            raise UsageError(f"task 'emulate' has no use for {key}", hint=f"leave it out: {why}")


def assign(recipe: Recipe, data: Samples) -> Split:
    """Return the recipe's split of the samples, not audited yet."""
    table = data.table
    dealt: Split = registry.build(recipe.split, "split", key="by").assign(table)
    if recipe.train.simulations is None:
        return dealt
    groups = dict(zip(table["sample"].values.tolist(), table["group"].values.tolist(), strict=True))
    return dealt.with_fewer(groups, recipe.train.simulations, recipe.train.seed)


def fingerprints(data: Samples) -> np.ndarray:
    """Return a fingerprint of every sample in every field, shape ``(n, fields)``.

    In the place of a coarse field stands the one that it was made of: a few cells do not tell maps apart.
    """
    names = dict.fromkeys(data.coarse.get(name, name) for name in data.fields)
    blocks = [data.rows[i : i + BLOCK] for i in range(0, len(data.rows), BLOCK)]
    return np.stack(
        [np.concatenate([fingerprint(data.reader.read(name, rows)) for rows in blocks]) for name in names],
        axis=1,
    )


def fit_transforms(recipe: Recipe, data: Samples, dealt: Split) -> FieldTransforms:
    """Return the recipe's transforms, fitted on the train side only."""
    rows = data.rows_of(dealt.sides["train"])

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(rows), BLOCK):
            yield data.maps(rows[start : start + BLOCK])

    pipelines = {name: Pipeline(recipe.data.fields[name]) for name in data.fields}
    return FieldTransforms(pipelines).fit(batches, dealt.sides["train"])


def _audited(recipe: Recipe, data: Samples, run: RunFolder) -> tuple[AuditedSplit, FieldTransforms]:
    dealt = assign(recipe, data)
    transforms = fit_transforms(recipe, data, dealt)
    try:
        audited = audit(data.table, dealt, fingerprints=fingerprints(data), transforms=transforms)
    except LeakError as error:
        if _is_first():
            run.write_text("audit.txt", str(error))
            run.mark("exit", code=error.exit_code)
        raise
    if _is_first():
        run.write_json("split.json", dealt.to_dict())
        run.write_text("audit.txt", audited.text())
    return audited, transforms


def _targets(recipe: Recipe, data: Samples, audited: AuditedSplit) -> tuple[Task, np.ndarray | None]:
    """Return the task fitted on the train side, and its numbers for every row of the set; None for fields."""
    table = data.reader.table
    task: Task = registry.build(recipe.task, "task")
    task = task.fit(table.isel(sample=data.rows_of(audited.ids("train"))))
    if recipe.targets:
        return task, None
    own = task.targets(data.table)
    targets = np.full((len(data.reader), own.shape[1]), np.nan, dtype=np.float32)
    targets[data.rows] = own
    return task, targets


def _inherited(data: Samples) -> dict[str, Any]:
    """Return what generated maps inherit from those that were learnt: attributes of fields and of the box."""
    attrs = data.reader.attrs
    kept = {name: attrs[name] for name in ("realism", "box_size", "box_size_unit", "periodic")}
    return {
        "fields": {name: data.reader.field_attrs(name) for name in data.fields},
        "attrs": {**kept, "suite": f"{attrs['suite']}, emulated"},
    }


def _seeded(recipe: Recipe, data: list[int]) -> Any:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.train.seed)
        return make_method(recipe, data)


def _open(folder: Path, recipe: Recipe, *, resume: bool, force: bool) -> RunFolder:
    if not _is_first():
        # The first process makes the folder; training itself waits for all of them.
        return RunFolder(folder)
    if recipe.train.repeats > 1:
        raise UsageError(
            f"train.repeats is {recipe.train.repeats}: one training is one run",
            hint="use `skyloom run`, which trains each seed in a folder of its own",
        )
    return RunFolder.create(folder, recipe.resolved(), resume=resume, force=force)


def _inputs(data: Samples) -> list[dict[str, Any]]:
    manifest = data.reader.folder / "manifest.json"
    from skyloom.runs import input_file

    return [input_file(manifest)]


def _is_first() -> bool:
    """Whether this process is the one that writes (torchrun and SLURM tell their rank)."""
    return int(os.environ.get("RANK", os.environ.get("SLURM_PROCID", "0"))) == 0
