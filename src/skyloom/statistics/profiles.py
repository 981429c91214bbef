r"""Profiles of maps and cubes about a centre: the mean in rings, the mass within a radius.

A ring takes of each pixel the area that lies in it (``statistics.rings``), so a profile moves smoothly when
the centre does, and the mass within a radius is exact for a map of square pixels. In cubes, a cell counts
with the shell that its centre lies in.

Positions are lengths from the first corner of the box: pixel ``i`` reaches from ``i`` to ``i + 1`` pixels,
and the middle of the box is at ``box / 2`` along each axis, axes in the order of the array.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.arrays import checked, product_unit
from skyloom.statistics.component import MapStatistic
from skyloom.statistics.rings import mass_centre, ring_shares

Array = NDArray[Any]


class Profile(NamedTuple):
    """A radial profile; a ring that holds nothing of the map has the mean NaN."""

    radius: Array
    """Middle of each ring [l], shape ``(bins,)``."""
    mean: Array
    """Mean of the field in the ring [u], shape ``(..., bins)``."""
    enclosed: Array
    """Sum of the field within the outer edge of the ring [u l^d], shape ``(..., bins)``."""
    pixels: Array
    """Pixels in the ring, fractions included, shape ``(..., bins)``."""
    centre: Array
    """Where the rings are centred [l], shape ``(..., d)``."""


def radial_profile(
    field: Array,
    box: float,
    centre: ArrayLike | None = None,
    *,
    periodic: bool = True,
    bins: int = 16,
    r_max: float | None = None,
    dims: int = 2,
) -> Profile:
    r"""Mean of each field in rings about a centre, and its sum within them.

    .. math:: \bar x(r) = \sum_i w_i x_i \Big/ \sum_i w_i, \qquad
              M(<r) = \left(\tfrac{L}{N}\right)^{d} \sum_{r' \le r} \sum_i w_i x_i

    with :math:`w_i` the share of pixel :math:`i` in the ring.

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        centre: Position [l], shape ``(d,)`` for all fields or ``(..., d)`` for each; left out, the centre of
            mass (on a torus the phase of the fundamental mode, see ``rings.mass_centre``).
        periodic: Whether opposite faces touch.
        bins: Rings of equal width from 0 to ``r_max``.
        r_max: Outer edge of the last ring [l]; left out, and at most in a periodic box, ``(N - 1) / 2``
            pixels: beyond it the rings would meet themselves.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Profile(radius, mean, enclosed, pixels, centre)``. Without a positive sum there is no centre of mass
        in a box that is not periodic: such a field's profile is NaN.

    Raises:
        ShapeError: The field is not square, or the centres do not fit it.
        DataError: A value is NaN or infinite.
        UsageError: ``box``, ``bins`` or ``r_max`` is out of range, or ``dims`` is neither 2 nor 3.

    Example:
        >>> p = radial_profile(np.ones((32, 32)), 32.0, [16.0, 16.0], bins=4, r_max=12.0)
        >>> np.allclose(p.enclosed, np.pi * np.array([3.0, 6.0, 9.0, 12.0]) ** 2)
        True
    """
    values = checked(field, dims, "radial_profile")
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"radial_profile: box is {box!r}, allowed: a positive length")
    if bins < 1:
        raise UsageError(f"radial_profile: bins is {bins!r}, allowed: 1 or more")
    N, lead = values.shape[-1], values.shape[:-dims]
    pixel = box / N
    widest = (N - 1) / 2 * pixel
    outer = widest if r_max is None else r_max
    if not outer > 0 or (periodic and outer > widest * (1 + 1e-12)):
        allowed = f"0 < r_max <= {widest:.6g}, half the box less half a pixel" if periodic else "0 < r_max"
        raise UsageError(f"radial_profile: r_max is {r_max!r}, allowed: {allowed}")
    edges = np.linspace(0.0, outer, bins + 1)
    batch = values.reshape(-1, *(N,) * dims)
    centres = _centres(centre, batch, lead, pixel, periodic, dims)
    sums, pixels = _ring_sums(batch, centres, edges / pixel, periodic)
    with np.errstate(invalid="ignore"):
        mean = np.where(pixels > 0, sums / np.where(pixels > 0, pixels, 1.0), np.nan)
    return Profile(
        0.5 * (edges[1:] + edges[:-1]),
        mean.reshape(*lead, bins),
        (np.cumsum(sums, axis=1) * pixel**dims).reshape(*lead, bins),
        pixels.reshape(*lead, bins),
        ((centres + 0.5) * pixel).reshape(*lead, dims),
    )


def mass_radius(
    field: Array,
    box: float,
    centre: ArrayLike | None = None,
    *,
    fraction: float = 0.5,
    periodic: bool = True,
) -> Array:
    """Radius that holds a fraction of what lies within ``(N - 1) / 2`` pixels: the half-mass radius.

    The mass within a radius is exact at every half pixel, and taken as linear in the area between.

    Args:
        field: Maps of a positive quantity, shape ``(..., N, N)``.
        box: Side length of a map in any length unit ``l``.
        centre: As in ``radial_profile``.
        fraction: More than 0, less than 1.
        periodic: Whether opposite edges touch.

    Returns:
        Radius [l], shape ``(...,)``; NaN where the sum is not positive.

    Raises:
        As ``radial_profile``; UsageError also if ``fraction`` is out of range.

    Example:
        >>> y, x = np.indices((64, 64)) - 31.5
        >>> disc = (np.hypot(y, x) < 20.0).astype(float)
        >>> bool(abs(mass_radius(disc, 64.0) - 20.0 / np.sqrt(2)) < 0.1)
        True
    """
    if not 0 < fraction < 1:
        raise UsageError(f"mass_radius: fraction is {fraction!r}, allowed: 0 < fraction < 1")
    N = np.shape(field)[-1] if np.ndim(field) else 2
    growth = radial_profile(field, box, centre, periodic=periodic, bins=max(N - 1, 1))
    outer = box / N * (N - 1) / 2
    return radius_of(growth.enclosed, outer, fraction)


def radius_of(enclosed: Array, outer: float, fraction: float) -> Array:
    """Radius at which a growth curve first reaches a fraction of its last value.

    Args:
        enclosed: Mass within radii that divide ``outer`` evenly, shape ``(..., bins)``.
        outer: The last radius [l].
        fraction: Of the last value.

    Returns:
        Radius [l], shape ``(...,)``, linear in the area between the radii; NaN where the last value is not
        positive.

    Example:
        >>> float(radius_of(np.array([1.0, 4.0]), 2.0, 0.25))
        1.0
    """
    bins = enclosed.shape[-1]
    square = (outer * np.arange(bins + 1) / bins) ** 2
    curves = enclosed.reshape(-1, bins)
    found = np.full(len(curves), np.nan)
    for row, curve in enumerate(curves):
        if not curve[-1] > 0:
            continue
        wanted, grown = fraction * curve[-1], np.concatenate([[0.0], curve])
        place = int(np.argmax(grown >= wanted))
        step = (wanted - grown[place - 1]) / (grown[place] - grown[place - 1])
        found[row] = math.sqrt(square[place - 1] + step * (square[place] - square[place - 1]))
    return found.reshape(enclosed.shape[:-1])


def _centres(
    centre: ArrayLike | None, batch: Array, lead: tuple[int, ...], pixel: float, periodic: bool, dims: int
) -> Array:
    """Return the centre of every field as an index, shape ``(n, dims)``."""
    if centre is None:
        return mass_centre(batch, periodic=periodic, dims=dims)
    given = np.asarray(centre, dtype=np.float64)
    if given.shape not in ((dims,), (*lead, dims)) or not np.isfinite(given).all():
        raise ShapeError(
            f"radial_profile was given centres of shape {given.shape}, "
            f"allowed: ({dims},) or {(*lead, dims)}, every one finite"
        )
    return np.broadcast_to(given, (*lead, dims)).reshape(-1, dims) / pixel - 0.5


def _ring_sums(batch: Array, centres: Array, edges: Array, periodic: bool) -> tuple[Array, Array]:
    """Sum of every field over every ring and the pixels of the ring, each of shape ``(n, rings)``."""
    N, n = batch.shape[-1], len(batch)
    sums, pixels = np.full((n, len(edges) - 1), np.nan), np.full((n, len(edges) - 1), np.nan)
    known = np.isfinite(centres).all(axis=1)
    places, members = np.unique(centres[known], axis=0, return_inverse=True)
    members = members.reshape(-1)
    rows = np.flatnonzero(known)
    for place, centre in enumerate(places):
        shares = ring_shares(N, centre, edges, periodic=periodic)
        here = rows[members == place]
        sums[here] = (shares @ batch[here].reshape(len(here), -1).T.astype(np.float64)).T
        pixels[here] = shares.sum(axis=1)
    return sums, pixels


class RadialProfile(MapStatistic):
    """The mean of every map in rings about its centre, and what lies within them.

    Args:
        bins: Rings of equal width.
        r_max: Outer edge of the last ring, in the unit of the box; left out, half the box less half a pixel.
        centre: ``mass``, the centre of mass of each map, or ``middle``, the middle of the box.

    Raises:
        UsageError: ``bins`` is less than 1 or ``r_max`` is not positive.

    Example:
        >>> ds = RadialProfile(bins=4).compute(np.ones((1, 16, 16)), 16.0, True, "mK", box_unit="Mpc")
        >>> ds["profile"].values.round(9).tolist(), ds["enclosed"].attrs["units"]
        ([[1.0, 1.0, 1.0, 1.0]], 'Mpc2 mK')
    """

    def __init__(
        self, *, bins: int = 16, r_max: float | None = None, centre: Literal["mass", "middle"] = "mass"
    ) -> None:
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        if r_max is not None and not r_max > 0:
            raise UsageError(f"r_max is {r_max!r}, allowed: a positive length")
        self.bins, self.r_max, self.centre = bins, r_max, centre

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the profiles of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``profile (sample, radius)`` and ``enclosed (sample, radius)``, coordinate ``radius``.
        """
        dims = max(np.ndim(maps) - 1, 2)
        centre = np.full(dims, box / 2) if self.centre == "middle" else None
        profile = radial_profile(
            maps, box, centre, periodic=periodic, bins=self.bins, r_max=self.r_max, dims=dims
        )
        total = product_unit([units], box_unit, dims)
        names = ("sample", "radius")
        return xr.Dataset(
            {
                "profile": (names, profile.mean, {"units": units, "long_name": "mean in the ring"}),
                "enclosed": (names, profile.enclosed, {"units": total, "long_name": "sum within the ring"}),
            },
            coords={"radius": ("radius", profile.radius, {"units": box_unit, "long_name": "radius"})},
        )
