"""Moves of a batch: they are symmetries of the square and of the periodic box, and gradients pass."""

from __future__ import annotations

import torch

from skyloom.methods.generative.moves import moved
from skyloom.nets.layers import dihedral


def test_flips_and_turns_are_the_eight_symmetries_equally_often():
    one = torch.arange(9.0).reshape(1, 1, 3, 3)
    found = moved(one.expand(4000, 1, 3, 3), ["flip", "turn"], torch.Generator().manual_seed(0))
    counts = [int((found == dihedral(one, element)).flatten(1).all(1).sum()) for element in range(8)]
    assert sum(counts) == 4000
    # 500 each; the sd of a count is sqrt(4000 * 1/8 * 7/8) = 21.
    assert max(abs(count - 500) for count in counts) < 5 * 21


def test_rolls_are_over_the_sides_and_differ_from_map_to_map():
    maps = torch.arange(16.0).reshape(1, 1, 4, 4).expand(400, 1, 4, 4)
    found = moved(maps, ["roll"], torch.Generator().manual_seed(0))
    rolled = [maps[0].roll((y, x), (-2, -1)) for y in range(4) for x in range(4)]
    counts = [int((found == one).flatten(1).all(1).sum()) for one in rolled]
    assert sum(counts) == 400
    assert min(counts) > 0


def test_channels_move_together_and_gradients_come_back_to_their_pixels():
    maps = torch.randn(5, 1, 6, 6).expand(5, 2, 6, 6).clone().requires_grad_()
    found = moved(maps, ["roll", "flip", "turn"])
    assert torch.equal(found[:, 0], found[:, 1])
    (found.square().sum() / 2).backward()
    assert torch.equal(maps.grad, maps)
    assert moved(maps, []) is maps
