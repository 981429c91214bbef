"""A trained run, opened: predictions in physical units with errors, for any field set."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import recipe as recipes
from skyloom import registry
from skyloom.errors import DataError, UsageError, nearest
from skyloom.evaluate.repair import Repair, repair_from_state
from skyloom.evaluate.scorecard import as_json
from skyloom.evaluate.shift import Shift, Verdict
from skyloom.fields.observed import Trained
from skyloom.fields.transforms import FieldTransforms
from skyloom.runs import RunFolder
from skyloom.splits import Split
from skyloom.tasks.translate import Translate, judged_in
from skyloom.units import convert

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.api.emulating import Points
    from skyloom.methods.base import Learner
    from skyloom.recipe import Recipe
    from skyloom.tasks.base import Task

BATCH = 256
PIXEL_TOLERANCE = 0.01
SHIFT = {"role": "label", "units": "", "long_name": "how unlike the training maps"}
SHIFT_P = {"role": "label", "units": "", "long_name": "share of unseen maps as unlike"}


@dataclass
class Run:
    """A trained run.

    Args:
        folder: Its folder.
        recipe: Its recipe.
        task: The task, fitted.
        method: The trained method, in evaluation mode.
        transforms: The transforms, fitted on the train side.
        calibration: Repair of its errors, fitted on the validation side; absent before the first evaluation.
        shift: What the maps of the training look like; absent before the first evaluation.

    Example:
        ``skyloom.load_run("runs/neutral-fraction").predict(skyloom.open("my-maps"))``
    """

    folder: RunFolder
    recipe: Recipe
    task: Task
    method: Any
    transforms: FieldTransforms
    calibration: Repair | None
    shift: Shift | None

    @property
    def split(self) -> Split:
        """The split that the run was trained with."""
        return Split.from_dict(self.folder.read_json("split.json"))

    @property
    def trained_on(self) -> Trained:
        """What the maps of the training were like."""
        seen = self.folder.read_json("transforms.json")
        smoothing = [
            max(
                (spec["width"] for spec in self.transforms.pipelines[name].specs if spec["name"] == "smooth"),
                default=0.0,
            )
            for name in self.recipe.inputs
        ]
        return Trained(
            pixel=seen["pixel"],
            size=int(self.method.spec["data"][2]),
            unit=seen.get("box_size_unit", ""),
            periodic=bool(seen.get("periodic", False)),
            smoothing=min(smoothing),
        )

    def inputs(self, maps: dict[str, np.ndarray]) -> np.ndarray:
        """Return transformed maps, channels in the recipe's order, shape ``(n, C, H, W)`` float32."""
        transformed, _ = self.transforms.apply({name: maps[name] for name in self.recipe.inputs})
        return np.stack([transformed[name] for name in self.recipe.inputs], axis=1).astype(np.float32)

    def outputs(self, maps: dict[str, np.ndarray], *, seed: int = 0) -> dict[str, np.ndarray]:
        """Return the method's standardised outputs for raw maps ``(n, H, W)`` of each field."""
        import torch

        generator = torch.Generator().manual_seed(seed)
        x = torch.from_numpy(self.inputs(maps))
        with torch.inference_mode():
            parts = [
                self.method.predict(x[start : start + BATCH], draws=self.method.draws, generator=generator)
                for start in range(0, len(x), BATCH)
            ]
        return {name: torch.cat([part[name] for part in parts]).numpy() for name in parts[0]}

    def predict(self, ds: xr.Dataset, *, seed: int = 0) -> xr.Dataset:
        """Return what the network answers for the maps of a field set.

        Args:
            ds: A field set with the fields of the recipe, in any units that convert to those of the training;
                labels are not needed.
            seed: Seed of posterior draws.

        Returns:
            The prediction of the task, its errors repaired on the validation side. Parameters: ``mean`` and,
            where the method knows it, ``sd``, ``lower`` and ``upper`` by level, all ``(sample, parameter)``
            in physical units; ``truth`` is NaN for labels that the set does not have. Classes:
            ``probability`` ``(sample, class)`` and ``set`` by level; ``truth`` is -1 without a label. Fields:
            a field set of the translated ones, in their units.
            ``shift`` and ``shift_p`` (sample) are how unlike the training maps each is and the share of
            unseen ones as far out; ``attrs["shift"]`` is the verdict on the set as JSON, ``attrs["note"]``
            what else differs.

        Raises:
            DataError: A field is missing, or its maps are not finite.
            UnitError: The unit of a field is of another kind than that of the training.
        """
        if self.task.answers == "ensembles":
            raise UsageError(
                f"{self.folder.path} is an emulator: it draws maps and answers for none",
                hint=f'skyloom sample {self.folder.path} --parameters "..." -n 64',
            )
        maps = {name: self.field(ds, name) for name in self.recipe.inputs}
        table = ds.drop_vars(list(ds.data_vars))
        found = self.interpret(self.outputs(maps, seed=seed), table)
        found.attrs["note"] = self._note(ds)
        return self.compared(found, maps)[0]

    def sample(
        self, parameters: Points | None, n: int = 1, *, seed: int = 0, steps: int | None = None
    ) -> xr.Dataset:
        """Draw new maps, for a run of task ``emulate``.

        Args:
            parameters: Conditions by name, in their units, a class by name or code: one point, columns of
                equal length, or a list of points; None for an emulator without conditions.
            n: Maps at each point.
            seed: Every draw follows from it and from the number of the map.
            steps: Steps of the sampler; None for those of the recipe.

        Returns:
            A field set of ``n`` maps for each point, one point after the other, in the units of the fields.

        Raises:
            UsageError: The run draws nothing, or a condition is missing, unknown or no class.
        """
        from skyloom.api.emulating import draw, expand

        return draw(self, expand(parameters, n), seed=seed, steps=steps)

    def compared(
        self, prediction: xr.Dataset, maps: dict[str, np.ndarray]
    ) -> tuple[xr.Dataset, Verdict | None]:
        """Return a prediction that says how unlike the training maps its maps are, and the verdict on all.

        Args:
            prediction: Of ``n`` samples.
            maps: Their raw maps, each field ``(n, H, W)`` in the unit of the training.

        Returns:
            The prediction as it is and None before the first evaluation.
        """
        if self.shift is None:
            return prediction, None
        settings = self.recipe.evaluate
        verdict = self.shift.summary(
            self.inputs(maps), prediction["group"].values, bootstrap=settings.bootstrap, seed=settings.seed
        )
        told = {"shift": ("sample", verdict.scores, SHIFT), "shift_p": ("sample", verdict.map_p, SHIFT_P)}
        # In a field set what is no field is a label.
        fields = self.task.answers == "fields"
        found = prediction.assign_coords(told) if fields else prediction.assign(told)
        return found.assign_attrs(shift=json.dumps(as_json(verdict.card()))), verdict

    def interpret(self, outputs: dict[str, np.ndarray], table: xr.Dataset, *, side: str = "") -> xr.Dataset:
        """Return a method's outputs as a prediction of the task, its errors repaired."""
        if isinstance(self.task, Translate):
            # Transforms bend: the mean of the draws is taken in the unit of the field.
            told = "samples" if "samples" in outputs else "mean"
            return self.task.interpret(
                {told: self.restored(outputs[told])},
                table,
                side=side,
                leaky=self.split.leaky,
                about=self.about_targets(),
            )
        found = self.task.interpret(outputs, table, side=side, leaky=self.split.leaky)
        return found if self.calibration is None else self.calibration.apply(found)

    def about_targets(self) -> dict[str, dict[str, Any]]:
        """Return the attributes of each target field as this run gives it, with the ``space`` it is in."""
        seen, found = self.folder.read_json("transforms.json"), {}
        for name in self.recipe.targets:
            attrs = {"units": seen["units"][name], **seen.get("about", {}).get(name, {})}
            space = judged_in(self.transforms.pipelines[name].state())
            if space == "transformed":
                steps = ", ".join(spec["name"] for spec in self.transforms.pipelines[name].specs)
                attrs |= {"units": "", "long_name": f"{attrs.get('long_name', name)} ({steps})"}
            found[name] = {**attrs, "space": space}
        return found

    def restored(self, outputs: np.ndarray) -> np.ndarray:
        """Return transformed target maps in the units of the fields, where possible.

        Args:
            outputs: Shape ``(n, ..., P, H, W)``.
        """
        restored = []
        for channel, (name, about) in enumerate(self.about_targets().items()):
            pipeline, maps = self.transforms.pipelines[name], outputs[..., channel, :, :]
            if about["space"] == "physical":
                maps = pipeline.inverse(maps.reshape(-1, *maps.shape[-2:]), {}).reshape(maps.shape)
            restored.append(maps)
        return np.stack(restored, axis=-3)

    def _note(self, ds: xr.Dataset) -> str:
        """Say where maps are unlike those that the run was trained on; empty where they are alike."""
        trained, here = (
            self.folder.read_json("transforms.json")["pixel"],
            ds.attrs["box_size"] / ds.sizes["x"],
        )
        if abs(here / trained - 1) < PIXEL_TOLERANCE:
            return ""
        unit = ds.attrs["box_size_unit"]
        return (
            f"pixels of {here:.3g} {unit}, trained on {trained:.3g} {unit}: "
            "errors and intervals were never tested on such maps"
        )

    def field(self, ds: xr.Dataset, name: str) -> np.ndarray:
        """Return the maps of a field in the unit of the training.

        Args:
            ds: A field set of maps.
            name: A field that the run was trained on.

        Returns:
            Shape ``(n, H, W)``, float32.

        Raises:
            DataError: The field is missing, is of cubes, or is not finite.
            UnitError: Its unit is of another kind than that of the training.
        """
        if name not in ds:
            raise DataError(
                f"the field set has no field {name!r}, which the run was trained on",
                hint=nearest(name, map(str, ds.data_vars)),
            )
        wanted = self.folder.read_json("transforms.json")["units"][name]
        unit = ds[name].attrs.get("units", "")
        values = np.asarray(ds[name].values, dtype=np.float32)
        if unit != wanted:
            values = convert(values, unit, wanted).astype(np.float32)
        if values.ndim != 3:
            raise DataError(
                f"field {name!r} has dimensions {ds[name].dims}, the run needs maps (sample, y, x)",
                hint="cut maps from cubes first, with skyloom.fields.project.cut",
            )
        bad = ~np.isfinite(values).all(axis=(1, 2))
        if bad.any():
            raise DataError(
                f"field {name!r} of sample {str(ds['sample'].values[bad][0])!r} is not finite",
                hint=f"{int(bad.sum())} of {len(values)} maps hold NaN or infinity; drop or mend them",
            )
        return values


