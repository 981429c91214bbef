r"""What the tanks and their PMTs make of a shower.

**Light.** The electromagnetic part of a shower has the energy :math:`N w(t)` at the ground, carried by
photons and electrons of 60 MeV in the mean: the number of them that meet a tank is Poisson, their energies
are exponential, and the water takes all of it. A tank counts with its area seen along the axis. A muon
loses 0.2 GeV/m over 4 m of water, along its slope. An outer PMT sees 10 PE a GeV, of muons, whose
light comes from near by too, 30; the middle one, larger
and more sensitive, 2.2 times as many (Abeysekara et al. 2017, ApJ 843, 39: eight and ten inches); how the
light of a particle falls on the PMTs of a tank varies by half.

**Charge.** Photoelectrons are Poisson; a charge spreads by 0.4 PE for each of them (in quadrature) and by the
gain, is cut at a quarter PE and ends at 10⁴.

**Time.** The front is a sphere about the maximum of the shower. Particles come behind it, exponentially, by
the thickness of Linsley; of ``n``, the first comes ``n`` times earlier, so far and faint hits are late.
Muons come within 2 ns. A PMT adds its own spread.

**Noise and trigger.** Single photoelectrons at a steady rate fill the window that is read out. An event is
kept if enough PMTs are hit within the trigger's window.
"""

from __future__ import annotations

import math

import numpy as np

from skyloom.simulate.showers.cascade import maximum
from skyloom.simulate.showers.physics import (
    E_C,
    LATERAL_AGES,
    NEAREST,
    R_ENERGY,
    X0,
    C,
    age,
    compiled,
    curvature,
    energy_per_electron,
    greisen,
    nkg_norm,
    slant_depth,
    thickness,
)

TANK_RADIUS = 3.65
"""Of a tank [m]."""
DEPTH = 4.0
"""Water above the PMTs [m]."""
PARTICLE = 0.06
"""Mean energy of a photon or electron at the ground [GeV]."""
MUON_LOSS = 0.2
"""Energy loss of a muon in water [GeV/m]."""
YIELD, MUON_YIELD, MIDDLE = 10.0, 30.0, 2.2
"""Photoelectrons a GeV in an outer PMT, and how many times as many in the middle one."""
SHARING = 4.0
"""Inverse variance of how the light of one particle falls on a PMT."""
SPREAD_ONE, THRESHOLD, LARGEST = 0.4, 0.25, 1e4
"""Spread of a single photoelectron, least and largest charge [PE]."""
MUON_LATE = 2.0
"""Mean delay of muons behind the sphere [ns]."""
LEAST_ENERGY = 1e-3
"""Cascades with less at the ground are let go [GeV]."""


@compiled
def axes(zenith, azimuth):  # type: ignore[no-untyped-def]
    """Return the direction of arrival and two unit vectors across it, shape ``(3, 3)``."""
    c, s, cp, sp = math.cos(zenith), math.sin(zenith), math.cos(azimuth), math.sin(azimuth)
    return np.array([[s * cp, s * sp, c], [c * cp, c * sp, -s], [-sp, cp, 0.0]])


@compiled
def tank_light(rng, sub, n_sub, muon, n_muon, cosine, place, frame, core, found):  # type: ignore[no-untyped-def]
    """Draw the particles that meet the tanks.

    Args:
        rng: Source of the numbers.
        sub: Cascades as ``shower`` gives them.
        n_sub: How many.
        muon: Places of muons.
        n_muon: How many.
        cosine: Of the zenith angle.
        place: Middles of the tanks [m], shape ``(T, 2)``.
        frame: As ``axes`` gives it.
        core: Where the axis meets the ground [m].
        found: Filled with particles, their energy [GeV], muons, and the distance from the axis [m], shape
            ``(4, T)``.
    """
    T = len(place)
    across = np.empty((T, 2))
    mean = np.zeros(T)
    for i in range(T):
        dx, dy = place[i, 0] - core[0], place[i, 1] - core[1]
        across[i, 0] = dx * frame[1, 0] + dy * frame[1, 1]
        across[i, 1] = dx * frame[2, 0] + dy * frame[2, 1]
        found[2, i] = 0.0
        found[3, i] = math.hypot(across[i, 0], across[i, 1])
    area = math.pi * TANK_RADIUS**2 * cosine
    X_end = slant_depth(cosine)
    for n in range(n_sub):
        t = (X_end - sub[n, 1]) / X0
        y = math.log(sub[n, 0] / E_C)
        if t <= 0.01 or y <= 0.1:
            continue
        number = greisen(t, y)
        if number * sub[n, 0] < LEAST_ENERGY:
            continue
        energy = min(number * energy_per_electron(t, y), sub[n, 0])
        if energy < LEAST_ENERGY:
            continue
        s = min(max(age(t, y), LATERAL_AGES[0]), LATERAL_AGES[1])
        scale = energy / PARTICLE * area * nkg_norm(s, R_ENERGY)
        for i in range(T):
            r = math.hypot(across[i, 0] - sub[n, 2], across[i, 1] - sub[n, 3])
            x = max(r, NEAREST) / R_ENERGY
            mean[i] += scale * math.exp((s - 2) * math.log(x) + (s - 4.5) * math.log(1 + x))
    for i in range(T):
        found[0, i] = rng.poisson(mean[i])
        found[1, i] = PARTICLE * rng.standard_gamma(found[0, i]) if found[0, i] > 0 else 0.0
    for n in range(n_muon):
        # down the axis to the level of the tanks
        back = (muon[n, 0] * frame[1, 2] + muon[n, 1] * frame[2, 2]) / frame[0, 2]
        gx = core[0] + muon[n, 0] * frame[1, 0] + muon[n, 1] * frame[2, 0] - back * frame[0, 0]
        gy = core[1] + muon[n, 0] * frame[1, 1] + muon[n, 1] * frame[2, 1] - back * frame[0, 1]
        for i in range(T):
            dx, dy = gx - place[i, 0], gy - place[i, 1]
            if dx * dx + dy * dy < TANK_RADIUS**2:
                found[2, i] += 1
                break


