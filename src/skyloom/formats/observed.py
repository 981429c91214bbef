"""A field set through instruments: beside a field stands what a telescope sees of it.

The true field and the seen one lie on the same pixels of the same samples, so a network can be asked for the
one from the other, or for parameters from what is seen. Cubes are observed before maps are cut from them.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import NDArray

from skyloom import registry
from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import add_step, check, provenance
from skyloom.fields import fields as fields_of
from skyloom.fields.store.manifest import MANIFEST
from skyloom.instruments.base import Instrument, Scene
from skyloom.registry import Kind
from skyloom.runs import input_file
from skyloom.units import convert

if TYPE_CHECKING:
    import xarray as xr

Step = Annotated[dict[str, Any], Kind("instrument")]


class Observed:
    """A field set, and what instruments see of one of its fields, as a further field ``FIELD_seen``.

    Args:
        path: The field set, or a native file.
        field: What is observed.
        steps: Instruments, in order: ``interferometer``, ``beam``, ``wedge``.
        redshift: Of all samples; null for their own.
        comoving: Whether the lengths of the set are comoving, as those of a cosmological box are.
        seed: Seed of all noise and foregrounds; every sample has its own.

    Raises:
        UsageError: There is no step.
    """

    def __init__(
        self,
        *,
        path: str,
        field: str = "T_b",
        steps: list[Step],
        redshift: float | None = None,
        comoving: bool = True,
        seed: int = 0,
    ) -> None:
        if not steps:
            raise UsageError("format 'observed': no instrument is named", hint="steps: [interferometer]")
        self.path, self.field, self.redshift = Path(path), field, redshift
        self.comoving, self.seed = comoving, seed
        self.specs = [registry.resolve(step, "instrument") for step in steps]

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return False: what instruments stand before a file is to be said."""
        return False

    def read(self) -> xr.Dataset:
        """Return the field set with one more field, lazily.

        Raises:
            DataError: There is no such field, or a sample has no redshift.
        """
        import dask
        import dask.array as da

        from skyloom.formats import read

        ds = read(self.path)
        there = [name for name in fields_of(ds) if ds[name].ndim > 2]
        if self.field not in there:
            raise DataError(f"there is no field {self.field!r} to observe", hint=nearest(self.field, there))
        scenes = self._scenes(ds)
        field = ds[self.field]
        shape, dtype = field.shape[1:], np.dtype(np.float32)
        steps: list[Instrument] = [registry.build(spec, "instrument") for spec in self.specs]
        ids = ds["sample"].values.astype(str).tolist()
        one = dask.delayed(observe, pure=False)
        seen = da.stack(
            [
                da.from_delayed(one(field[row].data, steps, scene, name, self.seed), shape, dtype)
                for row, (scene, name) in enumerate(zip(scenes, ids, strict=True))
            ]
        )
        about = {**field.attrs, "long_name": f"{field.attrs['long_name']}, as seen"}
        seen_set = ds.assign({f"{self.field}_seen": (field.dims, seen, about)})
        record, manifest = provenance(ds), self.path / MANIFEST
        if manifest.is_file():
            record["inputs"] = [*record["inputs"], input_file(manifest)]
        step = {"step": "observe", "field": self.field, "instruments": self.specs, "seed": self.seed}
        made = add_step(seen_set.assign_attrs(provenance=json.dumps(record)), step)
        check(made)
        return made

    def _scenes(self, ds: xr.Dataset) -> list[Scene]:
        """Return what instruments are told of each sample."""
        unit = str(ds.attrs["box_size_unit"])
        if not unit:
            raise DataError("the box has no length, so no angle", hint="give the set a unit of length")
        side = float(convert(ds.attrs["box_size"], unit, "Mpc"))
        own = ds["redshift"].values.astype(float)
        redshifts = own if self.redshift is None else np.full(len(own), self.redshift)
        bad = ~(np.isfinite(redshifts) & (redshifts > 0))
        if bad.any():
            raise DataError(
                f"{str(ds['sample'].values[bad][0])!r} has redshift {redshifts[bad][0]}, allowed: above 0",
                hint="give one for all samples: redshift",
            )
        return [
            Scene(
                side if self.comoving else side * (1 + float(z)), float(z), bool(ds.attrs["periodic"]),
                str(ds[self.field].attrs["units"]),
            )
            for z in redshifts
        ]  # fmt: skip


def observe(
    sky: NDArray[Any], steps: list[Instrument], scene: Scene, name: str, seed: int
) -> NDArray[np.float32]:
    """Return what instruments see of one sample, one after the other.

    Args:
        sky: Map ``(H, W)`` or cube ``(D, H, W)``.
        steps: The instruments.
        scene: What the set tells of the sample.
        name: Its id, from which its noise follows.
        seed: Of the set.
    """
    seen = np.asarray(sky, dtype=np.float64)
    for place, step in enumerate(steps):
        own = np.random.SeedSequence([seed, zlib.crc32(name.encode()), place]).generate_state(1, np.uint64)
        seen = step.observe(seen, scene, seed=int(own[0]))
    return seen.astype(np.float32)