def load_run(path: Path | str) -> Run:
    """Open a trained run.

    Args:
        path: Its folder.

    Returns:
        The run with its best weights.

    Raises:
        DataError: The folder is no trained run; the message names what is missing.
    """
    from skyloom.training.weights import load_weights, read_header

    needed = ("transforms.json", "task.json", "split.json", "weights/best.safetensors")
    folder = RunFolder.open(path, need=needed)
    recipe = recipes.load(folder.path_of("recipe.yaml"))
    weights = folder.path_of("weights/best.safetensors")
    method = make_method(recipe, read_header(weights)["method"]["data"])
    load_weights(method, weights)
    task_class: Any = registry.get(recipe.task["name"], "task")
    calibration, shift = (
        folder.read_json(name) if folder.has(name) else None for name in ("calibration.json", "shift.json")
    )
    return Run(
        folder=folder,
        recipe=recipe,
        task=task_class.from_state(folder.read_json("task.json")),
        method=method.eval(),
        transforms=FieldTransforms.from_state(folder.read_json("transforms.json")["fields"]),
        calibration=repair_from_state(calibration) if calibration else None,
        shift=Shift.from_state(shift) if shift else None,
    )


def make_method(recipe: Recipe, data: list[int]) -> Learner:
    """Return the recipe's method, untrained; ``data`` is (channels, targets, pixels)."""
    method: Learner = registry.build(recipe.method, "method", data=tuple(data))
    return method


def timed_outputs(run: Run, maps: dict[str, np.ndarray], *, seed: int) -> tuple[dict[str, np.ndarray], float]:
    """Return the outputs and the seconds that one sample took."""
    start = time.perf_counter()
    outputs = run.outputs(maps, seed=seed)
    return outputs, (time.perf_counter() - start) / len(outputs["mean"])
