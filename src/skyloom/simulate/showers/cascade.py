r"""The hadronic cascade, drawn particle by particle, and what of it reaches the ground.

A branching model in the manner of Heitler and Matthews (Matthews 2005, Astropart. Phys. 22, 387), but random:

- A nucleon interacts after an exponential depth and keeps an evenly drawn share of its energy (Gaisser,
  *Cosmic Rays and Particle Physics*: a flat spectrum of leading nucleons). The rest goes to pions, and the
  energy of a charged pion that interacts goes to pions as a whole.
- Energy is dealt to pions by breaking a stick: each takes a share drawn from Beta(1, b) of what is left,
  which makes the inclusive spectrum :math:`x\,dn/dx = b\,(1 - x)^{b - 1}` exactly, conserves energy, and
  lets the multiplicity grow as the logarithm of the energy. A third of the pions are neutral.
- A charged pion decays rather than interacts with the odds :math:`\varepsilon_\pi / (E X \cos\theta)` a
  g/cm²,
  :math:`\varepsilon_\pi = m_\pi c^2 H / c\tau_\pi`. Its muon takes an even share between 0.573 and 1 of its
  energy, loses 2 MeV a g/cm², and may decay on its way.
- A neutral pion starts an electromagnetic cascade. Kicks across the axis (exponential, 0.4 GeV/c in the mean)
  move what follows by :math:`p_T D / E`, with the distance :math:`D` to the ground: so showers get clumps.
- In the cascade of a photon, photons of energy above :math:`E'` go :math:`0.572\,E/E'` radiation lengths in
  all (Rossi 1952, approximation A); over the interaction length of photons this is the number of their
  hadronic interactions, :math:`dn \propto dE'/E'^2`, at a depth of :math:`\ln(E/E')` radiation lengths.
"""

from __future__ import annotations

import math

import numpy as np

from skyloom.simulate.showers.physics import E_C, X0, H, compiled, distance_above, slant_depth

GAMMA, PROTON = 1, 14
"""Codes of CORSIKA."""
CONVERSION = 9 / 7 * X0
"""Mean free path of a photon before it makes a pair [g/cm²]."""
LENGTH_NUCLEON, LENGTH_PION = 83.0, 107.0
"""Interaction lengths in air [g/cm²]: 14.5 nucleons over cross sections of 290 and 225 mb, at a TeV."""
LENGTH_PHOTON = 17_200.0
"""Of photons: over 1.4 mb [g/cm²]."""
STICK_NUCLEON, STICK_PION = 4.0, 3.0
"""Exponents b of the spectra of pions from nucleons and from pions."""
KICK = 0.4
"""Mean transverse momentum [GeV/c]."""
E_DECAY = 0.13957 * H / 7.8045
"""Energy above which a vertical pion rather interacts than decays, at one e-fold of depth [GeV]."""
LEAST = 1.0
"""Hadrons below this energy are let go [GeV]."""
PHOTONS_FROM = 5.0
"""Least energy of photons whose hadronic interactions are followed [GeV]."""
LOSS = 0.002
"""Energy loss of muons [GeV cm²/g]."""
MUON_MASS, MUON_LIFE = 0.10566, 658.6
"""Mass [GeV] and lifetime times c [m] of a muon."""
MUON_LEAST = 0.25
"""Least energy of a muon that the tanks see [GeV]."""
SPACE = 20_000


