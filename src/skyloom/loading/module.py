"""The data of one training, by side; it cannot be made without an audited split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning import LightningDataModule
from numpy.typing import ArrayLike, NDArray
from torch.utils.data import DataLoader

from skyloom.errors import DataError, LeakError
from skyloom.fields.store import Reader
from skyloom.fields.transforms import FieldTransforms, ids_digest
from skyloom.loading.augment import Augment
from skyloom.loading.dataset import MapDataset, channels, map_shape, stacked_fields, whole_batch
from skyloom.loading.sampler import BlockSampler
from skyloom.recipe import Train
from skyloom.splits import AuditedSplit

CACHE_BYTES = 2_000_000_000
"""Memory for maps, all sides together, where no other limit is given."""


class MapDataModule(LightningDataModule):
    """Loaders of the three sides of an audited split, for Lightning's Trainer or any other loop.

    Only the train side is shuffled and augmented. Its order and every move follow from the seed, the epoch
    and the row, so that a resumed or shared training sees what a single one would. A side that fits is kept
    in memory, transformed; loader processes are started only for one that does not.

    Lightning's own distributed sampler must be off (``use_distributed_sampler=False``): ranks are dealt with
    here.

    Args:
        reader: Of the stored field set.
        audited: Which ids stand on which side, as ``splits.audit`` gave it.
        transforms: Fitted on the train side.
        targets: Of all rows of the field set, shape ``(len(reader), P)``; NaN for samples on no side. None
            where fields are the targets.
        settings: ``batch_size``, ``seed``, ``augment`` and ``workers`` are used.
        target_fields: Fields of the transforms whose maps are the targets, moved together with the inputs.
        start_method: How loader processes begin: ``fork``, ``spawn`` or ``forkserver``; left out, the
            system's way.
        cache_bytes: Memory for maps, all sides together.

    Raises:
        LeakError: The split was not audited, or the transforms were fitted on other ids than those of its
            train side.
        UsageError: An augmentation is not legal for these maps, or there is no such field.
        DataError: An id of the split is not in the field set, or a target is not finite.

    Example:
        >>> import tempfile
        >>> from skyloom.fields import example, store
        >>> from skyloom.fields.transforms import Pipeline
        >>> from skyloom.splits import ByGroup, audit, fingerprint
        >>> ds, folder = example(size=8), tempfile.mkdtemp()
        >>> store.write(ds, folder)
        >>> split = ByGroup(fractions={"train": 0.6, "validation": 0.2, "test": 0.2}).assign(ds)
        >>> audited = audit(ds, split, fingerprints=fingerprint(ds["T_b"].values))
        >>> pipeline = Pipeline(["remove_mean"]).fit(lambda: iter(()), audited.ids("train"))
        >>> targets, settings = ds["x_HI"].values[:, None], Train(batch_size=4, augment=["roll"])
        >>> transforms = FieldTransforms({"T_b": pipeline})
        >>> data = MapDataModule(Reader(folder), audited, transforms, targets, settings)
        >>> len(data.train_dataloader()), len(data.val_dataloader()), len(data.test_dataloader())
        (4, 1, 1)
    """

    def __init__(
        self,
        reader: Reader,
        audited: AuditedSplit,
        transforms: FieldTransforms,
        targets: ArrayLike | None,
        settings: Train,
        *,
        target_fields: Sequence[str] = (),
        start_method: str | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        super().__init__()
        _refuse_leaks(audited, transforms)
        self.reader, self.audited, self.transforms = reader, audited, transforms
        self.settings, self.start_method, self.cache_bytes = settings, start_method, cache_bytes
        self.targets = None if targets is None else np.asarray(targets, np.float32)
        self.target_fields = tuple(target_fields)
        fields = stacked_fields(transforms, target_fields)
        self.augment = Augment(
            channels(reader, fields),
            map_shape(reader, fields),
            bool(reader.attrs["periodic"]),
            kinds=settings.augment,
            seed=settings.seed,
        )
        self._datasets: dict[str, MapDataset] = {}
        self._position = {"epoch": 0, "batch": 0}
        self._sampler: BlockSampler | None = None

    def rows(self, side: str) -> NDArray[np.int64]:
        """Return the rows of a side in the field set, ascending.

        Args:
            side: ``train``, ``validation`` or ``test``.

        Raises:
            UsageError: No such side.
            DataError: An id of the split is not in the field set.
        """
        place = {name: row for row, name in enumerate(self.reader.ids.tolist())}
        wanted = self.audited.ids(side)
        missing = [name for name in wanted if name not in place]
        if missing:
            raise DataError(
                f"{len(missing)} of the {side} side are not in {self.reader.folder}, such as {missing[0]!r}",
                hint="use the field set that the split was made from",
            )
        return np.array(sorted(place[name] for name in wanted), np.int64)

    def dataset(self, side: str) -> MapDataset:
        """Return the samples of a side, augmented and with noise drawn anew if it is the train side.

        Args:
            side: ``train``, ``validation`` or ``test``.

        Raises:
            UsageError: No such side.
            DataError: As ``rows``, or a target is not finite.
        """
        if side not in self._datasets:
            rows = self.rows(side)
            augment = self.augment if side == "train" and self.augment.kinds else None
            dataset = self._samples(rows, augment, redraw=side == "train")
            left = self.cache_bytes - sum(other.nbytes for other in self._datasets.values() if other.cached)
            dataset.cached = dataset.nbytes <= left
            self._datasets[side] = dataset
        return self._datasets[side]

    def _samples(self, rows: NDArray[np.int64], augment: Augment | None, *, redraw: bool) -> MapDataset:
        return MapDataset(
            self.reader,
            rows,
            self.transforms,
            self.targets,
            target_fields=self.target_fields,
            augment=augment,
            redraw=redraw,
        )

    def loader(self, side: str) -> DataLoader[dict[str, torch.Tensor]]:
        """Return the batches of a side as they are: in order, every sample once, no augmentation, one noise.

        Args:
            side: ``train``, ``validation`` or ``test``.

        Raises:
            UsageError: As ``dataset``.
        """
        dataset = self.dataset(side)
        if dataset.augment is not None or dataset.redraw:
            dataset = self._samples(dataset.rows, None, redraw=False)
        return self._loader(
            dataset,
            BlockSampler(
                len(dataset), self.settings.batch_size, shuffle=False, rank=self._rank, world=self._world
            ),
        )

    def train_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """Return the batches of the train side, shuffled and augmented.

        What does not fill a batch is left out of the epoch; the next one is dealt out anew.
        """
        dataset = self.dataset("train")
        self._sampler = BlockSampler(
            len(dataset),
            self.settings.batch_size,
            seed=self.settings.seed,
            drop_last=True,
            rank=self._rank,
            world=self._world,
        )
        self._sampler.load_state_dict(self._position)
        return self._loader(dataset, self._sampler)

    def val_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """Return the batches of the validation side."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader[dict[str, torch.Tensor]]:
        """Return the batches of the test side."""
        return self.loader("test")

    @property
    def _rank(self) -> int:
        return 0 if self.trainer is None else self.trainer.global_rank

    @property
    def _world(self) -> int:
        return 1 if self.trainer is None else self.trainer.world_size

    def _loader(self, dataset: MapDataset, sampler: BlockSampler) -> DataLoader[dict[str, torch.Tensor]]:
        workers = 0 if dataset.cached else self.settings.workers
        return DataLoader(
            dataset,
            batch_sampler=sampler,
            collate_fn=whole_batch,
            num_workers=workers,
            persistent_workers=workers > 0,
            multiprocessing_context=self.start_method if workers else None,
            pin_memory=torch.cuda.is_available(),
            # Its own: every pass over a loader draws a number, and those of the training are not to be moved.
            generator=torch.Generator().manual_seed(self.settings.seed),
        )

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch of the train side, unless it is the one being dealt out.

        Args:
            epoch: From 0.
        """
        if epoch != self._position["epoch"]:
            self._position = {"epoch": epoch, "batch": 0}
        if self._sampler is not None:
            self._sampler.set_epoch(epoch)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Count the batches that reach the training: loader processes are ahead of it."""
        if self.trainer is not None and self.trainer.training and self._sampler is not None:
            epoch, done = self._position["epoch"], self._position["batch"]
            if done == len(self._sampler):
                epoch, done = epoch + 1, 0
            self._position = {"epoch": epoch, "batch": done + 1}
        return batch

    def state_dict(self) -> dict[str, int]:
        """Return the epoch, and how many of its batches the Trainer has trained on."""
        return dict(self._position)

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on after a position.

        Args:
            state: What ``state_dict`` gave.
        """
        self._position = {"epoch": state["epoch"], "batch": state["batch"]}
        if self._sampler is not None:
            self._sampler.load_state_dict(self._position)


def _refuse_leaks(audited: AuditedSplit, transforms: FieldTransforms) -> None:
    if not isinstance(audited, AuditedSplit):
        raise LeakError(
            f"training data need an audited split, not a {type(audited).__name__}",
            hint="call skyloom.splits.audit(table, split, fingerprints=...)",
        )
    if transforms.digest != ids_digest(audited.ids("train")):
        raise LeakError(
            "the transforms were fitted on other samples than the train side of this split",
            hint="fit them on audited.ids('train')",
        )
