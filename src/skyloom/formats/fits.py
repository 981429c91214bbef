"""FITS images: maps and cubes, with world coordinates or without, one file or a folder of them.

Axis 1 of FITS runs fastest, so an array comes as ``(y, x)`` or ``(z, y, x)`` with x = axis 1; axes of one
pixel are dropped. Codes that dumped their array with x first are told by ``axes="xyz"``. Where the header has
linear world coordinates in a length, the side of the box comes from them; where it has angles, the angle of a
pixel is kept as the attribute ``pixel_angle`` [deg] and the box counts pixels: the sky has no length.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, UnitError, nearest
from skyloom.fields import build
from skyloom.fields import fields as fields_of
from skyloom.runs import atomic_path, input_file
from skyloom.units import is_length, parse

if TYPE_CHECKING:
    import xarray as xr

SUFFIXES = (".fits", ".fit", ".fts", ".fits.gz")
#: Extensions that published codes write, and Skyloom's names for them.
KNOWN = {"Ec": "E_c", "magnetic_energy_density": "magnetic_energy", "density": "density"}


@dataclass(frozen=True)
class _Image:
    """One image extension: where it stands and what its header says."""

    path: Path
    index: int
    name: str
    raw: tuple[int, ...]
    unit: str
    long_name: str
    step: float
    step_unit: str
    beam: float | None  # full width at half maximum, pixels

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels along each axis, without axes of one pixel."""
        return tuple(n for n in self.raw if n > 1)

    def read(self) -> NDArray[np.float32]:
        """Read the pixels, axes of one pixel dropped."""
        from astropy.io import fits

        with fits.open(self.path, memmap=False) as file:
            return np.array(file[self.index].data, dtype=np.float32).reshape(self.shape)


