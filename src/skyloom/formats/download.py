"""Downloads that go on where they broke, and end with the right bytes or with an error.

A file grows under ``.<name>.download`` and gets its own name when it is whole. A note beside it keeps what
the host said of the file (length, tag, time), so that a file that changed on the host is begun anew. Pooch,
which other projects use for this, begins every broken download anew, which is no help with files of 4 GB.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from skyloom.errors import DataError
from skyloom.runs import read_json, write_json

MEGABYTE = 10**6
BLOCK = 2**20
TRIES = 5  #: without one more byte in between
PATIENCE = 60.0  #: seconds without a byte until a connection counts as broken

Progress = Callable[[int, int], None]
_DISK = {
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EFBIG", "EROFS", "EACCES", "EPERM", "ENOTDIR")
}
_GO_ON = "what has come is kept: run the same command again"


def download(
    url: str, target: Path, *, sha256: str | None = None, progress: Progress | None = None, wait: float = 1.0
) -> Path:
    """Download a file, unless it is there.

    Args:
        url: Where it lies.
        target: Where it goes; missing folders are made.
        sha256: What its digest must be; None where the host publishes none.
        progress: Called with (bytes there, bytes in all).
        wait: Seconds before the second try; doubled before each further one.

    Returns:
        ``target``.

    Raises:
        DataError: The host has no such file or does not answer, the length or the digest is not the one
            announced, or the disk is full.
    """
    if target.is_file():
        return target
    part = target.with_name(f".{target.name}.download")
    failures, before = 0, -1
    while True:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            _fill(url, part, progress or (lambda done, total: None))
            break
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise _refused(url, error.code) from error
            reason = f"the host answers {error.code}"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        except OSError as error:
            if error.errno in _DISK:
                raise DataError(f"cannot write {target}: {error.strerror}", hint=_GO_ON) from error
            reason = str(error)
        there = part.stat().st_size if part.exists() else 0
        failures, before = (failures + 1 if there == before else 1), there
        if failures >= TRIES:
            raise DataError(f"{url}: broken off after {there} bytes: {reason}", hint=_GO_ON)
        time.sleep(wait * 2 ** (failures - 1))
    _check(part, url, sha256)
    part.replace(target)
    _note(part).unlink(missing_ok=True)
    return target


def published_digests(folder: str) -> dict[str, str]:
    """Return the digests that a host publishes in ``SHA256SUMS`` in a folder, by file; empty where none.

    Args:
        folder: Address of the folder.
    """
    try:
        with urllib.request.urlopen(f"{folder}/SHA256SUMS", timeout=PATIENCE) as answer:
            lines = answer.read(10 * MEGABYTE).decode("utf-8", "replace").splitlines()
    except (OSError, http.client.HTTPException):
        return {}
    rows = [line.split(maxsplit=1) for line in lines]
    return {row[1].lstrip("*"): row[0].lower() for row in rows if len(row) == 2 and len(row[0]) == 64}


def _fill(url: str, part: Path, progress: Progress) -> None:
    """Fetch what is missing of a file; raise where the connection breaks."""
    known = _known(part)
    have = part.stat().st_size if known else 0
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if known.get("tag"):
            request.add_header("If-Range", known["tag"])
    try:
        answer = urllib.request.urlopen(request, timeout=PATIENCE)
    except urllib.error.HTTPError as error:
        if error.code == 416 and have == known.get("length"):
            return  # nothing is missing
        if error.code == 416:
            _note(part).unlink(missing_ok=True)
            raise ConnectionError("the file has become shorter on the host") from error
        raise
    with answer:
        going_on = answer.status == 206
        if going_on and _first_byte(answer.headers.get("Content-Range", "")) != have:
            raise ConnectionError("the host sent another part than the one asked for")
        length = _length(answer.headers, have if going_on else 0)
        if going_on and known.get("length") not in (None, length):
            _note(part).unlink(missing_ok=True)
            raise ConnectionError("the file has another length now than before")
        with part.open("ab" if going_on else "wb") as file:
            write_json(_note(part), {"url": url, "length": length, "tag": answer.headers.get("ETag")})
            done = have if going_on else 0
            progress(done, length or done)
            while block := answer.read(BLOCK):
                file.write(block)
                done += len(block)
                progress(done, length or done)
    if length is not None and done < length:
        raise ConnectionError(f"{done} of {length} bytes")


def _known(part: Path) -> dict[str, Any]:
    """Return what was noted of a download that has begun; empty where there is none to go on with."""
    if not part.exists() or not _note(part).exists():
        return {}
    with contextlib.suppress(DataError):
        return dict(read_json(_note(part)))
    return {}


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _length(headers: Any, have: int) -> int | None:
    text = headers.get("Content-Length")
    return None if text is None else have + int(text)


def _first_byte(text: str) -> int:
    """Return the first byte of ``bytes 100-199/200``, or -1."""
    digits = text.removeprefix("bytes ").partition("-")[0]
    return int(digits) if digits.isdecimal() else -1


def _check(part: Path, url: str, sha256: str | None) -> None:
    """Compare length and digest of a whole download; what is wrong is thrown away."""
    length, found = _known(part).get("length"), part.stat().st_size
    fault = f"{found} bytes came, {length} were announced" if length not in (None, found) else ""
    if not fault and sha256 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        fault = f"its sha256 is {digest}, the host publishes {sha256}" if digest != sha256.lower() else ""
    if fault:
        _note(part).unlink(missing_ok=True)
        part.unlink()
        raise DataError(f"{url}: {fault}", hint="it was thrown away: run the same command again")


def _refused(url: str, code: int) -> DataError:
    if code == 404:
        return DataError(
            f"{url}: the host has no such file (404)",
            hint="check suite, set, field and redshift; not every suite has every field and set",
        )
    return DataError(f"{url}: the host refuses it ({code})", hint="check the address, or give --url")
