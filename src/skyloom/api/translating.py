"""Judging a run that translates fields, and what it leaves for the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import registry
from skyloom.fields import store
from skyloom.fields.packing import round_bits
from skyloom.fields.selection import spread_over
from skyloom.runs import atomic_path

if TYPE_CHECKING:
    from pathlib import Path

    import xarray as xr

    from skyloom.api.data import Samples
    from skyloom.api.trained import Run

DOMAINS = 4  #: fields from which on a set is shown with all of them
EXAMPLES = 4  #: samples that the page shows as maps
MANTISSA = 12  #: bits kept of translated maps on disk: a relative error of at most 1.2e-4


def judged(
    run: Run,
    data: Samples,
    translated: xr.Dataset,
    side: str,
    *,
    samples: np.ndarray | None,
    looks: int,
    seconds: float,
) -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    """Judge the translation of a side beside a constant image and a regression pixel by pixel.

    Args:
        run: The run.
        data: Its samples.
        translated: The translation of the side.
        side: ``validation`` or ``test``.
        samples: Draws as the method gave them, shape ``(n, k, P, H, W)``; None where it has one answer.
        looks: How often it was looked at.
        seconds: Time of a translation [s].

    Returns:
        The content of ``metrics.json``, the curves, and a few samples as maps: variables ``input.<field>``,
        ``truth.<field>`` and ``translated.<field>``; of a set of many fields all as ``domain.<field>``.
    """
    from skyloom.evaluate.translation import judge

    whole = store.open(data.reader.folder)
    here, train = (data.rows_of(run.split.sides[name]) for name in (side, "train"))
    truth, inputs = true_fields(run, whole, here), seen_fields(run, whole, here)
    settings = run.recipe.evaluate
    card, curves = judge(
        translated,
        truth,
        inputs,
        (seen_fields(run, whole, train), true_fields(run, whole, train)),
        samples=None if samples is None else _by_field(run, samples),
        bootstrap=settings.bootstrap,
        seed=settings.seed,
        looks=looks,
        seconds_per_sample=seconds,
    )
    examples = _examples(whole[run.recipe.inputs].isel(sample=here), truth, translated)
    return card, curves, examples.assign(_domains(whole, examples))


def judged_elsewhere(run: Run, own: Samples, ds: xr.Dataset, translated: xr.Dataset) -> dict[str, Any]:
    """Judge the translation of another suite beside the same baselines, fitted on the run's train side.

    Args:
        run: The run.
        own: The samples that it was trained on.
        ds: The other suite.
        translated: Its translation.

    Returns:
        The content of ``metrics.json``.
    """
    from skyloom.evaluate.translation import judge

    whole, train = store.open(own.reader.folder), own.rows_of(run.split.sides["train"])
    every = np.arange(ds.sizes["sample"])
    card, _ = judge(
        translated,
        true_fields(run, ds, every),
        seen_fields(run, ds, every),
        (seen_fields(run, whole, train), true_fields(run, whole, train)),
        bootstrap=run.recipe.evaluate.bootstrap,
        seed=run.recipe.evaluate.seed,
    )
    return card


def _by_field(run: Run, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Draws of each target in the unit in which the run gives it, shape ``(n, k, H, W)``."""
    restored = run.restored(samples)
    return {name: restored[:, :, channel] for channel, name in enumerate(run.recipe.targets)}


