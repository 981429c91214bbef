"""The sections of a recipe: data, training, judgement, and what a component inside them must be.

Each is a model of its own; the recipe that holds them is in ``schema``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from skyloom.registry import Kind

Source = Annotated[dict[str, Any], Kind("format", "simulator")]
Transform = Annotated[dict[str, Any], Kind("transform")]
Split = Annotated[dict[str, Any], Kind("split", key="by")]
Task = Annotated[dict[str, Any], Kind("task")]
Method = Annotated[dict[str, Any], Kind("method")]
Optimiser = Annotated[dict[str, Any], Kind("optimiser")]
Tracker = Annotated[dict[str, Any], Kind("tracker")]
Baseline = Annotated[dict[str, Any], Kind("baseline")]
Statistic = Annotated[dict[str, Any], Kind("statistic")]
Explanation = Annotated[dict[str, Any], Kind("explanation")]

# Names become folders, on any file system.
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def _chosen(given: list[float | str]) -> list[float | str]:
    names = [value for value in given if isinstance(value, str)]
    if given and len(names) == len(given):
        return given
    if names or len(given) != 2:
        raise ValueError("an interval [low, high] of two numbers, or names of classes, is wanted")
    if given[0] > given[1]:  # type: ignore[operator]  # there are no names here
        raise ValueError(f"the lower end {given[0]} is above the upper end {given[1]}")
    return given


Choice = Annotated[list[float | str], AfterValidator(_chosen)]
Seed = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """Base of the skeleton: frozen, strict about types and keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)


