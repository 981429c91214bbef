"""What a field set is, and the one function that checks it.

A field set is an ``xarray.Dataset``: samples (maps, cubes or numbers) along the dimension ``sample``, one
data variable a field with its unit, and beside every sample where it came from (`group`, `seed`, `parent`,
`axis`, `position`) and what is known of it (parameters of the simulation, labels measured from it).
``docs/reference/field-set.md`` is the written form of what stands here; a test compares the two.

A lazy field set stays lazy: ``check`` looks at dimensions, coordinates and attributes; only ``check_values``
reads the maps.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr

from skyloom import units
from skyloom.errors import FieldSetError, UnitError, UsageError, nearest

CONVENTION = "skyloom-1"
"""The version of the convention, the attribute ``convention`` of every field set."""

LAYOUTS: tuple[tuple[str, ...], ...] = (("sample",), ("sample", "y", "x"), ("sample", "z", "y", "x"))
"""The dimensions that a field may have: numbers, maps, cubes."""

ATTRIBUTES: Mapping[str, str] = {
    "convention": "text",
    "suite": "text",
    "realism": "text",
    "box_size": "number",
    "box_size_unit": "text",
    "periodic": "0 or 1",
    "provenance": "JSON text",
}
"""Attributes that every field set has, and the kind of value of each."""

OPTIONAL_ATTRIBUTES: Mapping[str, str] = {"parent_size": "number", "parent_periodic": "0 or 1"}
"""Attributes of a set whose maps do not span the box that they were cut from."""

REALISM = ("toy", "painted", "semi-numerical", "simulation")
"""How close to nature a suite is, from least to most."""

FIELD_ATTRIBUTES: Mapping[str, str] = {"units": "text", "long_name": "text", "rank": "0, 1 or 2"}
"""Attributes that every field has (and ``component`` where its rank is not 0)."""

COORDINATES: Mapping[str, str] = {
    "sample": "text",
    "group": "text",
    "seed": "integer",
    "parent": "text",
    "axis": "text",
    "position": "float",
    "thickness": "float",
    "redshift": "float",
}
"""Coordinates on ``sample`` that every field set has, and the kind of value of each."""

LABEL_ATTRIBUTES: Mapping[str, str] = {
    "role": "text",
    "units": "text",
    "long_name": "text",
    "low": "number",
    "high": "number",
    "classes": "JSON text",
}
"""Attributes of every other coordinate; ``low`` and ``high`` may be absent where the role is ``label``.

