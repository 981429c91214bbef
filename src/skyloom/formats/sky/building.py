"""From a sample of a field set to flux densities on the sky.

Columns and densities of H I have the flux of their mass, brightness temperatures that of their pixel. A map
is one channel that holds the whole line, or many where a map of velocities lies beside it. Each layer of a
cube is a channel: its depth is the velocity by which the universe expands across it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import DataError, UsageError, nearest
from skyloom.fields import fields as fields_of
from skyloom.formats.sky.record import Sky
from skyloom.instruments.radio.line import Sight, channels, flux_density, line_flux, sight, spectra
from skyloom.units import convert, parse

if TYPE_CHECKING:
    import xarray as xr

VELOCITY = "v_los"
"""Field of the mean velocity of each pixel's gas along the line of sight."""


class Seen(NamedTuple):
    """A sky, the field that it shows, and which share of its flux lies within the channels."""

    sky: Sky
    field: str
    kept: float


def on_the_sky(
    ds: xr.Dataset,
    *,
    field: str | None = None,
    redshift: float | None = None,
    distance: float | None = None,
    centre: tuple[float, float] = (0.0, -30.0),
    count: int = 1,
    band: float = 1000.0,
    dispersion: float = 10.0,
    comoving: bool = False,
) -> Seen:
    """Put one sample on the sky.

    Args:
        ds: A field set of one sample, maps or cubes, whose box has a length.
        field: H I in Msun over an area (maps) or a volume (cubes), or a brightness temperature; left out,
            ``HI`` or else ``T_b``.
        redshift: Of the source; left out, that of the sample.
        distance: Luminosity distance [Mpc]; left out, that of the redshift.
        centre: Right ascension and declination of the middle [deg], ICRS.
        count: Channels; more than one need the field ``v_los`` beside a map of H I.
        band: Width of all channels of a map [km/s], in the frame of the source. A brightness temperature is
            taken for its mean over them.
        dispersion: Standard deviation of the line of one pixel about ``v_los`` [km/s].
        comoving: Whether the lengths of the set are comoving, as those of a cosmological box.

    Returns:
        The sky, the field, and the share of its flux that the channels hold.

    Raises:
        DataError: There is no such field, or its unit or the box tell no flux.
        UsageError: Nothing tells the distance, or the arguments do not go together.

    Example:
        >>> from skyloom.fields import example
        >>> seen = on_the_sky(example().isel(sample=[0]), field="T_b", redshift=8.0, comoving=True)
        >>> f"{seen.sky.pixel * 3600:.0f} arcsec, {seen.sky.bandwidth / 1e6:.2f} MHz"  # 8 of 9130 Mpc
        '181 arcsec, 0.53 MHz'
    """
    name = _field(ds, field)
    own = float(ds["redshift"].values[0])
    seen = sight(own if redshift is None and np.isfinite(own) else redshift, distance)
    values, N = np.asarray(ds[name].values[0], float), ds.sizes["x"]
    if not ds.attrs["box_size_unit"]:
        raise DataError(
            "the box has no length, so its pixels have no angle", hint="give the set a length unit"
        )
    pixel = float(convert(ds.attrs["box_size"], str(ds.attrs["box_size_unit"]), "Mpc")) / N
    angle = seen.angle(pixel, comoving=comoving)
    kept, width = 1.0, band / count
    if values.ndim == 3:
        if count > 1:
            raise UsageError(f"{count} channels of a cube", hint="each of its layers is one: leave them out")
        width = expansion(seen, pixel, comoving=comoving)
        flux = _flux(values, str(ds[name].attrs["units"]), pixel, angle, seen, width)
    else:
        edges = channels(count, band)
        flux = _flux(values, str(ds[name].attrs["units"]), pixel, angle, seen, band)[None]
        if count > 1:
            whole = float(np.abs(flux).sum() * band)
            flux = spectra(flux[0] * band, _velocity(ds), edges, dispersion=dispersion)
            kept = float(np.abs(flux).sum() * width / whole) if whole else 1.0
    sky = Sky(
        flux, width, float(np.degrees(angle)), centre, seen, bool(ds.attrs["periodic"]),
        str(ds["sample"].values[0]),
    )  # fmt: skip
    return Seen(sky, name, kept)


def expansion(seen: Sight, depth: float, *, comoving: bool = False) -> float:
    """Return the velocity by which the universe expands across a depth [km/s], in the frame of the source.

    Args:
        seen: Where it is.
        depth: Along the line of sight [Mpc].
        comoving: Whether it is comoving.

    Example:
        >>> round(expansion(Sight(0.0, 10.0), 1.0), 1)  # H_0 of Planck 2018
        67.7
    """
    from astropy.cosmology import Planck18

    rate = float(Planck18.H(seen.redshift).value)
    return rate * depth / ((1 + seen.redshift) if comoving else 1.0)


def _field(ds: xr.Dataset, field: str | None) -> str:
    """Return the field to show."""
    there = [name for name in fields_of(ds) if ds[name].ndim > 1]
    if field is None:
        found = [name for name in ("HI", "T_b") if name in there]
        if not found:
            raise DataError(
                "there is no field 'HI' and no 'T_b'",
                hint=f"name one: {', '.join(there) or 'there is no map'}",
            )
        return found[0]
    if field not in there:
        raise DataError(f"there is no field {field!r}", hint=nearest(field, there))
    return field


def _flux(
    values: NDArray[np.float64], unit: str, pixel: float, angle: float, seen: Sight, width: float
) -> NDArray[np.float64]:
    """Return mean flux densities over a channel [Jy], of pixels or cells with a side [Mpc]."""
    import astropy.units as u

    powers = {2: u.Msun / u.Mpc**2, 3: u.Msun / u.Mpc**3}
    found: Any = parse(unit)
    if found.is_equivalent(u.K):
        return flux_density(convert(values, unit, "K"), angle**2, seen)
    if not found.is_equivalent(powers[values.ndim]):
        raise DataError(
            f"the field is in {unit!r}, which tells no flux of a {'map' if values.ndim == 2 else 'cube'}",
            hint=f"allowed: K, or {powers[values.ndim]}",
        )
    mass = convert(values, unit, powers[values.ndim].to_string()) * pixel**values.ndim
    return line_flux(mass, seen) / width


def _velocity(ds: xr.Dataset) -> NDArray[np.float64]:
    """Return the mean velocities along the line of sight, shape ``(N, N)`` [km/s]."""
    if VELOCITY not in ds or ds[VELOCITY].ndim != 3:
        raise DataError(
            f"several channels need the field {VELOCITY!r}, a map of velocities",
            hint="make the set with this domain, or leave the channels out",
        )
    return convert(np.asarray(ds[VELOCITY].values[0], float), str(ds[VELOCITY].attrs["units"]), "km / s")
