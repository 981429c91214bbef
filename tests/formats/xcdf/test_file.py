"""Reading and writing XCDF: against the reference library's values, and by hand."""

import itertools
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from skyloom.errors import FormatError, UsageError
from skyloom.formats.xcdf import Alias, Field, File, write
from skyloom.formats.xcdf.frames import FILE_HEADER, FILE_TRAILER, Source, frame_at, frame_bytes, payload

FILES = {"edge_cases_37": 10, "gamma_sim_400_formatv2": 150, "gamma_sim_2000": 1000}  # events of a block
NESTED = [
    Field("id", "uint"),
    Field("n", "uint"),
    Field("m", "uint", parent="n"),
    Field("s", "int", 3),
    Field("q", "float", 0.25, parent="n"),
    Field("w", "float", 0.0, parent="m"),
]
LEAST = -3 * 2**58
N, M = np.array([2, 0, 1, 3]), np.array([1, 2, 0, 4, 0, 1])
EVENTS = {
    "id": np.arange(4, dtype=np.uint64) + np.uint64(2**63),
    "n": N,
    "m": (M, N),
    "s": np.array([-9, 0, 3, LEAST]),
    "q": (np.array([0.25, -1.0, 8.5, 0.0, 1e3, 2.75]), N),
    "w": (np.pi * np.arange(8), N, M),
}


def arrays(column):
    return column if isinstance(column, tuple) else (column,)


def frames(path):
    """Return type, payload and stored size of every frame."""
    found, at = [], 0
    with path.open("rb") as file:
        source = Source(path, file)
        while at < source.size:
            frame = frame_at(source, at)
            found.append((frame.kind, payload(source, frame), frame.size))
            at = frame.end
    return found


@pytest.fixture
def small(tmp_path):
    fields = [field for field in NESTED if field.name != "id"]
    events = {name: column for name, column in EVENTS.items() if name != "id"}
    return write(
        tmp_path / "small.xcd",
        fields,
        events,
        aliases=[Alias("twice", "2*n", "uint")],
        comments=["a"],
        block_events=3,
    )


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("threads", [1, 3])
def test_every_value_is_that_of_the_reference_library(shared_data, name, threads):
    truth = np.load(shared_data / "hawc" / f"{name}_truth.npz")
    file = File(shared_data / "hawc" / f"{name}.xcd")
    found = file.read(threads=threads)
    assert set(found) == {key for key in truth if not key.endswith("__counts")}
    for field in found:
        values, *counts = arrays(found[field])
        assert values.tobytes() == truth[field].astype(values.dtype).tobytes()
        if len(counts) == 1:
            assert np.array_equal(counts[0], truth[f"{field}__counts"])
    assert len(file) == len(truth["n" if name.startswith("edge") else "event.nHit"])


def test_inner_counts_of_a_reference_file_add_up_to_its_counts(shared_data):
    truth = np.load(shared_data / "hawc" / "edge_cases_37_truth.npz")
    file = File(shared_data / "hawc" / "edge_cases_37.xcd")
    _, counts, inner = file.read(["nest.f"])["nest.f"]
    assert np.array_equal(counts, truth["n"]) and np.array_equal(inner, truth["vec.m"])
    edges = np.concatenate([[0], np.cumsum(counts)]).astype(int)
    assert [inner[a:b].sum() for a, b in itertools.pairwise(edges)] == truth["nest.f__counts"].tolist()


def test_aliases_of_reference_files(shared_data):
    file = File(shared_data / "hawc" / "edge_cases_37.xcd")
    got = file.read(["n", "twiceN", "sumVec", "late", "vec.f"])
    values, counts = got["vec.f"]
    assert np.array_equal(got["twiceN"], 2 * got["n"]) and got["twiceN"].dtype == np.uint64
    assert np.array_equal(got["late"], 2.0 * got["n"] + 1)  # stands in the trailer, and names another alias
    sums = [part.sum() for part in np.split(values, np.cumsum(counts).astype(int)[:-1])]
    assert np.allclose(got["sumVec"], sums, rtol=1e-14)


@pytest.mark.parametrize("name", FILES)
def test_written_back_the_packed_bits_are_those_of_the_reference_library(shared_data, tmp_path, name):
    path = shared_data / "hawc" / f"{name}.xcd"
    file = File(path)
    # the alias "late" was added after writing, so the reference keeps it in the trailer
    aliases = [alias for alias in file.aliases.values() if alias.name != "late"]
    copy = write(
        tmp_path / "copy.xcd",
        file.fields.values(),
        file.read(),
        aliases=aliases,
        comments=file.comments,
        version=file.version,
        block_events=FILES[name],
    )
    ours, theirs = frames(copy), frames(path)
    assert [frame[:2] for frame in ours[1:-1]] == [frame[:2] for frame in theirs[1:-1]]
    if file.version == 2:  # no ranges, which the reference takes before rounding
        assert copy.read_bytes() == path.read_bytes()


