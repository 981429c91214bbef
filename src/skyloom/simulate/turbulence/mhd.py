r"""Isothermal magnetohydrodynamics on a periodic grid.

.. math:: \partial_t \rho + \nabla\cdot(\rho v) = 0, \quad
    \partial_t (\rho v) + \nabla\cdot(\rho v v - B B) + \nabla(\rho + B^2/2) = 0, \quad
    \partial_t B = \nabla\times(v\times B)

with the sound speed one. Two-stage midpoint scheme of van Leer with an upwind first stage (Stone & Gardiner
2009, New Astron. 14, 139), piecewise linear reconstruction of primitive variables, HLLD fluxes; the field
lies on cell faces and is moved by electric fields on cell edges, upwinded by the mass flux (Gardiner & Stone
2005, J. Comput. Phys. 205, 509), so its divergence stays what it was, to rounding. Nothing is floored: mass
and momentum are kept, and a density that is not positive is an error.
"""

from __future__ import annotations

import math

import numpy as np

from skyloom.errors import DivergedError
from skyloom.simulate.turbulence.grid import GHOSTS, Array, Grid, Three
from skyloom.simulate.turbulence.riemann import at_face, compiled, fast_speed, hlld, upwind

#: Share of the longest stable step, in which the speeds along the three axes add up to one cell.
COURANT = 0.8
DENSITY, VELOCITY, FIELD = 0, slice(1, 4), slice(4, 7)


class Gas:
    """Density, velocity and magnetic field of a box, stepped in place.

    Args:
        grid: The grid.
        density: Shape ``(Z, Y, X)``, in units of the mean.
        velocity: Components x, y, z, shape ``(3, Z, Y, X)``, in sound speeds.
        field: Field on the lower faces, component d on faces across axis d, shape ``(3, Z, Y, X)``, in units
            in which ``B²/2`` is a pressure; its divergence must vanish.

    Example:
        >>> grid = Grid((4, 4, 4), 0.25)
        >>> one = np.ones((4, 4, 4))
        >>> gas = Gas(grid, one, np.zeros((3, 4, 4, 4)), np.stack([one, 0 * one, 0 * one]))
        >>> gas.step(0.05)
        >>> float(gas.density.min())
        1.0
    """

    def __init__(self, grid: Grid, density: Array, velocity: Array, field: Array) -> None:
        self.grid = grid
        self.conserved = grid.rows(4)  #: density and momentum, without ghost zones
        self.faces = grid.rows(3)
        self.primitive = grid.rows(7)  #: density, velocity and field at cell centres
        grid.inside(self.conserved)[0] = density
        grid.inside(self.conserved)[1:] = density * velocity
        grid.inside(self.faces)[:] = field
        self._half = (grid.rows(4), grid.rows(3))
        self._flux = np.zeros((3, 7, grid.cells))
        self._electric = grid.rows(3)
        self.refresh()

    @property
    def density(self) -> Array:
        """Density, a view of shape ``(Z, Y, X)``."""
        return np.asarray(self.grid.inside(self.conserved)[0])

    @property
    def momentum(self) -> Array:
        """Momentum density, a view of shape ``(3, Z, Y, X)``; call ``refresh`` after writing to it."""
        return self.grid.inside(self.conserved)[1:]

    @property
    def velocity(self) -> Array:
        """Velocity, a view of shape ``(3, Z, Y, X)``."""
        return self.grid.inside(self.primitive)[VELOCITY]

    @property
    def field(self) -> Array:
        """Magnetic field at cell centres, a view of shape ``(3, Z, Y, X)``."""
        return self.grid.inside(self.primitive)[FIELD]

    def refresh(self) -> None:
        """Bring the primitive variables and all ghost zones up to what is conserved.

        Raises:
            DivergedError: A density is not positive, or not a number.
        """
        self._primitives(self.conserved, self.faces)

    def fastest(self) -> float:
        """Return the largest speed of a fast wave along any axis, flow and all."""
        return float(_speeds(self.primitive, self.grid.padded, self.grid.strides)[0])

    def longest_step(self) -> float:
        """Return the longest step that is safe."""
        total = _speeds(self.primitive, self.grid.padded, self.grid.strides)[1]
        return float(COURANT * self.grid.width / total)

    def divergence(self) -> Array:
        """Return the divergence of the field, shape ``(Z, Y, X)``."""
        field = self.grid.inside(self.faces)
        across = sum(np.roll(field[d], -1, 2 - d) - field[d] for d in range(3))
        return np.asarray(across / self.grid.width)

    def step(self, dt: float) -> None:
        """Advance by ``dt``, no more than ``longest_step()``.

        Raises:
            DivergedError: A density is not positive afterwards.
        """
        conserved, faces = self._half
        self._stage(0.5 * dt, self.faces, 1, conserved, faces)
        self._primitives(conserved, faces)
        self._stage(dt, faces, 2, self.conserved, self.faces)
        self.refresh()

    def _stage(self, dt: float, normal: Array, order: int, conserved: Array, faces: Array) -> None:
        """Write the state after ``dt`` by the fluxes of the primitive variables and the ``normal`` fields."""
        ratio, padded, strides = dt / self.grid.width, self.grid.padded, self.grid.strides
        for axis in range(3):
            _sweep(self.primitive, normal, self._flux, axis, order, padded, strides)
        _edges(self.primitive, self._flux, self._electric, padded, strides)
        _advance(
            self.conserved, self._flux, self.faces, self._electric, ratio, padded, strides, conserved, faces
        )

    def _primitives(self, conserved: Array, faces: Array) -> None:
        self.grid.wrap(faces)
        lowest = _primitives(conserved, faces, self.primitive, self.grid.padded, self.grid.strides)
        if not lowest > 0:
            raise DivergedError(
                f"a cell of the gas has the density {lowest:.3g}",
                hint="drive it less (energy_input or mach), or take more cells",
            )
        self.grid.wrap(self.primitive)


