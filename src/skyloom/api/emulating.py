"""Drawing from a trained emulator, into memory or into a stored set."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom.errors import DataError, UsageError
from skyloom.fields import store
from skyloom.tasks.emulate import Condition, Emulate

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.api.trained import Run

AT_ONCE = 64  #: maps drawn together; each has a seed of its own, so the number changes nothing
ON_GPU = 1024  #: the same on a GPU; halved until its memory suffices
SHARD = 256  #: maps in a shard of a stored set; what is lost where a drawing is stopped
Progress = Callable[[int, int], None]
Points = Mapping[str, Condition | Sequence[Condition]] | Sequence[Mapping[str, Condition]]


def expand(parameters: Points | None, n: int) -> list[dict[str, Condition]]:
    """Return the conditions of every map, one point after the other, ``n`` maps at each.

    Args:
        parameters: One point, a mapping of conditions; columns, a mapping to equally long lists; or a list of
            points. None for an emulator without conditions.
        n: Maps at each point.

    Raises:
        UsageError: ``n`` is less than 1, there is no point, or columns differ in length.

    Example:
        >>> expand({"sigma_8": [0.7, 0.9], "transport": 2}, 1)
        [{'sigma_8': 0.7, 'transport': 2}, {'sigma_8': 0.9, 'transport': 2}]
    """
    if n < 1:
        raise UsageError(f"{n} maps at each point", hint="ask for 1 or more")
    points: list[dict[str, Condition]]
    if parameters is None:
        points = [{}]
    elif isinstance(parameters, Mapping):
        columns = {name: np.ndim(value) > 0 for name, value in parameters.items()}
        lengths = {name: np.size(parameters[name]) for name, listed in columns.items() if listed}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise UsageError(
                f"the conditions have different numbers of values: {told}",
                hint="give one value, or as many of each",
            )
        count = next(iter(lengths.values()), 1)
        points = [
            {name: np.asarray(value).ravel()[row if columns[name] else 0].item()
             for name, value in parameters.items()}
            for row in range(count)
        ]  # fmt: skip
    else:
        points = [dict(point) for point in parameters]
    if not points:
        raise UsageError("there is no point to draw maps at", hint='for instance {"transport": 2}')
    return [point for point in points for _ in range(n)]


def draw(
    run: Run,
    points: Sequence[Mapping[str, Condition]],
    *,
    seed: int = 0,
    first: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Return a map for each point, a field set in physical units; the work of ``Run.sample``.

    Args:
        run: A run of task ``emulate``.
        points: Conditions of each map.
        seed: With the number of the map it gives the noise that the map begins as.
        first: Number of the first map; a long set may be drawn in parts.
        steps: Steps of the sampler; None for those of the recipe.
        progress: Called with (maps done, all).

    Raises:
        UsageError: The run is no emulator, or a condition is missing, unknown or no class.
    """
    import torch

    task, about = emulator(run), run.folder.read_json("emulator.json")
    table = task.table(points, first=first)
    table.attrs = {**about["attrs"], "fields": json.dumps(about["fields"])}
    method: Any = run.method
    home = next(method.parameters()).device
    device = torch.device("cuda") if home.type == "cpu" and torch.cuda.is_available() else home
    conditions = torch.from_numpy(task.targets(table))
    method.to(device)
    parts: list[np.ndarray] = []
    start, together = 0, method.at_once or (ON_GPU if device.type == "cuda" else AT_ONCE)
    while start < len(points):
        here = conditions[start : start + together]
        seeds = [_map_seed(seed, first + start + i) for i in range(len(here))]
        generators = [torch.Generator().manual_seed(own) for own in seeds]
        try:
            drawn = method.sample(here.to(device), generator=generators, steps=steps)
        except torch.OutOfMemoryError:
            if together == 1:
                raise
            together //= 2
            continue
        parts.append(drawn.cpu().numpy())
        start += len(here)
        if progress is not None:
            progress(start, len(points))
    method.to(home)
    maps = np.concatenate(parts)
    names = run.recipe.data.fields
    restored = run.transforms.inverse({name: maps[:, c] for c, name in enumerate(names)}, {})
    return task.interpret(restored, table, leaky=run.split.leaky)


