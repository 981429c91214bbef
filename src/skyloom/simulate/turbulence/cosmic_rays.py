r"""A fluid of cosmic rays in two moments, coupled to the gas along and across the magnetic field.

Jiang & Oh (2018, ApJ 854, 5), with the speed of light reduced to :math:`V`, pressure :math:`P = E/3`:

.. math:: \partial_t E + \nabla\cdot F = -(v + v_s)\cdot G, \quad
    V^{-2}\,\partial_t F + \nabla P = -G, \quad \partial_t(\rho v) = +G, \quad
    G = \sigma\cdot(F - \tfrac43 E v).

Across the field :math:`\sigma` is infinite: cosmic rays move with the gas. Along it
:math:`1/\sigma = 3\kappa + 4 E v_A / |b\cdot\nabla E|`, the second term and the drift
:math:`v_s = -v_A b\,\mathrm{sgn}(b\cdot\nabla E)` only where they stream; :math:`\kappa` is that of
:math:`\partial_t E = \nabla\cdot(\kappa\nabla E)`. The left sides are solved by piecewise linear
reconstruction in two midpoint stages, the exchange :math:`G` implicitly, cell by cell, together with the
momentum of the gas: what gas gains in momentum and motion is what cosmic rays lose, to rounding.

Faces dissipate at the speed of free flux, cut in optically thick cells as in Jiang & Oh, but not below
:math:`|v|` plus the sound speed :math:`\sqrt{4P/3\rho}` of cosmic rays tied to the gas; without the latter
nothing damps energy that alternates from cell to cell.
"""

from __future__ import annotations

import math

import numpy as np

from skyloom.errors import DivergedError
from skyloom.simulate.turbulence.grid import GHOSTS, Array, Grid, Three
from skyloom.simulate.turbulence.mhd import COURANT, Gas
from skyloom.simulate.turbulence.riemann import at_face, compiled

ADIABATIC = 4 / 3  #: of a relativistic fluid


class CosmicRays:
    """Energy and flux of cosmic rays in a box, stepped together with the momentum of its gas.

    Args:
        grid: The grid.
        energy: Energy density, shape ``(Z, Y, X)``, in mean densities times squared sound speeds.
        light_speed: The reduced speed of light ``V``, in sound speeds.
        kappa: Diffusion coefficient along the field, in lengths times sound speeds; 0 ties them to the gas.
        streaming: Whether they drift at the Alfvén speed down their gradient along the field.

    Example:
        >>> grid, one = Grid((4, 4, 4), 0.25), np.ones((4, 4, 4))
        >>> gas = Gas(grid, one, np.zeros((3, 4, 4, 4)), np.stack([one, 0 * one, 0 * one]))
        >>> rays = CosmicRays(grid, 3 * one, light_speed=20.0)
        >>> rays.step(0.01, gas)
        >>> float(rays.energy.max())
        3.0
    """

    def __init__(
        self, grid: Grid, energy: Array, *, light_speed: float, kappa: float = 0.0, streaming: bool = False
    ) -> None:
        self.grid, self.light_speed, self.kappa, self.streaming = grid, light_speed, kappa, streaming
        self.work = 0.0  #: energy per volume given to the motion of the gas so far
        self.heating = 0.0  #: energy per volume lost to the waves that carry the streaming ones so far
        self._state, self._half = grid.rows(4), grid.rows(4)
        self._flux = np.zeros((3, 2, grid.cells))
        self._mobility, self._speed = np.zeros(grid.cells), grid.rows(3)
        grid.inside(self._state)[0] = energy

    @property
    def energy(self) -> Array:
        """Energy density, a view of shape ``(Z, Y, X)``."""
        return np.asarray(self.grid.inside(self._state)[0])

    @property
    def flux(self) -> Array:
        """Energy flux, a view of shape ``(3, Z, Y, X)``."""
        return self.grid.inside(self._state)[1:]

    def step(self, dt: float, gas: Gas) -> None:
        """Advance energy, flux and the momentum of ``gas`` by ``dt``, in as many parts as stability asks.

        Args:
            dt: Time, in lengths over sound speeds.
            gas: Density and field are held, velocity moves.

        Raises:
            DivergedError: An energy is not positive afterwards.
        """
        left = dt
        while left > 0:
            limit = COURANT * self.grid.width / self._opacity(self._state, gas)
            part = left / math.ceil(left / limit - 1e-9)
            self._stage(0.5 * part, gas, self._state, 1, self._half)
            self._opacity(self._half, gas)
            work, heating = self._stage(part, gas, self._half, 2, self._state)
            self.work += work / math.prod(self.grid.shape)
            self.heating += heating / math.prod(self.grid.shape)
            left = left - part if part < left else 0.0
        gas.refresh()

    def _opacity(self, now: Array, gas: Gas) -> float:
        """Note mobility and speeds of dissipation of a state; return the largest sum of the speeds."""
        grid = self.grid
        grid.wrap(now)
        return float(
            _opacity(
                now, gas.primitive, self.kappa, self.streaming, self.light_speed, grid.width,
                grid.padded, grid.strides, self._mobility, self._speed,
            )
        )  # fmt: skip

    def _stage(self, dt: float, gas: Gas, now: Array, order: int, to: Array) -> tuple[float, float]:
        """Write what follows on the state after ``dt`` by the rates of ``now``; stage two moves the gas."""
        grid, V = self.grid, self.light_speed
        padded, strides = grid.padded, grid.strides
        _fluxes(now, self._speed, V, order, padded, strides, self._flux)
        lowest, work, heating = _exchange(
            self._state, self._flux, now, gas.primitive, gas.conserved, self._mobility, self.streaming, V,
            dt, grid.width, order == 2, padded, strides, to,
        )  # fmt: skip
        if not lowest > 0:
            raise DivergedError(
                f"a cell has the cosmic-ray energy {lowest:.3g}",
                hint="raise light_speed, drive it less (energy_input or mach), or take more cells",
            )
        return work, heating


