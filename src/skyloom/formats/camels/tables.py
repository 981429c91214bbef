"""Tables that come with the data set: parameters (``params_*``) and seeds (``CosmoAstroSeed_*``).

The columns of a table of parameters have no header. They are Omega_m, sigma_8, A_SN1, A_AGN1, A_SN2, A_AGN2:
the extreme set (EX) has A_AGN1 = 100 in its second row, in the fourth column. Copies with A_AGN1 and A_SN2
swapped circulate; A_SN2 lies within 0.5 and 2, so they can be told, and are refused.

Seeds tie simulations that share their initial conditions: gravity-only twins, the sets of one seed (1P, EX,
BE) and the CV sets of all suites. Without a table they follow the rule of the official ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import FormatError
from skyloom.formats.camels.names import Name


@dataclass(frozen=True)
class Parameter:
    """A parameter: its prior range and what it is."""

    low: float
    high: float
    long_name: str


PARAMETERS: dict[str, Parameter] = {
    "Omega_m": Parameter(0.1, 0.5, "matter density today over critical"),
    "sigma_8": Parameter(0.6, 1.0, "linear amplitude of fluctuations in 8 Mpc/h"),
    "A_SN1": Parameter(0.25, 4.0, "supernova feedback: energy per unit star formation"),
    "A_AGN1": Parameter(0.25, 4.0, "black-hole feedback: energy per unit accretion"),
    "A_SN2": Parameter(0.5, 2.0, "supernova feedback: wind speed"),
    "A_AGN2": Parameter(0.5, 2.0, "black-hole feedback: ejection speed or burstiness"),
}
COSMOLOGY = ("Omega_m", "sigma_8")  #: all that a gravity-only simulation knows
OMEGA_B = {"Omega_b": Parameter(0.01, 0.09, "baryon density today over critical")}
SB28: dict[str, Parameter] = {
    "Omega_m": PARAMETERS["Omega_m"],
    "sigma_8": PARAMETERS["sigma_8"],
    "WindEnergyIn1e51erg": Parameter(0.9, 14.4, "energy of galactic winds, 3.6 A_SN1"),
    "RadioFeedbackFactor": Parameter(0.25, 4.0, "energy of kinetic black-hole feedback, A_AGN1"),
    "VariableWindVelFactor": Parameter(3.7, 14.8, "speed of galactic winds, 7.4 A_SN2"),
    "RadioFeedbackReiorientationFactor": Parameter(10.0, 40.0, "burstiness of feedback, 20 A_AGN2"),
    "Omega_b": Parameter(0.029, 0.069, "baryon density today over critical"),
    "h": Parameter(0.4711, 0.8711, "Hubble constant / (100 km/s/Mpc)"),
    "n_s": Parameter(0.7624, 1.1624, "spectral index"),
    "MaxSfrTimescale": Parameter(1.135, 4.54, "gas consumption time"),
    "FactorForSofterEQS": Parameter(0.1, 0.9, "softening of the equation of state"),
    "IMFslope": Parameter(-2.8, -1.8, "slope of the initial mass function above 1 Msun"),
    "SNII_MinMass_Msun": Parameter(4.0, 12.0, "least mass of a supernova"),
    "ThermalWindFraction": Parameter(0.025, 0.4, "thermal share of the wind energy"),
    "VariableWindSpecMomentum": Parameter(0.0, 4000.0, "wind momentum per unit star formation"),
    "WindFreeTravelDensFac": Parameter(0.005, 0.5, "density of wind recoupling"),
    "MinWindVel": Parameter(150.0, 550.0, "least wind speed"),
    "WindEnergyReductionFactor": Parameter(0.0625, 1.0, "wind energy against metallicity: size"),
    "WindEnergyReductionMetallicity": Parameter(0.0005, 0.008, "wind energy against metallicity: pivot"),
    "WindEnergyReductionExponent": Parameter(1.0, 3.0, "wind energy against metallicity: sharpness"),
    "WindDumpFactor": Parameter(0.2, 1.0, "one minus the metal loading of winds"),
    "SeedBlackHoleMass": Parameter(2.53e-5, 2.53e-4, "mass of black-hole seeds"),
    "BlackHoleAccretionFactor": Parameter(0.25, 4.0, "multiplier of the Bondi rate"),
    "BlackHoleEddingtonFactor": Parameter(0.1, 10.0, "multiplier of the Eddington limit"),
    "BlackHoleFeedbackFactor": Parameter(0.025, 0.4, "efficiency of quasar feedback"),
    "BlackHoleRadiativeEfficiency": Parameter(0.05, 0.8, "radiative efficiency of black holes"),
    "QuasarThreshold": Parameter(6.33e-5, 0.0632, "Eddington ratio between the feedback modes"),
    "QuasarThresholdPower": Parameter(0.0, 4.0, "steepness of the mass at that transition"),
}
"""The 28 parameters of SB28, from the suite's own table; names are the code's where CAMELS has no symbol."""

_BY_COLUMNS = {6: PARAMETERS, 7: {**PARAMETERS, **OMEGA_B}, 28: SB28}
_ASTRID = Parameter(0.25, 4.0, PARAMETERS["A_AGN2"].long_name)

ONE_SEED = {"1P": 67, "BE": 67, "EX": 13560}
FIRST_SEED = {
    ("IllustrisTNG", "LH"): 0, ("SIMBA", "LH"): 5000, ("Astrid", "LH"): 10000,
    ("Astrid", "SB7"): 12000, ("IllustrisTNG", "SB28"): 20000,
}  # fmt: skip
_CV = {2: 3999666, 8: 9999666, 17: 18999666}  # simulations that were run again with another seed


def parameters(path: Path, name: Name) -> dict[str, tuple[NDArray[np.float64], Parameter]]:
    """Read the parameters of every simulation.

    Args:
        path: A table of numbers, one row a simulation.
        name: Whose table it is; gravity-only simulations keep Omega_m and sigma_8.

    Returns:
        Name -> values, shape ``(simulations,)``, and the prior range, widened where the set goes beyond it
        by design, as EX does.

    Raises:
        FormatError: It is no table of 6, 7 or 28 columns, or A_AGN1 and A_SN2 are swapped.
    """
    try:
        rows = np.loadtxt(path, ndmin=2)
    except (OSError, ValueError) as error:
        raise FormatError(f"{path}: cannot be read as a table of numbers: {error}") from error
    known = _BY_COLUMNS.get(rows.shape[1])
    if known is None or not np.isfinite(rows).all():
        allowed = ", ".join(map(str, _BY_COLUMNS))
        raise FormatError(
            f"{path}: {rows.shape[0]} rows of {rows.shape[1]} numbers",
            hint=f"allowed: finite numbers in {allowed} columns: {', '.join(PARAMETERS)}, ...",
        )
    limits = dict(known)
    if name.family == "Astrid" and "A_AGN2" in limits:
        limits["A_AGN2"] = _ASTRID
    if "A_SN2" in limits:
        _check_columns(path, rows)
    kept = COSMOLOGY if name.suite != name.family else tuple(limits)
    found = {}
    for column, (symbol, limit) in enumerate(limits.items()):
        if symbol in kept:
            values = rows[:, column]
            low, high = min(limit.low, float(values.min())), max(limit.high, float(values.max()))
            found[symbol] = values, Parameter(low, high, limit.long_name)
    return found


def _check_columns(path: Path, rows: NDArray[np.float64]) -> None:
    """Refuse a table whose fourth and fifth columns were swapped."""
    A_AGN1, A_SN2 = rows[:, 3], rows[:, 4]
    low, high = PARAMETERS["A_SN2"].low, PARAMETERS["A_SN2"].high
    odd = ~((low <= A_SN2) & (high >= A_SN2))
    odd &= A_SN2 != 0  # EX without any feedback
    if odd.any():
        row = int(np.flatnonzero(odd)[0])
        swapped = ((low <= A_AGN1) & (high >= A_AGN1) | (A_AGN1 == 0)).all()
        what = "its fourth and fifth columns seem swapped" if swapped else "its columns are others"
        raise FormatError(
            f"{path}: A_SN2, the fifth column, is {A_SN2[row]:g} in row {row}, allowed {low:g} to {high:g}; "
            f"{what}",
            hint=f"the order is {', '.join(PARAMETERS)}: take the official table",
        )


def seeds(
    folders: Sequence[Path], name: Name, count: int, wanted: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.int64], Path | None]:
    """Return the seed of the initial conditions of every simulation.

    Args:
        folders: Where tables of seeds may lie.
        name: Whose seeds.
        count: Simulations.
        wanted: Omega_m and sigma_8 of each, to compare with the table's, shape ``(count, 2)``.

    Returns:
        Seeds, shape ``(count,)``, and the table they are from; None where they follow the rule of the
        official tables.

    Raises:
        FormatError: The table has other simulations.
    """
    for folder in folders:
        for path in sorted(folder.glob(f"CosmoAstroSeed_{name.family}*.txt")):
            rows = [line.split() for line in path.read_text().splitlines() if line.strip()]
            rows = [row for row in rows if row[0].startswith(f"{name.set}_")]
            if rows:
                return _from_table(path, rows, count, wanted), path
    return by_rule(name, count), None


def by_rule(name: Name, count: int) -> NDArray[np.int64]:
    """Return the seeds of the official tables, or numbers of their own for sets that we do not know.

    Args:
        name: Whose seeds.
        count: Simulations.

    Example:
        >>> by_rule(Name("Nbody_SIMBA", "LH", "0.00", None, "Mtot"), 2).tolist()
        [5000, 5001]
        >>> by_rule(Name("SIMBA", "1P", "0.00", None, "Mtot"), 2).tolist()
        [67, 67]
    """
    index = np.arange(count, dtype=np.int64)
    if name.set in ONE_SEED:
        return np.full(count, ONE_SEED[name.set], dtype=np.int64)
    if name.set == "CV":
        return np.array([_CV.get(i, i + 1) for i in index.tolist()], dtype=np.int64)
    first = FIRST_SEED.get((name.family, name.set))
    if first is None:
        first = zlib.crc32(f"{name.family} {name.set}".encode()) * 100_000
    return first + index


def _from_table(
    path: Path, rows: list[list[str]], count: int, wanted: NDArray[np.float64] | None
) -> NDArray[np.int64]:
    try:
        found = np.array([int(row[-1]) for row in rows], dtype=np.int64)
        cosmology = np.array([[float(word) for word in row[1:3]] for row in rows])
    except (ValueError, IndexError) as error:
        raise FormatError(f"{path}: a row is no name, numbers and seed: {error}") from error
    if len(found) != count:
        # The 1P set has 66 simulations in the maps and 140 in newer tables, all of one seed.
        if len(set(found.tolist())) == 1:
            return np.full(count, found[0], dtype=np.int64)
        raise FormatError(
            f"{path}: {len(found)} simulations, but the table of parameters has {count}",
            hint="take the tables of one release",
        )
    if wanted is not None and not np.allclose(cosmology, wanted, atol=2e-5):
        row = int(np.flatnonzero(~np.isclose(cosmology, wanted, atol=2e-5).all(axis=1))[0])
        raise FormatError(
            f"{path}: row {row} has Omega_m, sigma_8 = {cosmology[row].tolist()}, "
            f"but the table of parameters {wanted[row].tolist()}",
            hint="take both tables of the same suite and set",
        )
    return found
