r"""Periodic rolls, flips and quarter turns of maps, which know what a vector is.

A map is moved by an element of the group of the square followed by a translation. A scalar moves with its
pixels; a component of a vector also changes its sign where its axis is reflected, and a turn makes the
component along x of the one along y:

.. math:: v'(R r) = R \, v(r).

``component`` names the axes of the map: ``x`` is its last dimension, ``y`` the one before, ``z`` the line of
sight; a tensor of rank 2 has two letters. Components belong together when their names differ by the component
alone, as ``B_x`` and ``B_y`` do. Vectors are taken as polar: the magnetic field is an axial one, which a
reflection leaves with the opposite sign, and magnetohydrodynamics does not tell a field from its opposite.

What happens to a sample follows from (seed, epoch, row) alone, so neither workers nor batches nor ranks
change it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError, nearest

KINDS = ("roll", "flip", "turn")
_GOLDEN = 0x9E3779B97F4A7C15  # SplitMix64 (Steele, Lea and Flood 2014) walks in steps of 2^64 / golden ratio
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Channel:
    """What an augmentation must know of a field.

    Args:
        name: Of the field.
        rank: 0 scalar, 1 component of a vector, 2 of a tensor.
        component: Axes of the map, one letter a rank: ``""``, ``"x"``, ``"xy"``.

    Example:
        >>> Channel("B_x", 1, "x").base
        'B'
    """

    name: str
    rank: int = 0
    component: str = ""

    @property
    def base(self) -> str:
        """The name without the component."""
        return re.sub(f"[_-]?{re.escape(self.component)}$", "", self.name, flags=re.IGNORECASE)


class Moves(NamedTuple):
    """What is done to each map of a batch, in this order; arrays of shape ``(B,)``."""

    transpose: NDArray[np.bool_]
    flip_y: NDArray[np.bool_]
    flip_x: NDArray[np.bool_]
    roll_y: NDArray[np.int64]
    roll_x: NDArray[np.int64]


class Augment:
    """Moves maps at random, each by its own roll, flip and turn.

    Args:
        channels: The fields, in the order of the channels.
        shape: Of a map, ``(H, W)``.
        periodic: Whether opposite sides of a map touch.
        kinds: Any of ``roll`` (by any number of pixels), ``flip`` (of each axis, or not), ``turn`` (by
            quarter turns).
        seed: Every draw follows from it, the epoch and the row.

    Raises:
        UsageError: A kind is unknown, a roll is asked for maps that are not periodic, or a turn for a vector
            whose other component is not there.
        ShapeError: A turn is asked for maps that are not square.

    Example:
        >>> augment = Augment([Channel("T_b")], (4, 4), True, kinds=["roll", "flip", "turn"])
        >>> maps = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)
        >>> moved = augment(maps, np.array([5, 9]), epoch=0)
        >>> bool((np.sort(moved[0].ravel()) == maps[0].ravel()).all())
        True
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        shape: tuple[int, ...],
        periodic: bool,
        *,
        kinds: Sequence[str],
        seed: int = 0,
    ) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise UsageError(f"augmentation {kind!r} is unknown", hint=nearest(kind, KINDS))
        if "roll" in kinds and not periodic:
            raise UsageError(
                "maps that are not periodic cannot be rolled: their sides do not touch",
                hint="take roll out of train.augment",
            )
        if "turn" in kinds and shape[0] != shape[1]:
            raise ShapeError(
                f"maps of {shape[0]} × {shape[1]} pixels cannot be turned, allowed: squares",
                hint="take turn out of train.augment, or cut squares",
            )
        self.channels, self.shape, self.kinds, self.seed = tuple(channels), tuple(shape), tuple(kinds), seed
        letters = [channel.component for channel in self.channels]
        self._odd_y = np.array([text.count("y") % 2 == 1 for text in letters])
        self._odd_x = np.array([text.count("x") % 2 == 1 for text in letters])
        turned = "turn" in self.kinds
        self._turned = np.array([self._partner(c) if turned else i for i, c in enumerate(self.channels)])

    def _partner(self, channel: Channel) -> int:
        """Return the channel that becomes this one when x and y change places."""
        swapped = channel.component.translate(str.maketrans("xy", "yx"))
        own = {c.component: i for i, c in enumerate(self.channels) if c.base == channel.base and c.rank}
        if not channel.rank:
            return self.channels.index(channel)
        for component in (swapped, "".join(sorted(swapped))):  # a symmetric tensor gives xy alone
            if component in own:
                return own[component]
        raise UsageError(
            f"a turn makes of {channel.name!r} the component {swapped!r}, which is not among the fields",
            hint=f"add the field {channel.base}_{swapped}, or take turn out of train.augment",
        )

    @property
    def keeps_values(self) -> bool:
        """Whether pixels only move: then it does not matter if maps are transformed before or after."""
        return not any(c.rank for c in self.channels) or not {"flip", "turn"} & set(self.kinds)

    def moves(self, rows: NDArray[np.int64], epoch: int) -> Moves:
        """Return what is done to rows in an epoch.

        Args:
            rows: Rows of the field set, shape ``(B,)``.
            epoch: From 0.
        """
        H, W = self.shape
        mixed = _mixed(self.seed, epoch, rows)
        turns = _draw(mixed, 0, 4) if "turn" in self.kinds else np.zeros(len(rows), np.int64)
        flips = _draw(mixed, 1, 4) if "flip" in self.kinds else np.zeros(len(rows), np.int64)
        rolls = "roll" in self.kinds
        return Moves(
            transpose=turns % 2 == 1,
            # A quarter turn is a transposition and one flip, half a turn is two flips.
            flip_y=((flips & 1) == 1) ^ (turns >= 1) ^ (turns == 3),
            flip_x=((flips & 2) == 2) ^ (turns >= 2),
            roll_y=_draw(mixed, 2, H if rolls else 1),
            roll_x=_draw(mixed, 3, W if rolls else 1),
        )

    def __call__(self, maps: NDArray[np.float32], rows: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        """Return moved maps.

        Args:
            maps: Shape ``(B, C, H, W)``, in any unit; not written to.
            rows: Their rows in the field set, shape ``(B,)``.
            epoch: From 0.

        Returns:
            Shape ``(B, C, H, W)``, a new array.

        Raises:
            ShapeError: The maps are not of the channels and the shape that were announced.
        """
        if maps.shape != (len(rows), len(self.channels), *self.shape):
            raise ShapeError(
                f"maps have shape {maps.shape}",
                hint=f"expected: {(len(rows), len(self.channels), *self.shape)}",
            )
        moves = self.moves(rows, epoch)
        moved = np.empty_like(maps)
        # Block copies, map by map: a gather over the batch reads eight bytes of index for four of map.
        listed = zip(*(part.tolist() for part in moves), strict=True)
        for index, (transpose, flip_y, flip_x, y, x) in enumerate(listed):
            source = maps[index]
            if transpose:
                source = (source if self.keeps_values else source[self._turned]).swapaxes(1, 2)
            _roll(source[:, :: -1 if flip_y else 1, :: -1 if flip_x else 1], moved[index], y, x)
        if not self.keeps_values:
            odd = (moves.flip_y[:, None] & self._odd_y) ^ (moves.flip_x[:, None] & self._odd_x)
            moved *= np.where(odd, np.float32(-1), np.float32(1))[:, :, None, None]
        return moved


def _roll(source: np.ndarray, target: np.ndarray, y: int, x: int) -> None:
    """Put ``(C, H, W)`` into ``target``, moved on by ``y`` and ``x`` pixels over the sides."""
    H, W = source.shape[1:]
    target[:, y:, x:] = source[:, : H - y, : W - x]
    if y:
        target[:, :y, x:] = source[:, H - y :, : W - x]
    if x:
        target[:, y:, :x] = source[:, : H - y, W - x :]
    if y and x:
        target[:, :y, :x] = source[:, H - y :, W - x :]


def _mixed(seed: int, epoch: int, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a random 64-bit word for each row, from (seed, epoch, row) alone."""
    word = np.zeros(len(rows), np.uint64)
    for part in (np.uint64(seed & _MASK), np.uint64(epoch & _MASK), rows.astype(np.uint64)):
        word = _splitmix((word ^ part) + np.uint64(_GOLDEN))
    return word


def _draw(mixed: NDArray[np.uint64], stream: int, below: int) -> NDArray[np.int64]:
    """Return integers from 0 to ``below - 1``, uniform to within ``below / 2^32``."""
    word = _splitmix(mixed + np.uint64((stream + 1) * _GOLDEN & _MASK))
    return (((word >> np.uint64(32)) * np.uint64(below)) >> np.uint64(32)).astype(np.int64)


def _splitmix(word: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The output function of SplitMix64; arithmetic modulo 2^64."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))
