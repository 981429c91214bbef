r"""The CAS system: concentration, asymmetry and clumpiness of maps (Conselice 2003, ApJS 147, 1).

It was made for images of single galaxies and works on any map of a positive quantity. Simulated maps have no
sky, so no background is subtracted, and two choices differ from the paper, which takes its lengths from the
Petrosian radius: many maps (a uniform one) have none, whereas ``r80``, the radius that holds 80 % of the
mass, always exists. The filter of the clumpiness has the width ``0.36 r80``; in an exponential disc, that is
the paper's 0.3 Petrosian radii. And the whole map is used, not what lies within 1.5 Petrosian radii.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.statistics.arrays import checked
from skyloom.statistics.component import MapStatistic
from skyloom.statistics.profiles import mass_radius
from skyloom.statistics.rings import mass_centre, offsets

Array = NDArray[Any]

_NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


class Morphology(NamedTuple):
    """The shape of maps; NaN where a map holds no positive mass."""

    concentration: Array
    """``5 log10(r80 / r20)``, shape ``(...,)``."""
    asymmetry: Array
    """Least relative difference between the map and itself turned by 180°, from 0 to 2, shape ``(...,)``."""
    clumpiness: Array
    """Ten times the share of the mass in structure finer than the filter, shape ``(...,)``."""
    centre_offset: Array
    """Distance of the point of least asymmetry from the centre of mass [l], shape ``(...,)``."""


def morphology(
    field: Array, box: float, *, periodic: bool = True, minimise: bool = True, smoothing: float = 0.36
) -> Morphology:
    r"""Concentration, asymmetry and clumpiness of maps.

    .. math:: C = 5 \log_{10} \frac{r_{80}}{r_{20}}, \quad
              A = \min_{\mathbf c} \frac{\sum |x - x^{180}_{\mathbf c}|}{\sum |x|}, \quad
              S = 10\, \frac{\sum_{r > w} \max(x - x^{w}, 0)}{\sum_{r > w} x}

    The centre :math:`\mathbf c` is sought in steps of half a pixel, since about such points a map turns
    without interpolation: downhill from where the squared differences are least of all, which is where the
    map's convolution with itself is greatest. :math:`x^w` is the map under a square running mean of the odd
    number of pixels nearest to :math:`w` (3 or more). Radii are from the centre of mass. Beyond the edges of
    a map that is not periodic, there is nothing.

    Args:
        field: Maps of a positive quantity, shape ``(..., N, N)``, in any unit.
        box: Side of a map in any length unit ``l``.
        periodic: Whether opposite edges touch.
        minimise: Whether the centre of rotation is sought; if not, it is the half pixel nearest to the centre
            of mass.
        smoothing: Width ``w`` of the filter as a fraction of ``r80``.

    Returns:
        ``Morphology(concentration, asymmetry, clumpiness, centre_offset [l])``, each of shape ``(...,)``.

    Raises:
        ShapeError: The map is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` or ``smoothing`` is not positive.

    Example:
        >>> y, x = np.indices((64, 64)) - 31.5
        >>> m = morphology(np.exp(-np.hypot(y, x) ** 2 / 72), 64.0)
        >>> round(float(m.concentration), 2), float(m.asymmetry), round(float(m.clumpiness), 1)
        (2.15, 0.0, 0.0)
    """
    if not (math.isfinite(smoothing) and smoothing > 0):
        raise UsageError(f"morphology: smoothing is {smoothing!r}, allowed: a positive fraction of r80")
    values = checked(field, 2, "morphology")
    N, lead = values.shape[-1], values.shape[:-2]
    r20, r80 = (mass_radius(values, box, fraction=part, periodic=periodic).ravel() for part in (0.2, 0.8))
    batch = values.reshape(-1, N, N)
    centres = mass_centre(batch, periodic=periodic)
    n, pixel = len(batch), box / N
    asymmetry, clumpiness, offset = (np.full(n, np.nan) for _ in range(3))
    for row in np.flatnonzero(np.isfinite(r80) & np.isfinite(centres).all(axis=1)):
        plane = batch[row].astype(np.float64)
        twice, asymmetry[row] = _turned(plane, centres[row], periodic, minimise)
        apart = twice / 2 - centres[row]
        if periodic:  # turning about a point of a torus is turning about the one half a box away, too
            apart = (apart + N / 4) % (N / 2) - N / 4
        offset[row] = np.hypot(*apart) * pixel
        clumpiness[row] = _clumpiness(plane, centres[row], smoothing * r80[row] / pixel, periodic)
    with np.errstate(divide="ignore", invalid="ignore"):
        concentration = 5 * np.log10(r80 / r20)
    shaped = (part.reshape(lead) for part in (concentration, asymmetry, clumpiness, offset))
    return Morphology(*shaped)


def _turned(plane: Array, centre: Array, periodic: bool, minimise: bool) -> tuple[Array, float]:
    """Return twice the index of the centre of rotation, and the asymmetry about it."""
    N = len(plane)
    here = _likely_centre(plane, centre, periodic) if minimise else np.rint(2 * centre).astype(int)
    total = np.abs(plane).sum()

    def asymmetry(twice: Array) -> float:
        return float(_difference(plane, twice, periodic) / total)

    best = asymmetry(here)
    while minimise:
        steps = [here + step for step in _NEIGHBOURS]
        if not periodic:
            steps = [step for step in steps if (step >= 0).all() and (step <= 2 * N - 2).all()]
        found = [asymmetry(step) for step in steps]
        lowest = int(np.argmin(found))
        if not found[lowest] < best:
            break
        here, best = steps[lowest], found[lowest]
    return here, best


def _likely_centre(plane: Array, centre: Array, periodic: bool) -> Array:
    """Return twice the index about which the squared differences are least; of equals, the nearest one."""
    N = len(plane)
    size = N if periodic else 2 * N - 1
    spectrum = scipy.fft.rfft2(plane, (size, size))
    overlap = scipy.fft.irfft2(spectrum**2, (size, size))
    twice = np.argwhere(overlap >= overlap.max() * (1 - 1e-9))
    apart = twice - 2 * centre
    if periodic:
        apart = (apart + N / 2) % N - N / 2
    return np.asarray(twice[np.square(apart).sum(axis=1).argmin()])


def _difference(plane: Array, twice: Array, periodic: bool) -> float:
    """Sum of ``|x - x180|``, turned about ``twice / 2``; beyond the edges of the map there is nothing."""
    N = len(plane)
    if periodic:
        return float(np.abs(plane - np.roll(plane[::-1, ::-1], twice + 1, axis=(0, 1))).sum())
    both = plane[tuple(slice(max(0, s - N + 1), min(N - 1, s) + 1) for s in twice)]
    alone = np.abs(plane).sum() - np.abs(both).sum()
    return float(np.abs(both - both[::-1, ::-1]).sum() + 2 * alone)


def _clumpiness(plane: Array, centre: Array, width: float, periodic: bool) -> float:
    from scipy.ndimage import uniform_filter

    N = len(plane)
    pixels = max(3, 2 * round((width - 1) / 2) + 1)
    smooth = uniform_filter(plane, min(pixels, N), mode="wrap" if periodic else "constant")
    axes = offsets(N, centre, periodic=periodic)
    outside = np.hypot(axes[0][:, None], axes[1]) > width
    mass = plane[outside].sum()
    return float(10 * np.maximum(plane - smooth, 0)[outside].sum() / mass) if mass > 0 else math.nan


class CAS(MapStatistic):
    """Concentration, asymmetry and clumpiness of every map of a positive quantity.

    Args:
        minimise: Whether the centre of rotation is sought where the asymmetry is least.
        smoothing: Width of the filter of the clumpiness as a fraction of the radius of 80 % of the mass.

    Raises:
        UsageError: ``smoothing`` is not positive.

    Example:
        >>> ds = CAS().compute(np.ones((1, 16, 16)), 16.0, True, "", box_unit="kpc")
        >>> round(float(ds["asymmetry"][0]), 9), round(float(ds["clumpiness"][0]), 9)
        (0.0, 0.0)
    """

    def __init__(self, *, minimise: bool = True, smoothing: float = 0.36) -> None:
        if not smoothing > 0:
            raise UsageError(f"smoothing is {smoothing!r}, allowed: a positive fraction of r80")
        self.minimise, self.smoothing = minimise, smoothing

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the morphology of maps.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``concentration``, ``asymmetry``, ``clumpiness`` and ``centre_offset``, each ``(sample,)``; NaN
            where a map holds no positive mass.
        """
        found = morphology(maps, box, periodic=periodic, minimise=self.minimise, smoothing=self.smoothing)
        described = {
            "concentration": ("", "concentration"),
            "asymmetry": ("", "rotational asymmetry"),
            "clumpiness": ("", "clumpiness"),
            "centre_offset": (box_unit, "distance of the point of least asymmetry from the centre of mass"),
        }
        return xr.Dataset(
            {
                name: ("sample", getattr(found, name), {"units": unit, "long_name": meaning})
                for name, (unit, meaning) in described.items()
            }
        )