@compiled
def _along(
    u: Array, w: Array, c: int, width: float, strides: Three
) -> tuple[float, float, float, float, float]:
    """Return the direction of the field, the strength of it, and the derivative of the energy along it."""
    strength = math.sqrt(w[4, c] * w[4, c] + w[5, c] * w[5, c] + w[6, c] * w[6, c])
    scale = 1 / strength if strength > 0 else 0.0
    bx, by, bz = w[4, c] * scale, w[5, c] * scale, w[6, c] * scale
    change = bx * (u[0, c + strides[0]] - u[0, c - strides[0]])
    change += by * (u[0, c + strides[1]] - u[0, c - strides[1]])
    change += bz * (u[0, c + strides[2]] - u[0, c - strides[2]])
    return bx, by, bz, strength, change / (2 * width)


@compiled
def _opacity(
    u: Array,
    w: Array,
    kappa: float,
    streaming: bool,
    V: float,
    width: float,
    padded: Three,
    strides: Three,
    mobility: Array,
    speed: Array,
) -> float:
    """Write 1/sigma along the field, and the speed of dissipation along each axis, one ring beside the box.

    Returns the largest sum of the three speeds. Along axis ``d`` light goes at ``V |b_d| / sqrt(3)``, and
    crosses the optical depth ``1 / thin`` from cell to cell.
    """
    highest = 0.0
    for z in range(GHOSTS - 1, padded[0] - GHOSTS + 1):
        for y in range(GHOSTS - 1, padded[1] - GHOSTS + 1):
            row = z * strides[2] + y * strides[1]
            for c in range(row + GHOSTS - 1, row + padded[2] - GHOSTS + 1):
                bx, by, bz, strength, gradient = _along(u, w, c, width, strides)
                free = 3 * kappa
                if streaming:
                    steep = abs(gradient) + 1e-8 * u[0, c] / width
                    free += 4 * u[0, c] * strength / math.sqrt(w[0, c]) / steep
                mobility[c] = free
                sound = math.sqrt(4 / 9 * u[0, c] / w[0, c])
                total = 0.0
                for d in range(3):
                    part = abs(bx if d == 0 else (by if d == 1 else bz))
                    thin = free * part / (V * width)
                    cut = thin * math.sqrt(-math.expm1(-1 / (thin * thin))) if thin > 0 else 0.0
                    speed[d, c] = max(V * part / math.sqrt(3.0) * cut, abs(w[1 + d, c]) + sound)
                    total += speed[d, c]
                highest = max(highest, total)
    return highest


@compiled
def _fluxes(u: Array, speed: Array, V: float, order: int, padded: Three, strides: Three, flux: Array) -> None:
    """Write the fluxes of energy, and of the energy flux along the normal, through all faces of the box."""
    for n in range(3):
        s, v = strides[n], 1 + n
        for z in range(GHOSTS, padded[0] - GHOSTS + 1):
            for y in range(GHOSTS, padded[1] - GHOSTS + 1):
                row = z * strides[2] + y * strides[1]
                for c in range(row + GHOSTS, row + padded[2] - GHOSTS + 1):
                    if order == 1:
                        el, er, fl, fr = u[0, c - s], u[0, c], u[v, c - s], u[v, c]
                    else:
                        el, er = at_face(u, 0, c, s)
                        fl, fr = at_face(u, v, c, s)
                    jump = max(speed[n, c - s], speed[n, c])
                    flux[n, 0, c] = 0.5 * (fl + fr - jump * (er - el))
                    flux[n, 1, c] = 0.5 * (V * V / 3 * (el + er) - jump * (fr - fl))


