"""A stored field set, Skyloom's own layout on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.fields import store
from skyloom.fields.store.manifest import MANIFEST

if TYPE_CHECKING:
    import xarray as xr


class FieldSet:
    """A folder of shards with a manifest, as ``skyloom make`` and ``skyloom import`` write it.

    Args:
        path: The folder.
    """

    def __init__(self, *, path: str) -> None:
        self.folder = Path(path)

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is a folder with a manifest."""
        return (path / MANIFEST).is_file()

    def read(self) -> xr.Dataset:
        """Return the field set, lazily.

        Raises:
            StoreError: The manifest or a shard is missing or damaged.
        """
        return store.open(self.folder)
