"""Making field sets from arrays, and a small toy set for examples and tests."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from skyloom.errors import FieldSetError, UsageError, nearest
from skyloom.fields.convention import CONVENTION, LAYOUTS, check


@dataclass(frozen=True)
class Label:
    """A number known of every sample.

    Args:
        values: One number a sample, shape ``(n,)``, in ``units``.
        role: ``parameter`` (input of the simulation) or ``label`` (measured from it).
        units: The unit; ``""`` for a dimensionless number.
        long_name: What it is, in a few words; empty takes the name.
        low: Lower end of the prior range, in ``units``; only a label may leave it out.
        high: Upper end of the prior range, in ``units``.
        classes: Name of the class that each value is the code of, where the values are codes.

    Example:
        >>> Label([0.2, 0.7], "label", "", "neutral fraction").role
        'label'
        >>> Label([0, 1], "parameter", "", "transport", classes={0: "none", 1: "streaming"}).classes[1]
        'streaming'
    """

    values: ArrayLike
    role: Literal["parameter", "label"]
    units: str = ""
    long_name: str = ""
    low: float | None = None
    high: float | None = None
    classes: Mapping[int, str] | None = None


def build(
    fields: Mapping[str, tuple[Any, str, str]],
    *,
    ids: Sequence[str],
    groups: Sequence[str],
    seeds: ArrayLike,
    box_size: float,
    suite: str,
    realism: str,
    box_size_unit: str = "Mpc",
    periodic: bool = True,
    parents: Sequence[str] | None = None,
    axes: Sequence[str] | None = None,
    positions: ArrayLike | None = None,
    thicknesses: ArrayLike | None = None,
    redshifts: ArrayLike | None = None,
    labels: Mapping[str, Label] | None = None,
    ranks: Mapping[str, tuple[int, str]] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Make a field set from arrays, and check it.

    Args:
        fields: Name -> ``(values, unit, long_name)``; values have shape ``(n,)``, ``(n, H, W)`` or
            ``(n, D, H, W)`` and may be numpy or dask arrays.
        ids: Unique names of the ``n`` samples.
        groups: The unit of independence of each sample, often the simulation.
        seeds: Seed of the initial conditions of each sample, integers.
        box_size: Side of the maps and cubes [box_size_unit].
        suite: Where the samples come from, e.g. ``"21cmFAST"``.
        realism: One of ``REALISM``.
        box_size_unit: A unit of length, or ``""`` for code units.
        periodic: Whether opposite faces touch.
        parents: The box each sample was cut from; left out, the sample is its own box.
        axes: The axis each map was cut along (``x``, ``y``, ``z``); left out, ``""``.
        positions: Lower face of each cut along its axis [box_size_unit]; left out, 0.
        thicknesses: Depth of each cut [box_size_unit]; left out, the whole box.
        redshifts: Redshift of each sample; left out, NaN (it has none).
        labels: Name -> parameters and labels.
        ranks: Name of a field -> ``(rank, component)`` for parts of vectors and tensors.
        provenance: Any of ``inputs``, ``code``, ``seeds``, ``steps``; the rest starts empty.

    Returns:
        A field set that passes ``check``.

    Raises:
        FieldSetError: The parts do not make a field set; every fault is listed.

    Example:
        >>> ds = build({"T_b": (np.ones((2, 4, 4)), "mK", "brightness temperature")}, ids=["a", "b"],
        ...            groups=["s0", "s1"], seeds=[0, 1], box_size=128.0, suite="demo", realism="toy")
        >>> ds["T_b"].dims
        ('sample', 'y', 'x')
    """
    n = len(ids)
    data = {name: _field(name, spec, (ranks or {}).get(name, (0, ""))) for name, spec in fields.items()}
    for name in ranks or {}:
        if name not in fields:
            raise FieldSetError(
                f"a rank is given for {name!r}, which is no field", hint=nearest(name, fields)
            )
    whole = np.full(n, float(box_size))
    columns: dict[str, Any] = {
        "sample": np.asarray(ids, dtype=str),
        "group": np.asarray(groups, dtype=str),
        "seed": np.asarray(seeds, dtype=np.int64),
        "parent": np.asarray(ids if parents is None else parents, dtype=str),
        "axis": np.asarray([""] * n if axes is None else axes, dtype=str),
        "position": np.asarray(np.zeros(n) if positions is None else positions, dtype=np.float64),
        "thickness": np.asarray(whole if thicknesses is None else thicknesses, dtype=np.float64),
        "redshift": np.asarray(np.full(n, np.nan) if redshifts is None else redshifts, dtype=np.float64),
    }
    for name, label in (labels or {}).items():
        columns[name] = _label(name, label)
    _check_lengths(n, columns, data)
    coordinates = {
        name: ("sample", column) if isinstance(column, np.ndarray) else column
        for name, column in columns.items()
    }
    attributes = {
        "convention": CONVENTION,
        "suite": suite,
        "realism": realism,
        "box_size": float(box_size),
        "box_size_unit": box_size_unit,
        "periodic": int(periodic),
        "provenance": json.dumps({"inputs": [], "code": {}, "seeds": [], "steps": [], **(provenance or {})}),
    }
    ds = xr.Dataset(data, coords=coordinates, attrs=attributes)
    check(ds)
    return ds


