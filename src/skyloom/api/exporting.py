"""A run for other programs: an ONNX graph, checked against the run's own answers before it is kept.

The graph takes maps in the units of their fields and gives answers in physical units with the run's own
errors. All that a user of the file must know (fields, units, pixel size, steps left to the caller, how the
check went) stands in its metadata under ``skyloom``, as JSON.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from skyloom.api.judging import finished
from skyloom.api.trained import Run, load_run
from skyloom.errors import DataError, MissingDependencyError
from skyloom.fields import store
from skyloom.runs import atomic_path

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.api.graph import Graph

MOST = 1 << 30  #: maps that a graph takes at once
MAPS = 64  #: held-out maps that a graph is checked on
TOLERANCE = 1e-4
KEY = "skyloom"  #: of the metadata of the file
_NEEDED = ("onnx", "onnxruntime", "onnxscript")


class Difference(NamedTuple):
    """How far one output of a graph is from the run's own answer, at most.

    Args:
        output: Its name.
        what: Parameter, class or field.
        unit: Of the difference.
        largest: The largest absolute difference over the maps of the check, in that unit.
        share: The same as a share of the spread: of the parameter on the train side, of the field over the
            maps of the check; of 1 for a probability.
    """

    output: str
    what: str
    unit: str
    largest: float
    share: float


def export_onnx(
    path: Path | str, out: Path, *, maps: Path | None = None, tolerance: float = TOLERANCE
) -> list[Difference]:
    """Write a run as an ONNX graph, and check it with onnxruntime against the run's own answers.

    Args:
        path: The run's folder.
        out: The file to write.
        maps: A stored field set to check on; None takes maps of the validation side, so that the test side
            is not looked at.
        tolerance: Largest share of the spread by which the graph may differ.

    Returns:
        How far each output is from the run's answer, in the order of the outputs.

    Raises:
        UsageError: The method draws its answers, or a transform of a target cannot be undone in a graph.
        MissingDependencyError: A package of the extra ``onnx`` is not installed.
        DataError: The folder is no trained run, or the graph differs by more; nothing is written then.
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"the export needs {', '.join(missing)}", hint="pip install 'skyloom[onnx]'"
        )
    from skyloom.api.graph import Graph

    run = load_run(path)
    graph = Graph(run).eval()
    held_out = _held_out(path) if maps is None else store.open(maps)
    ds = held_out.isel(sample=slice(MAPS)).load()
    raw = {name: run.field(ds, name) for name in run.recipe.inputs}
    given = graph.prepared(raw)
    with atomic_path(out) as whole:
        # Two maps: a trace of one would take their number for fixed.
        model = _traced(graph, np.resize(given, (2, *given.shape[1:])))
        found = _differences(run, ds, graph.outputs, _answers(model, given))
        worst = max(found, key=lambda one: one.share)
        if not worst.share <= tolerance:
            raise DataError(
                f"{worst.output} of {worst.what} differs by {worst.share:.1e} of its spread from the run's"
                f" own answer, allowed: {tolerance:g}",
                hint="nothing was written; raise --tolerance if such a difference does no harm",
            )
        about = {**_about(run, graph), "check": _check(found, ds, tolerance, maps)}
        model.metadata_props.add(key=KEY, value=json.dumps(about, sort_keys=True))
        whole.write_bytes(model.SerializeToString())
    return found


def _held_out(path: Path | str) -> xr.Dataset:
    """Return the validation side of a run as a field set."""
    run, data = finished(Path(path))
    rows = data.rows_of(run.split.sides["validation"])
    return store.open(data.reader.folder)[list(data.inputs)].isel(sample=rows)


def _traced(graph: Graph, example: np.ndarray) -> Any:
    """Return the graph as an ONNX model, the number of maps left open."""
    import torch

    with _quiet():
        program: Any = torch.onnx.export(
            graph,
            (torch.from_numpy(example),),
            input_names=["maps"],
            dynamic_shapes={"maps": {0: torch.export.Dim("n", max=MOST)}},
            dynamo=True,
            verbose=False,
        )
    # Names of outputs are ours; an operation inside may have taken one of them.
    for node in program.model.graph:
        for value in node.outputs:
            if value.name in graph.outputs:
                value.name = f"inner_{value.name}"
    for value, name in zip(program.model.graph.outputs, graph.outputs, strict=True):
        value.name = name
    return program.model_proto


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says of itself: its own deprecations, and that torchvision is not there."""
    talker = logging.getLogger("torch.onnx._internal.exporter._registration")
    before = talker.level
    talker.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        talker.setLevel(before)


def _answers(model: Any, maps: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {"maps": maps}))


def _differences(run: Run, ds: xr.Dataset, outputs: list[str], answers: list[np.ndarray]) -> list[Difference]:
    """Compare answers of the graph with the run's own."""
    own, found = run.predict(ds), []
    state = run.task.state()
    for output, answer in zip(outputs, answers, strict=True):
        expected = own[output]
        apart = np.abs(answer - expected.values)
        if run.task.answers == "fields":
            spread = float(expected.std())
            found.append(_difference(output, output, str(expected.attrs["units"]), apart, spread))
            continue
        classes = run.task.answers == "classes"
        for place, name in enumerate(run.task.columns):
            unit = "" if classes else state["units"][name]
            spread = 1.0 if classes else state["sd"][place]
            found.append(_difference(output, name, unit, apart[:, place], spread))
    return found


def _difference(output: str, what: str, unit: str, apart: np.ndarray, spread: float) -> Difference:
    largest = float(apart.max())
    return Difference(output, what, unit, largest, largest / spread if spread else largest)


def _about(run: Run, graph: Graph) -> dict[str, Any]:
    """Return what a user of the file must know, as JSON values."""
    seen = run.folder.read_json("transforms.json")
    levels = list(run.task.levels) if "lower" in graph.outputs else []
    told: dict[str, Any] = {
        "version": version("skyloom"),
        "run": run.recipe.name,
        "task": run.recipe.task["name"],
        "method": run.method.spec["name"],
        "inputs": [
            {"field": name, "units": seen["units"][name], "before": graph.before[name]}
            for name in graph.fields
        ],
        "size": run.method.spec["data"][2],
        "pixel": {"value": seen["pixel"], "units": seen.get("box_size_unit", "")},
        "periodic": bool(seen.get("periodic", False)),
        "outputs": graph.outputs,
        "answers": run.task.answers,
        "columns": run.task.columns,
        "levels": levels,
        "repaired": run.calibration is not None,
    }
    if run.task.answers == "fields":
        about = run.about_targets()
        told["units"] = {name: about[name]["units"] for name in graph.outputs}
        told["space"] = {name: about[name]["space"] for name in graph.outputs}
    else:
        told["units"] = dict(run.task.state().get("units", {}))
    return told


def _check(found: list[Difference], ds: xr.Dataset, tolerance: float, maps: Path | None) -> dict[str, Any]:
    return {
        "maps": ds.sizes["sample"],
        "of": "validation" if maps is None else maps.name,
        "tolerance": tolerance,
        "differences": [one._asdict() for one in found],
    }
