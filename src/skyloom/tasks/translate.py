"""Translate: one field, or several, from others of the same sky.

The targets are fields of the set and not columns of its table, so they reach a method as maps, beside the
maps that it sees. What leaves the task is a field set: the translated fields of every sample, each in its own
unit, with all coordinates of the samples. A method that draws gives for each field ``f`` the mean of its
draws, their standard deviation ``f_sd`` and one of them, ``f_draw``: pixels are best told by the mean, which
is too smooth, and only a single draw may have the power of a true map.

A field whose transforms take something out of each map (its own mean, its own histogram) cannot come back
without the truth; it stays as transformed, without a unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import xarray as xr

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.fields import add_step
from skyloom.fields.transforms import ids_digest

SCORES = ("r2", "skill", "psnr", "ssim", "correlation", "coherence", "power_ratio", "total", "crps")
DRAWN_SCORES = ("spread_error", "draw_power_ratio")  #: of methods that draw, beside these
SPACES = ("physical", "transformed")


class Translate:
    """Give fields, given other fields of the same sample.

    Args:
        inputs: Fields that the network sees, in the order of its channels.
        targets: Fields that it is to give; none of them is an input.

    Raises:
        UsageError: There is no input or no target, one is named twice, or a target is an input.

    Example:
        >>> from skyloom.fields import example
        >>> task = Translate(inputs=["T_b"], targets=["neutral_fraction"]).fit(example())
        >>> task.columns, task.answers
        (['neutral_fraction'], 'fields')
    """

    answers: ClassVar[str] = "fields"
    levels: tuple[float, ...] = ()

    def __init__(self, *, inputs: list[str], targets: list[str]) -> None:
        for role, names in (("inputs", inputs), ("targets", targets)):
            if not names or len(set(names)) < len(names):
                raise UsageError(
                    f"task translate: {role} are {names}; at least one field is needed, each once",
                    hint="name fields of the set, for instance inputs: [density], targets: [magnetic_energy]",
                )
        both = [name for name in targets if name in inputs]
        if both:
            raise UsageError(
                f"task translate: {', '.join(both)} is input and target, so it has only to be copied",
                hint="take it out of inputs or of targets",
            )
        self.inputs, self.fields = list(inputs), list(targets)
        self._digest = ""

    @property
    def columns(self) -> list[str]:
        """Names of the target fields, in the order of their channels."""
        return list(self.fields)

    @property
    def score_names(self) -> list[str]:
        """Scores of this task, the one that a reader looks at first in front."""
        return list(SCORES)

    @property
    def digest(self) -> str:
        """Digest of the ids of the train side; empty before ``fit``."""
        return self._digest

    def fit(self, table: xr.Dataset) -> Self:
        """Return a copy that remembers the train samples; all that is learnt of fields is in transforms.

        Args:
            table: Coordinates of the train samples, and of no others.
        """
        fitted = type(self)(inputs=self.inputs, targets=self.fields)
        fitted._digest = ids_digest(table["sample"].values)
        return fitted

    def targets(self, table: xr.Dataset) -> np.ndarray:
        """Refuse: the targets are maps and do not stand in a table.

        Raises:
            UsageError: Always.
        """
        raise UsageError(
            "the targets of task translate are fields, not columns of the table",
            hint="give a dataset target_fields, as skyloom.loading.MapDataModule takes them",
        )

    def interpret(
        self,
        outputs: Mapping[str, np.ndarray],
        table: xr.Dataset,
        *,
        side: str = "",
        leaky: bool = False,
        about: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> xr.Dataset:
        """Return the field set of translated maps.

        Args:
            outputs: ``mean``, the translated maps, shape ``(n, P, H, W)``, each field in the unit that
                ``about`` gives; or ``samples``, draws of them, shape ``(n, draws, P, H, W)``, whose mean is
                taken in that unit.
            table: Coordinates and attributes of the same ``n`` samples, as a field set has them.
            side: Name of the side, stored in the attributes.
            leaky: Whether the split is leaky, stored in the attributes.
            about: Attributes of each target field: ``units``, ``long_name``, ``rank``, ``component``; and
                ``space``, one of ``SPACES``.

        Returns:
            A field set of the targets, with ``answers``, ``side``, ``leaky``, ``draws``, ``scores`` in its
            attributes; with samples also ``f_draw`` and, of two or more, ``f_sd`` for each target ``f``.

        Raises:
            UsageError: There are other outputs than ``mean`` or ``samples``.
            ShapeError: The maps do not fit the table.
            DataError: A map is not finite.
        """
        if len(outputs) != 1 or not {"mean", "samples"} & set(outputs):
            raise UsageError(
                f"a translation is made of 'mean' or of 'samples'; found {', '.join(sorted(outputs))}"
            )
        maps = np.asarray(outputs["mean"])[:, None] if "mean" in outputs else np.asarray(outputs["samples"])
        self._check(maps, table)
        told = about or {}
        variables = {}
        for channel, name in enumerate(self.fields):
            attrs = {"units": "", "long_name": name, "rank": 0, **told.get(name, {})}
            for end, words, values in _moments(maps[:, :, channel], drawn="samples" in outputs):
                long_name = f"{attrs['long_name']}, {words}"
                variables[name + end] = (("sample", "y", "x"), values, {**attrs, "long_name": long_name})
        found = xr.Dataset(variables, coords=table.coords, attrs=table.attrs)
        draws = maps.shape[1] if "samples" in outputs else 0
        found.attrs |= {"answers": "fields", "side": side, "leaky": int(leaky), "draws": draws}
        found.attrs["scores"] = " ".join([*SCORES, *(DRAWN_SCORES if draws else ())])
        step = {"step": "translate", "inputs": self.inputs, "targets": self.fields}
        return add_step(found, step) if "provenance" in found.attrs else found

    def _check(self, maps: np.ndarray, table: xr.Dataset) -> None:
        """Refuse maps ``(n, draws, P, H, W)`` that do not fit the table or are not finite."""
        if maps.ndim != 5 or maps.shape[::2][:2] != (table.sizes["sample"], len(self.fields)):
            wanted = f"({table.sizes['sample']}, {len(self.fields)}, H, W)"
            raise ShapeError(
                f"translated maps have shape {maps.shape} with their draws second, expected {wanted}"
            )
        bad = ~np.isfinite(maps).all(axis=(1, 2, 3, 4))
        if bad.any():
            raise DataError(
                f"the translation of sample '{table['sample'].values[bad][0]}' is not finite"
                f" ({int(bad.sum())} of {len(maps)})",
                hint="the network has diverged: lower its lr, or look at its input",
            )

    def state(self) -> dict[str, Any]:
        """Return all that ``from_state`` needs, as JSON values."""
        return {
            "name": "translate",
            "inputs": self.inputs,
            "targets": self.fields,
            "fitted_on": self._digest,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Rebuild a fitted task from its state."""
        task = cls(inputs=list(state["inputs"]), targets=list(state["targets"]))
        task._digest = str(state["fitted_on"])
        return task


