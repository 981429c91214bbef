r"""An observed map made into maps such as a network was trained on: its pixels, its size, no holes.

A pixel of the training covers ``r`` pixels of the observed map on each side; its value is their average,
weighted by the shares :math:`W_{ij}` that it covers and by the mask :math:`m`,

.. math:: f'_{ij} = \frac{\sum_{kl} W_{ik} W_{jl}\, m_{kl} f_{kl}}{\sum_{kl} W_{ik} W_{jl}\, m_{kl}},

so ``r`` need be no whole number and what is masked weighs nothing. Then windows of the training's size are
cut side by side about the centre. Nothing can be added that an observation does not have: a map of larger
pixels, of a smaller field or of a beam wider than what the network looks at is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError
from skyloom.fields.convention import add_step, check, parent_box
from skyloom.fields.regrid import overlaps
from skyloom.units import convert, is_length

HOLES = 0.1  #: largest masked share of a window that is looked at
TOLERANCE = 0.01  # pixels that differ by less are the same
FULL_WIDTH = 2.355  # of a Gaussian at half its height, in standard deviations


@dataclass(frozen=True)
class Trained:
    """What the maps of a training were like.

    Args:
        pixel: Side of a pixel [unit].
        size: Pixels a side.
        unit: The unit of length; empty for code units.
        periodic: Whether opposite edges touched.
        smoothing: Standard deviation of the smoothing that every map goes through [pixels], 0 for none.
    """

    pixel: float
    size: int
    unit: str
    periodic: bool
    smoothing: float = 0.0


def windows(
    ds: xr.Dataset, trained: Trained, *, mask: NDArray[np.bool_] | None = None, beam: float | None = None
) -> tuple[xr.Dataset, list[str]]:
    """Bring observed maps to the pixels and the size of a training.

    Args:
        ds: A field set of maps ``(n, N, N)``; NaN counts as masked.
        trained: What the maps of the training were like.
        mask: True where a pixel was observed, shape ``(N, N)``; None where all were.
        beam: Full width at half maximum of the beam, in the unit of the training; None takes the attribute
            ``beam_pixels``, where there is one.

    Returns:
        The windows, and what a reader has to know of how they were made.

    Raises:
        DataError: The map has no length where the training has one, or too coarse pixels, too wide a beam, or
            too large holes.
        ShapeError: The map is smaller than those of the training, or the mask is of another shape.

    Example:
        >>> from skyloom.fields import example
        >>> ds = example(size=32).isel(sample=[0])  # 128 Mpc
        >>> cut, told = windows(ds, Trained(pixel=8.0, size=8, unit="Mpc", periodic=True))
        >>> cut.sizes["sample"], cut.attrs["box_size"]
        (4, 64.0)
    """
    N = ds.sizes["x"]
    here = _side(ds, trained.unit) / N
    told = _beam(ds, trained, here, beam)
    if here > trained.pixel * (1 + TOLERANCE):
        raise DataError(
            f"the map has pixels of {here:.4g} {trained.unit}, and the run was trained on"
            f" {trained.pixel:.4g}: what it looks at is not resolved",
            hint="train on maps with such pixels (data.maps.cells), or observe finer",
        )
    ratio = trained.pixel / here if abs(trained.pixel / here - 1) > TOLERANCE else 1.0
    M = int(N / ratio + 1e-6)
    if trained.size > M:
        raise ShapeError(
            f"the map is {N * here:.4g} {trained.unit} wide, and the run was trained on"
            f" {trained.size * trained.pixel:.4g}",
            hint="train on smaller windows (data.maps.size), or give a wider map",
        )
    if mask is not None and mask.shape != (N, N):
        raise ShapeError(f"the mask is of shape {mask.shape}, the map of {(N, N)}", hint="one value a pixel")
    names = [str(name) for name, field in ds.data_vars.items() if field.dims == ("sample", "y", "x")]
    raw = {name: np.asarray(ds[name].values, np.float64) for name in names}
    seen = np.logical_and.reduce([np.isfinite(values) for values in raw.values()])
    seen = seen if mask is None else seen & mask
    weights = overlaps(N, M, width=ratio)
    weight = _apply(weights, seen.astype(float))
    coarse = {
        name: np.divide(
            _apply(weights, np.where(seen, values, 0.0)), weight, out=np.zeros_like(weight), where=weight > 0
        )
        for name, values in raw.items()
    }
    cut, notes = _cut(ds, trained, coarse, weight)
    if trained.periodic and not ds.attrs["periodic"]:
        notes.append("the map has edges; the run was trained on periodic boxes, whose opposite edges touch")
    return cut, told + notes


def _apply(weights: NDArray[np.float64], maps: NDArray[np.float64]) -> NDArray[np.float64]:
    averaged: NDArray[np.float64] = np.einsum("ik,nkl,jl->nij", weights, maps, weights, optimize=True)
    return averaged


def _side(ds: xr.Dataset, unit: str) -> float:
    """Return the side of the box in the unit of the training."""
    own = str(ds.attrs["box_size_unit"])
    if own == unit:
        return float(ds.attrs["box_size"])
    if not (own and unit and is_length(own) and is_length(unit)):
        raise DataError(
            f"the side of the map is {ds.attrs['box_size']:g} {own or 'pixels'}, and the run was trained on"
            f" lengths in {unit or 'code units'}",
            hint=f"say how large it is: --set box_size=... --set box_size_unit={unit or repr('')}",
        )
    return float(convert(np.array(float(ds.attrs["box_size"])), own, unit))


def _beam(ds: xr.Dataset, trained: Trained, here: float, beam: float | None) -> list[str]:
    """Return what has to be said of the beam; refuse one that hides what the run looks at."""
    if beam is None and "beam_pixels" in ds.attrs:
        beam = float(ds.attrs["beam_pixels"]) * here
    if not beam:
        return []
    pixels, allowed = beam / trained.pixel, max(2.0, FULL_WIDTH * trained.smoothing)
    if pixels > allowed * (1 + TOLERANCE):
        width = pixels / FULL_WIDTH
        raise DataError(
            f"the beam is {pixels:.3g} pixels of the training wide, and the run has seen maps as sharp as"
            f" {allowed:.3g}",
            hint=f"train with the transform {{name: smooth, width: {width:.2f}}} on every field",
        )
    return [f"a beam of {beam:.3g} {trained.unit}, {pixels:.2g} pixels of the training, is left as it is"]


def _cut(
    ds: xr.Dataset, trained: Trained, coarse: dict[str, NDArray[np.float64]], weight: NDArray[np.float64]
) -> tuple[xr.Dataset, list[str]]:
    """Cut windows side by side about the centre; leave out those with large holes and fill small ones."""
    size, M = trained.size, weight.shape[-1]
    across = M // size
    first = (M - across * size) // 2
    corners = [(first + i * size, first + j * size) for i in range(across) for j in range(across)]
    rows, names, holes = [], [], []
    kept: dict[str, list[NDArray[np.float64]]] = {name: [] for name in coarse}
    for row, sample in enumerate(ds["sample"].values.astype(str)):
        for y, x in corners:
            window = (row, slice(y, y + size), slice(x, x + size))
            blind = weight[window] < 0.5
            if blind.mean() > HOLES:
                continue
            rows.append(row)
            names.append(sample if len(corners) == 1 else f"{sample}-w{y:03d}-{x:03d}")
            holes.append(float(blind.mean()))
            for name, values in coarse.items():
                part = values[window]
                kept[name].append(np.where(blind, part[~blind].mean(), part))
    if not rows:
        raise DataError(
            f"each window of the map is masked by more than {HOLES:.0%}",
            hint="there is nothing to answer for: give a map with smaller holes",
        )
    notes = []
    if left := ds.sizes["sample"] * len(corners) - len(rows):
        notes.append(f"{left} of {left + len(rows)} windows are left out: more than {HOLES:.0%} is masked")
    if max(holes) > 0:
        notes.append(f"masked pixels, up to {max(holes):.1%} of a window, are filled with its mean")
    parent_size, parent_periodic = parent_box(ds)
    fields = {
        name: (("sample", "y", "x"), np.stack(parts).astype(np.float32), ds[name].attrs)
        for name, parts in kept.items()
    }
    cut = ds.drop_vars(list(ds.data_vars)).isel(sample=rows).assign(fields).assign_coords(sample=names)
    cut = cut.assign_attrs(
        box_size=size * trained.pixel,
        box_size_unit=trained.unit,
        periodic=int(bool(ds.attrs["periodic"]) and len(corners) == 1 and size == M),
        parent_size=parent_size,
        parent_periodic=int(parent_periodic),
    )
    cut = add_step(cut, {"step": "windows", "pixel": trained.pixel, "size": size})
    check(cut)
    return cut, notes
