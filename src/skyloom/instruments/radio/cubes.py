"""Boxes and light cones through a telescope: every layer is a channel, with its own frequency and noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UnitError, UsageError
from skyloom.instruments.base import Cube, Instrument, Scene, layers
from skyloom.instruments.radio.arrays import ARRAYS, LINE, Array
from skyloom.instruments.radio.beam import Unit, beam_area, beam_pixels, convolved
from skyloom.instruments.radio.coverage import Coverage, Weighting, coverage
from skyloom.instruments.radio.observing import channel, noise_maps
from skyloom.units import convert


def noise_cube(
    array: Array,
    redshifts: Sequence[float],
    *,
    size: int,
    box: float,
    depth: float,
    hours: float = 1000.0,
    weighting: Weighting = "uniform",
    seed: int = 0,
) -> NDArray[np.float64]:
    """Draw the noise of a box or light cone, independent from layer to layer.

    Args:
        array: The array of stations.
        redshifts: Of each layer, ``D`` of them: all the same for a box, rising or falling for a light cone.
        size: Pixels a side ``N``.
        box: Comoving side [Mpc].
        depth: Comoving depth of a layer [Mpc].
        hours: Observing time [h].
        weighting: Of the waves; see `Coverage.weights`.
        seed: Draws the noise; the positions of the stations are always those of seed 0.

    Returns:
        Shape ``(D, N, N)`` [K].

    Raises:
        ShapeError: There is no layer.

    Example:
        >>> cone = noise_cube(ARRAYS["ska_low"], [7.0, 7.0, 9.0], size=16, box=300.0, depth=3.0)
        >>> cone.shape, bool(cone[2].std() > cone[:2].std())  # the sky is brighter at lower frequencies
        ((3, 16, 16), True)
    """
    if not len(redshifts):
        raise ShapeError("a cube of noise needs the redshift of one layer or more")
    cube = np.empty((len(redshifts), size, size))
    seen: dict[float, Coverage] = {}
    for layer, z in enumerate(redshifts):
        if z not in seen:
            seen[z] = _coverage(array, float(z), size=size, box=box, depth=depth, hours=hours)
        # A word of two numbers, so that neighbouring layers and seeds share nothing.
        own = int(np.random.SeedSequence([seed, layer]).generate_state(1, np.uint64)[0])
        cube[layer] = noise_maps(seen[z], 1, weighting=weighting, seed=own)[0]
    return cube


def _coverage(array: Array, z: float, *, size: int, box: float, depth: float, hours: float) -> Coverage:
    side, bandwidth = channel(z, box, depth)
    return coverage(
        array, size=size, side=side, frequency=LINE / (1 + z), bandwidth=bandwidth, hours=hours
    )  # fmt: skip


class Telescope(Instrument):
    """An interferometer: of each layer the waves that it measures, and noise of its own.

    Args:
        array: ``ska_low`` or ``ska_mid``, both -like.
        hours: Observing time [h]; null for no noise.
        core: Standard deviation of the positions of the stations [m]; null for that of the array.
        depth: Comoving depth of the channel of a map [Mpc]; a layer of a cube is as deep as its cells.
        weighting: ``natural`` weighs waves by how often they are measured, ``uniform`` does not.

    Raises:
        UsageError: The hours are not positive.
    """

    def __init__(
        self,
        *,
        array: Literal["ska_low", "ska_mid"] = "ska_low",
        hours: float | None = 1000.0,
        core: float | None = None,
        depth: float | None = None,
        weighting: Weighting = "natural",
    ) -> None:
        for name, value in (("hours", hours), ("core", core), ("depth", depth)):
            if value is not None and not value > 0:
                raise UsageError(f"instrument 'interferometer': {name} is {value}", hint="give more than 0")
        self.array = ARRAYS[array] if core is None else replace(ARRAYS[array], core=core)
        self.hours, self.depth, self.weighting = hours, depth, weighting

    def observe(self, sky: Cube, scene: Scene, *, seed: int) -> Cube:
        """Return what the telescope gives; see `Instrument`."""
        cube = layers(sky, "interferometer")
        N, z = cube.shape[-1], scene.redshift
        if (self.depth is None) != (sky.ndim == 3):
            raise UsageError(
                f"instrument 'interferometer': depth is {self.depth} for {sky.ndim} axes",
                hint="a map needs the depth of its channel, a cube has its own",
            )
        depth = scene.side / N if self.depth is None else self.depth
        seen = _coverage(self.array, z, size=N, box=scene.side, depth=depth, hours=self.hours or 1.0)
        waves = np.fft.fft2(np.asarray(cube, float)) * seen.weights(self.weighting)
        observed = np.fft.ifft2(waves).real
        if self.hours is not None:
            noise = noise_cube(
                self.array, [z] * len(cube), size=N, box=scene.side, depth=depth, hours=self.hours,
                weighting=self.weighting, seed=seed,
            )  # fmt: skip
            observed += convert(noise, "K", _kelvin(scene.units))
        return observed.reshape(sky.shape).astype(sky.dtype)


class CubeBeam(Instrument):
    """A round Gaussian beam, the same for all layers.

    Args:
        fwhm: Full width at half maximum [unit].
        unit: ``arcmin``, ``arcsec``, or ``Mpc`` for a comoving length.
        per_beam: Turn Jy per pixel into Jy per beam; if not, the field keeps its unit and its mean.

    Raises:
        UsageError: The width is not positive.
    """

    def __init__(self, *, fwhm: float, unit: Unit = "arcmin", per_beam: bool = False) -> None:
        if not fwhm > 0:
            raise UsageError(f"instrument 'beam': fwhm is {fwhm}", hint="give more than 0")
        self.fwhm, self.unit, self.per_beam = fwhm, unit, per_beam

    def observe(self, sky: Cube, scene: Scene, *, seed: int) -> Cube:
        """Return the layers behind the beam; see `Instrument`."""
        cube = layers(sky, "beam")
        pixel = scene.side / cube.shape[-1]
        width = beam_pixels(self.fwhm, self.unit, pixel=pixel, redshift=scene.redshift, comoving=True)
        seen = convolved(cube, width, periodic=scene.periodic)
        seen *= beam_area(width) if self.per_beam else 1.0
        return seen.reshape(sky.shape).astype(sky.dtype)


def _kelvin(unit: str) -> str:
    """Return a unit that is one of temperature.

    Raises:
        UnitError: It is not.
    """
    try:
        convert([1.0], "K", unit)
    except UnitError as error:
        raise UnitError(
            f"instrument 'interferometer': the field is in {unit!r}", hint="observe a temperature: K or mK"
        ) from error
    return unit
