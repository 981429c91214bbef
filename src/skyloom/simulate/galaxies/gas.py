r"""What state the gas of a model galaxy is in: pressure, neutral share, molecules, field, metals.

Neutral hydrogen is in balance with an ultraviolet background that dense gas keeps out (Rahmati et al. 2013):
with :math:`n` hydrogen atoms per cm³, a share :math:`\eta` of them neutral,
:math:`(1-\eta)^2 n\,\alpha = \eta\,\Gamma`. Of the neutral part some is molecular by the pressure law of
Blitz & Rosolowsky (2006), which our reader applies to what the files hold, as it does for TNG. The magnetic
field is frozen in: :math:`B = B_1 (n / 1\,\mathrm{cm}^{-3})^{2/3}`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
X_H = 0.76  #: hydrogen by mass
ATOMS = X_H * 1.989e33 / 3.085678e21**3 / 1.67262192e-24  #: [Msun/kpc³] to hydrogen atoms per cm³
PHOTOIONISATION = 8.3e-14  #: of the background at z = 0 [1/s] (Haardt & Madau 2001)
SHIELDED = 1.1e-3  #: density of self-shielding in that background [1/cm³] (Rahmati et al. 2013, table 2)
RECOMBINATION = 4.18e-13  #: of hydrogen at 10⁴ K, case A [cm³/s]
DEPLETION = 2e9  #: time in which molecules turn into stars [yr]
THRESHOLD = 0.106  #: density above which stars form [1/cm³], that of TNG


def neutral_share(density: Array, temperature: Array) -> Array:
    """Return the share of hydrogen that is neutral.

    Args:
        density: [Msun/kpc³], shape ``(n,)``.
        temperature: [K], shape ``(n,)``; recombination falls as its power -0.7.

    Returns:
        From 0 to 1, shape ``(n,)``; what is hotter than 10⁵ K is ionised by collisions, and 0.

    Example:
        >>> thin, dense = neutral_share(np.array([1e-4, 10.0]) / ATOMS, np.full(2, 1e4))
        >>> bool(thin < 0.01), bool(dense > 0.99)
        (True, True)
    """
    n = density * ATOMS
    x = n / SHIELDED
    rate = PHOTOIONISATION * (0.98 * (1 + x**1.64) ** -2.28 + 0.02 * (1 + x) ** -0.84)
    q = rate / (2 * n * RECOMBINATION * (temperature / 1e4) ** -0.7)
    # The smaller root of (1 - eta)² = 2 q eta, in the form that does not cancel.
    eta = 1 / (1 + q + np.sqrt(q * (q + 2)))
    return np.where(temperature > 1e5, 0.0, eta)


def field_strength(density: Array, at_one_atom: float) -> Array:
    """Return the field strength [microgauss].

    Args:
        density: [Msun/kpc³], shape ``(n,)``.
        at_one_atom: Strength at one hydrogen atom per cm³ [microgauss].
    """
    return np.asarray(at_one_atom * (density * ATOMS) ** (2 / 3))
