"""A sample of an ensemble, read into memory: what the scorecard compares.

Real and generated sets must tell of the same thing: the same fields in the same units on boxes of the same
size. What they share of parameters is what a comparison at equal parameters can use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from skyloom import fields
from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields.convention import parameters as names_of_parameters


@dataclass(frozen=True)
class Ensemble:
    """Samples of one set.

    Args:
        data: The field set, loaded, with the fields that are compared and no others.
        groups: Group of each sample, shape ``(n,)``.
        theta: Shared parameters, shape ``(n, P)``, in their own units.
    """

    data: xr.Dataset
    groups: np.ndarray
    theta: np.ndarray

    def __len__(self) -> int:
        return int(self.data.sizes["sample"])

    @property
    def fields(self) -> list[str]:
        """Names of the fields."""
        return fields.fields(self.data)

    @property
    def dims(self) -> int:
        """Spatial axes: 2 for maps, 3 for cubes, 0 for numbers and events."""
        return max(
            sum(dim in "xyz" for dim in map(str, field.dims)) for field in self.data.data_vars.values()
        )

    @property
    def table(self) -> bool:
        """Whether every field is one number a sample."""
        return all(field.dims == ("sample",) for field in self.data.data_vars.values())

    def values(self, name: str) -> np.ndarray:
        """Values of a field, shape ``(n, ...)``, in its unit."""
        return np.asarray(self.data[name].values)

    def stacked(self) -> np.ndarray:
        """All fields, shape ``(n, C, ...)``, double precision."""
        return np.stack([self.values(name) for name in self.fields], axis=1).astype(np.float64)

    def take(self, rows: np.ndarray) -> Ensemble:
        """Some of the samples.

        Args:
            rows: Their places.
        """
        return Ensemble(self.data.isel(sample=rows), self.groups[rows], self.theta[rows])


def shared_parameters(
    real: xr.Dataset, others: Sequence[xr.Dataset], wanted: Sequence[str] | None
) -> list[str]:
    """Return the numbers that every set knows of its samples and that vary in the real one.

    Args:
        real: The real set.
        others: The sets compared with it.
        wanted: Only these; None for all, ``redshift`` among them.

    Raises:
        UsageError: One of ``wanted`` is not known of all sets.

    Example:
        >>> from skyloom.fields import example
        >>> shared_parameters(example(), [example(seed=1)], None)
        ['x_HI', 'HII_EFF_FACTOR', 'redshift']
    """
    sets = [real, *others]
    known = [[*names_of_parameters(ds), "redshift"] for ds in sets]
    shared = [name for name in known[0] if all(name in names for names in known)]
    # The label of a slice repeats that of its box.
    shared = [name for name in shared if name.removesuffix("_slice") == name or name in (wanted or ())]
    usable = [
        name
        for name in shared
        if all(np.isfinite(ds[name].values).all() for ds in sets) and np.ptp(real[name].values) > 0
    ]
    for name in wanted or ():
        if name not in usable:
            raise UsageError(
                f"parameter {name!r} is not known of the samples of all sets, or does not vary",
                hint=nearest(name, usable),
            )
    return usable if wanted is None else list(wanted)


def as_numbers(ds: xr.Dataset) -> xr.Dataset:
    """Return a set of maps of one pixel as one of numbers; other sets as they are.

    Args:
        ds: A field set.

    Example:
        >>> as_numbers(xr.Dataset({"nHit": (("sample", "y", "x"), [[[20.0]], [[31.0]]])}))["nHit"].dims
        ('sample',)
    """
    if ds.sizes.get("y") == ds.sizes.get("x") == 1:
        return ds.isel(y=0, x=0, drop=True)
    return ds


def gather(
    ds: xr.Dataset, names: Sequence[str], parameters: Sequence[str], *, maximum: int, seed: int
) -> Ensemble:
    """Check a field set and read at most so many of its samples.

    Args:
        ds: A field set, lazy or not.
        names: Fields that are read.
        parameters: Names of the shared parameters.
        maximum: Largest number of samples; more are drawn from without replacement.
        seed: Seed of that draw.

    Raises:
        FieldSetError: The set breaks the convention, or holds NaN or infinity.
    """
    n = ds.sizes["sample"]
    if n > maximum:
        ds = ds.isel(sample=np.sort(np.random.default_rng(seed).choice(n, maximum, replace=False)))
    data = as_numbers(ds[list(names)].load())
    fields.check_values(data)
    theta = (
        np.stack([np.asarray(data[name].values, float) for name in parameters], axis=1)
        if parameters
        else None
    )
    groups = data["group"].values.astype(str)
    return Ensemble(data, groups, np.zeros((len(groups), 0)) if theta is None else theta)


def common_fields(
    real: xr.Dataset, other: xr.Dataset, what: str, wanted: Sequence[str] | None = None
) -> list[str]:
    """Return the fields of two sets that can be compared.

    Args:
        real: The real set.
        other: The other set.
        what: What the other is called in a message.
        wanted: Only these fields; None for all that both have.

    Raises:
        FieldSetError: A set breaks the convention.
        DataError: No field is in both, or units, shapes or boxes differ; the message says which.

    Example:
        >>> from skyloom.fields import example
        >>> common_fields(example(), example(seed=1), "generated")
        ['T_b', 'neutral_fraction']
    """
    for ds, which in ((real, "real"), (other, what)):
        if "channel" in ds.dims:
            raise DataError(
                f"the {which} set holds the channels of its events, and a scorecard compares numbers",
                hint="measure them with statistics.events.EventObservables; give a field set of its numbers",
            )
        fields.check(ds)
    mine, theirs = fields.fields(real), fields.fields(other)
    names = [name for name in mine if name in theirs] if wanted is None else list(wanted)
    for name in names:
        if name not in mine or name not in theirs:
            raise DataError(
                f"field {name!r} is not in both sets", hint=nearest(name, [f for f in mine if f in theirs])
            )
        shapes = [tuple(ds[name].sizes[d] for d in ds[name].dims[1:]) for ds in (real, other)]
        if shapes[0] != shapes[1]:
            raise DataError(
                f"field {name!r} is {shapes[0]} in the real set and {shapes[1]} in the {what} one",
                hint="bring both to the same size (fields.project)",
            )
        units = [str(ds[name].attrs["units"]) for ds in (real, other)]
        if units[0] != units[1]:
            raise DataError(
                f"field {name!r} is in {units[0]!r} in the real set and in {units[1]!r} in the {what} one",
                hint="convert one of the two",
            )
    if not names:
        raise DataError(f"the real and the {what} set share no field: {', '.join(mine)}; {', '.join(theirs)}")
    boxes = [
        (ds.attrs["box_size"], ds.attrs["box_size_unit"], bool(ds.attrs["periodic"])) for ds in (real, other)
    ]
    if boxes[0][1:] != boxes[1][1:] or not np.isclose(boxes[0][0], boxes[1][0]):
        raise DataError(f"boxes (side, unit, periodic) differ: real {boxes[0]}, {what} {boxes[1]}")
    return names
