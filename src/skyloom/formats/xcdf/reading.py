"""HAWC events in XCDF files as field sets: a table of numbers, maps of hits, or the hits of every channel.

**Group.** Simulations throw one primary several times, with the same energy and direction and another core.
What was thrown from one primary is one group: events with the same bits in the fields of ``primary``, by
default true energy and true zenith angle, in whatever file. A true energy is kept as a whole double, so two
primaries do not share it; for showers of one fixed energy, name the field that counts primaries. Where a file
has none of these fields (real data), each event is a group.

**Failed fits.** A fit that failed leaves a zenith angle within 0.01 rad of π. Such events are left out of
every product (published work did so for tables only), those with a NaN too; the provenance tells how many.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError, UsageError, nearest
from skyloom.fields import Label, build
from skyloom.fields.convention import COORDINATES
from skyloom.formats.event_table import table_fields
from skyloom.formats.xcdf.events import with_channels
from skyloom.formats.xcdf.file import File
from skyloom.formats.xcdf.frames import FILE_HEADER
from skyloom.formats.xcdf.quantities import HITS, MEASURED, OPTIONAL, POSITION, TRUE
from skyloom.formats.xcdf.truth import DERIVED, truth_labels
from skyloom.instruments.hawc import (
    SIZE,
    Hits,
    Layout,
    clean,
    default_layout,
    detector_mask,
    front_times,
    grid_ids,
    layout_of_hits,
    read_survey,
    to_channels,
    to_maps,
)
from skyloom.runs import input_file

if TYPE_CHECKING:
    import xarray as xr

Array = NDArray[Any]


FAILED = 0.01
"""How near π the zenith angle of a failed fit is [rad]."""
_BLOCK = 1000


@dataclass(frozen=True)
class Part:
    """Events of one file that are kept.

    Args:
        file: The file.
        start: First event of the range that is read at once.
        stop: The event after its last.
        kept: Events of the range that are kept, counted from ``start``, shape ``(n,)``.
        numbers: Name -> numbers of the kept events, shape ``(n,)``.
        group: Group of each kept event.
    """

    file: File
    start: int
    stop: int
    kept: Array
    numbers: Mapping[str, Array]
    group: Sequence[str]

    def hits(self, layout: Layout, *, mapped: bool) -> tuple[Hits, dict[str, int]]:
        """Return the hits of the kept events, cleaned, and how many were left out."""
        columns = self.file.read(HITS, self.start, self.stop, threads=1)
        (ids, counts), (charge, _), (time, _) = (columns[name] for name in HITS)
        event = np.repeat(np.arange(len(counts)), counts.astype(np.int64))
        new = np.full(len(counts), -1)
        new[self.kept] = np.arange(len(self.kept))
        inside = new[event] >= 0
        hits = Hits(new[event][inside], ids[inside].astype(np.int64), charge[inside], time[inside])
        return clean(hits, layout, mapped=mapped)


class Xcdf:
    """HAWC events in one XCDF file, or in the ``.xcd`` files of a folder.

    ``table`` gives eight reconstructed numbers of each event as fields of one pixel, with cosine and sine of
    the azimuth (`event_table`). ``maps`` gives maps of 40 × 40 pixels: ``charge`` [log10 PE], with two
    channels ``time`` [ns after the plane front], and apart from these ``hit`` and ``detector`` (0 or 1).
    ``events`` gives what the statistic ``event_observables`` takes: ``charge`` [PE], ``time`` [ns] and
    ``hit`` of every channel; this is no field set, because a channel is no pixel. The true numbers of an
    event are labels in all three, the reconstructed ones in maps and events.

    Args:
        path: A file, or a folder that is searched with its subfolders.
        product: What to make of the events.
        channels: Of maps: charge alone, or charge and time.
        layout: Where PMTs stand: ``default`` (rebuilt), ``file`` (as stored with the hits), or the path of a
            survey.
        dead: Grid ids of channels that do not work.
        primary: Fields that tell the simulated primary; events with the same values are one group.
        labels: Further labels: Skyloom's name to a scalar field or alias of the file.
        realism: How close to nature the events are.

    Raises:
        UsageError: A further label has the name of another.
    """

    def __init__(
        self,
        *,
        path: str,
        product: Literal["table", "maps", "events"] = "table",
        channels: Literal[1, 2] = 2,
        layout: str = "default",
        dead: list[int] | None = None,
        primary: list[str] | None = None,
        labels: dict[str, str] | None = None,
        realism: Literal["toy", "painted", "semi-numerical", "simulation"] = "simulation",
    ) -> None:
        self.path, self.product, self.channels = Path(path), product, channels
        self.layout, self.dead, self.realism = layout, list(dead or []), realism
        self.primary, self.labels = primary, dict(labels or {})
        taken = {
            *(q.name for q in (*MEASURED, *OPTIONAL, *TRUE)),
            *COORDINATES,
            *DERIVED,
            "front_time",
        } & set(self.labels)
        if taken:
            raise UsageError(
                f"labels names {min(taken)!r}, which the set has already", hint="take another name"
            )

    @classmethod
    def sniff(cls, path: Path) -> bool:
        """Return whether ``path`` is an XCDF file, or a folder that holds some."""
        try:
            with xcdf_files(path)[0].open("rb") as file:
                return file.read(4) == struct.pack("<I", FILE_HEADER)
        except (OSError, FormatError):
            return False

    def read(self) -> xr.Dataset:
        """Return the events; maps are lazy.

        Raises:
            FormatError: A file is damaged, or lacks a field that the product needs.
        """
        paths = xcdf_files(self.path)
        files = [File(path) for path in paths]
        lost: Counter[str] = Counter()
        parts = [part for file in files for part in self._parts(file, lost)]
        if not sum(len(part.kept) for part in parts):
            raise FormatError(f"{self.path}: no event is left of {sum(map(len, files))}: {dict(lost)}")
        if self.product == "table":
            return self._build(paths, parts, {}, lost)
        layout = self._layout(files).without(self.dead)
        if self.product == "events":
            return self._events(paths, parts, layout, lost)
        times = []
        for part in parts:
            hits, left_out = part.hits(layout, mapped=True)
            lost.update({f"hits {reason}": count for reason, count in left_out.items()})
            times.append(front_times(hits, part.numbers["zenith"], part.numbers["azimuth"], layout))
        front = np.concatenate(times)
        lost["events without hits"] = int(np.isnan(front).sum())
        maps = _lazy_maps(parts, times, layout, self.channels)
        return self._build(paths, parts, maps, lost, front)

    def _parts(self, file: File, lost: Counter[str]) -> list[Part]:
        """Return the events of a file that are kept, a thousand at a time."""
        quantities = [q for q in (*MEASURED, *OPTIONAL, *TRUE) if q in MEASURED or q.native in file.fields]
        native = {q.name: q.native for q in quantities} | self.labels
        for name in [*native.values(), *(HITS if self.product != "table" else ())]:
            if name not in file.fields and name not in file.aliases:
                hint = nearest(name, [*file.fields, *file.aliases])
                raise FormatError(f"{file.path}: has no field {name!r}", hint=hint)
        primary = self.primary
        if primary is None:
            primary = [q.native for q in TRUE[:2] if q.native in file.fields]
        columns = file.read([*native.values(), *primary])
        vectors = [name for name, column in columns.items() if isinstance(column, tuple)]
        if vectors:
            raise FormatError(
                f"{file.path}: {vectors[0]!r} is a vector", hint="name a scalar, such as sum(...)"
            )
        numbers = {name: np.asarray(columns[field], dtype=np.float64) for name, field in native.items()}
        failed = np.abs(numbers["zenith"] - np.pi) <= FAILED
        finite = np.isfinite(np.stack(list(numbers.values()))).all(axis=0)
        lost["events"] += len(file)
        lost["failed fits"] += int(failed.sum())
        lost["not finite"] += int((~failed & ~finite).sum())
        kept = np.flatnonzero(~failed & finite)
        groups = np.array(_groups([np.asarray(columns[name]) for name in primary], file, kept), dtype=str)
        parts = []
        for start in range(0, len(file), _BLOCK):
            here = (kept >= start) & (kept < start + _BLOCK)
            rows = kept[here]
            some = {name: values[rows] for name, values in numbers.items()}
            stop = min(start + _BLOCK, len(file))
            parts.append(Part(file, start, stop, rows - start, some, groups[here].tolist()))
        return parts

    def _layout(self, files: Sequence[File]) -> Layout:
        if self.layout == "default":
            return default_layout()
        if self.layout != "file":
            return read_survey(self.layout)
        return stored_layout(files)

    def _coordinates(self, parts: Sequence[Part]) -> dict[str, Any]:
        """Return ids, groups and seeds of all samples."""
        ids: list[str] = []
        groups: list[str] = []
        for part in parts:
            name = part.file.path.name
            if part.file.path != self.path:
                name = part.file.path.relative_to(self.path).as_posix()
            ids += [f"{name.removesuffix('.xcd')}-{part.start + row:07d}" for row in part.kept]
            groups += part.group
        return {"ids": ids, "groups": groups, "seeds": [zlib.crc32(group.encode()) for group in groups]}

    def _provenance(self, paths: Sequence[Path], lost: Mapping[str, int]) -> dict[str, Any]:
        step = {"step": "read", "format": "xcdf", "product": self.product, "layout": self.layout}
        return {
            "inputs": [input_file(path) for path in paths],
            "steps": [{**step, "dead": self.dead, "counts": dict(lost)}],
        }

    def _build(
        self,
        paths: Sequence[Path],
        parts: Sequence[Part],
        maps: Mapping[str, tuple[Any, str, str]],
        lost: Mapping[str, int],
        front: Array | None = None,
    ) -> xr.Dataset:
        numbers = {name: np.concatenate([part.numbers[name] for part in parts]) for name in parts[0].numbers}
        fields = dict(maps)
        true = {quantity.name: numbers.pop(quantity.name) for quantity in TRUE if quantity.name in numbers}
        labels = truth_labels(true, zenith=numbers["zenith"], azimuth=numbers["azimuth"])
        for quantity in (*MEASURED, *OPTIONAL):
            if quantity.name not in numbers:
                continue
            values = numbers.pop(quantity.name)
            if maps:
                labels[quantity.name] = Label(values, "label", quantity.unit, quantity.long_name)
            else:
                fields[quantity.name] = (values, quantity.unit, quantity.long_name)
        labels |= {name: Label(values, "label", "", self.labels[name]) for name, values in numbers.items()}
        if self.product == "table":
            fields = table_fields(fields)
        coordinates, keep = self._coordinates(parts), None
        if front is not None:
            keep = np.isfinite(front)
            meaning = "time at which the front meets the origin"
            labels["front_time"] = Label(np.where(keep, front, 0.0), "label", "ns", meaning)
        ds = build(
            fields,
            **coordinates,
            box_size=1.0 if self.product == "table" else float(SIZE),
            box_size_unit="",
            periodic=False,
            suite="HAWC",
            realism=self.realism,
            labels=labels,
            provenance=self._provenance(paths, lost),
        )
        return ds if keep is None or keep.all() else ds.isel(sample=np.flatnonzero(keep))

    def _events(
        self, paths: Sequence[Path], parts: Sequence[Part], layout: Layout, lost: Counter[str]
    ) -> xr.Dataset:
        dense = []
        for part in parts:
            hits, left_out = part.hits(layout, mapped=False)
            lost.update({f"hits {reason}": count for reason, count in left_out.items()})
            dense.append(to_channels(hits, len(part.kept), layout))
        whole = tuple(np.concatenate(column) for column in zip(*dense, strict=True))
        return with_channels(self._build(paths, parts, {}, lost), whole, layout)


def xcdf_files(path: Path) -> list[Path]:
    """Return the files at a path: itself, or the ``.xcd`` files of a folder and its subfolders.

    Raises:
        FormatError: There is none.
    """
    files = [path] if path.is_file() else sorted(path.glob("**/*.xcd"))
    if not files:
        raise FormatError(f"{path}: holds no .xcd file", hint="check the path")
    return files


def stored_layout(files: Sequence[File]) -> Layout:
    """Return the layout that files store with their hits, without PMTs that were never set.

    Args:
        files: The files; all must store it.

    Raises:
        FormatError: A file stores none, or a PMT has two positions.
    """
    ids, positions = [], []
    for file in files:
        for name in POSITION:
            if name not in file.fields:
                raise FormatError(
                    f"{file.path}: stores no layout, it has no field {name!r}",
                    hint="take the default layout, or name a survey",
                )
        for start in range(0, len(file), _BLOCK):
            columns = file.read([HITS[0], *POSITION], start, min(start + _BLOCK, len(file)))
            seen = np.column_stack([columns[name][0] for name in (HITS[0], *POSITION)])
            seen = np.unique(seen, axis=0)
            ids.append(seen[:, 0])
            positions.append(seen[:, 1:])
    return layout_of_hits(np.concatenate(ids), np.concatenate(positions))


def _groups(columns: Sequence[Array], file: File, kept: Array) -> list[str]:
    """Return the group of every kept event: a digest of the bits that tell its primary."""
    if not columns:
        return [f"{file.path.stem}-{event:07d}" for event in kept]
    bits = np.ascontiguousarray(np.stack([column[kept] for column in columns], axis=1)).view(np.uint8)
    return [f"primary-{hashlib.sha256(row.tobytes()).hexdigest()[:16]}" for row in bits]


def _lazy_maps(
    parts: Sequence[Part], times: Sequence[Array], layout: Layout, channels: int
) -> dict[str, tuple[Any, str, str]]:
    """Return the fields of maps, drawn a thousand events at a time when they are asked for."""
    import dask
    import dask.array as da

    def draw(part: Part, time: Array) -> Array:
        hits, _ = part.hits(layout, mapped=True)
        return np.stack(to_maps(hits, part.numbers["zenith"], part.numbers["azimuth"], time, layout))

    drawn = [dask.delayed(draw, pure=False)(part, time) for part, time in zip(parts, times, strict=True)]
    blocks = [
        da.from_delayed(one, (3, len(part.kept), SIZE, SIZE), dtype=np.float32)
        for one, part in zip(drawn, parts, strict=True)
    ]
    whole = da.concatenate(blocks, axis=1)
    missing = np.setdiff1d(grid_ids()[grid_ids() > 0], layout.grid_id)
    mask = detector_mask(missing).astype(np.float32)
    detector = da.broadcast_to(da.from_array(mask), whole.shape[1:], chunks=whole.chunks[1:])
    fields = {"charge": (whole[0], "dex(electron)", "logarithm of the charge")}
    if channels == 2:
        fields["time"] = (whole[1], "ns", "time after the plane front")
    fields["hit"] = (whole[2], "", "whether the PMT was hit")
    fields["detector"] = (detector, "", "whether there is a PMT that works")
    return fields
