r"""What happens at one cell face: limited reconstruction and the isothermal HLLD solver, compiled.

The sound speed is one, so pressure is density. The fan of isothermal magnetohydrodynamics without slow
shocks has four states between two fast waves and two rotations (Mignone 2007, J. Comput. Phys. 225, 1427):
density and normal velocity are the same in all of them, so it has no contact. Magnetic fields are in units in
which the magnetic pressure is :math:`B^2/2`.
"""

from __future__ import annotations

import math

import numba

from skyloom.simulate.turbulence.grid import Array

#: Options of every kernel: no check for division by zero, which the kernels themselves exclude.
compiled = numba.njit(cache=True, error_model="numpy", fastmath={"contract", "nsz", "arcp"})


@compiled
def slope(below: float, here: float, above: float) -> float:
    """Return van Leer's slope per cell, the harmonic mean of both differences or zero at an extremum."""
    down, up = here - below, above - here
    product = down * up
    return 2 * product / (down + up) if product > 0 else 0.0


@compiled
def at_face(w: Array, v: int, c: int, s: int) -> tuple[float, float]:
    """Return row ``v`` of ``w`` on both sides of the face between the cells ``c - s`` and ``c``."""
    two_below, below, here, above = w[v, c - 2 * s], w[v, c - s], w[v, c], w[v, c + s]
    return below + 0.5 * slope(two_below, below, here), here - 0.5 * slope(below, here, above)


@compiled
def upwind(flow: float, below: float, above: float) -> float:
    """Return the value that ``flow`` comes from, or the mean of both where nothing flows."""
    if flow > 0:
        return below
    if flow < 0:
        return above
    return 0.5 * (below + above)


@compiled
def fast_speed(density: float, normal: float, across: float) -> float:
    """Return the fast magnetosonic speed for the normal field and the squared transverse field."""
    alfven = normal * normal / density
    total = 1 + alfven + across / density
    return math.sqrt(0.5 * (total + math.sqrt(max(total * total - 4 * alfven, 0.0))))


@compiled
def hlld(
    rl: float, ul: float, vl: float, wl: float, bl: float, cl: float,
    rr: float, ur: float, vr: float, wr: float, br: float, cr: float,
    bn: float,
) -> tuple[float, float, float, float, float, float]:  # fmt: skip
    """Return the flux through a face.

    Args:
        rl: Density on the left; ``ul, vl, wl`` velocity and ``bl, cl`` field, along the normal and across.
        ul: Normal velocity.
        vl: First transverse velocity.
        wl: Second transverse velocity.
        bl: First transverse field.
        cl: Second transverse field.
        rr: Density on the right, the rest as on the left.
        ur: Normal velocity.
        vr: First transverse velocity.
        wr: Second transverse velocity.
        br: First transverse field.
        cr: Second transverse field.
        bn: Normal field, the same on both sides.

    Returns:
        Flux of mass, normal and two transverse momenta, and two transverse fields.
    """
    fast_l = fast_speed(rl, bn, bl * bl + cl * cl)
    fast_r = fast_speed(rr, bn, br * br + cr * cr)
    s_l, s_r = min(ul - fast_l, ur - fast_r), max(ul + fast_l, ur + fast_r)
    mass_l, mass_r = rl * ul, rr * ur
    fn_l = mass_l * ul + rl + 0.5 * (bl * bl + cl * cl - bn * bn)
    fn_r = mass_r * ur + rr + 0.5 * (br * br + cr * cr - bn * bn)
    if s_l >= 0:
        return (
            mass_l, fn_l, mass_l * vl - bn * bl, mass_l * wl - bn * cl, ul * bl - bn * vl, ul * cl - bn * wl,
        )  # fmt: skip
    if s_r <= 0:
        return (
            mass_r, fn_r, mass_r * vr - bn * br, mass_r * wr - bn * cr, ur * br - bn * vr, ur * cr - bn * wr,
        )  # fmt: skip
    width = 1 / (s_r - s_l)
    rho = (s_r * rr - s_l * rl - mass_r + mass_l) * width
    mass = (s_r * mass_l - s_l * mass_r + s_l * s_r * (rr - rl)) * width
    fn = (s_r * fn_l - s_l * fn_r + s_l * s_r * (mass_r - mass_l)) * width
    u = mass / rho
    root = math.sqrt(rho)
    a_l, a_r = u - abs(bn) / root, u + abs(bn) / root
    # Transverse states behind the two fast waves.
    mv_l, mw_l, b_l, c_l = _behind(rho, u, a_l, a_r, s_l, rl, ul, vl, wl, bl, cl, bn)
    mv_r, mw_r, b_r, c_r = _behind(rho, u, a_l, a_r, s_r, rr, ur, vr, wr, br, cr, bn)
    if a_l >= 0:
        return (
            mass, fn,
            mass_l * vl - bn * bl + s_l * (mv_l - rl * vl), mass_l * wl - bn * cl + s_l * (mw_l - rl * wl),
            ul * bl - bn * vl + s_l * (b_l - bl), ul * cl - bn * wl + s_l * (c_l - cl),
        )  # fmt: skip
    if a_r <= 0:
        return (
            mass, fn,
            mass_r * vr - bn * br + s_r * (mv_r - rr * vr), mass_r * wr - bn * cr + s_r * (mw_r - rr * wr),
            ur * br - bn * vr + s_r * (b_r - br), ur * cr - bn * wr + s_r * (c_r - cr),
        )  # fmt: skip
    signed = math.copysign(root, bn)
    mv = 0.5 * (mv_l + mv_r + signed * (b_r - b_l))
    mw = 0.5 * (mw_l + mw_r + signed * (c_r - c_l))
    b = 0.5 * (b_l + b_r + (mv_r - mv_l) / signed)
    c = 0.5 * (c_l + c_r + (mw_r - mw_l) / signed)
    return mass, fn, mv * u - bn * b, mw * u - bn * c, b * u - bn * mv / rho, c * u - bn * mw / rho


@compiled
def _behind(
    rho: float, u: float, a_l: float, a_r: float, s: float,
    r: float, un: float, v: float, w: float, b: float, c: float, bn: float,
) -> tuple[float, float, float, float]:  # fmt: skip
    """Return transverse momenta and fields behind the fast wave of speed ``s`` into ``r, un, v, w, b, c``."""
    spread = (s - a_l) * (s - a_r)
    if abs(spread) < 1e-10 * (s - u) * (s - u) + 1e-300:
        return rho * v, rho * w, b, c
    turn = bn * (u - un) / spread
    bend = (r * (s - un) * (s - un) - bn * bn) / (rho * spread)
    return rho * v - turn * b, rho * w - turn * c, b * bend, c * bend