@compiled
def _sweep(w: Array, faces: Array, flux: Array, n: int, order: int, padded: Three, strides: Three) -> None:
    """Write the fluxes of the rows ``w`` through the faces across axis ``n``, and one ring beside the box."""
    s, t, r = strides[n], (n + 1) % 3, (n + 2) % 3
    un, ut, ur, bt, br = 1 + n, 1 + t, 1 + r, 4 + t, 4 + r
    for z in range(GHOSTS - (n != 2), padded[0] - GHOSTS + 1):
        for y in range(GHOSTS - (n != 1), padded[1] - GHOSTS + 1):
            row = z * strides[2] + y * strides[1]
            for c in range(row + GHOSTS - (n != 0), row + padded[2] - GHOSTS + 1):
                b = c - s
                if order == 1:
                    out = hlld(
                        w[0, b], w[un, b], w[ut, b], w[ur, b], w[bt, b], w[br, b],
                        w[0, c], w[un, c], w[ut, c], w[ur, c], w[bt, c], w[br, c],
                        faces[n, c],
                    )  # fmt: skip
                else:
                    rl, rr = at_face(w, 0, c, s)
                    ul, ur_ = at_face(w, un, c, s)
                    vl, vr = at_face(w, ut, c, s)
                    wl, wr = at_face(w, ur, c, s)
                    bl, br_ = at_face(w, bt, c, s)
                    cl, cr = at_face(w, br, c, s)
                    out = hlld(rl, ul, vl, wl, bl, cl, rr, ur_, vr, wr, br_, cr, faces[n, c])
                flux[n, 0, c], flux[n, un, c], flux[n, ut, c], flux[n, ur, c] = out[0], out[1], out[2], out[3]
                flux[n, bt, c], flux[n, br, c] = out[4], out[5]


