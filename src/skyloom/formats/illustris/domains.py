"""The domains of a galaxy: what of its particles is projected, with which weight and unit.

Column densities are per physical area. Temperature, metallicity and the velocity along the line of sight are
means weighted by gas mass; the magnetic field strength is weighted by volume or by mass. Domains of one view
share one pixel grid and one selection: a sphere around the centre whose rim is tapered, so that no map shows
the corners of a cube. A cube can be had, to measure what its corners do to a network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest
from skyloom.fields.particles import View, neighbour_radius, project, taper, volume_radius
from skyloom.formats.illustris.hydrogen import (
    MODELS,
    brightness,
    molecular_share,
    neutral_mass,
    temperature,
)
from skyloom.formats.illustris.native import Header

Array = NDArray[Any]


@dataclass(frozen=True)
class Domain:
    """A domain.

    Args:
        particles: Kind of particles that carry it.
        unit: Unit of its map.
        long_name: What it is.
        needs: TNG's names of the fields that it needs, beside positions and masses.
    """

    particles: str
    unit: str
    long_name: str
    needs: tuple[str, ...] = ()


_COLUMN = "Msun / kpc2"
DOMAINS: dict[str, Domain] = {
    "Mgas": Domain("gas", _COLUMN, "gas mass column density"),
    "HI": Domain("gas", _COLUMN, "atomic hydrogen mass column density", ("NeutralHydrogenAbundance",)),
    "H2": Domain("gas", _COLUMN, "molecular hydrogen mass column density", ("NeutralHydrogenAbundance",)),
    "T_b": Domain("gas", "mK", "21-cm brightness temperature", ("NeutralHydrogenAbundance",)),
    "Mcdm": Domain("dark_matter", _COLUMN, "dark matter mass column density"),
    "Mstar": Domain("stars", _COLUMN, "stellar mass column density"),
    "T": Domain("gas", "K", "gas temperature, weighted by mass", ("InternalEnergy", "ElectronAbundance")),
    "B": Domain("gas", "G", "magnetic field strength", ("MagneticField",)),
    "Z": Domain("gas", "", "gas metallicity, weighted by mass", ("GFM_Metallicity",)),
    "SFR": Domain("gas", "Msun / (yr kpc2)", "star formation rate column density", ("StarFormationRate",)),
    "v_los": Domain("gas", "km / s", "gas velocity along the line of sight", ("Velocities",)),
}
_OPTIONAL = {
    "gas": ("Density", "SmoothingLength", "SubfindHsml", "GFM_Metals", "HydrogenFraction", "Temperature"),
    "dark_matter": ("SubfindHsml",),
    "stars": ("StellarHsml", "SubfindHsml", "GFM_StellarFormationTime"),
}


@dataclass(frozen=True)
class Look:
    """What all galaxies of a set are looked at with.

    Args:
        domains: Names of domains.
        width: Side of the maps [kpc].
        pixels: Side of the maps in pixels.
        radius: Where the selection ends [kpc].
        rim: Share of the radius over which it falls to nothing.
        molecules: Model of the molecular share: ``none``, ``blitz_rosolowsky`` or ``gnedin_kravtsov``.
        two_phase: Whether star-forming cells take the neutral share of their cold clouds.
        channel: Width of the channel of ``T_b`` [km/s].
        weight: What weighs the magnetic field: ``volume`` or ``mass``.
        way: ``exact`` or ``nested``.
        selection: ``sphere``, or ``cube`` of the maps' width along the axes of the simulation.

    Raises:
        UsageError: A name is unknown, or a length not positive.
    """

    domains: tuple[str, ...]
    width: float
    pixels: int
    radius: float
    rim: float = 0.2
    molecules: str = "none"
    two_phase: bool = True
    channel: float = 500.0
    weight: str = "volume"
    way: str = "exact"
    selection: str = "sphere"

    def __post_init__(self) -> None:
        for name in self.domains:
            if name not in DOMAINS:
                raise UsageError(f"the domain {name!r} is unknown", hint=nearest(name, DOMAINS))
        if not self.domains or min(self.width, self.radius, self.channel) <= 0:
            raise UsageError(
                f"{len(self.domains)} domains with width {self.width}, radius {self.radius} and channel"
                f" {self.channel}",
                hint="allowed: one domain or more, and lengths above 0",
            )
        for what, value, allowed in (
            ("H2 model", self.molecules, MODELS),
            ("weight of the magnetic field", self.weight, ("volume", "mass")),
            ("selection", self.selection, ("sphere", "cube")),
        ):
            if value not in allowed:
                raise UsageError(f"the {what} is {value!r}", hint=nearest(value, allowed))
        if "H2" in self.domains and self.molecules == "none":
            raise UsageError("the domain 'H2' needs a model of it", hint=f"molecules: one of {MODELS[1:]}")

    def fields(self, kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the fields of a kind of particles that are needed, and those of use where they are there.

        Args:
            kind: ``gas``, ``dark_matter`` or ``stars``.
        """
        used = [name for name in self.domains if DOMAINS[name].particles == kind]
        needed = ["Coordinates", "Masses", *(field for name in used for field in DOMAINS[name].needs)]
        if {"HI", "H2", "T_b"} & set(used):
            if self.two_phase:
                needed += ["StarFormationRate", "InternalEnergy", "Density"]
            if self.molecules != "none":
                needed += ["Density", "InternalEnergy"]
            if self.molecules == "gnedin_kravtsov":
                needed.append("GFM_Metallicity")
        return tuple(dict.fromkeys(needed)), _OPTIONAL.get(kind, ())

    @property
    def kinds(self) -> tuple[str, ...]:
        """Kinds of particles that the domains are made of."""
        return tuple(dict.fromkeys(DOMAINS[name].particles for name in self.domains))