def true_fields(run: Run, ds: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
    """Return the true target fields of some samples, in the units in which the run gives them.

    Args:
        run: The run.
        ds: The field set that it was trained on, or another one.
        rows: Rows of the samples.
    """
    found = ds[run.recipe.targets].isel(sample=rows).load()
    for name, about in run.about_targets().items():
        values = run.field(found, name)
        if about["space"] == "transformed":
            values, _ = run.transforms.pipelines[name].apply(values)
        found[name] = (found[name].dims, values, about)
    return found


def seen_fields(run: Run, ds: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
    """Return what the network sees of some samples: the inputs, transformed, without units.

    Args:
        run: The run.
        ds: The field set that it was trained on, or another one.
        rows: Rows of the samples.
    """
    raw = ds[run.recipe.inputs].isel(sample=rows).load()
    maps = run.inputs({name: run.field(raw, name) for name in run.recipe.inputs})
    for channel, name in enumerate(run.recipe.inputs):
        raw[name] = (raw[name].dims, maps[:, channel], {**raw[name].attrs, "units": ""})
    return raw


def explain_critic(run: Run, data: Samples, rows: np.ndarray, labels: Sequence[str]) -> list[Path]:
    """Ask of a run with a critic what it looks at in true maps, generated ones and those of its input.

    Args:
        run: The run.
        data: Its samples.
        rows: Rows of the samples that are shown.
        labels: A name for each explanation of the recipe, in their order.

    Returns:
        The files written, one for each explanation and kind of map.
    """
    import torch

    from skyloom.api.data import write_dataset
    from skyloom.explain.context import Context
    from skyloom.explain.critic import CriticScore, judged_maps

    raw = data.maps(rows)
    transformed, _ = run.transforms.apply({name: raw[name] for name in (*run.recipe.targets, *data.inputs)})
    maps, truth = (
        torch.from_numpy(np.stack([transformed[name] for name in names], axis=1).astype(np.float32))
        for names in (data.inputs, run.recipe.targets)
    )
    table, written = data.reader.table.isel(sample=rows), []
    for kind, seen in judged_maps(run.method, maps, truth).items():
        context = Context(
            truth=np.zeros((len(rows), 1)),
            raw=seen.numpy(),
            transform=torch.from_numpy,
            groups=table["group"].values,
            parameters=[f"critic of {kind}"],
            periodic=data.periodic,
        )
        for label, spec in zip(labels, run.recipe.explain, strict=True):
            found = registry.build(spec, "explanation").explain(
                CriticScore(run.method), seen, 0, generator=torch.Generator().manual_seed(0), context=context
            )
            target = run.folder.path_of(f"explain/{label}-critic-{kind}.nc")
            coords = {name: ("sample", table[name].values) for name in ("sample", "group", "parent")}
            write_dataset(target, found.assign_coords(coords))
            written.append(target)
    return written


def write_maps(path: Path, ds: xr.Dataset) -> None:
    """Write maps as netCDF-4, atomically: float32, rounded to ``MANTISSA`` bits and compressed.

    Args:
        path: The file; folders are made.
        ds: Maps, each ``(sample, y, x)``.
    """
    small = ds.copy()
    for name, maps in ds.data_vars.items():
        small[name] = (maps.dims, round_bits(maps.values.astype(np.float32), MANTISSA), maps.attrs)
    packed = {name: {"zlib": True, "complevel": 4, "shuffle": True} for name in small.data_vars}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as whole:
        small.to_netcdf(whole, engine="h5netcdf", encoding=packed)


def _examples(inputs: xr.Dataset, truth: xr.Dataset, translated: xr.Dataset) -> xr.Dataset:
    """A few samples of as many simulations as there are, never chosen by how well they came out."""
    rows = spread_over(truth["group"].values, EXAMPLES)
    parts: dict[str, Any] = {}
    for role, ds in (("input", inputs), ("truth", truth), ("translated", translated)):
        few = ds.isel(sample=rows).load()
        parts |= {f"{role}.{name}": maps for name, maps in few.data_vars.items()}
    return truth.isel(sample=rows).drop_vars(list(truth.data_vars)).assign(parts)


def _domains(whole: xr.Dataset, examples: xr.Dataset) -> dict[str, Any]:
    """All fields of the samples shown, where the set has many that the recipe need not name."""
    names = [str(name) for name, maps in whole.data_vars.items() if maps.dims == ("sample", "y", "x")]
    if len(names) < DOMAINS:
        return {}
    rows = np.flatnonzero(np.isin(whole["sample"].values, examples["sample"].values))
    few = whole[names].isel(sample=rows).load().sel(sample=examples["sample"].values)
    return {f"domain.{name}": few[name] for name in names}