def _check_lengths(n: int, columns: Mapping[str, Any], data: Mapping[str, xr.Variable]) -> None:
    lengths = {name: np.shape(getattr(column, "values", column)) for name, column in columns.items()}
    wrong = [f"{name!r} has shape {shape}" for name, shape in lengths.items() if shape != (n,)]
    wrong += [f"field {name!r} has {v.shape[0]} samples" for name, v in data.items() if v.shape[0] != n]
    if wrong:
        raise FieldSetError(f"there are {n} ids, but " + ", ".join(wrong), hint="give one value a sample")


def _field(name: str, spec: tuple[Any, str, str], rank: tuple[int, str]) -> xr.Variable:
    values, unit, long_name = spec
    values = values if hasattr(values, "ndim") else np.asarray(values)
    layouts = {len(dims): dims for dims in LAYOUTS}
    if values.ndim not in layouts:
        raise FieldSetError(
            f"field {name!r} has shape {values.shape}",
            hint="allowed: (n,) numbers, (n, H, W) maps, (n, D, H, W) cubes",
        )
    attributes: dict[str, Any] = {"units": unit, "long_name": long_name or name, "rank": int(rank[0])}
    if rank[0]:
        attributes["component"] = rank[1]
    return xr.Variable(layouts[values.ndim], values, attributes)


def _label(name: str, label: Label) -> xr.Variable:
    attributes: dict[str, Any] = {
        "role": label.role,
        "units": label.units,
        "long_name": label.long_name or name,
    }
    for end, value in (("low", label.low), ("high", label.high)):
        if value is not None:
            attributes[end] = float(value)
    if label.classes is not None:
        attributes["classes"] = json.dumps({str(code): word for code, word in label.classes.items()})
    return xr.Variable("sample", np.asarray(label.values, dtype=np.float64), attributes)


