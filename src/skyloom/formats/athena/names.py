"""What Athena++ calls its variables, and what Skyloom calls them.

Code units throughout: the unit of every field is empty, and so is that of the box. With Athena++'s
Heaviside–Lorentz units the energy density of a field ``B`` is ``B²/2``.
"""

from __future__ import annotations

from dataclasses import dataclass

AXES = "xyz"


@dataclass(frozen=True)
class Variable:
    """A field of a snapshot.

    Args:
        name: Skyloom's name.
        long_name: What it is.
        component: ``x``, ``y`` or ``z`` of a vector; empty for a scalar.
    """

    name: str
    long_name: str
    component: str = ""


_SCALARS = {
    "rho": ("density", "gas density"),
    "dens": ("density", "gas density"),
    "press": ("pressure", "gas pressure"),
    "Etot": ("total_energy", "total energy density"),
    "Ec": ("E_c", "cosmic-ray energy density"),
}
_VECTORS = {
    "vel": ("velocity", "gas velocity"),
    "mom": ("momentum", "gas momentum density"),
    "Bcc": ("B", "magnetic field"),
    "Fc": ("F_c", "cosmic-ray flux"),
    "Sigma_diff": ("sigma_diffusion", "cosmic-ray interaction coefficient of diffusion"),
    "Sigma_adv": ("sigma_streaming", "cosmic-ray interaction coefficient of streaming"),
    "Vc": ("v_c", "cosmic-ray streaming velocity"),
}
ENERGY = Variable("magnetic_energy", "magnetic energy density, B²/2")
"""Made from the three components of ``Bcc``."""


def variable(native: str) -> Variable:
    """Return what Skyloom calls one of Athena++'s variables; an unknown one keeps its name and is a scalar.

    Args:
        native: Athena++'s name, such as ``rho``, ``vel2`` or ``Bcc1``.

    Example:
        >>> variable("Bcc2").name, variable("rho").name, variable("r0").name
        ('B_y', 'density', 'r0')
    """
    if native in _SCALARS:
        return Variable(*_SCALARS[native])
    stem, number = native[:-1], native[-1:]
    if stem in _VECTORS and number in ("1", "2", "3"):
        letter = AXES[int(number) - 1]
        name, text = _VECTORS[stem]
        return Variable(f"{name}_{letter}", f"{text}, {letter} component", letter)
    return Variable(native, native)
