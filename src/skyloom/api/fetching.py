"""Downloading public data sets, file by file, so that a broken connection costs nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from skyloom.api.progress import counting
from skyloom.errors import UsageError
from skyloom.formats.camels.hosting import files
from skyloom.formats.download import MEGABYTE, download, published_digests

HOST = "SKYLOOM_CAMELS_URL"  #: environment variable: where the CAMELS Multifield Dataset lies
CAMELS = "https://users.flatironinstitute.org/~camels/CMD"


def fetch(
    name: str,
    folder: Path,
    *,
    suite: str,
    set: str,
    fields: Sequence[str],
    redshift: str = "0.00",
    grid: int | None = None,
    url: str | None = None,
    progress: str | None = None,
) -> Path:
    """Download files of a public data set; those that are there and whole are kept.

    Args:
        name: ``camels``.
        folder: Where the files go.
        suite: Suite, such as ``IllustrisTNG`` or ``Nbody_IllustrisTNG``.
        set: Set, such as ``LH``.
        fields: Fields, such as ``Mgas``.
        redshift: As in the names of the files.
        grid: Cells of the grids; None downloads maps.
        url: Where the data set lies; ``$SKYLOOM_CAMELS_URL`` or its public host if not given.
        progress: ``quiet`` for no bar.

    Returns:
        ``folder``, which ``skyloom import`` and recipes read.

    Raises:
        UsageError: The data set or a field is unknown.
        DataError: The host does not answer or has no such file, what came is not what it announced, or the
            disk is full; what has come is kept.
    """
    if name != "camels":
        raise UsageError(f"no data set is called {name!r}", hint="allowed: camels")
    wanted = files(suite, set, fields, redshift=redshift, grid=grid)
    base = (url or os.environ.get(HOST) or CAMELS).rstrip("/")
    digests = published_digests(f"{base}/{wanted[0].rpartition('/')[0]}")
    for file in wanted:
        target = folder / Path(file).name
        with counting(f"MB of {target.name}", progress) as count:
            download(
                f"{base}/{file}",
                target,
                sha256=digests.get(target.name),
                progress=lambda done, total, count=count: count(done // MEGABYTE, total // MEGABYTE),  # type: ignore[misc]
            )
    return folder