@compiled
def read_out(  # type: ignore[no-untyped-def]
    rng, found, E, cosine, position, tank, middle, frame, core, settings, charge, time
):
    """Draw charges and times of the PMTs, without noise.

    Args:
        rng: Source of the numbers.
        found: As ``tank_light`` fills it.
        E: Energy of the primary [GeV].
        cosine: Of the zenith angle.
        position: Of the PMTs [m], shape ``(M, 3)``.
        tank: Of each PMT, its number.
        middle: Whether a PMT is the large one.
        frame: As ``axes`` gives it.
        core: Where the axis meets the ground [m].
        settings: As ``Showers`` orders them.
        charge: Filled with charges [PE], 0 where there is no hit, shape ``(M,)``.
        time: Filled with times after the axis meets the ground [ns].
    """
    gain, jitter = settings[0], settings[1]
    radius = maximum(E, cosine)
    for k in range(len(position)):
        i = tank[k]
        size = MIDDLE if middle[k] else 1.0
        n, muons = found[0, i], found[2, i]
        soft, hard = 0.0, 0.0
        if n > 0:
            shape = SHARING * n
            soft = rng.poisson(YIELD * size * found[1, i] * rng.standard_gamma(shape) / shape)
        if muons > 0:
            shape = SHARING * muons
            through = muons * MUON_LOSS * DEPTH / cosine
            hard = rng.poisson(MUON_YIELD * size * through * rng.standard_gamma(shape) / shape)
        photoelectrons = soft + hard
        charge[k] = _charge(rng, photoelectrons, gain)
        if charge[k] == 0:
            continue
        r = found[3, i]
        late = math.inf
        if soft > 0:
            late = thickness(r) * rng.standard_exponential() / min(n, soft)
        if hard > 0:
            late = min(late, MUON_LATE * rng.standard_exponential() / muons)
        plane = 0.0
        for axis in range(2):
            plane += frame[0, axis] * (position[k, axis] - core[axis])
        plane += frame[0, 2] * position[k, 2]
        time[k] = -plane / C + curvature(r, radius) + late + jitter * rng.standard_normal()


@compiled
def _charge(rng, photoelectrons, gain):  # type: ignore[no-untyped-def]
    """Return the charge that photoelectrons make [PE]; 0 below the threshold."""
    if photoelectrons == 0:
        return 0.0
    q = photoelectrons + SPREAD_ONE * math.sqrt(photoelectrons) * rng.standard_normal()
    q *= math.exp(gain * rng.standard_normal())
    return min(q, LARGEST) if q > THRESHOLD else 0.0


@compiled
def trigger(charge, time, multiplicity, window):  # type: ignore[no-untyped-def]
    """Return when enough PMTs are hit within a window [ns]; NaN if they never are.

    Args:
        charge: Charges [PE], 0 where there is no hit, shape ``(M,)``.
        time: Times [ns].
        multiplicity: How many PMTs are needed.
        window: Within how long [ns].

    Example:
        >>> trigger(np.ones(3), np.array([0.0, 100.0, 160.0]), 2, 80.0)
        160.0
    """
    times = np.sort(time[charge > 0])
    for last in range(multiplicity - 1, len(times)):
        if times[last] - times[last - multiplicity + 1] <= window:
            return times[last]
    return np.nan


@compiled
def add_noise(rng, charge, time, rate, before, after):  # type: ignore[no-untyped-def]
    """Add single photoelectrons where no shower is seen, and cut at the window that is read out.

    Args:
        rng: Source of the numbers.
        charge: Charges [PE], 0 where there is no hit, shape ``(M,)``; changed.
        time: Times after the trigger [ns]; changed.
        rate: Of each PMT [1/ns].
        before: How long before the trigger the window begins [ns].
        after: How long after it ends [ns].
    """
    M = len(charge)
    for k in range(M):
        if charge[k] > 0 and not -before <= time[k] <= after:
            charge[k] = 0.0
    for _ in range(rng.poisson(rate * (before + after) * M)):
        k = min(int(rng.random() * M), M - 1)
        when = rng.random() * (before + after) - before
        q = _charge(rng, 1, 0.0)
        if charge[k] == 0 and q > 0:
            charge[k], time[k] = q, when
