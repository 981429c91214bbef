r"""Labels that follow from the truth of simulated events, for readers and simulators alike.

A network that learns an angle meets a jump where it wraps around. Direction cosines have none: with the
zenith angle :math:`\theta` and the azimuth :math:`\phi`, :math:`u_x = \sin\theta\cos\phi` and
:math:`u_y = \sin\theta\sin\phi`. Maps of times are told relative to the reconstructed front, so they do not
hold the direction itself but what the reconstruction missed of it, :math:`\Delta u` = true minus
reconstructed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.fields import Label
from skyloom.formats.xcdf.quantities import SPECIES, TRUE

Array = NDArray[Any]

DERIVED = ("log_energy", "u_x", "u_y", "du_x", "du_y")
"""Labels that follow from others."""


def cosines(zenith: Array, azimuth: Array) -> tuple[Array, Array]:
    """Return the direction cosines of arrival along x and y.

    Args:
        zenith: Zenith angle [rad].
        azimuth: Azimuth from x towards y [rad].

    Example:
        >>> [round(float(u), 6) for u in cosines(np.pi / 6, np.pi / 2)]
        [0.0, 0.5]
    """
    return np.sin(zenith) * np.cos(azimuth), np.sin(zenith) * np.sin(azimuth)


def truth_labels(numbers: Mapping[str, Array], *, zenith: Array, azimuth: Array) -> dict[str, Label]:
    """Return the labels of the true numbers that are there, and those that follow from them.

    Args:
        numbers: Names of ``TRUE`` to values, shape ``(n,)`` each.
        zenith: Reconstructed zenith angle [rad], shape ``(n,)``.
        azimuth: Reconstructed azimuth [rad], shape ``(n,)``.

    Returns:
        The labels; with an energy above 0 ``log_energy``, with a direction ``u_x``, ``u_y`` and what the
        reconstruction missed of them, ``du_x``, ``du_y``.

    Example:
        >>> found = truth_labels({"energy": np.array([1000.0])}, zenith=np.zeros(1), azimuth=np.zeros(1))
        >>> found["log_energy"].values.tolist()
        [3.0]
    """
    labels = {}
    for quantity in TRUE:
        if quantity.name in numbers:
            values = numbers[quantity.name]
            known = SPECIES if quantity.name == "species" and np.isin(values, list(SPECIES)).all() else None
            labels[quantity.name] = Label(values, "label", quantity.unit, quantity.long_name, classes=known)
    if "energy" in numbers and (numbers["energy"] > 0).all():
        energy = np.log10(numbers["energy"])
        labels["log_energy"] = Label(energy, "label", "dex(GeV)", "logarithm of the true energy")
    if "theta" in numbers and "phi" in numbers:
        true = cosines(np.radians(numbers["theta"]), np.radians(numbers["phi"]))
        seen = cosines(zenith, azimuth)
        for axis, u, v in zip("xy", true, seen, strict=True):
            labels[f"u_{axis}"] = Label(u, "label", "", f"direction cosine of arrival along {axis}")
            labels[f"du_{axis}"] = Label(u - v, "label", "", f"what the reconstruction missed of u_{axis}")
    return labels