class Fits:
    """Maps or cubes in FITS files; every file is one sample, every image in it one field.

    Args:
        path: A file, or a folder whose FITS files have the same images.
        fields: Extension (its name, or its number as text) to the name of a field; null takes every image
            under its own name, that of a nameless one being ``image``.
        units: Field to unit, where the header's BUNIT is missing or no unit.
        box_size: Side of the box [box_size_unit]; null takes it from the header.
        box_size_unit: A length, or empty for code units.
        axes: Order of the array's axes, ``zyx`` as FITS has it, or ``xyz`` for codes that wrote x first.
        periodic: Whether opposite edges touch.
        group: Name of the simulation that all files belong to; null makes every file its own.
        suite: Where the files come from.
        realism: How close to nature they are.
    """

    def __init__(
        self,
        *,
        path: str,
        fields: dict[str, str] | None = None,
        units: dict[str, str] | None = None,
        box_size: float | None = None,
        box_size_unit: str = "",
        axes: Literal["zyx", "xyz"] = "zyx",
        periodic: bool = False,
        group: str | None = None,
        suite: str = "FITS",
        realism: Literal["toy", "painted", "semi-numerical", "simulation"] = "simulation",
    ) -> None:
        self.path, self.wanted, self.units = Path(path), fields, dict(units or {})
        self.box, self.axes, self.periodic = (box_size, box_size_unit), axes, periodic
        self.group, self.suite, self.realism = group, suite, realism

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a FITS file, or a folder of them, that holds an image."""
        try:
            files = fits_files(path)
            return bool(files) and not is_event_list(files[0]) and bool(_images(files[0], None, {}))
        except FormatError:
            return False

    def read(self) -> xr.Dataset:
        """Return the images as a field set, lazily.

        Raises:
            FormatError: A file is damaged, has no image or other images than the first, or is no square.
        """
        files = fits_files(self.path)
        if not files:
            raise FormatError(f"{self.path}: no FITS file", hint=f"looked for {', '.join(SUFFIXES)}")
        found = [_images(path, self.wanted, self.units) for path in files]
        first = found[0]
        for path, images in zip(files, found, strict=True):
            if not images:
                raise FormatError(f"{path}: holds no image", hint="events are the format 'fits_events'")
            if [(i.name, i.shape) for i in images] != [(i.name, i.shape) for i in first]:
                raise FormatError(
                    f"{path}: holds {_listed(images)}, but {files[0]} {_listed(first)}",
                    hint="read files that differ apart, or name the fields that all have",
                )
        if len(set(first[0].shape)) > 1 or any(image.shape != first[0].shape for image in first):
            raise FormatError(f"{files[0]}: holds {_listed(first)}, allowed: squares or cubes of one size")
        size, unit, angle = self._box_of(first[0])
        names = [_stem(path) for path in files]
        groups = names if self.group is None else [self.group] * len(names)
        ds = build(
            {
                image.name: (self._stacked(found, row), image.unit, image.long_name)
                for row, image in enumerate(first)
            },
            ids=names,
            groups=groups,
            seeds=[zlib.crc32(group.encode()) for group in groups],
            box_size=size,
            box_size_unit=unit,
            suite=self.suite,
            realism=self.realism,
            periodic=self.periodic,
            provenance={
                "inputs": [input_file(path) for path in files],
                "steps": [{"step": "read", "format": "fits", "axes": self.axes}],
            },
        )
        told = {"pixel_angle": angle, "beam_pixels": first[0].beam}
        return ds.assign_attrs({name: value for name, value in told.items() if value is not None})

    def _stacked(self, found: list[list[_Image]], row: int) -> Any:
        """Return one field of all files as a Dask array, a chunk a file."""
        import dask
        import dask.array as da

        arrays = []
        for images in found:
            image = images[row]
            lazy = da.from_delayed(dask.delayed(image.read)(), image.shape, np.float32)
            arrays.append(lazy.T if self.axes == "xyz" else lazy)
        return da.stack(arrays)

    def _box_of(self, image: _Image) -> tuple[float, str, float | None]:
        """Return side and unit of the box, and the angle of a pixel [deg] where there is one."""
        size, unit = self.box
        N = image.shape[-1]
        length = bool(image.step_unit) and is_length(image.step_unit)
        angle = None if length or not image.step_unit else _degrees(image)
        if size is not None:
            return size, unit, angle
        if length:
            return N * image.step, image.step_unit, None
        return (float(N), "", angle) if angle is not None else (N * image.step, "", None)


def write(ds: xr.Dataset, path: Path | str, *, names: Mapping[str, str] | None = None) -> None:
    """Write one sample as FITS, one image extension a field.

    Args:
        ds: A field set of one sample, maps or cubes.
        path: The file to write; an existing one is replaced whole.
        names: Field to the name of its extension; others keep their own. :data:`KNOWN` turned round gives the
            ``turb_full.fits`` of the published cosmic-ray system.

    Raises:
        FormatError: There is more than one sample.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example
        >>> target = Path(tempfile.mkdtemp()) / "map.fits"
        >>> write(example().isel(sample=[0]), target)
        >>> bool((Fits(path=str(target)).read()["T_b"] == example()["T_b"][:1].values).all())
        True
    """
    from astropy.io import fits

    if ds.sizes["sample"] != 1:
        raise FormatError(f"{path}: {ds.sizes['sample']} samples, but a FITS file takes one")
    images = [fits.PrimaryHDU()]
    images[0].header["OBJECT"] = _ascii(str(ds["sample"].values[0]))
    for name in fields_of(ds):
        values = np.asarray(ds[name].values[0])
        image = fits.ImageHDU(values, name=None)
        image.header["EXTNAME"] = (names or {}).get(name, name)
        image.header["BUNIT"] = ds[name].attrs["units"]
        image.header["LONGNAME"] = _ascii(ds[name].attrs["long_name"])
        step = float(ds.attrs["box_size"]) / values.shape[-1]
        for axis in range(1, values.ndim + 1):
            image.header[f"CTYPE{axis}"] = "LINEAR"
            image.header[f"CRPIX{axis}"], image.header[f"CRVAL{axis}"] = 0.5, 0.0
            image.header[f"CDELT{axis}"] = step
            image.header[f"CUNIT{axis}"] = ds.attrs["box_size_unit"]
        images.append(image)
    with atomic_path(Path(path)) as whole:
        fits.HDUList(images).writeto(whole, overwrite=True)


def fits_files(path: Path) -> list[Path]:
    """Return the FITS files at a path: itself, or those in the folder by name."""
    if path.is_dir():
        return sorted(file for file in path.iterdir() if file.name.lower().endswith(SUFFIXES))
    return [path] if path.is_file() and path.name.lower().endswith(SUFFIXES) else []


def is_event_list(path: Path) -> bool:
    """Return whether a FITS file holds a table of events, beside whatever images; never raises."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings(), fits.open(path, memmap=True) as file:
            warnings.simplefilter("ignore")  # a damaged file is told of when it is read
            return any(hdu.name == "EVENTS" and not hdu.is_image for hdu in file)
    except (OSError, ValueError, TypeError, EOFError, zlib.error):
        return False