``classes`` stands where the numbers are codes of named classes; then there is no prior range."""

AXES = ("x", "y", "z", "")
"""Values of the coordinate ``axis``; empty for a sample that was not cut along an axis."""

ROLES = ("parameter", "label")
"""A parameter went into the simulation; a label was measured from it."""

PROVENANCE = ("inputs", "code", "seeds", "steps")
"""Keys of the provenance."""

COMPONENTS: Mapping[int, tuple[str, ...]] = {
    1: ("x", "y", "z"),
    2: tuple(a + b for a in "xyz" for b in "xyz"),
}
"""Components that a field of rank 1 or 2 may name."""

_KINDS = {"text": "UOT", "integer": "iu", "float": "f"}


def check(ds: xr.Dataset) -> None:
    """Raise unless a dataset follows the convention; map values are not read.

    Args:
        ds: Any dataset.

    Raises:
        FieldSetError: The convention is broken; the message lists every fault, one a line.

    Example:
        >>> check(xr.Dataset())
        Traceback (most recent call last):
        skyloom.errors.FieldSetError: not a field set, 16 faults:
        ...
    """
    found = [*_attribute_faults(ds.attrs), *_field_faults(ds), *_coordinate_faults(ds), *_label_faults(ds)]
    if found:
        listed = "\n".join(f"  - {fault}" for fault in found)
        raise FieldSetError(
            f"not a field set, {len(found)} fault{'s' if len(found) > 1 else ''}:\n{listed}",
            hint="docs/reference/field-set.md is the written convention; fields.build makes a valid set",
        )


def _attribute_faults(attributes: Mapping[Any, Any]) -> Iterator[str]:
    """Yield what is wrong with the attributes of the set."""
    for name, kind in {**ATTRIBUTES, **OPTIONAL_ATTRIBUTES}.items():
        if name not in attributes:
            if name in ATTRIBUTES:
                yield f"the attribute {name!r} is missing"
            continue
        value = attributes[name]
        if not _is_kind(value, kind):
            yield f"the attribute {name!r} is {value!r}, allowed: {kind}"
        elif name in ("box_size", "parent_size") and not value > 0:
            yield f"the attribute {name!r} is {value!r}, allowed: more than 0"
    if attributes.get("convention", CONVENTION) != CONVENTION:
        yield f"the attribute 'convention' is {attributes['convention']!r}, allowed: {CONVENTION!r}"
    realism = attributes.get("realism", "toy")
    if realism not in REALISM:
        yield f"the attribute 'realism' is {realism!r}, {nearest(str(realism), REALISM)}"
    unit = attributes.get("box_size_unit", "")
    if isinstance(unit, str) and unit:
        try:
            if not units.is_length(unit):
                yield f"the attribute 'box_size_unit' is {unit!r}, allowed: a length, or '' for code units"
        except UnitError as error:
            yield f"the attribute 'box_size_unit': {error.message} ({error.hint})"
    if _is_kind(attributes.get("provenance"), "JSON text"):
        missing = [key for key in PROVENANCE if key not in json.loads(attributes["provenance"])]
        if missing:
            yield f"the provenance has no {', '.join(missing)}; it holds {', '.join(PROVENANCE)}"


def _field_faults(ds: xr.Dataset) -> Iterator[str]:
    """Yield what is wrong with the data variables; their values are not read."""
    if not ds.data_vars:
        yield "there is no field"
    for name, field in ds.data_vars.items():
        if field.dims not in LAYOUTS:
            allowed = " or ".join(str(dims) for dims in LAYOUTS)
            yield f"the field {name!r} has dimensions {field.dims}, allowed: {allowed}"
        if field.dtype.kind not in "fiub":
            yield f"the field {name!r} has type {field.dtype}, allowed: real numbers"
        yield from _unit_faults(f"the field {name!r}", field.attrs)
        rank = field.attrs.get("rank")
        if not isinstance(rank, int | np.integer) or rank not in (0, 1, 2):
            yield f"the field {name!r} has rank {rank!r}, allowed: 0 (scalar), 1 (vector component), 2"
        elif rank and field.attrs.get("component") not in COMPONENTS[int(rank)]:
            allowed = ", ".join(COMPONENTS[int(rank)])
            yield f"the field {name!r} has component {field.attrs.get('component')!r}, allowed: {allowed}"
    if "y" in ds.sizes and "x" in ds.sizes and ds.sizes["y"] != ds.sizes["x"]:
        yield f"maps are {ds.sizes['y']} × {ds.sizes['x']}, allowed: squares, because box_size is one number"


def _coordinate_faults(ds: xr.Dataset) -> Iterator[str]:
    """Yield what is wrong with the coordinates that every set has."""
    for name, kind in COORDINATES.items():
        if name not in ds.coords:
            yield f"the coordinate {name!r} is missing"
        elif ds[name].dtype.kind not in _KINDS[kind]:
            yield f"the coordinate {name!r} has type {ds[name].dtype}, allowed: {kind}"
    if "sample" in ds.coords:
        ids, counts = np.unique(ds["sample"].values.astype(str), return_counts=True)
        if (counts > 1).any():
            yield f"{(counts > 1).sum()} sample ids are not unique, e.g. {str(ids[counts > 1][0])!r}"
    if "axis" in ds.coords:
        strange = sorted(set(ds["axis"].values.astype(str).tolist()) - set(AXES))
        if strange:
            yield f"the coordinate 'axis' holds {strange[0]!r}, allowed: {', '.join(map(repr, AXES))}"
    size: Any = ds.attrs.get("parent_size", ds.attrs.get("box_size"))
    for name in ("position", "thickness"):
        if _is_kind(size, "number") and name in ds.coords and ds[name].dtype.kind == "f":
            values = ds[name].values
            outside = ~((values >= 0) & (values <= size * (1 + 1e-6)))
            if outside.any():
                yield f"{_first(ds, outside)} has {name} {values[outside][0]:.6g}, allowed: 0 to {size:.6g}"


def _label_faults(ds: xr.Dataset) -> Iterator[str]:
    """Yield what is wrong with parameters and labels."""
    for name, label in ds.coords.items():
        what = f"the coordinate {name!r}"
        if label.dims != ("sample",):
            yield f"{what} has dimensions {label.dims}, allowed: ('sample',)"
        if name in COORDINATES or label.dims != ("sample",):
            continue
        if label.attrs.get("role") not in ROLES:
            yield f"{what} has role {label.attrs.get('role')!r}, allowed: {', '.join(ROLES)}"
        if label.dtype.kind != "f":
            yield f"{what} has type {label.dtype}, allowed: float"
            continue
        yield from _unit_faults(what, label.attrs)
        if not np.isfinite(label.values).all():
            yield f"{what} is not finite for {_first(ds, ~np.isfinite(label.values))}"
        if "classes" in label.attrs:
            yield from _class_faults(ds, str(name))
            continue
        ends = [label.attrs.get("low"), label.attrs.get("high")]
        if ends == [None, None] and label.attrs.get("role") == "label":
            continue
        if not all(_is_kind(end, "number") for end in ends) or not ends[0] < ends[1]:
            yield f"{what} has the prior range {ends}, allowed: numbers low < high"
            continue
        margin = 1e-6 * (ends[1] - ends[0])  # values may have been stored as float32
        outside = (label.values < ends[0] - margin) | (label.values > ends[1] + margin)
        if outside.any():
            value = f"{label.values[outside][0]:.6g}"
            yield f"{what} is {value} for {_first(ds, outside)}, outside its prior range {ends}"


def _class_faults(ds: xr.Dataset, name: str) -> Iterator[str]:
    """Yield what is wrong with a coordinate whose numbers are codes of classes."""
    what, label = f"the coordinate {name!r}", ds[name]
    text = label.attrs["classes"]
    names = json.loads(text) if _is_kind(text, "JSON text") else {}
    words = [word for word in names.values() if isinstance(word, str) and word]
    whole = [key for key in names if key.lstrip("-").isdecimal() and str(int(key)) == key]
    if len(set(words)) < max(len(names), 2) or len(whole) < len(names):
        yield f"{what} has classes {text!r}, allowed: a JSON object of whole numbers, each with its own name"
        return
    unknown = ~np.isin(label.values, [int(key) for key in names])
    if unknown.any():
        value = f"{label.values[unknown][0]:g}"
        yield f"{what} is {value} for {_first(ds, unknown)}, allowed: {', '.join(names)}"


def class_names(ds: xr.Dataset, name: str) -> dict[int, str]:
    """Return the classes of a coordinate, code to name, by code; empty where its numbers are no codes.

    Args:
        ds: A field set, or its coordinates alone.
        name: A parameter or label.

    Example:
        >>> codes = {"role": "label", "classes": '{"0": "none", "2": "streaming"}'}
        >>> class_names(xr.Dataset(coords={"transport": ("sample", [2.0, 0.0], codes)}), "transport")
        {0: 'none', 2: 'streaming'}
    """
    names: dict[str, str] = json.loads(ds[name].attrs.get("classes", "{}"))
    return {code: names[str(code)] for code in sorted(int(key) for key in names)}


def _unit_faults(what: str, attributes: Mapping[Any, Any]) -> Iterator[str]:
    try:
        units.parse(attributes.get("units"))
    except UnitError as error:
        yield f"{what}: {error.message} ({error.hint})"
    if not (isinstance(attributes.get("long_name"), str) and attributes["long_name"]):
        yield f"{what} has no long_name"


def _first(ds: xr.Dataset, where: np.ndarray) -> str:
    """Name the first sample of a selection, and how many there are."""
    names = ds["sample"].values if "sample" in ds.coords else np.arange(ds.sizes["sample"])
    return f"{str(names[where][0])!r}" + (f" and {where.sum() - 1} more" if where.sum() > 1 else "")


def _is_kind(value: Any, kind: str) -> bool:
    """Tell whether an attribute is of a kind named in ``ATTRIBUTES``."""
    if kind == "text":
        return isinstance(value, str)
    if kind == "JSON text":
        try:
            return isinstance(json.loads(value), dict)
        except (TypeError, ValueError):
            return False
    number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if kind == "0 or 1":
        return number and value in (0, 1)
    return number and math.isfinite(value)


def check_values(ds: xr.Dataset) -> None:
    """Raise if a map holds NaN or infinity; a lazy field set is read block by block.

    Args:
        ds: A field set.

    Raises:
        FieldSetError: The message names the field, the first samples, and how many there are.

    Example:
        >>> from skyloom import fields
        >>> check_values(fields.example())
    """
    found = []
    ids = ds["sample"].values
    for name, field in ds.data_vars.items():
        finite: xr.DataArray = xr.apply_ufunc(np.isfinite, field, dask="allowed")
        bad = ~finite.all([dim for dim in field.dims if dim != "sample"]).values
        if bad.any():
            listed = ", ".join(repr(str(sample)) for sample in ids[bad][:5])
            rest = f" and {bad.sum() - 5} more" if bad.sum() > 5 else ""
            found.append(f"  - the field {name!r} of {listed}{rest}")
    if found:
        raise FieldSetError(
            "NaN or infinity in\n" + "\n".join(found),
            hint="drop these samples, or repair the file they come from",
        )


def fields(ds: xr.Dataset) -> list[str]:
    """Return the names of the fields, in the order of the set.

    Args:
        ds: A field set.

    Example:
        >>> from skyloom.fields import example
        >>> fields(example())
        ['T_b', 'neutral_fraction']
    """
    return [str(name) for name in ds.data_vars]


def parameters(ds: xr.Dataset, role: str | None = None) -> list[str]:
    """Return the names of the numbers known of every sample, in the order of the set.

    Args:
        ds: A field set, or its coordinates alone.
        role: ``parameter`` (inputs of the simulation) or ``label`` (measured from it); left out, both.

    Raises:
        UsageError: The role is neither.

    Example:
        >>> from skyloom.fields import example
        >>> parameters(example())
        ['x_HI', 'x_HI_slice', 'HII_EFF_FACTOR']
        >>> parameters(example(), role="parameter")
        ['HII_EFF_FACTOR']
    """
    if role is not None and role not in ROLES:
        raise UsageError(f"role {role!r} is unknown", hint=nearest(role, ROLES))
    wanted = ROLES if role is None else (role,)
    return [str(name) for name, label in ds.coords.items() if label.attrs.get("role") in wanted]


def parent_box(ds: xr.Dataset) -> tuple[float, bool]:
    """Return side [box_size_unit] and periodicity of the boxes that the samples were cut from.

    ``position`` and ``thickness`` are measured in it. It is the maps' own box unless they are windows of it.

    Args:
        ds: A field set.

    Example:
        >>> from skyloom.fields import example
        >>> parent_box(example())
        (128.0, True)
    """
    size = ds.attrs.get("parent_size", ds.attrs["box_size"])
    return float(size), bool(ds.attrs.get("parent_periodic", ds.attrs["periodic"]))


def subset(ds: xr.Dataset, ids: Iterable[str]) -> xr.Dataset:
    """Return the samples with these ids, in their order; a lazy set stays lazy.

    Args:
        ds: A field set.
        ids: Sample ids, each one present in the set.

    Raises:
        FieldSetError: An id is not in the set.

    Example:
        >>> from skyloom.fields import example
        >>> subset(example(), ["toy1-z8-s0"]).sizes["sample"]
        1
    """
    place = {str(sample): row for row, sample in enumerate(ds["sample"].values)}
    wanted = [str(sample) for sample in ids]
    unknown = [sample for sample in wanted if sample not in place]
    if unknown:
        raise FieldSetError(
            f"{len(unknown)} of {len(wanted)} sample ids are not in the field set, e.g. {unknown[0]!r}",
            hint=f"the set holds {len(place)} samples; its ids are in ds['sample']",
        )
    return ds.isel(sample=np.array([place[sample] for sample in wanted], dtype=np.int64))


def add_step(ds: xr.Dataset, step: Mapping[str, Any]) -> xr.Dataset:
    """Return the set with one more step in its provenance.

    Args:
        ds: A field set.
        step: What was done, as JSON values; the key ``step`` names it.

    Raises:
        UsageError: The step has no name or is not JSON.

    Example:
        >>> from skyloom.fields import example
        >>> provenance(add_step(example(), {"step": "select", "low": 0.1}))["steps"][-1]
        {'step': 'select', 'low': 0.1}
    """
    if "step" not in step:
        raise UsageError(f"a step of the provenance has no name: {dict(step)!r}", hint="give the key 'step'")
    record = provenance(ds)
    record["steps"] = [*record["steps"], dict(step)]
    try:
        text = json.dumps(record)
    except TypeError as error:
        raise UsageError(
            f"step {step['step']!r} is not JSON: {error}", hint="use text and numbers"
        ) from error
    return ds.assign_attrs(provenance=text)


def provenance(ds: xr.Dataset) -> dict[str, Any]:
    """Return the provenance of a set: inputs, code, seeds and the steps applied.

    Args:
        ds: A field set.

    Example:
        >>> from skyloom.fields import example
        >>> provenance(example())["seeds"]
        [0]
    """
    record: dict[str, Any] = json.loads(ds.attrs["provenance"])
    return record