class Maps(Part):
    """How maps are cut from cubes.

    Args:
        cut: ``slice`` (one cell thick), ``slab`` (projected over ``depth``) or ``crop`` (a part of a map).
        axis: Axes along which to cut.
        count: Maps from each cube along each axis.
        depth: Thickness of a slab, in the unit of the box.
        of: What a slab holds: ``mean``, ``log_mean`` (geometric mean) or ``column`` (the integral along the
            line of sight).
        size: Side of a crop in pixels; without it the whole map.
        crops: Windows of that size from each slice or slab.
        cells: Cells a side that cubes are first brought to, by averages over the new cells; null keeps them.

    Example:
        >>> Maps(cut="slice").count
        8
    """

    cut: Literal["slice", "slab", "crop"]
    axis: Annotated[list[Literal["x", "y", "z"]], Field(min_length=1)] = ["z"]
    count: Count = 8
    depth: Annotated[float, Field(gt=0)] | None = None
    of: Literal["mean", "log_mean", "column"] = "mean"
    size: Count | None = None
    crops: Count = 1
    cells: Count | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.cut == "slab" and self.depth is None:
            raise ValueError("a slab needs a 'depth', in the unit of the box")
        if self.cut == "crop" and self.size is None:
            raise ValueError("a crop needs a 'size', in pixels")
        if self.cut != "slab" and self.of != "mean":
            raise ValueError(f"only a slab is projected, 'of: {self.of}' needs 'cut: slab'")
        if self.crops > 1 and (self.cut == "crop" or self.size is None):
            raise ValueError("'crops' are windows of a slice or slab, with their 'size' in pixels")
        return self

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `skyloom.fields.project.cut`."""
        given = self.model_dump(mode="json")
        return {"kind": given.pop("cut"), "axes": given.pop("axis"), **given}

    def identity(self) -> dict[str, Any]:
        """Return what names the stored set: `cells` only where it is used, so that older sets keep theirs."""
        return self.model_dump(exclude={"cells"} if self.cells is None else set())


class Balance(Part):
    """Equal numbers of samples in each bin of a parameter.

    Args:
        parameter: The label to balance.
        bins: Equal-width bins between its smallest and largest value.
        within: Balance separately within each value of this coordinate; null for all together.
        seed: Which of the surplus samples are left out.

    Example:
        >>> Balance(parameter="x_HI").within
        'redshift'
    """

    parameter: str
    bins: Count = 10
    within: str | None = "redshift"
    seed: Seed = 0


class Coarse(Part):
    """A field as seen with fewer cells a side.

    Args:
        of: The field that is averaged over the cells.
        cells: Cells a side; the maps are a multiple of them.

    Example:
        >>> Coarse(of="HI", cells=8).cells
        8
    """

    of: str
    cells: Count


class Data(Part):
    """Where the data come from and what the network sees of them.

    Args:
        source: A format that reads files, or a simulator.
        maps: How maps are cut from cubes; null where the source holds maps.
        select: Samples to keep: a coordinate and the interval [low, high] that it must lie in, or, of a label
            with classes, the names of those to keep.
        balance: Equal numbers in each bin of a label; null to keep all.
        coarse: Further fields, each one of the set averaged over coarser cells and constant within them: what
            an instrument or a code of less resolution has. The way to a task of super-resolution.
        fields: The fields that the task needs, each with its transforms in order. The network sees all of
            them, but those that the task names as its ``targets``.

    Example:
        >>> source = {"name": "shipped", "set": "reionisation-21cmfast"}
        >>> Data(source=source, fields={"T_b": ["standardise"]}).fields
        {'T_b': [{'name': 'standardise'}]}
    """

    source: Source
    maps: Maps | None = None
    select: dict[str, Choice] = {}
    balance: Balance | None = None
    coarse: dict[str, Coarse] = {}
    fields: Annotated[dict[str, list[Transform]], Field(min_length=1)]


class Suite(Part):
    """Another suite of simulations, on which the trained network is tested and from which nothing is learnt.

    The suite whose ``source`` is that of the training is the run's own: its test side stands for it, so that
    one list serves a recipe and its variants. With ``maps`` other than those of the training, such as
    projections for a network trained on slices, only the simulations of the test side are used of it.

    Args:
        source: A format that reads files, or a simulator.
        select: Samples to keep, as in ``data.select``; null for the same choice as there.
        maps: How maps are cut from cubes; null where the source holds maps, and for the run's own source.

    Example:
        >>> Suite(source={"name": "shipped", "set": "reionisation-21cmfast"}).select is None
        True
    """

    source: Source
    select: dict[str, Choice] | None = None
    maps: Maps | None = None


class Train(Part):
    """How the weights are found.

    Args:
        epochs: Passes over the train side.
        batch_size: Samples in a step, on each device.
        optimiser: What moves the weights.
        schedule: The learning rate over time.
        seed: Seed of weights, order and augmentation.
        repeats: Trainings with consecutive seeds, for the spread between them.
        simulations: Groups of the train side that are learnt from, drawn by the seed; null for all.
        early_stopping: Epochs without a better validation loss before stopping; null for never.
        ema: Decay of the running mean of the weights, e.g. 0.999; null for none.
        precision: ``bf16`` is mixed precision.
        channels_last: Memory order that convolutions like on most machines.
        augment: ``roll`` (periodic boxes), ``flip``, ``turn`` by quarter turns; train side only.
        gradient_clip: Largest norm of the gradient; null for no limit.
        accelerator: As Lightning's Trainer names it: auto, cpu, gpu, ...
        devices: Devices on each node.
        nodes: Machines.
        strategy: ``auto``, ``ddp`` or a variant of it, as Lightning names them.
        workers: Loader processes beside the main one.
        threads: CPU threads of torch; null leaves them as they are.
        checkpoint_every: Steps between two training states on disk.
        keep: Training states kept.
        log_every: Steps between two lines of the log.
        draw_every: Epochs between two drawings of samples, of task ``emulate``; null for none.
        trackers: Where scores are sent besides the CSV log.

    Example:
        >>> Train(epochs=3, optimiser="sgd").optimiser["name"]
        'sgd'
    """

    epochs: Count = 30
    batch_size: Count = 64
    optimiser: Optimiser = {"name": "adamw"}
    schedule: Literal["cosine", "one_cycle", "constant"] = "cosine"
    seed: Seed = 0
    repeats: Count = 1
    simulations: Count | None = None
    early_stopping: Count | None = None
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    precision: Literal["32", "bf16", "64"] = "32"
    channels_last: bool = True
    augment: list[Literal["roll", "flip", "turn"]] = []
    gradient_clip: Annotated[float, Field(gt=0)] | None = None
    accelerator: str = "auto"
    devices: Count | Literal["auto"] = 1
    nodes: Count = 1
    strategy: str = "auto"
    workers: Annotated[int, Field(ge=0)] = 0
    threads: Count | None = None
    checkpoint_every: Count = 200
    # One state may be the one that a crash tore; the one before it must still be there.
    keep: Annotated[int, Field(ge=2)] = 2
    log_every: Count = 10
    draw_every: Count | None = None
    trackers: list[Tracker] = []


class Evaluate(Part):
    """How the answer is judged, beyond the scores that the task names.

    Args:
        baselines: Simple competitors, fitted on the train side.
        statistics: Physics summaries of the maps on each side.
        bootstrap: Resamples of groups behind each error bar.
        seed: Seed of the resampling.

    Example:
        >>> Evaluate(baselines=["mean"]).baselines
        [{'name': 'mean'}]
    """

    baselines: list[Baseline] = []
    statistics: list[Statistic] = []
    bootstrap: Count = 1000
    seed: Seed = 0
