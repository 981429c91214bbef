from __future__ import annotations

import pytest
import torch

from skyloom.errors import UsageError
from skyloom.loading import BlockSampler
from skyloom.recipe import Train
from skyloom.training.position import Position, PositionedData, refuse_unequal_parts


def rows(batches) -> list[list[int]]:
    return [batch["row"].tolist() for batch in batches]


def test_what_is_left_of_an_epoch_is_its_end(worker):
    settings = Train(batch_size=8, augment=["roll"])
    whole = worker.data(settings).train_dataloader()
    epochs = [list(whole), list(whole)]  # a pass is an epoch
    data = PositionedData(worker.data(settings), Position(epoch=0, batch=7, step=7))
    left = data.train_dataloader()
    assert (len(left), left.total) == (3, 10)
    iter(left)  # Lightning asks for an iterator that it does not use
    found = list(left)
    assert rows(found) == rows(epochs[0][7:])
    assert all(torch.equal(a["maps"], b["maps"]) for a, b in zip(found, epochs[0][7:], strict=True))
    data.next_epoch()
    assert len(left) == 10
    found = list(left)
    assert rows(found) == rows(epochs[1])
    assert all(torch.equal(a["maps"], b["maps"]) for a, b in zip(found, epochs[1], strict=True))


@pytest.mark.parametrize(("maps", "batch", "world"), [(16, 8, 2), (17, 8, 2), (7, 8, 1), (6, 8, 2)])
def test_parts_that_are_equal(maps, batch, world):
    sampler = BlockSampler(maps, batch, drop_last=True, world=world)
    refuse_unequal_parts(sampler)
    others = [BlockSampler(maps, batch, drop_last=True, rank=rank, world=world) for rank in range(world)]
    assert len({tuple(len(part) for part in other) for other in others}) == 1


def test_parts_that_are_not():
    with pytest.raises(UsageError, match=r"2 processes cannot share(.|\n)*train\.batch_size=3"):
        refuse_unequal_parts(BlockSampler(7, 8, drop_last=True, world=2))
