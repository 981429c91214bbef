"""The real sets that come with the package, so that a first run needs neither simulator nor network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import FormatError, nearest
from skyloom.fields import store
from skyloom.fields.store.manifest import MANIFEST

if TYPE_CHECKING:
    import xarray as xr

FOLDER = Path(__file__).parent / "sets"


class Shipped:
    """A set that lies in the package.

    Args:
        set: Its name: ``reionisation-21cmfast`` (maps of 100 simulations of 21cmFAST at three redshifts
            each) or ``cosmic-rays-athena`` (cubes of ten Athena++ runs, two of each cosmic-ray transport).

    Raises:
        FormatError: There is no such set.
    """

    def __init__(self, *, set: str) -> None:
        self.folder = FOLDER / set
        if not (self.folder / MANIFEST).is_file():
            raise FormatError(f"no shipped set is called {set!r}", hint=nearest(set, shipped_sets()))

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return False: a shipped set is asked for by name; its folder is a stored field set."""
        return False

    def read(self) -> xr.Dataset:
        """Return the field set, lazily."""
        return store.open(self.folder)


def shipped_sets() -> list[str]:
    """Return the names of the sets that come with the package."""
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{MANIFEST}"))
