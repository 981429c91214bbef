"""Events of one shard: primaries are thrown until enough of them trigger and can be reconstructed."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.simulate.showers.cascade import SPACE, shower
from skyloom.simulate.showers.detector import add_noise, axes, read_out, tank_light, trigger
from skyloom.simulate.showers.physics import compiled

Array = NDArray[Any]

MOST_THROWN = 100_000
"""Primaries thrown for one event before it is given up."""


class Beam(NamedTuple):
    """Distributions of the primaries, and the response; all numbers of one kind, for compiled code."""

    e_min: float
    """Least energy [GeV]."""
    e_max: float
    """Largest energy [GeV]."""
    slope: float
    """The number of primaries falls as the energy to minus this."""
    cosine_least: float
    """Cosine of the largest zenith angle."""
    core_radius: float
    """Cores fill a disc of this radius about the middle of the array [m]."""
    gain: float
    """Spread of the logarithm of a gain."""
    jitter: float
    """Spread of the times of a PMT [ns]."""
    noise: float
    """Rate of noise hits of a PMT [1/ns]."""
    before: float
    """What is read out before the trigger [ns]."""
    after: float
    """And after it [ns]."""
    multiplicity: float
    """PMTs that the trigger needs."""
    window: float
    """Within how long [ns]."""


class Thrown(NamedTuple):
    """Events of ``n`` primaries that triggered, with ``M`` PMTs."""

    charge: Array
    """Charges [PE], 0 where there is no hit, shape ``(n, M)``."""
    time: Array
    """Times after the trigger [ns], shape ``(n, M)``."""
    energy: Array
    """Energy [GeV], shape ``(n,)``."""
    zenith: Array
    """Zenith angle [rad], shape ``(n,)``."""
    azimuth: Array
    """Azimuth that it comes from, from x towards y [rad], shape ``(n,)``."""
    core: Array
    """Where the axis meets the ground [m], shape ``(n, 2)``."""
    muons: Array
    """Muons on the ground, near or far, shape ``(n,)``."""
    thrown: Array
    """Primaries thrown for this event, itself included; 0 where it was given up, shape ``(n,)``."""


@compiled
def power_law(u, least, most, index):  # type: ignore[no-untyped-def]
    r"""Return the energy below which a share ``u`` of :math:`dn/dE \propto E^{-\gamma}` lies.

    Example:
        >>> round(power_law(0.5, 1.0, 100.0, 1.0), 9), round(power_law(0.5, 1.0, 3.0, 2.0), 9)
        (10.0, 1.5)
    """
    if abs(index - 1) < 1e-9:
        return least * (most / least) ** u
    low, high = least ** (1 - index), most ** (1 - index)
    return (low + u * (high - low)) ** (1 / (1 - index))


@compiled
def cosine_of(u, least):  # type: ignore[no-untyped-def]
    r"""Return the cosine below which a share ``u`` of :math:`dn/d\theta \propto \cos\theta \sin\theta` lies.

    Example:
        >>> cosine_of(0.0, 0.5), cosine_of(1.0, 0.5)
        (0.5, 1.0)
    """
    return math.sqrt(least**2 + u * (1 - least**2))


def tank_places(position: Array, tank: Array) -> tuple[Array, Array]:
    """Return how many PMTs every tank has, shape ``(T,)``, and their mean place [m], shape ``(T, 2)``.

    Args:
        position: Of the PMTs [m], shape ``(M, 3)``.
        tank: Of each PMT, the number of its tank; every number from 0 is there.
    """
    count = np.bincount(tank)
    return count, np.stack([np.bincount(tank, position[:, axis]) / count for axis in (0, 1)], axis=1)


def throw(
    rng: np.random.Generator, species: Array, position: Array, tank: Array, middle: Array, beam: Beam
) -> Thrown:
    """Throw primaries until each event has one that triggers.

    Args:
        rng: Source of the numbers.
        species: Of each event, ``GAMMA`` or ``PROTON``, shape ``(n,)``.
        position: Of the PMTs [m], shape ``(M, 3)``.
        tank: Of each PMT, the number of its tank from 0, shape ``(M,)``.
        middle: Whether a PMT is the large one of its tank, shape ``(M,)``.
        beam: Distributions and response.

    Returns:
        The events.
    """
    _, place = tank_places(position, tank)
    n, M = len(species), len(position)
    charge, time = np.zeros((n, M), np.float32), np.zeros((n, M), np.float32)
    truth = np.zeros((n, 7))
    centre = np.cumsum(place, axis=0)[-1] / len(place)
    _throw(rng, species.astype(np.int64), position, place, centre, tank, middle, beam, charge, time, truth)
    energy, zenith, azimuth = truth[:, :3].T
    return Thrown(charge, time, energy, zenith, azimuth, truth[:, 3:5], truth[:, 5], truth[:, 6])


@compiled
def _throw(  # type: ignore[no-untyped-def]
    rng, species, position, place, centre, tank, middle, beam, charge, time, truth
):
    # Loops, where NumPy has a word for them: the words take seconds to compile.
    sub, muon = np.empty((SPACE, 4)), np.empty((SPACE, 2))
    found = np.empty((4, len(place)))
    q, t = np.empty(len(position)), np.zeros(len(position))
    response, core = np.empty(2), np.empty(2)
    response[0], response[1] = beam.gain, beam.jitter
    for event in range(len(species)):
        for thrown in range(1, MOST_THROWN + 1):
            E = power_law(rng.random(), beam.e_min, beam.e_max, beam.slope)
            cosine = cosine_of(rng.random(), beam.cosine_least)
            azimuth = (2 * rng.random() - 1) * math.pi
            apart, angle = beam.core_radius * math.sqrt(rng.random()), 2 * math.pi * rng.random()
            core[0] = centre[0] + apart * math.cos(angle)
            core[1] = centre[1] + apart * math.sin(angle)
            frame = axes(math.acos(cosine), azimuth)
            n_sub, n_muon = shower(rng, species[event], E, cosine, sub, muon)
            if n_sub + n_muon == 0:
                continue
            tank_light(rng, sub, n_sub, muon, n_muon, cosine, place, frame, core, found)
            particles = muons = 0.0
            for i in range(len(place)):
                particles += found[0, i]
                muons += found[2, i]
            if particles + 4 * muons < 0.2 * beam.multiplicity:
                continue
            read_out(rng, found, E, cosine, position, tank, middle, frame, core, response, q, t)
            start = trigger(q, t, int(beam.multiplicity), beam.window)
            if math.isnan(start):
                continue
            for k in range(len(t)):
                t[k] -= start
            add_noise(rng, q, t, beam.noise, beam.before, beam.after)
            for k in range(len(q)):
                charge[event, k] = q[k]
                time[event, k] = t[k] if q[k] > 0 else 0.0
            truth[event, 0], truth[event, 1], truth[event, 2] = E, math.acos(cosine), azimuth
            truth[event, 3], truth[event, 4] = core[0], core[1]
            truth[event, 5], truth[event, 6] = n_muon, thrown
            break
