"""Damaged files end in a clear error or in the right answer: thousands of mutations of a small file."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skyloom.errors import FormatError
from skyloom.formats.xcdf import Alias, Field, File, write
from skyloom.formats.xcdf.frames import (
    BLOCK_DATA,
    BLOCK_HEADER,
    DEFLATED,
    FILE_HEADER,
    Source,
    frame_at,
    frame_bytes,
    payload,
)
from skyloom.formats.xcdf.records import BlockHeader, Header, block_header_bytes, header_bytes

N = np.array([2, 0, 1, 3, 1])
M = np.array([1, 2, 0, 4, 0, 1, 3])
BYTES = 2**16
"""Memory that reading a damaged file may take: the whole file is one kilobyte."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("xcdf") / "victim.xcd"
    fields = [
        Field("n", "uint"),
        Field("m", "uint", parent="n"),
        Field("s", "int", 3),
        Field("x", "float", 0.01),
        Field("w", "float", 0.0, parent="m"),
    ]
    data = {"n": N, "m": (M, N), "s": [-9, 0, 3, 12, 6], "x": N * 0.37, "w": (np.arange(11.0), N, M)}
    write(path, fields, data, aliases=[Alias("y", "2 * x + s")], comments=["c"], block_events=2)
    whole = path.read_bytes()
    with path.open("rb") as opened:
        source, at, frames = Source(path, opened), 0, []
        while at < source.size:
            frame = frame_at(source, at)
            frames.append((frame.kind, payload(source, frame), frame.deflated))
            at = frame.end
    File(path).read()  # the kernels are compiled
    return path, whole, frames


def try_to_read(path, raw):
    """Return what is read, None after an error that names the file; nothing else may happen."""
    path.write_bytes(raw)
    try:
        found = File(path)
        return {name: found.read([name], threads=1)[name] for name in (*found.fields, *found.aliases)}
    except FormatError as error:
        assert path.name in error.message or "expression" in error.message
        return None


def assembled(frames):
    parts = []
    for kind, data, deflated in frames:
        stored = zlib.compress(data) if deflated and data else data
        head = (
            [DEFLATED, len(stored), zlib.adler32(stored), kind]
            if deflated
            else [kind, len(stored), zlib.adler32(stored)]
        )
        parts.append(struct.pack(f"<{len(head)}I", *head) + stored)
    return b"".join(parts)


SETTINGS = settings(
    max_examples=1500,
    deadline=2000,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SETTINGS
@given(
    at=st.integers(0, 10**6),
    new=st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\xff" * 4])),
    how=st.sampled_from(["change", "insert", "delete", "cut"]),
)
def test_changed_bytes_are_found(file, at, new, how):
    path, whole, _ = file
    at %= len(whole)
    tail = {
        "change": whole[at + len(new) :],
        "insert": whole[at:],
        "delete": whole[at + len(new) :],
        "cut": b"",
    }
    raw = whole[:at] + (new if how in ("change", "insert") else b"") + tail[how]
    got = try_to_read(path, raw)
    if got is not None and raw != whole and how == "change":
        # what nothing depends on was changed: the answer is the right one
        assert np.array_equal(got["n"], N[: len(got["n"])])


@SETTINGS
@given(
    which=st.integers(0, 100),
    at=st.integers(0, 10**6),
    new=st.one_of(
        st.binary(min_size=1, max_size=8),
        st.sampled_from([b"\0" * 8, b"\xff" * 8, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\x40", b"\0\0\0\x80"]),
    ),
)
def test_lies_with_a_right_checksum_do_no_harm(file, which, at, new):
    path, _, frames = file
    which %= len(frames)
    kind, data, deflated = frames[which]
    at %= max(len(data), 1)
    lied = [*frames[:which], (kind, data[:at] + new + data[at + len(new) :], deflated), *frames[which + 1 :]]
    try_to_read(path, assembled(lied))


@pytest.mark.parametrize("new", [b"\xff\xff\xff\xff", b"\xff\xff\xff\x00"])
def test_no_count_in_a_payload_makes_memory(file, new):
    path, _, frames = file
    for which, (kind, data, deflated) in enumerate(frames):
        for at in range(0, max(len(data) - 4, 0), 3):
            lied = [*frames[:which], (kind, data[:at] + new + data[at + 4 :], deflated), *frames[which + 1 :]]
            raw = assembled(lied)
            tracemalloc.start()
            try_to_read(path, raw)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak < BYTES * 8, (which, at, peak)


def test_a_block_of_constants_that_claims_endless_events_is_refused(tmp_path):
    path = write(tmp_path / "a.xcd", [Field("c", "uint")], {"c": [7, 7]})
    with path.open("rb") as opened:
        source, at, frames = Source(path, opened), 0, []
        while at < source.size:
            frame = frame_at(source, at)
            frames.append((frame.kind, payload(source, frame), frame.deflated))
            at = frame.end
    header = bytearray(frames[0][1])
    header[4:12] = bytes(8)  # no trailer pointer: the block header alone tells how many
    block = struct.pack("<I", 2**32 - 1) + frames[1][1][4:]
    path.write_bytes(
        assembled([(frames[0][0], bytes(header), False), (frames[1][0], block, True), frames[2]])
    )
    with pytest.raises(FormatError, match="more than 33554432 data in a block"):
        File(path).read()


def test_a_tower_of_vectors_is_no_tower_of_calls(tmp_path):
    names = [f"v{i}" for i in range(1100)]
    fields = [Field(name, "uint", parent=names[i - 1] if i else "") for i, name in enumerate(names)]
    block = BlockHeader(1, (1,) * len(names), (0,) * len(names))  # each has one value, 1, in no bits
    path = tmp_path / "tower.xcd"
    path.write_bytes(
        frame_bytes(FILE_HEADER, header_bytes(Header(3, 0, tuple(fields), ())), deflate=False)
        + frame_bytes(BLOCK_HEADER, block_header_bytes(block), deflate=True)
        + frame_bytes(BLOCK_DATA, b"", deflate=True)
    )
    column = File(path).read([names[-1]])[names[-1]]
    assert len(column) == 1100 and all(level.tolist() == [1] for level in column)
