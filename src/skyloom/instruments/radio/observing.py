"""A map as an interferometer gives it: the waves that it measured, with its noise.

The mean of the map and the waves that no baseline measures are lost; a network trained on such maps has to do
without them, as an observer has.
"""

from __future__ import annotations

import copy
import zlib
from dataclasses import replace
from functools import cached_property
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.fields.filters import Removing
from skyloom.fields.invertible import Maps
from skyloom.instruments.radio.arrays import ARRAYS, LINE
from skyloom.instruments.radio.coverage import Coverage, Weighting, coverage

TO = {"K": 1.0, "mK": 1e3}


def channel(redshift: float, box: float, depth: float) -> tuple[float, float]:
    """Return angular side [rad] and width in frequency [Hz] of comoving lengths, in Planck 2018.

    Args:
        redshift: Of the 21-cm line.
        box: Length across the line of sight [Mpc].
        depth: Length along it [Mpc].

    Example:
        >>> side, bandwidth = channel(8.0, 100.0, 1.0)
        >>> round(side * 1e3, 2), round(bandwidth / 1e3, 1)
        (10.95, 59.8)
    """
    from astropy import units as u
    from astropy.constants import c
    from astropy.cosmology import Planck18

    distance = Planck18.comoving_distance(redshift).to_value(u.Mpc)
    rate = (Planck18.H(redshift) / c).to_value(1 / u.Mpc)
    return float(box / distance), float(LINE * rate * depth / (1 + redshift) ** 2)


def noise_maps(
    seen: Coverage, count: int, *, weighting: Weighting = "uniform", seed: int = 0
) -> NDArray[np.float64]:
    """Draw maps of the noise alone.

    Args:
        seen: What is measured of the waves of a map.
        count: Maps.
        weighting: Of the waves; see `Coverage.weights`.
        seed: Everything drawn follows from it.

    Returns:
        Real maps, shape ``(count, N, N)`` [K].
    """
    N = len(seen.visibilities)
    rng = np.random.default_rng(seed)
    # White noise in the map is Hermitian in the waves, as the sky is; each wave is then given its own width.
    white = np.fft.fft2(rng.standard_normal((count, N, N)), norm="ortho")
    width = np.zeros((N, N))
    width[seen.seen] = np.sqrt(2.0 / seen.visibilities[seen.seen]) * seen.noise
    width *= seen.weights(weighting)
    # A sum over cells of area 1/side²; fft2 without a norm divides by N².
    return np.asarray(np.fft.ifft2(white * width, axes=(-2, -1)).real * N**2 / seen.side**2)


class Interferometer(Removing):
    """What a radio interferometer makes of a map of 21-cm brightness temperature.

    The noise of a map follows from the seed, the map and, of the train side, the epoch. All maps are observed
    at one redshift.

    Args:
        array: ``ska_low`` or ``ska_mid``, both -like.
        redshift: Of the line.
        box: Comoving side of a map [Mpc].
        depth: Comoving depth of the channel [Mpc].
        hours: Observing time [h]; null for no noise.
        units: Unit of the maps, ``mK`` or ``K``.
        core: Standard deviation of the positions of the stations [m]; null for that of the array.
        weighting: ``natural`` weighs waves by how often they are measured, ``uniform`` does not.
        redraw: Whether every epoch of the training has noise of its own; if not, a network may learn one by
            heart. The same seed gives the same training either way.
        seed: Draws the stations and the noise.

    Raises:
        UsageError: The array is unknown or a number is not positive.
    """

    def __init__(
        self,
        *,
        array: Literal["ska_low", "ska_mid"] = "ska_low",
        redshift: float,
        box: float,
        depth: float,
        hours: float | None = 1000.0,
        units: Literal["mK", "K"] = "mK",
        core: float | None = None,
        weighting: Weighting = "natural",
        redraw: bool = True,
        seed: int = 0,
    ) -> None:
        for name, value in (("redshift", redshift), ("box", box), ("depth", depth)):
            if not value > 0:
                raise UsageError(f"transform 'interferometer': {name} is {value}", hint="give more than 0")
        self.array, self.redshift, self.box, self.depth = array, redshift, box, depth
        self.hours, self.units, self.core, self.weighting, self.seed = hours, units, core, weighting, seed
        self.redraws, self._epoch = redraw and hours is not None, 0

    def in_epoch(self, epoch: int) -> Self:
        """Return the telescope with the noise of an epoch."""
        if not self.redraws:
            return self
        drawn = copy.copy(self)
        drawn._epoch = epoch
        return drawn

    @cached_property
    def _channel(self) -> tuple[float, float]:
        return channel(self.redshift, self.box, self.depth)

    def seen(self, size: int) -> Coverage:
        """Return what is measured of the waves of a map of so many pixels."""
        array = ARRAYS[self.array]
        if self.core is not None:
            array = replace(array, core=self.core)
        side, bandwidth = self._channel
        return coverage(
            array, size=size, side=side, frequency=LINE / (1 + self.redshift), bandwidth=bandwidth,
            hours=self.hours or 1.0, seed=self.seed,
        )  # fmt: skip

    def left(self, maps: Maps) -> Maps:
        """Return the observed maps, shape ``(H, W)`` or ``(n, H, W)``."""
        if maps.shape[-1] != maps.shape[-2]:
            raise ShapeError(f"transform 'interferometer': maps of shape {maps.shape[-2:]}, allowed: squares")
        seen = self.seen(maps.shape[-1])
        waves = np.fft.fft2(np.asarray(maps, float))
        observed = np.fft.ifft2(waves * seen.weights(self.weighting)).real
        if self.hours is not None:
            flat = observed.reshape(-1, *maps.shape[-2:])
            for row, one in enumerate(np.asarray(maps).reshape(flat.shape)):
                seed = zlib.crc32(np.ascontiguousarray(one, np.float64).tobytes()) + self.seed
                seed += self._epoch << 32  # beyond what the sum of the map reaches
                noise = noise_maps(seen, 1, weighting=self.weighting, seed=seed)[0]
                flat[row] += noise * TO[self.units]
        return np.asarray(observed, dtype=maps.dtype)