@compiled
def shower(rng, species, E, cosine, sub, muon):  # type: ignore[no-untyped-def]
    """Draw a shower: the electromagnetic cascades and the muons that it is made of.

    Args:
        rng: Source of the numbers.
        species: ``GAMMA`` or ``PROTON``.
        E: Energy of the primary [GeV].
        cosine: Of the zenith angle.
        sub: Filled with energy [GeV], depth of the start [g/cm²] and place on the ground across the axis
            [m], shape ``(SPACE, 4)``.
        muon: Filled with the places of muons [m], shape ``(SPACE, 2)``.

    Returns:
        How many cascades and how many muons there are.
    """
    counts = np.zeros(2, np.int64)
    stack = np.empty((SPACE, 5))
    X_end = slant_depth(cosine)
    if species == GAMMA:
        X_first = rng.standard_exponential() * CONVERSION
        if X_first >= X_end:
            return 0, 0
        sub[0, 0], sub[0, 1], sub[0, 2], sub[0, 3] = E, X_first, 0.0, 0.0
        counts[0] = 1
        number = rng.poisson(0.572 * X0 / LENGTH_PHOTON * max(E / PHOTONS_FROM - 1, 0.0))
        for _ in range(number):
            share = PHOTONS_FROM / (1 - rng.random() * (1 - PHOTONS_FROM / E))
            lengths = rng.standard_gamma(math.log(E / share)) if share < E else 0.0
            X = X_first + X0 * lengths
            if X_end > X:
                _deal(rng, share, X, 0.0, 0.0, STICK_PION, cosine, stack, sub, muon, counts)
        return counts[0], counts[1]
    X = 0.0
    x, y = 0.0, 0.0
    while True:
        X += rng.standard_exponential() * LENGTH_NUCLEON
        if X_end <= X or E < LEAST:
            break
        kept = rng.random() * E
        _deal(rng, E - kept, X, x, y, STICK_NUCLEON, cosine, stack, sub, muon, counts)
        E = kept
        dx, dy = _moved(rng, E, X, cosine)
        x, y = x + dx, y + dy
    return counts[0], counts[1]


@compiled
def _moved(rng, E, X, cosine):  # type: ignore[no-untyped-def]
    """Return by how much a kick at a depth moves a particle on the ground [m]."""
    kick = 0.5 * KICK * rng.standard_gamma(2.0)
    angle = 2 * math.pi * rng.random()
    apart = min(kick / max(E, 1e-9), 0.5) * distance_above(X, cosine)
    return apart * math.cos(angle), apart * math.sin(angle)


@compiled
def _deal(rng, E, X, x, y, stick, cosine, stack, sub, muon, counts):  # type: ignore[no-untyped-def]
    """Follow the pions that an energy makes at a depth and a place, until none is left."""
    X_end = slant_depth(cosine)
    stack[0, 0], stack[0, 1], stack[0, 2], stack[0, 3], stack[0, 4] = E, X, x, y, stick
    top = 1
    while top > 0:
        top -= 1
        left, X, x, y, b = stack[top, 0], stack[top, 1], stack[top, 2], stack[top, 3], stack[top, 4]
        while left > LEAST:
            share = left * (1 - rng.random() ** (1 / b))
            left -= share
            if share < LEAST:
                continue
            dx, dy = _moved(rng, share, X, cosine)
            if rng.random() < 1 / 3:
                if counts[0] < SPACE:
                    n = counts[0]
                    sub[n, 0], sub[n, 1], sub[n, 2], sub[n, 3] = share, X, x + dx, y + dy
                    counts[0] += 1
                continue
            X_meets = X + rng.standard_exponential() * LENGTH_PION
            X_decays = X * (1 - rng.random()) ** (-share * cosine / E_DECAY)
            if min(X_meets, X_decays) >= X_end:
                continue
            if X_decays < X_meets:
                if counts[1] < SPACE and _arrives(rng, share, X_decays, cosine):
                    muon[counts[1], 0], muon[counts[1], 1] = x + dx, y + dy
                    counts[1] += 1
            elif top < SPACE:
                stack[top, 0], stack[top, 1], stack[top, 2] = share, X_meets, x + dx
                stack[top, 3], stack[top, 4] = y + dy, STICK_PION
                top += 1


@compiled
def _arrives(rng, E, X, cosine):  # type: ignore[no-untyped-def]
    """Return whether the muon of a pion that decays at a depth reaches the ground."""
    E_muon = E * (0.573 + 0.427 * rng.random())
    E_end = E_muon - LOSS * (slant_depth(cosine) - X)
    if E_end < MUON_LEAST:
        return False
    middle = 0.5 * (E_muon + E_end)
    return rng.random() < math.exp(-distance_above(X, cosine) * MUON_MASS / (middle * MUON_LIFE))


@compiled
def maximum(E, cosine):  # type: ignore[no-untyped-def]
    """Return how far the maximum of a photon's shower is from the ground along the axis [m], at least 500."""
    X = CONVERSION + X0 * math.log(E / E_C)
    return max(distance_above(X, cosine), 500.0) if X * cosine < 600 else 500.0