@compiled
def _edges(w: Array, flux: Array, electric: Array, padded: Three, strides: Three) -> None:
    """Write the electric fields on the lower edges of every cell, row ``d`` along axis ``d``.

    Each is the mean of the four on the faces that meet there, carried on by gradients taken upwind.
    """
    for d in range(3):
        e, f = (d + 1) % 3, (d + 2) % 3
        s, t = strides[e], strides[f]
        for z in range(GHOSTS, padded[0] - GHOSTS + 1):
            for y in range(GHOSTS, padded[1] - GHOSTS + 1):
                row = z * strides[2] + y * strides[1]
                for c in range(row + GHOSTS, row + padded[2] - GHOSTS + 1):
                    e_below, e_above = -flux[e, 4 + f, c - t], -flux[e, 4 + f, c]
                    f_below, f_above = flux[f, 4 + e, c - s], flux[f, 4 + e, c]
                    corner, left = _electric(w, e, f, c - s - t), _electric(w, e, f, c - s)
                    below, here = _electric(w, e, f, c - t), _electric(w, e, f, c)
                    along_e = upwind(flux[e, 0, c - t], f_below - corner, f_above - below)
                    along_e += upwind(flux[e, 0, c], f_below - left, f_above - here)
                    along_f = upwind(flux[f, 0, c - s], e_below - corner, e_above - left)
                    along_f += upwind(flux[f, 0, c], e_below - below, e_above - here)
                    means = (e_below + e_above) + (f_below + f_above)
                    electric[d, c] = 0.25 * (means + (along_e + along_f))


@compiled
def _electric(w: Array, e: int, f: int, c: int) -> float:
    """Return the component of ``-v x B`` across axes ``e`` and ``f`` in a cell."""
    electric: float = w[1 + f, c] * w[4 + e, c] - w[1 + e, c] * w[4 + f, c]
    return electric


@compiled
def _advance(
    conserved: Array,
    flux: Array,
    faces: Array,
    electric: Array,
    ratio: float,
    padded: Three,
    strides: Three,
    to_conserved: Array,
    to_faces: Array,
) -> None:
    """Add the net fluxes of ``ratio`` (time over width) to cells, the curl of the electric field to faces."""
    for z in range(GHOSTS, padded[0] - GHOSTS):
        for y in range(GHOSTS, padded[1] - GHOSTS):
            row = z * strides[2] + y * strides[1]
            for v in range(4):
                for c in range(row + GHOSTS, row + padded[2] - GHOSTS):
                    net = flux[0, v, c + strides[0]] - flux[0, v, c]
                    net += flux[1, v, c + strides[1]] - flux[1, v, c]
                    net += flux[2, v, c + strides[2]] - flux[2, v, c]
                    to_conserved[v, c] = conserved[v, c] - ratio * net
            for d in range(3):
                e, f = (d + 1) % 3, (d + 2) % 3
                for c in range(row + GHOSTS, row + padded[2] - GHOSTS):
                    curl = electric[f, c + strides[e]] - electric[f, c]
                    curl -= electric[e, c + strides[f]] - electric[e, c]
                    to_faces[d, c] = faces[d, c] - ratio * curl


@compiled
def _primitives(conserved: Array, faces: Array, w: Array, padded: Three, strides: Three) -> float:
    """Write density, velocity and the centred field of every cell; return the lowest density (NaN if any)."""
    lowest = np.inf
    for z in range(GHOSTS, padded[0] - GHOSTS):
        for y in range(GHOSTS, padded[1] - GHOSTS):
            row = z * strides[2] + y * strides[1]
            for c in range(row + GHOSTS, row + padded[2] - GHOSTS):
                density = conserved[0, c]
                if density < lowest or math.isnan(density):
                    lowest = density
                w[0, c] = density
                for d in range(3):
                    w[1 + d, c] = conserved[1 + d, c] / density
                    w[4 + d, c] = 0.5 * (faces[d, c] + faces[d, c + strides[d]])
    return lowest


@compiled
def _speeds(w: Array, padded: Three, strides: Three) -> tuple[float, float]:
    """Return the largest flow plus fast speed along one axis, and the largest sum over the three."""
    single, summed = 0.0, 0.0
    for z in range(GHOSTS, padded[0] - GHOSTS):
        for y in range(GHOSTS, padded[1] - GHOSTS):
            row = z * strides[2] + y * strides[1]
            for c in range(row + GHOSTS, row + padded[2] - GHOSTS):
                square = w[4, c] * w[4, c] + w[5, c] * w[5, c] + w[6, c] * w[6, c]
                total = 0.0
                for d in range(3):
                    normal = w[4 + d, c]
                    speed = abs(w[1 + d, c]) + fast_speed(w[0, c], normal, square - normal * normal)
                    single = max(single, speed)
                    total += speed
                summed = max(summed, total)
    return single, summed