def sample(
    path: Path,
    parameters: Points | None,
    n: int,
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Draw maps into a stored field set; a call that was stopped goes on where it was.

    Args:
        path: A run of task ``emulate``.
        parameters: As ``Run.sample``.
        n: Maps at each point.
        out: Folder of the field set.
        seed: Every draw follows from it.
        steps: Steps of the sampler; None for those of the recipe.
        progress: Called with (maps done, all).

    Returns:
        ``out``.

    Raises:
        UsageError: As ``Run.sample``.
        StoreError: The folder holds another set.
    """
    from skyloom.api.trained import load_run
    from skyloom.runs import input_file

    run, points = load_run(path), expand(parameters, n)
    emulator(run).table(points)  # a wrong condition is told before anything is drawn
    weights = input_file(run.folder.path_of("weights/best.safetensors"))["sha256"]
    identity = json.dumps({"weights": weights, "seed": seed, "steps": steps, "points": points})
    writer = store.ShardWriter(out, draw(run, points[:1], seed=seed, steps=1), identity=identity)
    starts, finished = range(0, len(points), SHARD), writer.done()
    for index, start in enumerate(starts):
        here = points[start : start + SHARD]
        if index not in finished:
            writer.write(index, draw(run, here, seed=seed, first=start, steps=steps))
        if progress is not None:
            progress(start + len(here), len(points))
    writer.finish(shards=len(starts))
    return out


def emulator(run: Run) -> Emulate:
    """Return the task of a run that draws maps.

    Args:
        run: A run.

    Raises:
        UsageError: It answers for maps instead.
    """
    if not isinstance(run.task, Emulate):
        raise UsageError(
            f"{run.folder.path} is a run of task '{run.recipe.task['name']}', which draws nothing",
            hint=f"skyloom predict {run.folder.path} FIELD_SET",
        )
    return run.task


def read_points(text: str) -> dict[str, Condition | list[Condition]]:
    """Read conditions as the command line takes them.

    Args:
        text: ``name=value`` separated by commas, or by blanks.

    Raises:
        UsageError: A part has no ``=``.

    Example:
        >>> read_points("Omega_m=0.3,transport=MHD")
        {'Omega_m': 0.3, 'transport': 'MHD'}
    """
    points: dict[str, Condition | list[Condition]] = {}
    for part in filter(None, re.split(r"[,\s]+", text)):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise UsageError(
                f"{part!r} is no condition", hint='write name=value, for instance --parameters "transport=2"'
            )
        points[name] = _number(value)
    return points


def read_table(path: Path) -> list[dict[str, Condition]]:
    """Read points from a table file: a header with the names of the conditions, then a point a line.

    Args:
        path: Columns separated by commas, tabs or blanks; lines that begin with ``#`` are left out.

    Raises:
        DataError: The file cannot be read, or a line has too few values.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}", hint="give a text table") from error
    rows = [re.split(r"[,\s]+", line.strip()) for line in lines if line.strip() and line.lstrip()[0] != "#"]
    if len(rows) < 2:
        raise DataError(f"{path} holds no point", hint="a line of names, then a point a line")
    names = rows[0]
    for number, row in enumerate(rows[1:], start=1):
        if len(row) != len(names):
            raise DataError(f"{path}: point {number} has {len(row)} values for {len(names)} names")
    return [{name: _number(value) for name, value in zip(names, row, strict=True)} for row in rows[1:]]


def _number(text: str) -> Condition:
    try:
        return float(text)
    except ValueError:
        return text


def _map_seed(seed: int, number: int) -> int:
    """Return the seed of one map: independent for every seed and number."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0] >> 1)