def test_read_back_is_what_was_written(tmp_path):
    path = write(tmp_path / "a.xcd", NESTED, EVENTS, comments=["one", "zwölf"], block_events=3)
    file = File(path)
    got = file.read()
    assert list(file.fields) == ["id", "n", "m", "s", "q", "w"] and file.comments == ["one", "zwölf"]
    for name, column in EVENTS.items():
        for found, given in zip(arrays(got[name]), arrays(column), strict=True):
            assert np.array_equal(found, given), name
    again = write(tmp_path / "b.xcd", NESTED, got, comments=file.comments, block_events=3)
    assert again.read_bytes() == path.read_bytes()
    assert (file.ranges["s"].low, file.ranges["s"].high) == (LEAST, 3)
    assert file.ranges["w"].bytes == 8 * 8


def test_resolution_rounds_to_the_nearest_step(tmp_path):
    values = np.random.default_rng(1).normal(0, 50, 2500)
    path = write(tmp_path / "a.xcd", [Field("t", "float", 0.1)], {"t": values})
    got = File(path).read()["t"]
    assert np.abs(got - values).max() <= 0.05 * (1 + 1e-9)
    assert np.allclose(got * 10, np.round(got * 10), atol=1e-9)  # steps are counted from zero in every block
    # the first thousand spans 2^11 to 2^12 steps of 0.1, so each takes 12 bits
    assert 2**11 <= np.ptp(values[:1000]) / 0.1 < 2**12 and len(frames(path)[2][1]) == 1000 * 12 // 8


@pytest.mark.parametrize(("start", "stop"), [(0, 4), (1, 3), (2, 4), (3, 3), (0, 1)])
def test_a_range_of_events_is_that_part_of_the_whole(small, start, stop):
    whole, part = File(small).read(), File(small).read(start=start, stop=stop)
    n = slice(int(N[:start].sum()), int(N[:stop].sum()))
    m = slice(int(M[: n.start].sum()), int(M[: n.stop].sum()))
    assert np.array_equal(part["s"], whole["s"][start:stop])
    assert np.array_equal(part["q"][0], whole["q"][0][n]) and np.array_equal(part["q"][1], N[start:stop])
    assert np.array_equal(part["w"][0], whole["w"][0][m]) and np.array_equal(part["w"][2], M[n])


def test_blocks_outside_of_the_range_are_not_touched(small):
    raw = bytearray(small.read_bytes())
    with small.open("rb") as file:
        source = Source(small, file)
        first = frame_at(source, frame_at(source, 0).end)
    raw[first.start] ^= 0xFF
    small.write_bytes(raw)
    assert File(small).read(["s"], start=3)["s"].tolist() == [LEAST]
    with pytest.raises(FormatError, match=rf"small\.xcd: block header at byte {first.offset}: the checksum"):
        File(small).read(["s"])


@pytest.mark.parametrize("trailer", [True, False])
def test_without_trailer_pointer_or_trailer_the_frames_are_walked(small, trailer):
    whole = File(small).read()
    raw = small.read_bytes()
    header = bytearray(frames(small)[0][1])
    end = struct.unpack_from("<Q", header, 4)[0]
    header[4:12] = bytes(8)
    head = frame_bytes(FILE_HEADER, bytes(header), deflate=False)
    small.write_bytes(head + raw[len(head) : None if trailer else end])
    file = File(small)
    assert len(file) == 4 and file.comments == (["a"] if trailer else [])
    for name, column in file.read().items():
        assert all(np.array_equal(a, b) for a, b in zip(arrays(column), arrays(whole[name]), strict=True))


def test_joined_files_are_one(small, tmp_path):
    joined = tmp_path / "joined.xcd"
    joined.write_bytes(3 * small.read_bytes())
    file, one = File(joined), File(small).read()
    got = file.read()
    assert len(file) == 12 and file.comments == ["a", "a", "a"]
    assert np.array_equal(got["s"], np.tile(one["s"], 3)) and np.array_equal(
        got["w"][0], np.tile(one["w"][0], 3)
    )
    assert np.array_equal(file.read(["q"], start=4, stop=8)["q"][0], one["q"][0])
    assert file.ranges["q"].bytes == 3 * File(small).ranges["q"].bytes


