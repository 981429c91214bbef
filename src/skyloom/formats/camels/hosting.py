"""Where the files of the CAMELS Multifield Dataset lie on its public host."""

from __future__ import annotations

from collections.abc import Sequence

from skyloom.errors import UsageError, nearest
from skyloom.formats.camels.names import FIELDS, NBODY, Name


def files(
    suite: str, set: str, fields: Sequence[str], *, redshift: str = "0.00", grid: int | None = None
) -> list[str]:
    """Return the table of parameters and the files of the fields, relative to the host's folder.

    Args:
        suite: Suite, such as ``SIMBA`` or ``Nbody_SIMBA``.
        set: Set, such as ``LH``.
        fields: Fields, by their prefixes.
        redshift: As in the names of the files.
        grid: Cells of the grids; None for maps.

    Raises:
        UsageError: A field is unknown, not there for this suite, or none is asked for.

    Example:
        >>> files("Nbody_SIMBA", "LH", ["Mtot"])[1]
        '2D_maps/data/Nbody/Maps_Mtot_Nbody_SIMBA_LH_z=0.00.npy'
    """
    if not fields:
        raise UsageError("no field is asked for", hint=f"choose from {', '.join(FIELDS)}")
    for field in fields:
        if field not in FIELDS:
            raise UsageError(f"field {field!r} is unknown", hint=nearest(field, FIELDS))
        if suite.startswith(NBODY) and field != "Mtot":
            raise UsageError(f"{suite} has no {field}", hint="gravity-only simulations have Mtot alone")
    folder = "Nbody" if suite.startswith(NBODY) else suite
    place = f"{'2D_maps' if grid is None else '3D_grids'}/data/{folder}"
    names = [Name(suite, set, redshift, grid, field) for field in fields]
    return [f"{place}/{names[0].parameters}", *(f"{place}/{name.file}" for name in names)]
