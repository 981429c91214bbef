"""Checkpoints from which a training goes on with the same bits.

A checkpoint is one file, ``state/step-<steps>.pt``: PyTorch's own format, followed by the SHA-256 of all
before it. PyTorch switches off the checksums of its format, so without ours a flipped bit would go unseen.
Files appear whole or not at all, the newest ``keep`` stay, and a damaged one is passed over with a warning.
They load with ``weights_only=True``: tensors, numbers, strings, lists and dictionaries, nothing that could
run.
"""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path
from typing import IO, Any

import torch

from skyloom import runs
from skyloom.errors import DataError

_MARK = b"skyloom1"
_TAIL = len(_MARK) + hashlib.sha256().digest_size
_CHUNK = 1 << 24


class _Hashing:
    """A file to write to that keeps the digest of what went through."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.digest = file, hashlib.sha256()

    def write(self, content: bytes) -> int:
        self.digest.update(content)
        return self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write one checkpoint atomically.

    Args:
        path: The file.
        state: Tensors, numbers, strings and None in dictionaries, lists and tuples.

    Raises:
        DataError: The file cannot be written; one that stood there is intact.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "step-1.pt"
        >>> save_checkpoint(path, {"w": torch.ones(2), "epoch": 1})
        >>> load_checkpoint(path)["epoch"]
        1
    """
    with runs.atomic_write(path, "wb") as file:
        hashing = _Hashing(file)
        torch.save(state, hashing)  # type: ignore[arg-type]  # torch asks for no more than write and flush
        file.write(_MARK + hashing.digest.digest())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read one checkpoint, tensors on the CPU.

    Args:
        path: A file written by ``save_checkpoint``.

    Returns:
        The state.

    Raises:
        DataError: The file is absent or damaged.
    """
    again = "resume from an older checkpoint, or train again"
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size - _TAIL
            digest = hashlib.sha256()
            for start in range(0, max(length, 0), _CHUNK):
                digest.update(file.read(min(_CHUNK, length - start)))
            if length < 0 or file.read() != _MARK + digest.digest():
                raise DataError(f"the checkpoint {path} is damaged", hint=again)
            file.seek(0)
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise DataError(f"cannot read the checkpoint {path}: {error.strerror}", hint=again) from error
    return state


class Generations:
    """The checkpoints of one training, newest first.

    Args:
        folder: Where they stand.
        keep: How many stay, 2 or more.

    Example:
        >>> import tempfile
        >>> generations = Generations(Path(tempfile.mkdtemp()), keep=2)
        >>> for step in (10, 20, 30):
        ...     generations.save(step, {"step": step})
        >>> [path.name for path in generations.paths()], generations.load()
        (['step-0000000030.pt', 'step-0000000020.pt'], {'step': 30})
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder, self.keep = folder, keep

    def paths(self) -> list[Path]:
        """Return the files, newest first."""
        return sorted(self.folder.glob("step-*.pt"), reverse=True)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint, then remove those that are too many.

        Args:
            step: Optimiser steps done.
            state: As ``save_checkpoint`` takes it.

        Raises:
            DataError: It cannot be written; the older ones are intact.
        """
        newest = self.folder / f"step-{step:010d}.pt"
        save_checkpoint(newest, state)
        # Files of later steps were damaged, or the training would have gone on from them.
        later = [path for path in self.paths() if path.name > newest.name]
        for path in later + self.paths()[len(later) + max(2, self.keep) :]:
            path.unlink(missing_ok=True)

    def load(self) -> dict[str, Any] | None:
        """Read the newest checkpoint that is whole.

        Returns:
            Its state; None where there is no file.

        Raises:
            DataError: There are files, and all are damaged.
        """
        paths = self.paths()
        for path in paths:
            try:
                return load_checkpoint(path)
            except DataError as error:
                if path == paths[-1]:
                    raise
                # RuntimeWarning: the user should know, and the training is none the worse for it.
                warnings.warn(f"{error.message}; going back to the one before", RuntimeWarning, stacklevel=2)
        return None