def test_joined_files_must_have_the_same_fields_and_unambiguous_aliases(small, tmp_path):
    other = write(tmp_path / "other.xcd", [Field("n", "uint")], {"n": [1]})
    joined = tmp_path / "joined.xcd"
    joined.write_bytes(small.read_bytes() + other.read_bytes())
    with pytest.raises(FormatError, match="differ from those of the first part"):
        File(joined)
    fields, data = File(small).fields.values(), File(small).read()
    write(other, fields, data, aliases=[Alias("twice", "3*n", "uint")])
    joined.write_bytes(small.read_bytes() + other.read_bytes())
    assert np.array_equal(File(joined).read(["n"])["n"], np.tile(N, 2))
    with pytest.raises(FormatError, match="'twice' differs between the joined parts"):
        File(joined).read(["twice"])


def test_a_file_without_events_and_a_field_of_constants(tmp_path):
    empty = File(
        write(
            tmp_path / "a.xcd",
            NESTED,
            {
                k: tuple(np.zeros(0) for _ in arrays(v)) if isinstance(v, tuple) else np.zeros(0)
                for k, v in EVENTS.items()
            },
        )
    )
    assert len(empty) == 0 and empty.ranges["s"].low is None
    assert [len(a) for a in empty.read(["w"])["w"]] == [0, 0, 0]
    path = write(tmp_path / "b.xcd", [Field("c", "uint")], {"c": np.full(2000, 7)})
    assert (File(path).read()["c"] == 7).all() and frames(path)[2][1] == b""  # no bit is spent on it


@pytest.mark.parametrize(
    ("data", "fields", "match"),
    [
        ({"n": [1.5]}, [Field("n", "uint")], "allowed: numbers of one dimension that fit <u8"),
        ({"n": [-1]}, [Field("n", "uint")], "allowed"),
        ({"n": [2], "q": ([1.0], [1])}, [Field("n", "uint"), Field("q", "float", 0, "n")], "with 2 values"),
        (
            {"n": [1, 2], "q": ([1.0] * 3, [2, 1])},
            [Field("n", "uint"), Field("q", "float", 0, "n")],
            "counts of 'q'",
        ),
        ({"q": ([1.0], [1])}, [Field("q", "float", 0, "m")], "parent of 'q'"),
        ({"m": [1]}, [Field("n", "uint")], "no field"),
        ({}, [Field("n", "uint")], "no data for the field 'n'"),
        ({"n": [1], "m": [1, 2]}, [Field("n", "uint"), Field("m", "uint")], "2 values"),
        ({"n": [1]}, [Field("n", "uint", 0)], "resolution 0"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, data, fields, match):
    with pytest.raises(FormatError, match=match):
        write(tmp_path / "a.xcd", fields, data)
    assert not (tmp_path / "a.xcd").exists()


def test_questions_that_cannot_be_answered(small, tmp_path):
    file = File(small)
    with pytest.raises(UsageError, match=r"(?s)no field 'nn'.*did you mean 'n'"):
        file.read(["nn"])
    with pytest.raises(UsageError, match="events 3 to 2"):
        file.read(start=3, stop=2)
    with pytest.raises(UsageError, match="threads is 0"):
        file.read(threads=0)
    with pytest.raises(UsageError, match="give a list"):
        file.read("n")
    with pytest.raises(FormatError, match="cannot be read"):
        File(tmp_path / "absent.xcd")
    with pytest.raises(FormatError, match="version 2, 1 aliases"):
        write(tmp_path / "b.xcd", [], {}, aliases=[Alias("a", "1")], version=2)


def test_a_file_that_is_cut_off_or_too_new_says_so(small):
    raw, header = small.read_bytes(), bytearray(frames(small)[0][1])
    small.write_bytes(raw[:-1])
    with pytest.raises(FormatError, match=r"file trailer at byte \d+: .* the file ends at byte"):
        File(small)
    header[:4] = struct.pack("<I", 4)
    small.write_bytes(frame_bytes(FILE_HEADER, bytes(header), deflate=False))
    with pytest.raises(FormatError, match="version 4, allowed: 1 to 3"):
        File(small)
    small.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(FormatError, match="unknown type"):
        File(small)


def test_a_deflate_bomb_stops_at_the_largest_frame(tmp_path, monkeypatch):
    monkeypatch.setattr("skyloom.formats.xcdf.frames.LARGEST", 2**16)
    stored = zlib.compress(bytes(2**17))
    head = struct.pack("<IIII", 0x7E4A26B7, len(stored), zlib.adler32(stored), FILE_TRAILER)
    path = tmp_path / "bomb.xcd"
    path.write_bytes(head + stored)
    with path.open("rb") as file, pytest.raises(FormatError, match="inflates to more than 65536 bytes"):
        payload(Source(path, file), frame_at(Source(path, file), 0))


def test_the_page_on_xcdf_runs():
    page = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "xcdf.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, "xcdf.md", "exec"), {})
