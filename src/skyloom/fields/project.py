"""From cubes to maps: slices, slabs and windows that remember where they were cut.

A cube has the axes ``(z, y, x)``. A cut along ``z`` gives maps ``(y, x)``, along ``y`` maps ``(z, x)``, along
``x`` maps ``(z, y)``. Every map keeps the id of its cube (``parent``), the ``axis``, the ``position`` of its
lower face and its ``thickness``, both in box units, so a split can tell neighbours from strangers. In a
periodic box a slab may reach over the upper face and go on at the lower one. Lazy cubes give lazy maps; only
the neutral fraction is read, for its labels.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import FieldSetError, UsageError, nearest
from skyloom.fields.convention import add_step, check, parent_box
from skyloom.fields.regrid import regrid

KINDS = ("slice", "slab", "crop")
"""Slices are one cell deep, slabs go through several; crops are windows of maps."""

PROJECTIONS = ("mean", "log_mean", "column")
"""What a slab is made of: mean or geometric mean of its cells, or the integral along the line of sight."""

NEUTRAL = "neutral_fraction"
"""The field whose means become the labels ``x_HI`` (of the cube) and ``x_HI_slice`` (of the map)."""

_ALONG = {"z": 1, "y": 2, "x": 3}
# Directions of the box -> names in the frame of the map, whose rows are y, columns x, and line of sight z.
_FRAME = {
    "z": {"x": "x", "y": "y", "z": "z"},
    "y": {"x": "x", "z": "y", "y": "z"},
    "x": {"y": "x", "z": "y", "x": "z"},
}


def cut(
    ds: xr.Dataset,
    *,
    kind: str,
    axes: Sequence[str] = ("z",),
    count: int = 8,
    depth: float | None = None,
    of: str = "mean",
    size: int | None = None,
    crops: int = 1,
    cells: int | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Cut maps from the cubes of a field set, or windows from its maps.

    Args:
        ds: A field set of cubes ``(n, N, N, N)``; for ``crop`` one of maps ``(n, N, N)``.
        kind: ``slice`` (one cell deep), ``slab`` (projected over ``depth``), or ``crop`` (windows of maps).
        axes: Axes to cut along, any of ``x``, ``y``, ``z``; a crop keeps those of its maps.
        count: Maps cut from each cube along each axis, evenly spaced; or windows from each map.
        depth: Depth of a slab [box_size_unit], rounded to whole cells; ``thickness`` tells the exact one.
        of: What a slab holds: ``mean``; ``log_mean``, the geometric mean ``exp <ln f>``, where what is not
            positive counts as the smallest number; or ``column``, the integral along the line of sight, in
            the field's unit times that of the box.
        size: Side of a window in pixels; needed to crop, and left out for slices and slabs that keep the
            whole face.
        crops: Windows of that size from each slice or slab.
        cells: Cells a side that cubes (or the maps that are cropped) are first brought to, by averages over
            the new cells; left out, they keep their own.
        seed: Moves the evenly spaced positions, and places windows, at random but the same for the same
            sample id; left out, positions start at the lower face, and windows lie on a grid, which in a
            periodic map goes on over its edge: 16 windows of 128 pixels tile a map of 512, 64 are these and
            their copies moved by half a window.

    Returns:
        A field set of maps, in the order of cubes, axes and positions. Maps smaller than their box are not
        periodic any more; the attributes ``parent_size`` and ``parent_periodic`` then tell of the box. Labels
        ``x_HI`` (where it is not there yet) and ``x_HI_slice`` (of means) are computed from
        ``neutral_fraction``.

    Raises:
        UsageError: An argument is out of range, missing, or of no use for this kind.
        FieldSetError: The set holds no cubes (or no maps to crop), or vectors are cut along several axes.

    Example:
        >>> from skyloom import fields
        >>> cube = np.arange(2 * 4**3, dtype=float).reshape(2, 4, 4, 4)
        >>> ds = fields.build({"delta": (cube, "", "overdensity")}, ids=["a", "b"], groups=["a", "b"],
        ...                   seeds=[1, 2], box_size=40.0, suite="demo", realism="toy")
        >>> maps = cut(ds, kind="slab", axes=["z"], count=2, depth=20.0)
        >>> maps["sample"].values.tolist(), maps["position"].values.tolist()
        (['a-z000', 'a-z002', 'b-z000', 'b-z002'], [0.0, 20.0, 0.0, 20.0])
        >>> maps["delta"].values[0].tolist() == cube[0, :2].mean(axis=0).tolist()
        True
    """
    _check_arguments(kind, axes, count, depth, size)
    _check_choices(kind, of, size, crops)
    if cells is not None:
        ds = regrid(ds, cells)
    if kind == "crop":
        maps = _crop(ds, count, int(size or 0), seed)
    else:
        maps = _slabs(ds, axes, count, depth, of, seed)
        if size is not None and (size != maps.sizes["x"] or crops > 1):
            maps = _crop(maps, crops, size, seed)
    maps = _labelled(ds, maps, of)
    settings = {"kind": kind, "axes": list(axes), "count": count, "depth": depth, "size": size, "seed": seed}
    settings |= {"of": of} if kind == "slab" else {}
    settings |= {"crops": crops} if crops > 1 else {}
    maps = add_step(maps, {"step": "cut", **settings})
    check(maps)
    return maps


