r"""Dark matter by a particle mesh: gravity on a grid, in few steps, with the right linear growth.

Particles start on a lattice half a cell off the mesh, moved by second-order Lagrangian perturbation theory,
and are kicked, drifted and kicked in equal steps of the scale factor. Steps are weighted as in FastPM (Feng
et al. 2016, MNRAS 463, 2273), so that linear growth is right whatever their number: with the momentum
:math:`p = a^2\,\dot x / H_0` and its growth :math:`G = a^3 E\,\mathrm{d}D/\mathrm{d}a`, a kick adds
:math:`F\,\Delta G / D` and a drift :math:`p\,\Delta D / G`, where :math:`F = -\nabla\nabla^{-2}\delta`. The
force is spectral, and the smoothing by cloud in cell, on the mesh and back, is divided out.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from skyloom.simulate.cosmology import Cosmology
from skyloom.simulate.lagrangian import Displacements, to_modes, to_space, wavenumbers

Array = NDArray[Any]
compiled = numba.njit(cache=True)

START = 9.0  #: redshift at which the particles leave perturbation theory
CROWDED = 3.0  #: density over the mean from which streams cross, so that neighbours say nothing of a particle


@dataclass(frozen=True)
class Particles:
    """Equal particles in a periodic cube, in the order of the lattice that they started from.

    Args:
        positions: In cells, axes z, y, x, not wrapped into the box, shape ``(3, N^3)``.
        velocities: Peculiar velocity [km/s], shape ``(3, N^3)``.
    """

    positions: Array
    velocities: Array

    @property
    def cells(self) -> int:
        """Cells ``N`` along a side of the box."""
        N: int = round(self.positions.shape[1] ** (1 / 3))
        return N


def evolve(
    linear: Array, cosmology: Cosmology, *, box_size: float, redshift: float = 0.0, steps: int = 12
) -> Particles:
    """Move particles from their linear density to a redshift.

    Args:
        linear: Linear density contrast today, shape ``(N, N, N)``, axes z, y, x.
        cosmology: Background.
        box_size: Comoving side of the box [Mpc].
        redshift: When to stop; below ``START``.
        steps: Steps of the scale factor.

    Example:
        >>> wave = 0.01 * np.sin(2 * np.pi * np.arange(16) / 16) * np.ones((16, 16, 16))
        >>> particles = evolve(wave, Cosmology(), box_size=500.0, steps=2)
        >>> print(f"{deposit(particles.positions, 16).max() - 1:.3f}")  # smoothed by a cell
        0.010
    """
    N = len(linear)
    scale = N / box_size
    times = np.linspace(1 / (1 + START), 1 / (1 + redshift), steps + 1).tolist()
    theory = Displacements(linear, box_size, N, smoothed=False)
    first, second = (
        np.stack([psi.ravel() for psi in psi_of]) * np.float32(scale)
        for psi_of in (theory.first, theory.second)
    )
    D, G = _growth(cosmology, times[0])
    lattice = np.indices((N, N, N), dtype=np.float32).reshape(3, -1) + np.float32(0.5)
    x = lattice + np.float32(D) * first + np.float32(3 / 7 * D**2) * second
    p = np.float32(G) * (first + np.float32(6 / 7 * D) * second)
    force = _Force(N)
    F = force(x)
    for a, b in pairwise(times):
        D_a, G_a = _growth(cosmology, a)
        _, G_m = _growth(cosmology, (a + b) / 2)
        D_b, G_b = _growth(cosmology, b)
        p += np.float32((G_m - G_a) / D_a) * F
        x += np.float32((D_b - D_a) / G_m) * p
        F = force(x)
        p += np.float32((G_b - G_m) / D_b) * F
    # H0 is 100 h km/s/Mpc, and the peculiar velocity a dx/dt = p H0 / a.
    return Particles(x, p * np.float32(100 * cosmology.h / scale / times[-1]))


def _growth(cosmology: Cosmology, a: float) -> tuple[float, float]:
    """Return ``D`` and ``G = a^3 E dD/da``."""
    z = 1 / a - 1
    D = cosmology.growth(z)
    return D, a**2 * cosmology.expansion(z) * D * cosmology.growth_rate(z)


class _Force:
    """Minus the gradient of the inverse Laplacian of the density contrast, at the particles [cells]."""

    def __init__(self, N: int) -> None:
        k = [q.astype(np.float32) for q in wavenumbers(N, float(N))]
        square = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
        square[0, 0, 0] = np.inf
        window = np.ones_like(square)
        for q in k:
            window *= np.sinc(q / (2 * np.pi)) ** 4
        self._green = (1j / (square * window)).astype(np.complex64)
        # A wave at Nyquist has no direction.
        self._k = [np.where(np.abs(q) < 0.999 * np.pi, q, np.float32(0)) for q in k]

    def __call__(self, x: Array) -> Array:
        N = len(self._green)
        potential = to_modes(deposit(x, N)) * self._green
        return gather(np.stack([to_space(potential * q, N) for q in self._k]), x)  # type: ignore[no-any-return]


def moments(particles: Particles) -> tuple[Array, Array]:
    """Return the density over its mean and the velocity dispersion on the mesh.

    Voids hold less than a particle a cell. There the particles lie on a sheet that has not crossed itself, so
    each is shared out to eight, between its neighbours on the lattice; in crowded places it is shared out
    around itself. Mass is kept exactly.

    Args:
        particles: Where they are.

    Returns:
        Density over the mean, and the dispersion along one axis within a cell [km/s], shape ``(N, N, N)``.
    """
    N = particles.cells
    x, v = particles.positions, particles.velocities
    crowded = gather(deposit(x, N)[None], x)[0] > CROWDED
    crowded = crowded.reshape(N, N, N)
    lattice = np.indices((N, N, N), dtype=np.float32)
    moved, v = x.reshape(3, N, N, N) - lattice, v.reshape(3, N, N, N)
    sums = np.zeros((N, N, N, 5))
    for corner in np.ndindex(2, 2, 2):
        offset = (np.array(corner, np.float32).reshape(3, 1, 1, 1) - np.float32(0.5)) / 2
        place = np.where(crowded, moved, _between(moved, corner)) + (lattice + offset)
        speed = np.where(crowded, v, _between(v, corner))
        _add_moments(sums, place.reshape(3, -1), speed.reshape(3, -1))
    mass = sums[..., 0]
    some = np.maximum(mass, 1e-12)
    mean = sums[..., 1:4] / some[..., None]
    square = (sums[..., 4] / some - (mean**2).sum(axis=-1)) / 3
    return mass / 8, np.sqrt(np.maximum(square, 0))


def _between(field: Array, corner: tuple[int, ...]) -> Array:
    """Return a field of the lattice a quarter of a step towards a corner, linearly between neighbours."""
    out = field
    for axis, side in enumerate(corner, start=1):
        out = np.float32(0.75) * out + np.float32(0.25) * np.roll(out, -1 if side else 1, axis)
    return out


@compiled
def _cell(x: float, N: int) -> tuple[int, int, float]:
    """Return the cells below and above a coordinate, and how far it is from the first."""
    whole = int(np.floor(x))
    return whole % N, (whole + 1) % N, x - whole


@compiled
def deposit(x: Array, N: int) -> Array:
    """Return the density over its mean of equal particles, cloud in cell.

    Args:
        x: Positions [cells], shape ``(3, n)``.
        N: Cells along a side.

    Returns:
        Shape ``(N, N, N)``, of mean one where there are as many particles as cells.
    """
    out = np.zeros((N, N, N))
    for n in range(x.shape[1]):
        z, z1, fz = _cell(x[0, n], N)
        y, y1, fy = _cell(x[1, n], N)
        u, u1, fu = _cell(x[2, n], N)
        for kz, wz in ((z, 1 - fz), (z1, fz)):
            for ky, wy in ((y, 1 - fy), (y1, fy)):
                out[kz, ky, u] += wz * wy * (1 - fu)
                out[kz, ky, u1] += wz * wy * fu
    return out


@compiled
def gather(fields: Array, x: Array) -> Array:
    """Return fields at particles, cloud in cell.

    Args:
        fields: Shape ``(C, N, N, N)``.
        x: Positions [cells], shape ``(3, n)``.

    Returns:
        Shape ``(C, n)``, float32.
    """
    C, N = fields.shape[0], fields.shape[1]
    out = np.zeros((C, x.shape[1]), np.float32)
    for n in range(x.shape[1]):
        z, z1, fz = _cell(x[0, n], N)
        y, y1, fy = _cell(x[1, n], N)
        u, u1, fu = _cell(x[2, n], N)
        for kz, wz in ((z, 1 - fz), (z1, fz)):
            for ky, wy in ((y, 1 - fy), (y1, fy)):
                for c in range(C):
                    out[c, n] += wz * wy * ((1 - fu) * fields[c, kz, ky, u] + fu * fields[c, kz, ky, u1])
    return out


@compiled
def _add_moments(sums: Array, x: Array, v: Array) -> None:
    """Add mass, momentum and squared speed of particles to ``sums (N, N, N, 5)``."""
    N = sums.shape[0]
    for n in range(x.shape[1]):
        z, z1, fz = _cell(x[0, n], N)
        y, y1, fy = _cell(x[1, n], N)
        u, u1, fu = _cell(x[2, n], N)
        square = v[0, n] ** 2 + v[1, n] ** 2 + v[2, n] ** 2
        for kz, wz in ((z, 1 - fz), (z1, fz)):
            for ky, wy in ((y, 1 - fy), (y1, fy)):
                for kx, wx in ((u, 1 - fu), (u1, fu)):
                    weight = wz * wy * wx
                    cell = sums[kz, ky, kx]
                    cell[0] += weight
                    for axis in range(3):
                        cell[1 + axis] += weight * v[axis, n]
                    cell[4] += weight * square
