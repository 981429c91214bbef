"""Samples of a stored field set as batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import Dataset

from skyloom.errors import DataError, ShapeError, UsageError, nearest
from skyloom.fields.store import Reader
from skyloom.fields.transforms import FieldTransforms
from skyloom.loading.augment import Augment, Channel

_BLOCK = 256  # maps read at once into the cache


def whole_batch(batch: Any) -> Any:
    """Return what it is given: the ``collate_fn`` of a loader over ``MapDataset``, whose batches come whole.

    Args:
        batch: A batch.

    Example:
        >>> whole_batch({"row": 1})
        {'row': 1}
    """
    return batch


def channels(reader: Reader, fields: Sequence[str]) -> list[Channel]:
    """Return what augmentation must know of fields, from their attributes.

    Args:
        reader: Of the stored field set.
        fields: Names of fields.

    Raises:
        UsageError: There is no such field.
    """
    attributes = {field: reader.field_attrs(field) for field in fields}
    return [
        Channel(field, attrs.get("rank", 0), attrs.get("component", "") if attrs.get("rank") else "")
        for field, attrs in attributes.items()
    ]


class MapDataset(Dataset[dict[str, torch.Tensor]]):
    """Maps of some rows of a stored field set, transformed, with their targets: numbers, or maps too.

    A loader gets whole batches (``__getitems__``): give it ``collate_fn=whole_batch``. Input and target maps
    of a sample are moved together, so that they stay on top of each other. Where an augmentation changes
    signs (vectors) or a transform draws anew, it comes before the transforms, otherwise after them; either
    way the result is that of moving the sky.

    Args:
        reader: Of the stored field set.
        rows: Rows of the samples, shape ``(n,)``.
        transforms: Fitted; its fields, in their order, are the channels, but for those that are targets.
        targets: Of all rows of the field set, shape ``(len(reader), P)``; only those of ``rows`` need be
            finite. None where fields are the targets.
        target_fields: Fields of the transforms whose maps are the targets, in the order of their channels.
        augment: Moves the maps, if given: for the train side alone.
        cached: Whether to keep the maps in memory, ``nbytes`` of it; they are read when first asked for.
        redraw: Whether transforms that draw noise do so anew in every epoch: for the train side alone.

    Raises:
        ShapeError: The fields are not maps of one shape, or the targets do not belong to the field set.
        DataError: A target is not finite; the message names the sample.
        UsageError: There are both numbers and fields as targets, or neither; or no field is left to see.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> from skyloom.fields.transforms import Pipeline
        >>> folder = tempfile.mkdtemp()
        >>> store.write(example(size=8), folder)
        >>> transforms = FieldTransforms({"T_b": Pipeline(["remove_mean"]).fit(lambda: iter(()), ids=["a"])})
        >>> reader = Reader(folder)
        >>> data = MapDataset(reader, [2, 7, 9], transforms, reader.table["x_HI"].values[:, None])
        >>> batch = data.__getitems__([2, 0])
        >>> batch["maps"].shape, batch["row"].tolist()
        (torch.Size([2, 1, 8, 8]), [9, 2])
    """

    def __init__(
        self,
        reader: Reader,
        rows: ArrayLike,
        transforms: FieldTransforms,
        targets: ArrayLike | None,
        *,
        target_fields: Sequence[str] = (),
        augment: Augment | None = None,
        cached: bool = False,
        redraw: bool = False,
    ) -> None:
        if (targets is None) != bool(target_fields):
            raise UsageError(
                "targets are either numbers or fields",
                hint="give targets of shape (len(reader), P), or None and target_fields",
            )
        self.reader, self.transforms, self.augment, self.cached = reader, transforms, augment, cached
        self.rows = np.asarray(rows, np.int64)
        self.fields = stacked_fields(transforms, target_fields)
        self.inputs = len(self.fields) - len(target_fields)
        self.shape = map_shape(reader, self.fields)
        self.targets = None if targets is None else _checked_targets(reader, self.rows, targets)
        self._cache: NDArray[np.float32] | None = None
        self.redraw = redraw and transforms.redraws
        self._augment_first = self.redraw or (augment is not None and not augment.keeps_values)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Size of all its maps in memory."""
        return 4 * len(self) * len(self.fields) * int(np.prod(self.shape))

    def __getitem__(self, position: int) -> dict[str, torch.Tensor]:
        """Return one sample: maps ``(C, H, W)``, targets ``(P,)`` or maps ``(P, H, W)``, row ``()``."""
        return {name: part[0] for name, part in self.__getitems__([position]).items()}

    def __getitems__(self, positions: Sequence[int]) -> dict[str, torch.Tensor]:
        """Return a batch.

        Args:
            positions: Places in ``rows``; a ``sampler.Batch`` also tells the epoch.

        Returns:
            ``maps`` float32 ``(B, C, H, W)``, ``targets`` float32 ``(B, P)``, or ``(B, P, H, W)`` where they
            are fields, ``row`` int64 ``(B,)``.
        """
        places = np.asarray(positions, np.int64)
        rows = self.rows[places]
        maps, epoch = self._prepared(places), getattr(positions, "epoch", 0)
        if self.augment is not None:
            maps = self.augment(maps, rows, epoch)
        if self._augment_first:
            maps = self._transformed(maps, epoch if self.redraw else 0)
        targets = maps[:, self.inputs :] if self.targets is None else self.targets[places]
        return {
            "maps": torch.from_numpy(np.ascontiguousarray(maps[:, : self.inputs])),
            "targets": torch.from_numpy(np.ascontiguousarray(targets)),
            "row": torch.from_numpy(rows),
        }

    def _prepared(self, places: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return maps as far as they are the same in every epoch, from memory where they are there."""
        if self.cached and self._cache is None:
            cache = np.empty((len(self), len(self.fields), *self.shape), np.float32)
            for start in range(0, len(self), _BLOCK):
                block = slice(start, start + _BLOCK)
                cache[block] = self._read(self.rows[block])
            self._cache = cache
        return self._read(self.rows[places]) if self._cache is None else self._cache[places]

    def _read(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        order = np.argsort(rows)
        maps = np.empty((len(rows), len(self.fields), *self.shape), np.float32)
        for c, field in enumerate(self.fields):
            maps[order, c] = self.reader.read(field, rows[order])
        return maps if self._augment_first else self._transformed(maps)

    def _transformed(self, maps: NDArray[np.float32], epoch: int = 0) -> NDArray[np.float32]:
        transforms = self.transforms.in_epoch(epoch) if epoch else self.transforms
        values, _ = transforms.apply({field: maps[:, c] for c, field in enumerate(self.fields)})
        return np.stack(
            [values[field] for field in self.fields], axis=1, dtype=np.float32, casting="same_kind"
        )


def stacked_fields(transforms: FieldTransforms, target_fields: Sequence[str]) -> list[str]:
    """Return the fields that are read and moved together: what the network sees, then the targets.

    Args:
        transforms: Of all of them.
        target_fields: Fields whose maps are the targets.

    Raises:
        UsageError: A target has no transforms, or no field is left to see.

    Example:
        >>> from skyloom.fields.transforms import Pipeline
        >>> transforms = FieldTransforms({name: Pipeline([]) for name in ("E_c", "density")})
        >>> stacked_fields(transforms, ["E_c"])
        ['density', 'E_c']
    """
    known = list(transforms.pipelines)
    for name in target_fields:
        if name not in known:
            raise UsageError(f"target field {name!r} has no transforms", hint=nearest(name, known))
    seen = [name for name in known if name not in target_fields]
    if target_fields and not seen:
        raise UsageError("every field is a target, none is left for the network to see")
    return [*seen, *target_fields]


def map_shape(reader: Reader, fields: Sequence[str]) -> tuple[int, ...]:
    """Return the shape ``(H, W)`` that all fields share.

    Args:
        reader: Of the stored field set.
        fields: Names of fields.

    Raises:
        UsageError: No field is named, or there is no such field.
        ShapeError: They are not maps, or of different shapes.
    """
    shapes = {field: reader.shape(field) for field in fields}
    if not shapes:
        raise UsageError("no field is named", hint="name one in data.fields of the recipe")
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        listed = ", ".join(f"{field} {shape}" for field, shape in shapes.items())
        raise ShapeError(f"the fields are not maps of one shape: {listed}", hint="cut maps of one size")
    return next(iter(shapes.values()))


def _checked_targets(reader: Reader, rows: NDArray[np.int64], targets: ArrayLike) -> NDArray[np.float32]:
    values = np.asarray(targets, np.float32)
    if values.ndim != 2 or len(values) != len(reader):
        raise ShapeError(f"targets have shape {values.shape}", hint=f"expected: ({len(reader)}, P)")
    own = values[rows]
    bad = ~np.isfinite(own).all(axis=1)
    if bad.any():
        raise DataError(
            f"the targets of {str(reader.ids[rows[bad][0]])!r} are {own[bad][0].tolist()}"
            + (f" (and of {bad.sum() - 1} more samples not finite)" if bad.sum() > 1 else ""),
            hint="leave these samples out of the split",
        )
    return own
