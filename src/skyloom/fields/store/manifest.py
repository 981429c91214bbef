"""The manifest of a stored field set: what is in the folder, and the proof that nothing has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from skyloom.errors import StoreError
from skyloom.runs import write_json

LAYOUT = 1
"""The version of the folder's layout; a manifest of another one is refused."""

MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"
"""Folder of the notes of an import that has not finished: its settings, and one note a finished shard."""

_PIECE = 1 << 24  # bytes hashed at once


@dataclass(frozen=True)
class Shard:
    """One file of the folder.

    Args:
        file: Its name.
        sha256: Of the whole file, hexadecimal.
        samples: How many samples it holds.
        bytes: Its size.

    Example:
        >>> Shard("shard-00000.nc", "e3b0", 8, 4096).samples
        8
    """

    file: str
    sha256: str
    samples: int
    bytes: int


@dataclass(frozen=True)
class Manifest:
    """What ``manifest.json`` holds.

    Args:
        shards: In the order of the samples.
        settings: What every shard has in common: attributes, fields, coordinates, compression.
        ids_digest: The sha256 of the sample ids (``transforms.ids_digest``).
        layout: The version of the folder's layout.

    Example:
        >>> shard = Shard("shard-00000.nc", "e3b0", 8, 4096)
        >>> Manifest((shard, shard), {}, "").samples
        16
    """

    shards: tuple[Shard, ...]
    settings: Mapping[str, Any]
    ids_digest: str
    layout: int = LAYOUT

    @property
    def samples(self) -> int:
        """How many samples all shards hold."""
        return sum(shard.samples for shard in self.shards)

    def save(self, folder: Path) -> None:
        """Write ``manifest.json`` atomically."""
        content = {"layout": self.layout, "ids_digest": self.ids_digest, **self.settings}
        write_json(folder / MANIFEST, content | {"shards": [asdict(shard) for shard in self.shards]})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read ``manifest.json``.

        Args:
            folder: Of a stored field set.

        Raises:
            StoreError: There is no folder, no manifest, or it is damaged or of another version.
        """
        path = Path(folder) / MANIFEST
        content = _content(path)
        if content.get("layout") != LAYOUT:
            raise StoreError(
                f"{path} has layout {content.get('layout')!r}, this version of Skyloom reads layout {LAYOUT}",
                hint="write the field set again, or use the version of Skyloom that wrote it",
            )
        try:
            shards = tuple(Shard(**shard) for shard in content.pop("shards"))
            settings = {
                key: content[key] for key in ("attrs", "fields", "coordinates", "compression", "identity")
            }
            return cls(shards, settings, content["ids_digest"])
        except (KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged: {error}", hint="write the field set again") from error


def _content(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        if not path.parent.is_dir():
            raise StoreError(f"no such folder: {path.parent}", hint="check the path") from error
        if (path.parent / UNFINISHED).is_dir():
            message, hint = "its import has not finished", "run the command that began it again: it goes on"
        else:
            message, hint = "it has no manifest.json", "give the folder of a stored field set"
        raise StoreError(f"{path.parent} is not a stored field set: {message}", hint=hint) from error
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be read: {error}", hint="write the field set again") from error
    if not isinstance(content, dict):
        raise StoreError(
            f"{path} holds a {type(content).__name__}, not a manifest", hint="write the set again"
        )
    return content


def check_shards(folder: Path, shards: Sequence[Shard]) -> None:
    """Raise unless every shard is there and has its size; digests are not computed.

    Args:
        folder: Of the stored field set.
        shards: What the manifest lists.

    Raises:
        StoreError: Lists every shard that is missing or has another size.
    """
    _refuse(folder, [fault for shard in shards if (fault := _size_fault(folder, shard))])


def verify(folder: str | os.PathLike[str]) -> None:
    """Raise unless every shard is bit for bit what was written; reads all of them.

    Args:
        folder: Of a stored field set.

    Raises:
        StoreError: Lists every shard that is missing, truncated or damaged.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> folder = tempfile.mkdtemp()
        >>> store.write(example(groups=1), folder)
        >>> verify(folder)
    """
    root = Path(folder)
    faults = []
    for shard in Manifest.load(root).shards:
        fault = _size_fault(root, shard)
        if not fault and _sha256(root / shard.file) != shard.sha256:
            fault = f"{shard.file} is damaged: its sha256 is not the one that was written"
        faults.append(fault)
    _refuse(root, [fault for fault in faults if fault])


def _refuse(folder: Path, faults: Sequence[str]) -> None:
    if faults:
        raise StoreError(
            f"{folder} is not as it was written:\n" + "\n".join(f"  - {fault}" for fault in faults),
            hint="copy these shards again from where they come from, or write the field set again",
        )


def _size_fault(folder: Path, shard: Shard) -> str:
    try:
        size = (folder / shard.file).stat().st_size
    except OSError:
        return f"{shard.file} is missing"
    if size < shard.bytes:
        return f"{shard.file} is truncated: {size} of {shard.bytes} bytes"
    return f"{shard.file} has {size} bytes, {shard.bytes} were written" if size > shard.bytes else ""


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