def _check_arguments(
    kind: str, axes: Sequence[str], count: int, depth: float | None, size: int | None
) -> None:
    if kind not in KINDS:
        raise UsageError(f"cut {kind!r} is unknown", hint=nearest(kind, KINDS))
    if not axes or len(set(axes)) != len(axes) or not set(axes) <= set(_ALONG):
        raise UsageError(f"axes are {list(axes)}, allowed: one or more of x, y, z, each once")
    if count < 1:
        raise UsageError(f"count is {count!r}, allowed: 1 or more")
    if size is not None and size < 1:
        raise UsageError(f"size is {size!r}, allowed: 1 pixel or more")
    if kind == "slab" and depth is None:
        raise UsageError("a slab needs a depth", hint="give it in box units, or cut slices")
    if kind != "slab" and depth is not None:
        raise UsageError(
            f"depth {depth!r} is given for a {kind}, but only a slab has one", hint="use cut: slab"
        )
    if kind == "crop" and size is None:
        raise UsageError("a crop needs a size", hint="give the side of the window in pixels")


def _check_choices(kind: str, of: str, size: int | None, crops: int) -> None:
    if of not in PROJECTIONS:
        raise UsageError(f"a slab of {of!r} is unknown", hint=nearest(of, PROJECTIONS))
    if kind != "slab" and of != "mean":
        raise UsageError(
            f"of {of!r} is given for a {kind}, but only a slab is projected", hint="use cut: slab"
        )
    if crops < 1:
        raise UsageError(f"crops is {crops!r}, allowed: 1 or more")
    if crops > 1 and (size is None or kind == "crop"):
        raise UsageError(
            f"crops is {crops}, but there is no size for windows of a {kind}"
            if kind != "crop"
            else f"crops is {crops} for a crop, whose windows are told by count",
            hint="give size, the side of a window in pixels" if kind != "crop" else "use count",
        )


def _fields_of(ds: xr.Dataset, layout: tuple[str, ...]) -> list[str]:
    """Return the names of the spatial fields if all of them have the layout, and there is one."""
    spatial = {str(name): field.dims for name, field in ds.data_vars.items() if len(field.dims) > 1}
    other = [name for name, dims in spatial.items() if dims != layout]
    if spatial and not other:
        return list(spatial)
    what = (
        f"the field {other[0]!r} has the dimensions {spatial[other[0]]}"
        if other
        else "there is no spatial field"
    )
    hint = (
        "these are maps already: leave the cut out, or crop them"
        if ("sample", "y", "x") in spatial.values()
        else ""
    )
    raise FieldSetError(f"cannot cut: {what}, needed: {layout}", hint=hint)