def _images(path: Path, wanted: Mapping[str, str] | None, units: Mapping[str, str]) -> list[_Image]:
    """Return the images of a file that are wanted, in their order."""
    from astropy.io import fits

    try:
        with warnings.catch_warnings(), fits.open(path, memmap=True) as file:
            # Astropy only warns of it, and fails when the pixels are read.
            warnings.filterwarnings("error", message="File may have been truncated")
            images = [
                _image(path, index, hdu, wanted, units)
                for index, hdu in enumerate(file)
                if hdu.is_image and hdu.header.get("NAXIS", 0) > 1
            ]
    except (OSError, ValueError, TypeError, EOFError, UserWarning, zlib.error) as error:
        raise FormatError(
            f"{path}: cannot be read as FITS ({error})", hint="copy it again, or leave it out"
        ) from error
    if wanted is None:
        return [image for image in images if image is not None]
    found = {image.name: image for image in images if image is not None}
    for extension, name in wanted.items():
        if name not in found:
            with fits.open(path) as file:
                there = [hdu.name or str(index) for index, hdu in enumerate(file)]
            raise FormatError(f"{path}: has no image {extension!r}", hint=nearest(extension, there))
    return [found[name] for name in wanted.values()]


def _image(
    path: Path, index: int, hdu: Any, wanted: Mapping[str, str] | None, units: Mapping[str, str]
) -> _Image | None:
    """Read the header of one image; None where it is not wanted."""
    header = hdu.header
    own = str(header.get("EXTNAME", "")).strip()
    name = KNOWN.get(own, own) or "image"
    if wanted is not None:
        given = wanted.get(own) or wanted.get(str(index))
        if given is None:
            return None
        name = given
    if (axes := sum(n > 1 for n in hdu.shape)) not in (2, 3):
        raise FormatError(f"{path}: image {own or index!r} has {axes} axes, allowed: 2 or 3")
    unit = units.get(name, str(header.get("BUNIT", "")).strip())
    try:
        parse(unit)
    except UnitError as error:
        raise FormatError(
            f"{path}: image {own or index!r} has BUNIT {unit!r}, which is no unit",
            hint=f"say it yourself: units: {{{name}: ...}}",
        ) from error
    step = header.get("CDELT1", header.get("CD1_1", 1.0))
    return _Image(
        path=path,
        index=index,
        name=name,
        raw=tuple(hdu.shape),
        unit=unit,
        long_name=str(header.get("LONGNAME", own or name)),
        step=abs(float(step)) or 1.0,
        step_unit=str(header.get("CUNIT1", "deg" if "CTYPE1" in header and _on_sky(header) else "")).strip(),
        # Both are in the unit of the axes, degrees as a rule.
        beam=abs(float(header["BMAJ"]) / (float(step) or 1.0)) if "BMAJ" in header else None,
    )


def _ascii(text: str) -> str:
    """Return a text in the letters that a FITS header takes: powers are written out, others become ``?``."""
    for letter, written in (("²", "^2"), ("³", "^3"), ("⊙", "sun"), ("–", "-")):
        text = text.replace(letter, written)
    return text.encode("ascii", "replace").decode()


def _on_sky(header: Any) -> bool:
    return str(header["CTYPE1"]).startswith(("RA", "GLON", "ELON"))


def _degrees(image: _Image) -> float:
    import astropy.units as u

    try:
        return float((image.step * parse(image.step_unit)).to_value(u.deg))
    except (UnitError, u.UnitConversionError) as error:
        raise FormatError(
            f"{image.path}: a pixel measures {image.step:g} {image.step_unit!r}, no length and no angle",
            hint="give box_size and box_size_unit",
        ) from error


def _stem(path: Path) -> str:
    name = path.name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _listed(images: list[_Image]) -> str:
    return ", ".join(f"{image.name} {' × '.join(map(str, image.shape))}" for image in images) or "nothing"