def example(groups: int = 6, per_group: int = 4, size: int = 16, seed: int = 0) -> xr.Dataset:
    """Return a small toy set that looks like 21-cm maps of reionisation; nothing in it is physics.

    Every group is one periodic Gaussian box of 128 Mpc, ionised where it is densest; ``HII_EFF_FACTOR`` and
    redshift decide how much. Samples of a group alternate between redshifts 8 and 9, and are slices along z
    at different heights, so maps of one group resemble each other, as in a real simulation.

    Args:
        groups: How many independent boxes.
        per_group: Maps cut from each; at most ``2 * size``.
        size: Side of a map in pixels.
        seed: Every draw follows from it.

    Returns:
        A field set of ``groups * per_group`` maps: fields ``T_b`` [mK] and ``neutral_fraction``, shape
        ``(n, size, size)`` float32; labels ``x_HI`` and ``x_HI_slice``; parameter ``HII_EFF_FACTOR``.

    Raises:
        UsageError: A number is not positive, or there are more maps than slices.

    Example:
        >>> ds = example(groups=2, per_group=2, size=8)
        >>> dict(ds.sizes)
        {'sample': 4, 'y': 8, 'x': 8}
        >>> ds["sample"].values.tolist()
        ['toy0-z8-s0', 'toy0-z9-s0', 'toy1-z8-s0', 'toy1-z9-s0']
    """
    if min(groups, per_group, size) < 1 or per_group > 2 * size:
        raise UsageError(
            f"a toy set of {groups} groups with {per_group} maps of {size} pixels cannot be made",
            hint="all three are at least 1, and per_group is at most 2 * size",
        )
    box_size, (low, high) = 128.0, (10.0, 50.0)
    rng = np.random.default_rng(seed)
    zeta = low + (high - low) * (rng.permutation(groups) + rng.random(groups)) / groups
    slices = -(-per_group // 2)
    rows: list[dict[str, Any]] = []
    for group in range(groups):
        delta = _gaussian_cube(size, rng)
        rank = delta.argsort(axis=None).argsort().reshape(delta.shape) / delta.size
        for index in range(per_group):
            redshift, height = 8.0 + index % 2, (index // 2) * size // slices
            neutral = (rank < 1 - zeta[group] / high * (0.95 if redshift == 8.0 else 0.6)).astype(np.float32)
            T_b = 27.0 * np.sqrt((1 + redshift) / 10) * neutral * (1 + 0.3 * delta)
            rows.append(
                {
                    "id": f"toy{group}-z{redshift:.0f}-s{height}",
                    "group": f"toy{group}",
                    "parent": f"toy{group}-z{redshift:.0f}",
                    "seed": 1000 + group,
                    "redshift": redshift,
                    "position": height * box_size / size,
                    "T_b": T_b[height].astype(np.float32),
                    "neutral_fraction": neutral[height],
                    "x_HI": float(neutral.mean(dtype=np.float64)),
                    "x_HI_slice": float(neutral[height].mean(dtype=np.float64)),
                    "HII_EFF_FACTOR": zeta[group],
                }
            )
    column = {name: [row[name] for row in rows] for name in rows[0]}
    return build(
        {
            "T_b": (np.stack(column["T_b"]), "mK", "21-cm brightness temperature"),
            "neutral_fraction": (np.stack(column["neutral_fraction"]), "", "neutral fraction of hydrogen"),
        },
        ids=column["id"],
        groups=column["group"],
        seeds=column["seed"],
        box_size=box_size,
        suite="toy",
        realism="toy",
        parents=column["parent"],
        axes=["z"] * len(rows),
        positions=column["position"],
        thicknesses=np.full(len(rows), box_size / size),
        redshifts=column["redshift"],
        labels={
            "x_HI": Label(column["x_HI"], "label", "", "neutral fraction of the box", 0.0, 1.0),
            "x_HI_slice": Label(column["x_HI_slice"], "label", "", "neutral fraction of the slice", 0.0, 1.0),
            "HII_EFF_FACTOR": Label(
                column["HII_EFF_FACTOR"], "parameter", "", "ionising efficiency", low, high
            ),
        },
        provenance={"seeds": [seed], "steps": [{"step": "example", "seed": seed}]},
    )


def _gaussian_cube(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a periodic Gaussian cube, power falling as k^-2, mean 0, variance 1, shape ``(size,) * 3``."""
    k = np.fft.fftfreq(size) * size
    square = k[:, None, None] ** 2 + k[None, :, None] ** 2 + k[None, None, :] ** 2
    square[0, 0, 0] = np.inf
    modes = np.fft.fftn(rng.standard_normal((size,) * 3)) / np.sqrt(square)
    delta = np.fft.ifftn(modes).real
    return np.asarray(delta / max(delta.std(), 1e-12))
