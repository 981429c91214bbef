"""Writing a sky: FITS images with world coordinates, and tables of point sources.

The table is OSKAR's, twelve columns in a fixed order (https://ska-telescope.gitlab.io/sim/oskar, sky model
files): ``numpy.loadtxt`` reads it, and what it gives is what Karabo's ``SkyModel`` takes. OSKAR takes
positions for apparent ones; we give ICRS.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.formats.sky.record import Sky
from skyloom.instruments.radio.arrays import LINE
from skyloom.instruments.radio.beam import beam_area, beam_margin, convolved
from skyloom.runs import atomic_path, atomic_write

COLUMNS = (
    "ra_deg", "dec_deg", "i_jy", "q_jy", "u_jy", "v_jy", "ref_freq_hz", "spectral_index",
    "rotation_measure", "major_arcsec", "minor_arcsec", "position_angle_deg",
)  # fmt: skip
"""Columns of the table of sources; flux densities are those of the channel at the reference frequency."""


def header(sky: Sky, *, margin: int = 0) -> Any:
    """Return the world coordinates of a sky as a FITS header: orthographic (SIN), and frequency.

    Args:
        sky: What is written.
        margin: Pixels that were added on each side.

    Example:
        >>> from skyloom.instruments.radio.line import Sight
        >>> sky = Sky(np.ones((2, 4, 4)), 10.0, 0.5, (30.0, 0.0), Sight(0.0, 10.0), False, "halo")
        >>> from astropy.wcs import WCS
        >>> ra, dec, frequency = WCS(header(sky)).pixel_to_world_values(1.5, 1.5, [0, 1])
        >>> float(ra[0]), float(dec[0]), round(float(frequency[0] - frequency[1]))  # 10 km/s at 1420 MHz
        (30.0, 0.0, 47380)
    """
    from astropy.io import fits

    C, N = sky.flux.shape[:2]
    middle = (N + 2 * margin + 1) / 2
    cards: dict[str, tuple[Any, str]] = {
        "CTYPE1": ("RA---SIN", ""), "CUNIT1": ("deg", ""), "CRPIX1": (middle, ""),
        "CRVAL1": (sky.centre[0], ""), "CDELT1": (-sky.pixel, ""),
        "CTYPE2": ("DEC--SIN", ""), "CUNIT2": ("deg", ""), "CRPIX2": (middle, ""),
        "CRVAL2": (sky.centre[1], ""), "CDELT2": (sky.pixel, ""),
        "CTYPE3": ("FREQ", ""), "CUNIT3": ("Hz", ""), "CRPIX3": ((C + 1) / 2, ""),
        "CRVAL3": (sky.seen.frequency, ""),
        "CDELT3": (-sky.bandwidth, "channels by rising velocity"),
        "RESTFRQ": (LINE, "[Hz] H I"), "RADESYS": ("ICRS", ""),
        "VELWIDTH": (sky.width, "[km/s] of a channel, in the frame of the source"),
        "REDSHIFT": (sky.seen.redshift, ""),
        "LUMDIST": (sky.seen.distance, "[Mpc] luminosity distance"),
        "LINEFLUX": (sky.total, "[Jy km/s] of all pixels and channels"),
    }  # fmt: skip
    made = fits.Header()
    for key, (value, comment) in cards.items():
        made[key] = (value, comment) if comment else value
    return made


def write_image(sky: Sky, path: Path | str, *, beam: float | None = None) -> Path:
    """Write flux densities as FITS.

    Args:
        sky: What is written.
        path: The file; one that is there is replaced.
        beam: Full width at half maximum of a round beam [arcsec]: the image is then in Jy/beam, and grows by
            what the beam reaches beyond an open edge, so that no flux is lost. Left out, it is in Jy/pixel.

    Returns:
        The path.

    Raises:
        UsageError: The beam is not positive, or as wide as the field.
    """
    from astropy.io import fits

    values, margin, unit = sky.flux, 0, "Jy/pixel"
    pixels = None if beam is None else beam / 3600 / sky.pixel
    if pixels is not None:
        if not 0 < pixels < sky.flux.shape[-1]:
            raise UsageError(
                f"a beam of {beam} arcsec on a field of {sky.flux.shape[-1] * sky.pixel * 3600:.4g}",
                hint="give more than 0, and less than the field",
            )
        margin, unit = 0 if sky.periodic else beam_margin(pixels), "Jy/beam"
        grown = np.pad(values, ((0, 0), (margin, margin), (margin, margin)))
        values = convolved(grown, pixels, periodic=sky.periodic) * beam_area(pixels)
    made = fits.PrimaryHDU(values.astype(np.float32), header=header(sky, margin=margin))
    made.header["OBJECT"] = sky.name.encode("ascii", "replace").decode()
    made.header["BUNIT"] = unit
    if beam is not None:
        made.header["BMAJ"], made.header["BMIN"], made.header["BPA"] = beam / 3600, beam / 3600, 0.0
    made.header["HISTORY"] = "M_HI/Msun = 2.356e5 (D_L/Mpc)^2 / (1+z) (int S dv)/(Jy km/s), optically thin"
    with atomic_path(Path(path)) as whole:
        made.writeto(whole, overwrite=True)
    return Path(path)


def sources(sky: Sky, *, keep: float = 0.9999) -> list[NDArray[np.float64]]:
    """Return a table of point sources for each channel, a row a pixel.

    Args:
        sky: What is written.
        keep: Share of the absolute flux of a channel that its brightest pixels have to hold together; the
            others are left out, and those without flux always.

    Returns:
        Rows of `COLUMNS`, shape ``(sources, 12)``, by falling flux; a channel without flux has none.

    Raises:
        UsageError: The share is not above 0 and at most 1.

    Example:
        >>> from skyloom.instruments.radio.line import Sight
        >>> flux = np.array([[[1.0, 0.0], [98.0, 1.0]]])
        >>> sky = Sky(flux, 500.0, 1e-3, (150.0, 2.0), Sight(0.0, 10.0), False, "halo")
        >>> [len(sources(sky, keep=share)[0]) for share in (0.98, 0.99, 1.0)]
        [1, 2, 3]
    """
    if not 0 < keep <= 1:
        raise UsageError(f"keep is {keep}", hint="a share of the flux: more than 0, at most 1")
    from astropy.wcs import WCS

    y, x = np.indices(sky.flux.shape[1:])
    ra, dec = WCS(header(sky)).celestial.pixel_to_world_values(x, y)
    tables = []
    for flux, frequency in zip(sky.flux, sky.frequencies, strict=True):
        order = np.argsort(-np.abs(flux), axis=None, kind="stable")
        held = np.cumsum(np.abs(flux).ravel()[order])
        # Sums are rounded: a share of 1 is all that is not zero.
        enough = int(np.searchsorted(held, keep * held[-1] * (1 - 1e-12))) + 1
        chosen = order[:enough][flux.ravel()[order[:enough]] != 0]
        table = np.zeros((len(chosen), len(COLUMNS)))
        table[:, 0], table[:, 1], table[:, 2] = (v.ravel()[chosen] for v in (ra, dec, flux))
        table[:, 6] = frequency
        tables.append(table)
    return tables


def write_sources(sky: Sky, path: Path | str, *, keep: float = 0.9999) -> list[Path]:
    """Write the tables of sources as text, one file a channel: a simulator takes each at its own frequency.

    Args:
        sky: What is written.
        path: The file; of several channels ``NAME-000.txt`` and so on, by rising velocity.
        keep: As in `sources`.

    Returns:
        The files, also those of channels without one source.
    """
    target, written = Path(path), []
    tables = sources(sky, keep=keep)
    for number, (table, flux) in enumerate(zip(tables, sky.flux, strict=True)):
        one = target if len(tables) == 1 else target.with_stem(f"{target.stem}-{number:03d}")
        total = float(np.abs(flux).sum())
        share = float(np.abs(table[:, 2]).sum()) / total if total else 1.0
        told = (
            f"{sky.name}: {len(table)} of {flux.size} pixels, {share:.6%} of the absolute flux of"
            f" {total:.6e} Jy,\nin a channel of {sky.bandwidth:.6e} Hz\n" + " ".join(COLUMNS)
        )
        with atomic_write(one, "w") as file:
            np.savetxt(file, table, header=told, fmt=["%.10f", "%.10f", *["%.9e"] * 5, *["%g"] * 5])
        written.append(one)
    return written