def _slabs(
    ds: xr.Dataset, axes: Sequence[str], count: int, depth: float | None, of: str, seed: int | None
) -> xr.Dataset:
    """Cut slabs (slices are slabs one cell deep) along the axes."""
    names = _fields_of(ds, ("sample", "z", "y", "x"))
    N = ds.sizes["x"]
    if not N == ds.sizes["y"] == ds.sizes["z"]:
        raise FieldSetError(f"cannot cut boxes of {ds.sizes['z']} × {ds.sizes['y']} × {N} cells, only cubes")
    box_size, periodic = float(ds.attrs["box_size"]), bool(ds.attrs["periodic"])
    cells = 1 if depth is None else round(depth / box_size * N)
    if not 1 <= cells <= N:
        raise UsageError(
            f"depth {depth!r} is {cells} of {N} cells",
            hint=f"allowed: from one cell, {box_size / N:.6g}, to the box, {box_size:.6g}",
        )
    room = N if periodic else N - cells + 1
    if count > room:
        raise UsageError(f"count is {count}, but there are only {room} places for {cells} of {N} cells")
    rows, along, starts = [], [], []
    for row, name in enumerate(ds["sample"].values.astype(str)):
        for axis in axes:
            first = (
                0 if seed is None else int(_generator(seed, f"{name}-{axis}").integers(max(1, room // count)))
            )
            rows += [row] * count
            along += [axis] * count
            starts += [first + i * room // count for i in range(count)]
    data = {}
    for name in names:
        values = ds[name].data
        stacked = [
            _projected(values[row], _ALONG[axis] - 1, starts[place : place + count], cells, of)
            for place, (row, axis) in enumerate(zip(rows, along, strict=True))
            if place % count == 0
        ]
        attributes = _attributes(ds, name, axes)
        joined = _joined(stacked)
        if of == "column":
            joined = joined * np.dtype(joined.dtype).type(box_size / N)
            attributes |= _column(attributes, str(ds.attrs["box_size_unit"]))
        data[name] = (("sample", "y", "x"), joined, attributes)
    ids = [f"{ds['sample'].values[r]}-{a}{s:03d}" for r, a, s in zip(rows, along, starts, strict=True)]
    numbers = ds.drop_vars(names).isel(sample=rows)
    return numbers.assign(data).assign_coords(
        sample=ids,
        parent=("sample", ds["sample"].values.astype(str)[rows]),
        axis=("sample", np.array(along)),
        position=("sample", np.array(starts) * box_size / N),
        thickness=("sample", np.full(len(ids), cells * box_size / N)),
    )


def _projected(cube: Any, axis: int, starts: list[int], cells: int, of: str) -> Any:
    """Return means, geometric means or sums of slabs of a cube, ``(len(starts), N, N)``; slabs wrap around.

    All slabs are taken at once: a lazy cube then costs a task a block, not one a slab and block.
    """
    N = cube.shape[axis]
    rows = ((np.asarray(starts)[:, None] + np.arange(cells)) % N).ravel()
    whole = np.array_equal(rows, np.arange(N))
    taken = cube if whole else cube[(*(slice(None),) * axis, rows)]
    across = [n for n in range(3) if n != axis]
    layers = taken.transpose(axis, *across)
    dtype = np.result_type(cube.dtype, np.float16)  # a mean of integers is none
    if cells == 1 and of != "column":
        return layers.astype(dtype)
    maps = layers.reshape(len(starts), cells, *layers.shape[1:])
    if of == "column":  # sums of float16 leave its range
        return maps.sum(axis=1, dtype=np.float64).astype(np.result_type(dtype, np.float32))
    if of == "log_mean":
        least = np.finfo(np.result_type(dtype, np.float32)).tiny
        logarithms = np.log(np.maximum(maps, least, dtype=np.float64))
        return np.exp(logarithms.mean(axis=1)).astype(dtype)
    return maps.mean(axis=1, dtype=np.float64).astype(dtype)


def _column(attributes: dict[str, Any], box_unit: str) -> dict[str, str]:
    """Return unit and meaning of a field that was integrated along the line of sight."""
    unit = " ".join(filter(None, (attributes["units"], box_unit)))
    return {"units": unit, "long_name": f"{attributes['long_name']}, integrated along the line of sight"}


def _stacked(arrays: list[Any]) -> Any:
    if isinstance(arrays[0], np.ndarray):
        return np.stack(arrays)
    import dask.array as da

    return da.stack(arrays)


def _joined(arrays: list[Any]) -> Any:
    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import dask.array as da

    return da.concatenate(arrays)


def _attributes(ds: xr.Dataset, name: str, axes: Sequence[str]) -> dict[str, Any]:
    """Return the attributes of a field after the cut; a vector's component is named in the map's frame."""
    attributes = dict(ds[name].attrs)
    if attributes["rank"]:
        if len(axes) > 1:
            raise FieldSetError(
                f"the field {name!r} is part of a vector, and is to be cut along {', '.join(axes)}",
                hint="cut vectors along one axis at a time, so that a component has one meaning",
            )
        attributes["component"] = "".join(_FRAME[axes[0]][letter] for letter in attributes["component"])
    return attributes


def _crop(ds: xr.Dataset, count: int, size: int, seed: int | None) -> xr.Dataset:
    """Cut windows from maps: on a regular grid without a seed, at different random corners with one."""
    names = _fields_of(ds, ("sample", "y", "x"))
    N = ds.sizes["x"]
    # A grid goes on over the edges of a periodic map; random corners keep away from them.
    wraps = bool(ds.attrs["periodic"]) and seed is None and size < N
    room = N if wraps else N - size + 1
    if size > N or count > room**2:
        raise UsageError(
            f"{count} different windows of {size} pixels do not fit in maps of {N} pixels",
            hint=f"allowed: size up to {N}, count up to (N - size + 1)²",
        )
    corners = np.concatenate(
        [_corners(str(name), count, room, seed, wraps=wraps) for name in ds["sample"].values]
    )
    rows = np.repeat(np.arange(ds.sizes["sample"]), count)
    data = {}
    for name in names:
        values = ds[name].data
        windows = [
            _window(values[row], y, x, size)
            for row, (y, x) in zip(rows.tolist(), corners.tolist(), strict=True)
        ]
        data[name] = (("sample", "y", "x"), _stacked(windows), ds[name].attrs)
    ids = [
        f"{ds['sample'].values[row]}-w{y:03d}-{x:03d}"
        for row, (y, x) in zip(rows.tolist(), corners.tolist(), strict=True)
    ]
    parent_size, parent_periodic = parent_box(ds)
    maps = ds.drop_vars(names).isel(sample=rows).assign(data).assign_coords(sample=ids)
    return maps.assign_attrs(
        box_size=float(ds.attrs["box_size"]) * size / N,
        periodic=int(bool(ds.attrs["periodic"]) and size == N),
        parent_size=parent_size,
        parent_periodic=int(parent_periodic),
    )


def _window(values: Any, y: int, x: int, size: int) -> Any:
    N = values.shape[0]
    if max(y, x) + size <= N:
        return values[y : y + size, x : x + size]
    rows, columns = ((np.arange(size) + start) % N for start in (y, x))
    return values[rows][:, columns]


def _corners(name: str, count: int, room: int, seed: int | None, *, wraps: bool) -> NDArray[np.int64]:
    """Return the lower corners (y, x) of windows, shape ``(count, 2)``."""
    if seed is not None:
        chosen = _generator(seed, name).choice(room**2, size=count, replace=False)
        return np.stack(np.divmod(chosen, room), axis=1)
    side = int(np.ceil(np.sqrt(count)))
    last = room * (side - 1) // side if wraps else room - 1
    places = np.linspace(0, last, side).astype(np.int64)
    return np.stack(np.meshgrid(places, places, indexing="ij"), axis=-1).reshape(-1, 2)[:count]


def _generator(seed: int, name: str) -> np.random.Generator:
    """Return a generator that depends on the sample's name, not on its place in the set."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def _labelled(ds: xr.Dataset, maps: xr.Dataset, of: str) -> xr.Dataset:
    """Add the labels measured from the neutral fraction: of the cube if it has none yet, and of every map."""
    if NEUTRAL not in maps:
        return maps
    added = {}
    if of == "mean":
        added["x_HI_slice"] = (_mean(maps[NEUTRAL]), "neutral fraction of the map")
    if "x_HI" not in maps.coords and "z" in ds[NEUTRAL].dims:
        place = {name: row for row, name in enumerate(ds["sample"].values.astype(str))}
        rows = [place[parent] for parent in maps["parent"].values.astype(str)]
        added["x_HI"] = (_mean(ds[NEUTRAL])[rows], "neutral fraction of the box")
    attributes = {"role": "label", "units": "", "low": 0.0, "high": 1.0}
    return maps.assign_coords(
        {
            name: xr.Variable("sample", values, {**attributes, "long_name": text})
            for name, (values, text) in added.items()
        }
    )


def _mean(field: xr.DataArray) -> NDArray[Any]:
    return np.asarray(field.mean([dim for dim in field.dims if dim != "sample"], dtype=np.float64).values)
