"""The numbers and hits of a HAWC event: their fields in a file, and Skyloom's names, units and meanings."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """A number of an event: field of the file, Skyloom's name, unit, meaning, resolution when written."""

    native: str
    name: str
    unit: str
    long_name: str
    resolution: float


MEASURED = (
    Quantity("rec.logNPE", "logNPE", "dex(electron)", "logarithm of the total charge", 1e-4),
    Quantity("rec.nHit", "nHit", "", "PMTs hit", 1),
    Quantity("rec.nTankHit", "nTankHit", "", "tanks hit", 1),
    Quantity("rec.zenithAngle", "zenith", "rad", "reconstructed zenith angle", 1e-4),
    Quantity("rec.azimuthAngle", "azimuth", "rad", "reconstructed azimuth", 1e-4),
    Quantity("rec.coreX", "core_x", "m", "reconstructed core, east", 0.1),
    Quantity("rec.coreY", "core_y", "m", "reconstructed core, north", 0.1),
    Quantity("rec.CxPE40", "CxPE40", "electron", "largest charge more than 40 m from the core", 0.01),
)
"""The eight reconstructed numbers of the published tables."""
OPTIONAL = (Quantity("rec.PINC", "PINC", "", "PINC, unevenness of the charge about the core", 1e-3),)
"""Reconstructed numbers that only some files have."""
TRUE = (
    Quantity("SimEvent.energyTrue", "energy", "GeV", "true energy", 0.0),
    Quantity("SimEvent.thetaTrue", "theta", "deg", "true zenith angle", 1e-3),
    Quantity("SimEvent.phiTrue", "phi", "deg", "true azimuth", 1e-3),
    Quantity("mc.coreX", "true_core_x", "m", "true core, east", 0.1),
    Quantity("mc.coreY", "true_core_y", "m", "true core, north", 0.1),
    Quantity("mc.corsikaParticleId", "species", "", "primary particle", 1),
)
"""The three true ones, and those that only some files have."""
SPECIES = {1: "gamma", 14: "proton"}
"""Names of CORSIKA's codes of primaries."""
HITS = ("event.hit.gridId", "event.hit.charge", "event.hit.time")
POSITION = ("event.hit.xPMT", "event.hit.yPMT", "event.hit.zPMT")
