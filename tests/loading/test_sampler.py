"""The order of samples: each once, other every epoch, resumed exactly, and the same however many share it."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skyloom.errors import UsageError
from skyloom.loading import BlockSampler


def flat(batches):
    return [position for batch in batches for position in batch]


@given(n=st.integers(1, 60), batch=st.integers(1, 9), seed=st.integers(0, 5), shuffle=st.booleans())
def test_every_sample_comes_once(n, batch, seed, shuffle):
    sampler = BlockSampler(n, batch, seed=seed, shuffle=shuffle)
    batches = list(sampler)
    assert sorted(flat(batches)) == list(range(n))
    assert [len(b) for b in batches] == [batch] * (n // batch) + [n % batch] * (n % batch > 0)
    assert len(sampler) == len(batches)


def test_the_order_is_another_every_epoch_and_the_same_again():
    sampler = BlockSampler(50, 8, seed=3)
    epochs = [list(sampler) for _ in range(3)]  # each pass is the next epoch
    assert [batch[0].epoch for batch in epochs] == [0, 1, 2]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    again = BlockSampler(50, 8, seed=3)
    again.set_epoch(2)
    assert list(again) == epochs[2]
    assert list(BlockSampler(50, 8, seed=4)) != epochs[0]


def test_without_shuffling_it_is_that_of_the_dataset():
    sampler = BlockSampler(7, 3, shuffle=False)
    assert list(sampler) == list(sampler) == [[0, 1, 2], [3, 4, 5], [6]]


@given(
    n=st.integers(1, 60),
    batch=st.integers(1, 6),
    world=st.integers(1, 4),
    drop=st.booleans(),
    epoch=st.integers(0, 3),
    data=st.data(),
)
def test_a_resumed_epoch_gives_exactly_the_rest(n, batch, world, drop, epoch, data):
    rank = data.draw(st.integers(0, world - 1))
    if n < world:
        return
    whole = BlockSampler(n, batch, drop_last=drop, rank=rank, world=world)
    whole.set_epoch(epoch)
    batches = list(whole) + list(whole)
    stop = data.draw(st.integers(0, len(whole)))
    first = BlockSampler(n, batch, drop_last=drop, rank=rank, world=world)
    first.set_epoch(epoch)
    given_out = iter(first)
    for _ in range(stop):
        next(given_out)
    state = pickle.loads(pickle.dumps(first.state_dict()))
    rest = BlockSampler(n, batch, drop_last=drop, rank=rank, world=world)
    rest.load_state_dict(state)
    remaining = list(rest)
    if stop < len(whole):
        remaining += list(rest)
    assert remaining == batches[stop:]
    assert [b.epoch for b in remaining] == [b.epoch for b in batches[stop:]]


@given(n=st.integers(2, 60), batch=st.integers(1, 6), world=st.integers(2, 4), drop=st.booleans())
def test_ranks_together_see_what_one_sees(n, batch, world, drop):
    if n < world:
        return
    parts = [list(BlockSampler(n, batch, drop_last=drop, rank=rank, world=world)) for rank in range(world)]
    assert len({len(part) for part in parts}) == 1
    assert all(batch for part in parts for batch in part)
    together = [flat(blocks) for blocks in zip(*parts, strict=True)]
    one = list(BlockSampler(n, batch * world, drop_last=drop))
    assert flat(together) == flat(one)
    if n % (batch * world) == 0 or n % (batch * world) >= world or (drop and n >= batch * world):
        assert together == one


def test_two_ranks_of_four_are_one_of_eight():
    parts = [list(BlockSampler(40, 4, seed=1, rank=rank, world=2)) for rank in (0, 1)]
    assert [a + b for a, b in zip(*parts, strict=True)] == list(BlockSampler(40, 8, seed=1))


def test_what_does_not_fill_a_block_can_be_left_out():
    assert [len(b) for b in BlockSampler(11, 4, drop_last=True)] == [4, 4]
    assert [len(b) for b in BlockSampler(3, 4, drop_last=True)] == [3]  # rather than nothing
    assert [[len(b) for b in BlockSampler(9, 4, rank=rank, world=2)] for rank in (0, 1)] == [[4, 1], [3, 1]]


def test_the_running_epoch_is_not_begun_again():
    sampler = BlockSampler(12, 4)
    sampler.load_state_dict({"epoch": 2, "batch": 1})
    sampler.set_epoch(2)
    assert len(list(sampler)) == 2
    sampler.load_state_dict({"epoch": 2, "batch": 3})  # at its end: the next one
    assert sampler.state_dict() == {"epoch": 3, "batch": 0}


def test_a_batch_carries_its_epoch_through_a_pickle():
    sampler = BlockSampler(6, 3)
    sampler.set_epoch(5)
    batch = pickle.loads(pickle.dumps(next(iter(sampler))))
    assert (len(batch), batch.epoch) == (3, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 4, "batch_size": 0}, "batch_size 0"),
        ({"n": 4, "batch_size": 1, "rank": 2, "world": 2}, "rank 2, world 2"),
        ({"n": 1, "batch_size": 1, "world": 2}, "1 samples cannot be shared by 2"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        BlockSampler(**arguments)


@pytest.mark.parametrize(
    "state", [{"epoch": 0, "batch": 4}, {"epoch": 0, "batch": -1}, {"epoch": -1, "batch": 0}]
)
def test_a_position_that_is_none_is_refused(state):
    with pytest.raises(UsageError, match="an epoch has 3 batches"):
        BlockSampler(12, 4).load_state_dict(state)
