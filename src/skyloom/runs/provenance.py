"""What a run must remember so that somebody else can repeat it.

Versions come from the metadata of the installed packages (nothing is imported), the commit from git where
the code itself is tracked there. Paths are kept as the user gave them, with the home folder written ``~``:
a run folder is made to be shared, and needs neither the name of its author nor that of the machine.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from skyloom.errors import DataError

_PACKAGE = Path(__file__).resolve().parents[1]
_BLOCK = 2**20
_SAMPLE = 2**16


def provenance(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Describe the code, the machine and the command of this process.

    Args:
        argv: The command and its arguments; those of this process if None.

    Returns:
        JSON values: ``time`` (UTC, ISO 8601), ``skyloom`` and ``python`` (versions), ``packages`` (name to
        version, of every declared dependency that is installed), ``git`` (``commit`` and whether it is
        ``dirty``, or None), ``machine`` (``system``, ``processor``, ``cores``, ``usable_cores``,
        ``memory`` [bytes]) and ``argv``.

    Example:
        >>> facts = provenance(["/usr/bin/skyloom", "run", "reionisation"])
        >>> facts["argv"], facts["machine"]["cores"] >= 1, "numpy" in facts["packages"]
        (['skyloom', 'run', 'reionisation'], True, True)
    """
    command = list(sys.argv if argv is None else argv) or [""]
    return {
        "time": now(),
        "skyloom": _version("skyloom"),
        "python": platform.python_version(),
        "packages": packages(),
        "git": _commit(),
        "machine": machine(),
        "argv": [Path(command[0]).name, *(without_home(word) for word in command[1:])],
    }


def now() -> str:
    """Return the time in UTC to the second.

    Returns:
        ISO 8601, as in ``2024-02-16T12:00:00+00:00``.

    Example:
        >>> now().endswith("+00:00")
        True
    """
    return datetime.now(UTC).isoformat(timespec="seconds")


def packages() -> dict[str, str]:
    """Return the versions of the declared dependencies that are installed, extras included.

    Returns:
        Package name to version, sorted by name.

    Example:
        >>> list(packages()) == sorted(packages())
        True
    """
    try:
        declared = metadata.requires("skyloom") or []
    except metadata.PackageNotFoundError:
        declared = []
    names = {re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower() for requirement in declared}
    found = {name: _version(name) for name in sorted(names - {"skyloom"})}
    return {name: version for name, version in found.items() if version}


def machine() -> dict[str, Any]:
    """Describe the machine without naming it.

    Returns:
        ``system``, ``processor`` (text), ``cores`` (of the machine), ``usable_cores`` (of this process) and
        ``memory`` [bytes].

    Example:
        >>> machine()["memory"] > 0
        True
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "usable_cores": usable,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    }


def without_home(text: str) -> str:
    """Return a text with the path of the home folder written ``~``.

    Args:
        text: A path, or an argument that holds one.

    Returns:
        The same text where the home folder does not occur.

    Example:
        >>> without_home(f"--set=data.source.path={Path.home()}/sims")
        '--set=data.source.path=~/sims'
    """
    home = str(Path.home())
    return text if home == "/" else re.sub(re.escape(home) + r"(?=/|$)", "~", text)


def input_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe one input file.

    Args:
        path: The file, as the user named it.

    Returns:
        ``path`` (as given, the home folder as ``~``), ``sha256`` (hexadecimal) and ``bytes``.

    Raises:
        DataError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.bin"
        >>> _ = file.write_bytes(b"")
        >>> input_file(file)["sha256"][:16]  # of nothing, FIPS 180-4
        'e3b0c44298fc1c14'
    """
    digest, size = hashlib.sha256(), 0
    try:
        with Path(path).open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        raise DataError(f"cannot read the input {path}: {error.strerror}", hint="check the path") from error
    return {"path": without_home(os.fspath(path)), "sha256": digest.hexdigest(), "bytes": size}


def sampled_file(path: str | os.PathLike[str], *, blocks: int = 64) -> dict[str, Any]:
    """Describe an input file that is too large to be read whole before work begins.

    Args:
        path: The file, as the user named it.
        blocks: How many blocks of 64 KiB are read, evenly spaced from the first bytes to the last.

    Returns:
        As ``input_file``, but ``sha256`` is ``sampled:`` and the digest of the size, the time of the last
        change and the blocks; an edit between them shows by the time alone.

    Raises:
        DataError: The file cannot be read.

    Example:
        >>> import tempfile
        >>> file = Path(tempfile.mkdtemp()) / "a.bin"
        >>> _ = file.write_bytes(bytes(10**6))
        >>> sampled_file(file)["sha256"][:8], sampled_file(file) == sampled_file(file)
        ('sampled:', True)
    """
    try:
        with Path(path).open("rb") as file:
            facts = os.fstat(file.fileno())
            digest = hashlib.sha256(f"{facts.st_size} {facts.st_mtime_ns}".encode())
            last = max(0, facts.st_size - _SAMPLE)
            for place in sorted({round(last * i / max(1, blocks - 1)) for i in range(blocks)}):
                file.seek(place)
                digest.update(file.read(_SAMPLE))
    except OSError as error:
        raise DataError(f"cannot read the input {path}: {error.strerror}", hint="check the path") from error
    return {
        "path": without_home(os.fspath(path)),
        "sha256": f"sampled:{digest.hexdigest()}",
        "bytes": facts.st_size,
    }


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _commit(folder: Path = _PACKAGE) -> dict[str, Any] | None:
    # An installed copy may lie inside somebody else's repository, whose commit says nothing about our code.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".")
    return None if commit is None else {"commit": commit, "dirty": bool(changes)}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
