"""Following halos from one snapshot to another by the dark matter that they are made of."""

from __future__ import annotations

import numpy as np

from skyloom.errors import FormatError
from skyloom.formats.illustris.catalogue import Catalogue
from skyloom.formats.illustris.snapshot import Snapshot

TRACERS = 500
"""Dark matter particles by which a halo is followed; they are stored from the most bound on."""


def follow(
    ids: list[int], here: tuple[Snapshot, Catalogue], there: tuple[Snapshot, Catalogue]
) -> dict[int, int]:
    """Return in which halo of another snapshot most of the innermost dark matter of each halo lies.

    Args:
        ids: Numbers of halos here.
        here: Snapshot and catalogue.
        there: Those of the other time.

    Returns:
        Number here -> number there; a halo whose tracers lie in none is left out.

    Raises:
        FormatError: The snapshots carry no ``ParticleIDs``, or files are missing.
    """
    tracers: dict[int, np.ndarray] = {}
    for i in ids:
        starts, lengths = here[1].where("Group", i)
        count = min(int(lengths[1]), TRACERS)
        tracers[i] = here[0].rows("dark_matter", int(starts[1]), count, ["ParticleIDs"])["ParticleIDs"]
    wanted = np.unique(np.concatenate(list(tracers.values())))
    snapshot, catalogue = there
    if snapshot.missing:
        raise FormatError(
            f"{snapshot.path}: files are missing, so halos cannot be followed to it", hint="fetch them"
        )
    rows, found, first = [], [], 0
    for count in snapshot.counts("dark_matter").values():
        names = snapshot.rows("dark_matter", first, count, ["ParticleIDs"])["ParticleIDs"]
        places = np.flatnonzero(np.isin(names, wanted))
        rows.append(first + places)
        found.append(names[places])
        first += count
    row, name = np.concatenate(rows), np.concatenate(found)
    starts, lengths = catalogue.bounds("Group", 1)
    halo = np.searchsorted(starts, row, side="right") - 1
    halo = np.where(row < starts[halo] + lengths[halo], halo, -1)  # beyond the last halo lies what is in none
    links = {}
    for i, own in tracers.items():
        inside = halo[np.isin(name, own)]
        inside = inside[inside >= 0]
        if len(inside):
            links[i] = int(np.bincount(inside).argmax())
    return links
