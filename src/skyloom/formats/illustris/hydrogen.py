r"""Hydrogen: temperature, what is neutral, what is molecular, and the brightness of its 21-cm line.

TNG stores the neutral share of hydrogen, but in star-forming cells it belongs to the temperature of the
effective equation of state. There the two phases of Springel & Hernquist (2003) are told apart instead: cold
clouds, all neutral, and a hot medium, all ionised. Of the neutral part some is molecular: by pressure (Blitz
& Rosolowsky 2006) or by dust, ultraviolet field and column density (Gnedin & Kravtsov 2011), cell by cell
with the Jeans length for the depth, as Diemer et al. (2018) do in their volumetric models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.errors import UsageError, nearest

Array = NDArray[Any]
MODELS = ("none", "blitz_rosolowsky", "gnedin_kravtsov")
X_H = 0.76  #: hydrogen by mass where a file does not tell
GAMMA = 5 / 3
_K_B, _M_P, _G = 1.380649e-16, 1.67262192e-24, 6.6743e-8  # [erg/K, g, cm³/g/s²]
_DENSITY = 1.989e33 / 3.085678e21**3  # Msun/kpc³ in g/cm³
SOLAR = 0.0127  #: metallicity of the Sun by mass, as the cooling tables of Illustris have it


def hydrogen(gas: Mapping[str, Array]) -> Array:
    """Return the share of hydrogen in the mass of each cell, shape ``(n,)``.

    Args:
        gas: Fields by TNG's names; ``GFM_Metals`` or EAGLE's ``HydrogenFraction``, if there.
    """
    if "GFM_Metals" in gas:
        return gas["GFM_Metals"][:, 0]
    return gas.get("HydrogenFraction", np.full(len(gas["Masses"]), X_H))


def temperature(gas: Mapping[str, Array]) -> Array:
    r"""Return the temperature, :math:`(\gamma-1)\,u\,\mu/k_B`, :math:`\mu = 4 m_p/(1+3X_H+4X_H x_e)` [K].

    Args:
        gas: ``InternalEnergy`` [km²/s²], ``ElectronAbundance`` and ``Masses``; or ``Temperature`` [K].

    Returns:
        Shape ``(n,)``; that of star-forming cells is of the effective equation of state.

    Example:
        >>> cell = {"InternalEnergy": [123.8], "ElectronAbundance": [0.0], "Masses": [1.0]}
        >>> cell = {name: np.array(values) for name, values in cell.items()}
        >>> round(float(temperature(cell)[0]), -2)
        12200.0
    """
    if "Temperature" in gas:
        return gas["Temperature"]
    X = hydrogen(gas)
    mu = 4 * _M_P / (1 + 3 * X + 4 * X * gas["ElectronAbundance"])
    return np.asarray((GAMMA - 1) * gas["InternalEnergy"] * 1e10 * mu / _K_B)


def cold_share(
    gas: Mapping[str, Array],
    *,
    threshold: float = 0.106,
    T_SN: float = 5.73e7,
    A_0: float = 573.0,
    T_cold: float = 1000.0,
    softening: float = 0.3,
) -> Array:
    r"""Return the share of cold clouds in star-forming gas, by Springel & Hernquist (2003).

    The stored energy is that of the softened equation of state, :math:`q\,u_\mathrm{eff} + (1-q)\,u(10^4 K)`;
    then :math:`x = (u_h - u_\mathrm{eff})/(u_h - u_c)` with :math:`u_h = u_{SN}/(1+A) + u_c` and
    :math:`A = A_0 (\rho/\rho_{th})^{-4/5}`.

    Args:
        gas: ``InternalEnergy`` [km²/s²], ``Density`` [Msun/kpc³, physical] and ``Masses``.
        threshold: Density above which stars form [hydrogen atoms/cm³].
        T_SN: Supernova temperature [K].
        A_0: Evaporation at the threshold.
        T_cold: Temperature of the clouds [K].
        softening: ``q``; 1 for the equation of state as first published, 0.3 in Illustris and TNG.

    Returns:
        From 0 to 1, shape ``(n,)``; meant for star-forming cells alone.
    """
    neutral, ionised = 4 / (1 + 3 * X_H), 4 / (8 - 5 * (1 - X_H))  # mean molecular weights

    def energy(T: float, mu: float) -> float:
        return _K_B * T / ((GAMMA - 1) * mu * _M_P) / 1e10

    density = gas["Density"] * _DENSITY * hydrogen(gas) / _M_P / threshold
    u_c = energy(T_cold, neutral)
    u_h = energy(T_SN, ionised) / (1 + A_0 * np.maximum(density, 1e-30) ** -0.8) + u_c
    u_eff = (gas["InternalEnergy"] - (1 - softening) * energy(1e4, ionised)) / softening
    return np.asarray(np.clip((u_h - u_eff) / (u_h - u_c), 0, 1))


def neutral_mass(gas: Mapping[str, Array], *, two_phase: bool = True) -> Array:
    """Return the mass of neutral hydrogen, atoms and molecules, in each cell [Msun], shape ``(n,)``.

    Args:
        gas: ``Masses``, ``NeutralHydrogenAbundance``, and for ``two_phase`` what ``cold_share`` needs and
            ``StarFormationRate``.
        two_phase: Whether star-forming cells take the share of their cold clouds.
    """
    share = gas["NeutralHydrogenAbundance"]
    if two_phase:
        share = np.where(gas["StarFormationRate"] > 0, cold_share(gas), share)
    return gas["Masses"] * hydrogen(gas) * share


def molecular_share(gas: Mapping[str, Array], model: str, *, uv: float = 1.0) -> Array:
    r"""Return the share of molecules in the neutral hydrogen of each cell.

    Blitz & Rosolowsky: :math:`R = (P/P_0)^{0.92}`, :math:`P_0/k_B = 4.3\times10^4` K/cm³, share
    :math:`R/(1+R)`. Gnedin & Kravtsov, their fit to columns (equations 10 and 14): share
    :math:`(1+\Sigma_c/\Sigma)^{-2}` with :math:`\Sigma_c = 20\,\Lambda^{4/7}/(D\sqrt{1+UD^2})` Msun/pc².

    Args:
        gas: ``Masses``, ``Density`` [Msun/kpc³, physical], ``InternalEnergy`` [km²/s²], and for
            ``gnedin_kravtsov`` ``GFM_Metallicity``.
        model: ``none``, ``blitz_rosolowsky`` or ``gnedin_kravtsov``.
        uv: Ultraviolet field over that of the solar neighbourhood, the same for all cells.

    Returns:
        From 0 to 1, shape ``(n,)``.

    Raises:
        UsageError: The model is unknown.
    """
    if model not in MODELS:
        raise UsageError(f"the H2 model {model!r} is unknown", hint=nearest(model, MODELS))
    if model == "none":
        return np.zeros(len(gas["Masses"]))
    density, u = gas["Density"] * _DENSITY, gas["InternalEnergy"] * 1e10
    if model == "blitz_rosolowsky":
        R = ((GAMMA - 1) * density * u / _K_B / 4.3e4) ** 0.92
        return np.asarray(R / (1 + R))
    D = np.maximum(gas["GFM_Metallicity"] / SOLAR, 1e-6)
    jeans = np.sqrt(GAMMA * (GAMMA - 1) * u / (_G * density)) / 3.085678e18  # [pc]
    column = gas["Density"] / 1e9 * hydrogen(gas) * jeans  # [Msun/pc²]
    D_star = 1.5e-3 * np.log(1 + (3 * uv) ** 1.7)
    s, alpha = 0.04 / (D_star + D), 5 * (uv / 2) / (1 + (uv / 2) ** 2)
    g = (1 + alpha * s + s**2) / (1 + s)
    Lambda = np.log(1 + g * D ** (3 / 7) * (uv / 15) ** (4 / 7))
    critical = 20 * Lambda ** (4 / 7) / (D * np.sqrt(1 + uv * D**2))
    return np.asarray((1 + critical / np.maximum(column, 1e-30)) ** -2)


def brightness(column: Array, *, a: float, h: float, hubble: float, channel: float) -> Array:
    r"""Return the 21-cm brightness temperature of a column of H I, averaged over a channel.

    .. math:: T_b = 189\,h\,\frac{H_0}{a^2 H(a)}\,\frac{\rho_\mathrm{HI}}{\rho_c}\ \mathrm{mK}

    (Villaescusa-Navarro et al. 2018, optically thin, spin temperature far above that of the background).
    :math:`\rho_\mathrm{HI}` is comoving: the column over the comoving depth :math:`\Delta v/(a H)` of the
    channel; :math:`\rho_c` is the critical density today. The channel has to hold the whole line.

    Args:
        column: H I per physical area [Msun/kpc²], any shape.
        a: Scale factor.
        h: Hubble constant / (100 km/s/Mpc).
        hubble: Hubble rate at ``a`` [km/s/Mpc].
        channel: Width of the channel [km/s], at rest.

    Returns:
        [mK], the shape of ``column``.

    Raises:
        UsageError: The channel is not positive.

    Example:
        >>> N_HI = 1e21 * 1.6735e-24 / 1.989e33 * 3.085678e21**2  # 10²¹ atoms/cm² in Msun/kpc²
        >>> T = brightness(np.array(N_HI), a=1.0, h=0.7, hubble=70.0, channel=100.0)
        >>> round(float(T) / 1e3, 2)  # N_HI / 1.823e18 / 100 km/s = 5.49 K
        5.46
    """
    if not channel > 0:
        raise UsageError(f"the channel is {channel} km/s wide, allowed: above 0")
    critical = 277.536627 * h**2  # [Msun/kpc³]
    depth = channel / (a * hubble) * 1e3  # [kpc], comoving
    rho_HI = np.asarray(column) * a**2 / depth
    return np.asarray(189 * h * (100 * h / (a**2 * hubble)) * rho_HI / critical)