def sizes(particles: Mapping[str, Array]) -> tuple[Array, str]:
    """Return the radius at which each particle ends [kpc], and the kernel that it is spread by.

    Args:
        particles: Fields by TNG's names. A smoothing length of SPH is the support of a spline; mass over
            density is the volume of a cell, drawn as a sphere; without either, the spline reaches to the
            32nd neighbour.
    """
    if "SmoothingLength" in particles:
        return particles["SmoothingLength"], "spline"
    if "Density" in particles:
        return volume_radius(particles["Masses"] / particles["Density"]), "sphere"
    for name in ("StellarHsml", "SubfindHsml"):
        if name in particles:
            return particles[name], "spline"
    return neighbour_radius(particles["Coordinates"]), "spline"


def maps(
    particles: Mapping[str, Mapping[str, Array]],
    centre: tuple[float, float, float],
    rotations: Sequence[tuple[tuple[float, ...], ...] | None],
    look: Look,
    header: Header,
) -> Array:
    """Return the maps of one galaxy in all domains and directions.

    Args:
        particles: Kind -> fields by TNG's names, in physical kpc, Msun, km/s and gauss; positions unwrapped.
        centre: ``(x, y, z)`` [kpc].
        rotations: Matrices; None to look along z.
        look: Domains, field of view and models.
        header: Of the snapshot.

    Returns:
        Shape ``(R, D, N, N)`` float32, in the order of ``rotations`` and ``look.domains``. A mean is 0 where
        there is no gas.
    """
    image = np.zeros((len(rotations), len(look.domains), look.pixels, look.pixels), dtype=np.float32)
    for kind in look.kinds:
        values = _selected(particles[kind], centre, look, stars=kind == "stars")
        if not len(values["Masses"]):
            continue
        radii, kernel = sizes(values)
        for r, rotation in enumerate(rotations):
            view = View(centre, look.width, look.pixels, rotation)
            sums, means = _quantities(kind, values, view, look)
            seen = project(
                values["Coordinates"], radii, view,
                sums=sums, means=means, kernel=kernel, way=look.way, empty=0.0, threads=1,
            )  # fmt: skip
            for d, name in enumerate(look.domains):
                if name == "T_b" and "HI_all" in seen:
                    image[r, d] = brightness(
                        seen["HI_all"], a=header.a, h=header.h, hubble=header.hubble(), channel=look.channel
                    )
                elif DOMAINS[name].particles == kind:
                    image[r, d] = seen[name]
    return image


def _selected(
    values: Mapping[str, Array], centre: tuple[float, float, float], look: Look, *, stars: bool
) -> dict[str, Array]:
    """Return the particles inside the selection, masses and rates tapered; wind is no star."""
    offset = values["Coordinates"] - np.asarray(centre)
    if look.selection == "cube":
        share = (np.abs(offset) <= look.width / 2).all(axis=1).astype(float)
    else:
        share = taper(np.linalg.norm(offset, axis=1), look.radius, share=look.rim)
    chosen = share > 0
    if stars and "GFM_StellarFormationTime" in values:
        chosen &= values["GFM_StellarFormationTime"] > 0
    inside = {name: column[chosen] for name, column in values.items()}
    return {**inside, "share": share[chosen]}


def _quantities(
    kind: str, values: Mapping[str, Array], view: View, look: Look
) -> tuple[dict[str, Array], dict[str, tuple[Array, str]]]:
    """Return the sums and means that the domains of a kind of particles are made of."""
    share = values["share"]
    mass = values["Masses"] * share
    if kind != "gas":
        return {("Mcdm" if kind == "dark_matter" else "Mstar"): mass}, {}
    sums, means = {"Mgas": mass}, {}
    wanted = set(look.domains)
    if {"HI", "H2", "T_b"} & wanted:
        neutral = neutral_mass(values, two_phase=look.two_phase) * share
        molecular = neutral * molecular_share(values, look.molecules)
        every = {"HI": neutral - molecular, "H2": molecular, "HI_all": neutral - molecular}
        sums |= {name: every[name] for name in every if (name if name != "HI_all" else "T_b") in wanted}
    if "SFR" in wanted:
        sums["SFR"] = values["StarFormationRate"] * share
    if "T" in wanted:
        means["T"] = (temperature(values), "Mgas")
    if "Z" in wanted:
        means["Z"] = (values["GFM_Metallicity"], "Mgas")
    if "B" in wanted:
        if look.weight == "volume":
            sums["volume"] = (
                mass / values["Density"] if "Density" in values else sizes(values)[0] ** 3 * share
            )
        strength = np.linalg.norm(values["MagneticField"], axis=1)
        means["B"] = (strength, "volume" if look.weight == "volume" else "Mgas")
    if "v_los" in wanted:
        v = values["Velocities"]
        bulk = (v * mass[:, None]).sum(axis=0) / mass.sum()
        means["v_los"] = (view.directed(v - bulk)[:, 2], "Mgas")
    return sums, means
