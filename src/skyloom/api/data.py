"""From a recipe's source to samples that can be split: simulate or import once, select, balance."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skyloom import fields, registry
from skyloom.errors import DataError, nearest
from skyloom.fields import store
from skyloom.fields.project import cut
from skyloom.fields.regrid import add_coarse
from skyloom.fields.selection import balance, select
from skyloom.runs import atomic_path

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.recipe import Recipe
    from skyloom.runs import RunFolder

Progress = Callable[[int, int], None]
FOLDER = "SKYLOOM_DATA"  #: environment variable: where simulated and imported sets are kept
BLOCK = 512  #: maps read at once


@dataclass(frozen=True)
class Samples:
    """The samples of a stored field set that a recipe uses.

    Args:
        reader: The stored field set.
        rows: Their rows in it, shape ``(n,)``.
        fields: Fields that the network sees, in the order of its channels; behind them those that it is to
            give.
        targets: How many of the fields the network is to give.
        coarse: Fields that are averages of others, each with the field that it was made of.
    """

    reader: store.Reader
    rows: np.ndarray
    fields: tuple[str, ...]
    targets: int = 0
    coarse: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Fields that the network sees, in the order of its channels."""
        return self.fields[: len(self.fields) - self.targets]

    @property
    def table(self) -> xr.Dataset:
        """Coordinates of the samples."""
        return self.reader.table.isel(sample=self.rows)

    @property
    def box(self) -> float:
        """Comoving side of a map, in the set's own unit."""
        return float(self.reader.attrs["box_size"])

    @property
    def periodic(self) -> bool:
        """Whether opposite edges of a map touch."""
        return bool(self.reader.attrs["periodic"])

    @property
    def size(self) -> int:
        """Pixels along one side of a map."""
        return int(self.reader.shape(self.fields[0])[-1])

    def rows_of(self, ids: tuple[str, ...]) -> np.ndarray:
        """Return the rows of sample ids, in the order of the file."""
        return np.sort(self.rows[np.isin(self.reader.ids[self.rows], np.asarray(ids, dtype=str))])

    def maps(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return raw maps, each field ``(n, H, W)`` in its unit."""
        return {name: self.reader.read(name, rows) for name in self.fields}


def samples(recipe: Recipe, *, progress: Progress | None = None) -> Samples:
    """Return the samples of a recipe; what is not there yet is simulated or imported first.

    Args:
        recipe: The recipe.
        progress: Called with (done, all) while simulations or shards are made.

    Returns:
        The samples after ``select`` and ``balance``.

    Raises:
        DataError: A field or label is not in the data, or no sample is left.
    """
    reader = store.Reader(stored(recipe, progress=progress))
    for name in recipe.data.fields:
        if name not in reader.fields:
            raise DataError(
                f"field {name!r} of the recipe is not in {recipe.data.source['name']}",
                hint=nearest(name, reader.fields),
            )
    keep = select(reader.table, recipe.data.select)
    rows = np.flatnonzero(keep)
    if recipe.data.balance is not None:
        settings = recipe.data.balance.model_dump()
        rows = rows[balance(reader.table.isel(sample=rows), **settings)]
    coarse = {name: own.of for name, own in recipe.data.coarse.items()}
    return Samples(reader, rows, (*recipe.inputs, *recipe.targets), len(recipe.targets), coarse)


def stored(recipe: Recipe, *, progress: Progress | None = None) -> Path:
    """Return the folder of the recipe's field set, made now where it is not there yet."""
    whole, coarse = _imported(recipe, progress=progress), recipe.data.coarse
    if not coarse:
        return whole
    told = {name: own.model_dump() for name, own in coarse.items()}
    folder = data_folder() / f"{recipe.data.source['name']}-{_digest([str(whole.name), told])}"
    if not store_at(folder):
        ds = store.open(whole)
        for name, own in told.items():
            ds = add_coarse(ds, name, **own)
        store.write(ds, folder, progress=progress)
    return folder


def _imported(recipe: Recipe, *, progress: Progress | None) -> Path:
    """The folder of the field set as its source and the cut have it."""
    source, maps = recipe.data.source, recipe.data.maps
    name = source["name"]
    if name in registry.names("simulator"):
        made = data_folder() / f"{name}-{_digest(source)}"
        # A finished set needs no engine; the versions that made it stand in its provenance.
        if not store_at(made):
            simulator = registry.build(source, "simulator")
            simulator.simulate(made, workers=os.cpu_count() or 1, progress=progress)
        if maps is None:
            return made
        ds = store.open(made)
        key: list[Any] = [source, maps.identity()]
    else:
        reader = registry.build(source, "format")
        if maps is None and (folder := getattr(reader, "folder", None)) and store_at(folder):
            return Path(folder)
        ds = reader.read()
        inputs = fields.provenance(ds)["inputs"]
        key = [source, maps and maps.identity(), [entry["sha256"] for entry in inputs]]
    folder = data_folder() / f"{name}-{_digest(key)}"
    if not store_at(folder):
        if maps is not None:
            ds = cut(ds, **maps.arguments())
        store.write(ds, folder, progress=progress)
    return folder


def check_same_data(run: RunFolder, data: Samples) -> None:
    """Raise unless the data are those that a run was trained on.

    Args:
        run: The run's folder.
        data: The samples that its recipe gives now.

    Raises:
        DataError: The stored set has other samples, or other values, than at the time of the training.
    """
    known = run.provenance.get("data", {})
    found = data_facts(data)
    if known and known != found:
        raise DataError(
            f"the data of {run.path} have changed since it was trained: {found}, trained on {known}",
            hint="bring the old data back, or train again with --force",
        )


def data_facts(data: Samples) -> dict[str, str]:
    """Return what tells one stored set from another: its name and the digests of its ids and its values."""
    values = hashlib.sha256("".join(shard.sha256 for shard in data.reader.shards).encode()).hexdigest()
    return {"folder": data.reader.folder.name, "ids_sha256": data.reader.ids_digest, "shards_sha256": values}


def store_at(folder: Path) -> bool:
    """Return whether a whole stored field set lies in a folder."""
    return (Path(folder) / "manifest.json").is_file()


def data_folder() -> Path:
    """Return where simulated and imported sets are kept: ``$SKYLOOM_DATA``, or ``data`` here."""
    return Path(os.environ.get(FOLDER, "data"))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def evenly(n: int, wanted: int | None) -> np.ndarray:
    """Return rows of a side in equal steps: its order is by simulation, so all have their share.

    Args:
        n: Samples of the side.
        wanted: How many are taken, more than once where there are fewer; None for all.

    Example:
        >>> evenly(10, 3).tolist(), evenly(2, 3).tolist()
        ([0, 3, 6], [0, 0, 1])
    """
    return np.arange(n) if wanted is None else (np.arange(wanted) * n // wanted) % n


def write_dataset(path: Path, ds: xr.Dataset) -> None:
    """Write a dataset as netCDF-4, atomically; folders are made.

    Args:
        path: The file.
        ds: What to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as whole:
        ds.to_netcdf(whole, engine="h5netcdf")