@compiled
def _exchange(
    before: Array,
    flux: Array,
    now: Array,
    w: Array,
    conserved: Array,
    mobility: Array,
    streaming: bool,
    V: float,
    dt: float,
    width: float,
    moves: bool,
    padded: Three,
    strides: Three,
    to: Array,
) -> tuple[float, float, float]:
    """Add net fluxes, exchange momentum and energy with the gas; return lowest energy, work, heating."""
    lowest, work, heating = np.inf, 0.0, 0.0
    ratio = dt / width
    for z in range(GHOSTS, padded[0] - GHOSTS):
        for y in range(GHOSTS, padded[1] - GHOSTS):
            row = z * strides[2] + y * strides[1]
            for c in range(row + GHOSTS, row + padded[2] - GHOSTS):
                bx, by, bz, strength, gradient = _along(now, w, c, width, strides)
                rho, drift = conserved[0, c], 0.0
                if streaming and gradient != 0:
                    drift = -math.copysign(strength / math.sqrt(rho), gradient)
                arrived = before[0, c] - ratio * (
                    (flux[0, 0, c + strides[0]] - flux[0, 0, c])
                    + (flux[1, 0, c + strides[1]] - flux[1, 0, c])
                    + (flux[2, 0, c + strides[2]] - flux[2, 0, c])
                )
                fx = before[1, c] - ratio * (flux[0, 1, c + strides[0]] - flux[0, 1, c])
                fy = before[2, c] - ratio * (flux[1, 1, c + strides[1]] - flux[1, 1, c])
                fz = before[3, c] - ratio * (flux[2, 1, c + strides[2]] - flux[2, 1, c])
                mx, my, mz = conserved[1, c], conserved[2, c], conserved[3, c]
                energy, done, heat, gx, gy, gz = arrived, 0.0, 0.0, 0.0, 0.0, 0.0
                for _ in range(2):  # the carried energy is that after the exchange
                    gx, gy, gz = _impulse(
                        fx, fy, fz, mx, my, mz, bx, by, bz, energy / rho, mobility[c], V * V, dt
                    )
                    done = (gx * (mx + 0.5 * gx) + gy * (my + 0.5 * gy) + gz * (mz + 0.5 * gz)) / rho
                    heat = drift * (bx * gx + by * gy + bz * gz)
                    energy = arrived - done - heat
                to[0, c] = energy
                to[1, c], to[2, c], to[3, c] = fx - V * V * gx, fy - V * V * gy, fz - V * V * gz
                work += done
                heating += heat
                if energy < lowest or math.isnan(energy):
                    lowest = energy
                if moves:
                    conserved[1, c], conserved[2, c], conserved[3, c] = mx + gx, my + gy, mz + gz
    return lowest, work, heating


@compiled
def _impulse(
    fx: float, fy: float, fz: float, mx: float, my: float, mz: float, bx: float, by: float, bz: float,
    specific: float, mobility: float, square: float, dt: float,
) -> tuple[float, float, float]:  # fmt: skip
    """Return the momentum that flux gives to gas in ``dt``, both taken at the end of it.

    Args:
        fx: Flux before the exchange; ``fy``, ``fz`` its other components.
        fy: Flux along y.
        fz: Flux along z.
        mx: Momentum of the gas before; ``my``, ``mz`` its other components.
        my: Momentum along y.
        mz: Momentum along z.
        bx: Direction of the field; ``by``, ``bz`` its other components; zero where there is none.
        by: Direction along y.
        bz: Direction along z.
        specific: Energy over density.
        mobility: 1/sigma along the field; across it is zero.
        square: ``V^2``.
        dt: Time.
    """
    inertia = 4 / 3 * specific / square
    tied = inertia / (1 + inertia)  # the share of all momentum that the flux of tied cosmic rays has
    gx = fx / square - tied * (mx + fx / square)
    gy = fy / square - tied * (my + fy / square)
    gz = fz / square - tied * (mz + fz / square)
    # Along the field the same pull, slowed by the mobility.
    slowed = mobility / (mobility + dt * square * (1 + inertia)) * (bx * gx + by * gy + bz * gz)
    return gx - slowed * bx, gy - slowed * by, gz - slowed * bz
