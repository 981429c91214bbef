r"""A simple reconstruction of events, after that of HAWC (Abeysekara et al. 2017, ApJ 843, 39).

**Core.** The charges of the tanks are fitted with the observatory's quick form,

.. math:: S(r) = A \left[\frac{e^{-r^2 / 2\sigma^2}}{2\pi\sigma^2} + \frac{N}{(0.5 + r / R_m)^3}\right],
          \quad \sigma = 10\ \mathrm{m},\ N = 5\cdot10^{-5},\ R_m = 120\ \mathrm{m},

by the place of the largest Poisson likelihood, in which :math:`A` falls out; it is looked for on grids of
20, 5 and 1 m, up to 200 m beyond the array.

**Direction.** A plane is fitted to the times by :func:`skyloom.statistics.shower_front.fit_front`, each hit
with the weight of its charge (at most 5 PE). Then what the front is late in the mean at that distance from
the axis, for that charge, is taken off (its curvature, and the thickness over the charge), hits beyond 3
robust standard deviations are left out, and the plane is fitted again, twice.

**Energy.** A straight line in :math:`\log_{10} A` and :math:`\sec\theta - 1`, fitted once to photons of this
simulator: a proxy, not an estimator. A reconstruction whose plane failed has a zenith angle of NaN.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skyloom.simulate.showers.generate import tank_places
from skyloom.simulate.showers.physics import C, compiled, thickness
from skyloom.statistics.events import observables
from skyloom.statistics.shower_front import fit_front

Array = NDArray[Any]

SIGMA, TAIL, RADIUS = 10.0, 5e-5, 120.0
"""Width of the core [m], weight and radius [m] of the tail."""
MARGIN, COARSE, MIDDLE, FINE = 200.0, 20.0, 5.0, 1.0
"""How far beyond the array a core is looked for, and the steps [m]."""
HEAVIEST = 5.0
"""Charge that counts most in the fit of the plane [PE]."""
FRONT_RADIUS = 5000.0
"""Radius of the front that is taken off [m]."""
REJECTION = 3.0
LEAST_CHARGE = 0.25
"""Least ``CxPE40`` that compactness divides by: the threshold of a PMT [PE]."""
ENERGY = (0.54, 0.59, 1.54)
"""log10 E/GeV at log10 A = 0 and vertical, its slope in log10 A, and in sec θ - 1."""


class Reconstructed(NamedTuple):
    """What was reconstructed of ``n`` events, shape ``(n,)`` each."""

    logNPE: Array
    """log10 of the total charge [dex(PE)]."""
    nHit: Array
    """PMTs hit."""
    nTankHit: Array
    """Tanks hit."""
    zenith: Array
    """Zenith angle [rad]; NaN where the fit failed."""
    azimuth: Array
    """Azimuth, in (-π, π] [rad]."""
    core_x: Array
    """Core, east [m]."""
    core_y: Array
    """Core, north [m]."""
    CxPE40: Array
    """Largest charge more than 40 m from the core [PE]."""
    fHit: Array
    """Share of the PMTs that were hit."""
    compactness: Array
    """``nHit / CxPE40`` [1/PE]."""
    PINC: Array
    """Mean square of log10 of the charge about its mean in rings of 5 m [dex²]."""
    energy_proxy: Array
    """log10 of the energy, of a photon [dex(GeV)]."""


def reconstruct(charge: Array, time: Array, position: Array, tank: Array) -> Reconstructed:
    """Reconstruct events.

    Args:
        charge: Charges [PE], 0 where there is no hit, shape ``(n, M)``.
        time: Times [ns], shape ``(n, M)``.
        position: Of the PMTs [m], shape ``(M, 3)``.
        tank: Of each PMT, the number of its tank from 0, shape ``(M,)``.

    Returns:
        The reconstructed numbers.
    """
    hit = charge > 0
    q = charge.astype(np.float64)
    core, amplitude = fit_core(q, position, tank)
    weight = np.minimum(q, HEAVIEST)
    front = fit_front(time, hit, position, weight, rejection=REJECTION)
    for _ in range(2):
        r = _from_axis(position, core, front.zenith, front.azimuth)
        late = time - _lateness(r, np.maximum(q, 1.0))
        front = fit_front(late, hit, position, weight, rejection=REJECTION)
    axis = np.stack([front.zenith, front.azimuth], axis=1)
    found = observables(q, time, hit, position, np.array([0.0, 1.0]), core, axis)
    tanks = np.zeros((len(q), tank.max() + 1), dtype=bool)
    event, channel = np.nonzero(hit)
    tanks[event, tank[channel]] = True
    with np.errstate(invalid="ignore"):
        slant = 1 / np.cos(front.zenith) - 1
    return Reconstructed(
        np.log10(np.maximum(found.charge, LEAST_CHARGE)), found.nHit, tanks.sum(axis=1),
        front.zenith, front.azimuth, core[:, 0], core[:, 1], found.CxPE40,
        found.nHit / len(position), found.nHit / np.maximum(found.CxPE40, LEAST_CHARGE), found.PINC,
        ENERGY[0] + ENERGY[1] * np.log10(amplitude) + ENERGY[2] * slant,
    )  # fmt: skip


def fit_core(charge: Array, position: Array, tank: Array) -> tuple[Array, Array]:
    """Fit where the axis meets the ground.

    Args:
        charge: Charges [PE], shape ``(n, M)``.
        position: Of the PMTs [m], shape ``(M, 3)``.
        tank: Of each PMT, the number of its tank from 0, shape ``(M,)``.

    Returns:
        Cores [m], shape ``(n, 2)``, and amplitudes A [PE m²], shape ``(n,)``.
    """
    channels, place = tank_places(position, tank)
    number = len(place)
    belongs = (tank[:, None] == np.arange(number)).astype(np.float64)
    lit = charge @ belongs
    low, high = place.min(axis=0) - MARGIN, place.max(axis=0) + MARGIN
    x, y = np.meshgrid(*(np.arange(low[axis], high[axis], COARSE) for axis in (0, 1)))
    grid = np.column_stack([x.ravel(), y.ravel()])
    profile = _profile(np.linalg.norm(grid[:, None] - place[None], axis=2))
    likely = lit @ np.log(profile).T - lit.sum(axis=1)[:, None] * np.log(profile @ channels)
    core = grid[likely.argmax(axis=1)]
    amplitude = np.empty(len(charge))
    _refine(lit, place, channels.astype(np.float64), core, amplitude)
    return core, amplitude


@compiled
def _profile(r):  # type: ignore[no-untyped-def]
    """Return the form of the fit at a distance from the core [1/m²]."""
    return np.exp(-0.5 * (r / SIGMA) ** 2) / (2 * np.pi * SIGMA**2) + TAIL / (0.5 + r / RADIUS) ** 3


@compiled
def _refine(lit, place, channels, core, amplitude):  # type: ignore[no-untyped-def]
    """Move cores to the most likely place on finer and finer grids around them, and fill the amplitudes."""
    for event in range(len(lit)):
        total = lit[event].sum()
        for step, reach in ((MIDDLE, COARSE), (FINE, MIDDLE)):
            best = -np.inf
            start_x, start_y = core[event]
            for i in range(-int(reach / step), int(reach / step) + 1):
                for j in range(-int(reach / step), int(reach / step) + 1):
                    x, y = start_x + i * step, start_y + j * step
                    whole, likely = 0.0, 0.0
                    for n in range(len(place)):
                        form = _profile(math.hypot(x - place[n, 0], y - place[n, 1]))
                        whole += channels[n] * form
                        if lit[event, n] > 0:
                            likely += lit[event, n] * math.log(form)
                    likely -= total * math.log(whole)
                    if likely > best:
                        best, core[event, 0], core[event, 1] = likely, x, y
                        amplitude[event] = total / whole


def _from_axis(position: Array, core: Array, zenith: Array, azimuth: Array) -> Array:
    """Return how far every PMT is from every axis [m], shape ``(n, M)``; an axis that failed is vertical."""
    angle = np.where(np.isfinite(zenith), zenith, 0.0)
    turned = np.where(np.isfinite(azimuth), azimuth, 0.0)
    u = np.sin(angle)[:, None] * np.stack([np.cos(turned), np.sin(turned)], axis=1)
    apart = position[None, :, :2] - core[:, None]
    along = np.einsum("nma,na->nm", apart, u)
    return np.asarray(np.sqrt(np.maximum(np.square(apart).sum(axis=2) - along**2, 0.0)))


def _lateness(r: Array, charge: Array) -> Array:
    """Return by how much a hit comes behind the plane in the mean [ns]."""
    sphere = (np.sqrt(FRONT_RADIUS**2 + r**2) - FRONT_RADIUS) / C
    return np.asarray(sphere + thickness.py_func(r) / charge)
