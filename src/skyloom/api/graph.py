"""A run's answer as one graph of tensor arithmetic: raw maps in, answers in physical units out.

Transforms, network, standardisation and the repair of the errors become layers, so that whoever runs the
graph needs nothing of this package. A transform that is no arithmetic of pixels (a histogram, a Fourier
filter) cannot be one: it, and what stands before it, are left to the caller, who is told what they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from skyloom.errors import UsageError
from skyloom.evaluate.conformal import Conformal
from skyloom.evaluate.probabilities import LEAST, Tempered
from skyloom.fields.transforms import Pipeline

if TYPE_CHECKING:
    from skyloom.api.trained import Run

Step = dict[str, Any]
Told = Mapping[str, Any]
#: Each takes maps (n, H, W) and the arguments and the state of its transform.
FORWARD: dict[str, Callable[[Tensor, Told], Tensor]] = {
    "log10": lambda maps, told: maps.clamp(min=told["floor"]).log10(),
    "asinh": lambda maps, told: torch.asinh(maps / told["scale"]),
    "standardise": lambda maps, told: (maps - told["mean"]) / told["sd"],
    "min_max": lambda maps, told: (maps - told["minimum"]) * _slope(told) + told["low"],
    "remove_mean": lambda maps, told: maps - maps.mean(dim=(-2, -1), keepdim=True),
}
BACKWARD: dict[str, Callable[[Tensor, Told], Tensor]] = {
    "log10": lambda maps, told: torch.pow(10.0, maps),
    "asinh": lambda maps, told: torch.sinh(maps) * told["scale"],
    "standardise": lambda maps, told: maps * told["sd"] + told["mean"],
    "min_max": lambda maps, told: (maps - told["low"]) / _slope(told) + told["minimum"],
}


class Graph(nn.Module):
    """What a run answers for maps, in one pass.

    Args:
        run: A run whose method answers without draws.

    Attributes:
        fields: Names of the inputs, in the order of their channels.
        before: Field -> steps that the caller has to apply first; empty where the graph takes raw maps.
        outputs: Names of what ``forward`` gives, in its order: ``mean``, ``sd``, ``lower``, ``upper`` of
            parameters; ``probability`` of classes; the names of translated fields.

    Raises:
        UsageError: The method draws its answers, or a target has a transform that is no arithmetic.
    """

    def __init__(self, run: Run) -> None:
        super().__init__()
        _check_one_pass(run)
        self.method = run.method
        self.fields = list(run.recipe.inputs)
        cut = {name: _cut(run.transforms.pipelines[name]) for name in self.fields}
        self.before = {name: steps[0] for name, steps in cut.items()}
        self._steps = {name: steps[1] for name, steps in cut.items()}
        self._answer, self.outputs = _ANSWERS[run.task.answers](run)

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs for maps ``(n, C, H, W)``, each channel in the unit of its field.

        Those of parameters have shape ``(n, P)``, and ``(n, P, levels)`` for ``lower`` and ``upper``; those
        of classes ``(n, C)``; those of fields ``(n, H, W)``.
        """
        channels = [
            _through(maps[:, place], self._steps[name], FORWARD) for place, name in enumerate(self.fields)
        ]
        return self._answer(self.method.predict(torch.stack(channels, dim=1)))

    def prepared(self, maps: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return what ``forward`` takes for raw maps ``(n, H, W)`` of each field, ``before`` applied."""
        channels = []
        for name in self.fields:
            steps, values = self.before[name], maps[name]
            if steps:
                split = {key: [step[key] for step in steps] for key in ("spec", "state")}
                first = {"digest": "", "specs": split["spec"], "states": split["state"]}
                values, _ = Pipeline.from_state(first).apply(values)
            channels.append(values)
        return np.stack(channels, axis=1).astype(np.float32)


def _check_one_pass(run: Run) -> None:
    name = run.method.spec["name"]
    if run.task.answers not in _ANSWERS or run.method.draws:
        raise UsageError(
            f"method {name!r} draws its answers, with noise in each of them: no graph of one pass holds them",
            hint="export runs of mean_squared, moments, cross_entropy, regression, or pix2pix without draws",
        )


def _cut(pipeline: Pipeline) -> tuple[list[Step], list[Step]]:
    """Return the steps up to the last one that is no arithmetic, and those after it."""
    state = pipeline.state()
    steps = [{"spec": spec, "state": own} for spec, own in zip(state["specs"], state["states"], strict=True)]
    foreign = [place for place, step in enumerate(steps) if step["spec"]["name"] not in FORWARD]
    last = foreign[-1] + 1 if foreign else 0
    return steps[:last], steps[last:]


def _through(maps: Tensor, steps: list[Step], how: Mapping[str, Callable[[Tensor, Told], Tensor]]) -> Tensor:
    for step in steps:
        maps = how[step["spec"]["name"]](maps, {**step["spec"], **step["state"]})
    return maps


def _slope(told: Told) -> float:
    return float((told["high"] - told["low"]) / (told["maximum"] - told["minimum"]))


Answer = Callable[[dict[str, Tensor]], tuple[Tensor, ...]]


def _parameters(run: Run) -> tuple[Answer, list[str]]:
    """Means, errors and intervals in physical units; an interval is ``mean ± q s``, s the error or 1."""
    state = run.task.state()
    mean, sd = (torch.tensor(state[name], dtype=torch.float32) for name in ("mean", "sd"))
    repair = run.calibration
    if isinstance(repair, Conformal):
        q, constant = torch.tensor(repair.q, dtype=torch.float32), repair.width == "constant"
    else:
        z = norm.isf((1 - np.asarray(state["levels"])) / 2)
        q, constant = torch.tensor(np.tile(z, (len(mean), 1)), dtype=torch.float32), False

    def answer(found: dict[str, Tensor]) -> tuple[Tensor, ...]:
        given = [found["mean"] * sd + mean]
        if "sd" in found:
            given.append(found["sd"] * sd)
        if constant or "sd" in found:
            half = q * (torch.ones_like(given[0]) if constant else given[-1])[..., None]
            given += [given[0][..., None] - half, given[0][..., None] + half]
        return tuple(given)

    with torch.no_grad():
        channels, _, size = run.method.spec["data"]
        told = run.method.predict(torch.zeros(1, channels, size, size))
    intervals = ["lower", "upper"] if constant or "sd" in told else []
    return answer, ["mean", *(["sd"] if "sd" in told else []), *intervals]


def _classes(run: Run) -> tuple[Answer, list[str]]:
    """Probabilities at the temperature of the repair."""
    repair = run.calibration
    T = repair.temperature if isinstance(repair, Tempered) else 1.0

    def answer(found: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return ((found["mean"].clamp(min=LEAST).log() / T).softmax(dim=1),)

    return answer, ["probability"]


def _fields(run: Run) -> tuple[Answer, list[str]]:
    """Translated fields, in their own units where the run itself gives them so."""
    undone: list[list[Step]] = []
    for name, about in run.about_targets().items():
        state = run.transforms.pipelines[name].state()
        steps = [{"spec": s, "state": own} for s, own in zip(state["specs"], state["states"], strict=True)]
        steps = steps[::-1] if about["space"] == "physical" else []
        foreign = [step["spec"]["name"] for step in steps if step["spec"]["name"] not in BACKWARD]
        if foreign:
            raise UsageError(
                f"transform {foreign[0]!r} of target {name!r} is no arithmetic that a graph could undo",
                hint=f"those that are: {', '.join(BACKWARD)}",
            )
        undone.append(steps)

    def answer(found: dict[str, Tensor]) -> tuple[Tensor, ...]:
        return tuple(_through(found["mean"][:, c], steps, BACKWARD) for c, steps in enumerate(undone))

    return answer, list(run.recipe.targets)


_ANSWERS = cast(
    "dict[str, Callable[[Run], tuple[Answer, list[str]]]]",
    {"parameters": _parameters, "classes": _classes, "fields": _fields},
)