def _moments(maps: np.ndarray, *, drawn: bool) -> list[tuple[str, str, np.ndarray]]:
    """Return what is kept of answers ``(n, draws, H, W)``: the end of its name, words, maps ``(n, H, W)``."""
    kept = [("", "translated", maps.mean(axis=1))]
    if drawn:
        kept[0] = ("", f"translated, mean of {maps.shape[1]} draws", kept[0][2])
        kept.append(("_draw", "translated, one draw", maps[:, 0]))
    if drawn and maps.shape[1] > 1:
        kept.append(("_sd", "translated, sd of draws", maps.std(axis=1, ddof=1)))
    return kept


def summary_rows(translated: xr.Dataset) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return what a translation says on average, one row a field.

    Args:
        translated: What ``Translate.interpret`` returned.

    Returns:
        Header and rows of text: the field with its unit, mean and largest value of the translated maps.

    Example:
        >>> from skyloom.fields import example
        >>> task = Translate(inputs=["T_b"], targets=["neutral_fraction"])
        >>> ds = example(groups=1, per_group=1)
        >>> table = ds.drop_vars(list(ds.data_vars))
        >>> found = task.interpret({"mean": np.ones((len(ds["sample"]), 1, 4, 4))}, table)
        >>> summary_rows(found)[1]
        [('neutral_fraction', '1', '1')]
    """
    rows: list[tuple[str, ...]] = []
    for name, field in translated.data_vars.items():
        unit = f" [{field.attrs['units']}]" if field.attrs.get("units") else ""
        rows.append((f"{name}{unit}", f"{float(field.mean()):.4g}", f"{float(field.max()):.4g}"))
    return ("field", "mean", "largest"), rows


def judged_in(state: Mapping[str, Any]) -> str:
    """Return ``physical`` or ``transformed``: in what a field is judged whose pipeline has this state.

    Args:
        state: ``Pipeline.state()``.

    Example:
        >>> judged_in({"specs": [{"name": "standardise"}]}), judged_in({"specs": [{"name": "equalise"}]})
        ('physical', 'transformed')
    """
    from skyloom import registry

    carries = [registry.get(spec["name"], "transform").carries for spec in state["specs"]]  # type: ignore[attr-defined]
    return SPACES[1] if any(carries) else SPACES[0]
