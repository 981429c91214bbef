"""A run of weights that were trained elsewhere: judged, explained and used as any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skyloom.api.data import samples
from skyloom.api.progress import counting
from skyloom.api.training import check_answers, prepare
from skyloom.errors import UsageError
from skyloom.runs import RunFolder, input_file

if TYPE_CHECKING:
    from skyloom.recipe import Recipe
    from skyloom.training.published import Published


def adopt(
    recipe: Recipe,
    folder: Path,
    published: Published,
    origin: Path,
    *,
    classes: Sequence[str] | None = None,
    force: bool = False,
    progress: str | None = None,
) -> Path:
    """Make a run folder of a published network: all that training would leave, but nothing is trained.

    Split and transforms are those of the recipe, fitted on its train side; its method is replaced by the
    network. The weights never saw the data, so each side is unseen.

    Args:
        recipe: Says on which data, as which maps, and for which classes the network is used.
        folder: The run's folder.
        published: The network.
        origin: The file that it comes from, for the provenance.
        classes: Names of its outputs, in their order; without them, that of the recipe's classes.
        force: Replace a run that stands there.
        progress: ``quiet`` for no bar while data are made.

    Returns:
        ``folder``.

    Raises:
        UsageError: The task asks for no classes, or channels or classes are others than the network's.
    """
    from skyloom.training.published import method_of, reordered
    from skyloom.training.weights import save_weights

    with counting("data", progress) as count:
        data = samples(recipe, progress=count)
    if published.channels != len(data.inputs):
        raise UsageError(
            f"the network of {origin} takes {published.channels} fields, the recipe has"
            f" {', '.join(data.inputs)}",
            hint="name as many fields in data.fields, in the order of the training",
        )
    method = method_of(published, data.size)
    known: dict[str, Any] = method.spec
    used = {"name": known["name"], **known["arguments"]}
    recipe = recipe.with_overrides({"method": used, "variants": {}})
    check_answers(recipe)
    run = RunFolder.create(folder, recipe.resolved(), force=force)
    task = prepare(recipe, data, run)[2]
    if sorted(classes or task.columns) != sorted(task.columns) or published.classes != len(task.columns):
        told = ", ".join(classes) if classes else f"{published.classes} without names"
        raise UsageError(
            f"the classes of {origin} are {told}, those of the recipe {', '.join(task.columns)}",
            hint="choose the same with data.select, and name them with --class in the network's order",
        )
    if classes:
        order = [list(classes).index(name) for name in task.columns]
        method = method_of(reordered(published, order), data.size)
    run.record(origin=input_file(origin))
    run.mark("started")
    facts = {"epoch": 0, "step": 0, "averaged": False, "origin": input_file(origin)}
    for name in ("last", "best"):
        save_weights(run.path_of(f"weights/{name}.safetensors"), method.state_dict(), method.spec, **facts)
    run.mark("trained")
    return run.path
