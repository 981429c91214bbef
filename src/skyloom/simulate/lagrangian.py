r"""Gaussian initial conditions and Lagrangian perturbation theory on a periodic grid.

Shared by the simulators. Grids have the axes ``(z, y, x)``, lengths are comoving Mpc, modes are those of
``rfftn`` in single precision.
"""

from __future__ import annotations

import numpy as np
import scipy.fft

from skyloom.errors import ShapeError
from skyloom.simulate.cosmology import Cosmology, top_hat

SPHERE = (3 / (4 * np.pi)) ** (1 / 3)  #: radius of the sphere with the volume of a unit cube


def linear_field(size: int, box_size: float, rng: np.random.Generator, cosmology: Cosmology) -> np.ndarray:
    """Draw the linear density contrast of today.

    Args:
        size: Cells along one side.
        box_size: Comoving side length [Mpc].
        rng: Source of the white noise.
        cosmology: Gives P(k).

    Returns:
        Density contrast, shape ``(size, size, size)``, float32, mean zero.

    Example:
        >>> field = linear_field(8, 64.0, np.random.default_rng(0), Cosmology())
        >>> field.shape, bool(abs(field.mean()) < 1e-6)
        ((8, 8, 8), True)
    """
    k = magnitude(size, box_size)
    spectrum = np.zeros_like(k)
    spectrum[k > 0] = cosmology.power(k[k > 0])
    amplitude = np.sqrt(spectrum * (size / box_size) ** 3).astype(np.float32)
    noise = rng.standard_normal((size, size, size), dtype=np.float32)
    return to_space(to_modes(noise) * amplitude, size)


class Displacements:
    r"""First- and second-order Lagrangian displacements of a linear density field.

    Matter at :math:`\mathbf q` moves to :math:`\mathbf q + D\psi^{(1)} + \tfrac37 D^2\psi^{(2)}` with
    :math:`\psi^{(1)}_{\mathbf k} = i\mathbf k\,\delta_{\mathbf k}/k^2` and :math:`\psi^{(2)}` the same of
    :math:`\sum_{i<j}(\phi_{ii}\phi_{jj} - \phi_{ij}^2)`, where :math:`\nabla^2\phi = \delta`
    (Scoccimarro 1998, appendix D), both smoothed over a sphere with the volume of a cell if so asked.

    Args:
        linear: Linear density contrast today, shape ``(M, M, M)``, axes ``(z, y, x)``.
        box_size: Comoving side length [Mpc].
        size: Cells ``N`` along one side of the result; ``M`` is a multiple of it.
        smoothed: Whether the displacements are means over a cell, as a grid of cells needs them, or those of
            particles at points.

    Raises:
        ShapeError: ``linear`` is not a cube, or its side no multiple of ``size``.

    Example:
        >>> wave = np.cos(2 * np.pi * np.arange(64) / 64) * np.ones((64, 64, 64))
        >>> delta = Displacements(wave, 64.0, 32).density(0.01)
        >>> print(f"{2 * np.mean(delta * wave[::2, ::2, ::2]):.3f}")  # grows as D
        0.010
    """

    def __init__(self, linear: np.ndarray, box_size: float, size: int, *, smoothed: bool = True) -> None:
        if linear.ndim != 3 or len(set(linear.shape)) != 1 or linear.shape[0] % size:
            raise ShapeError(
                f"the linear density has shape {linear.shape}: need a cube, its side a multiple of {size}"
            )
        self.size, self.box_size = size, box_size
        self._fine = linear.shape[0]
        self._k = [q.astype(np.float32) for q in wavenumbers(self._fine, box_size)]
        k = magnitude(self._fine, box_size)
        radius = SPHERE * box_size / size if smoothed else 0.0
        self._window = top_hat(k * radius).astype(np.float32)
        k[0, 0, 0] = np.inf
        self._inverse_k2 = (k**-2).astype(np.float32)
        modes = to_modes(linear)
        if self._fine % 2 == 0:  # a wave at Nyquist has no direction, so no gradient that treats axes alike
            half = self._fine // 2
            modes[half] = modes[:, half] = modes[..., half] = 0
        self.first = self._gradient(modes)
        self.second = self._gradient(to_modes(self._second_source(modes)))

    def _gradient(self, modes: np.ndarray) -> list[np.ndarray]:
        """Return the displacement along each axis [Mpc], smoothed over a cell and read at the cells."""
        potential = 1j * modes * (self._inverse_k2 * self._window)
        stride = slice(None, None, self._fine // self.size)
        return [to_space(q * potential, self._fine)[stride, stride, stride] for q in self._k]

    def _second_source(self, modes: np.ndarray) -> np.ndarray:
        potential = modes * self._inverse_k2
        k = self._k
        zz, yy, xx = (to_space(q * q * potential, self._fine) for q in k)
        source = zz * yy + yy * xx + xx * zz
        for i, j in ((0, 1), (1, 2), (2, 0)):
            source -= to_space(k[i] * k[j] * potential, self._fine) ** 2
        return np.asarray(source)

    def density(self, D: float) -> np.ndarray:
        """Return the density contrast at linear growth ``D`` (one today).

        The mass of each cell is moved whole, as three subcells an axis, and shared out cloud in cell.

        Returns:
            Density contrast, shape ``(N, N, N)``, float32; its mean is zero.
        """
        N = self.size
        scale = N / self.box_size
        index, weight = [], []
        for axis, (psi_1, psi_2) in enumerate(zip(self.first, self.second, strict=True)):
            shift = (scale * D) * psi_1 + (scale * 3 / 7 * D**2) * psi_2
            nearest = np.rint(shift)
            start = np.arange(N).reshape([-1 if a == axis else 1 for a in range(3)])
            index.append([(start + nearest.astype(np.int64) + step) % N for step in (-1, 0, 1)])
            ahead, behind = _share(shift - nearest), _share(nearest - shift)
            weight.append([behind, 1 - ahead - behind, ahead])
        mass = np.zeros(N**3)
        for a in range(3):
            for b in range(3):
                plane, share = (index[0][a] * N + index[1][b]) * N, weight[0][a] * weight[1][b]
                for c in range(3):
                    cell = (plane + index[2][c]).ravel()
                    mass += np.bincount(cell, (share * weight[2][c]).ravel(), N**3)
        return (mass.reshape(N, N, N) - 1).astype(np.float32)


def _share(offset: np.ndarray) -> np.ndarray:
    """Return the share of a cell moved by ``offset`` [-0.5, 0.5] that falls to the next cell."""
    return np.asarray(
        (np.maximum(offset - 1 / 3, 0) + np.maximum(offset, 0) + np.maximum(offset + 1 / 3, 0)) / 3
    )


def wavenumbers(size: int, box_size: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the wavenumbers [1/Mpc] along z, y and x, shaped to broadcast over half-complex modes."""
    full = 2 * np.pi * np.fft.fftfreq(size, box_size / size)
    half = 2 * np.pi * np.fft.rfftfreq(size, box_size / size)
    return full[:, None, None], full[None, :, None], half[None, None, :]


def magnitude(size: int, box_size: float) -> np.ndarray:
    """Return the length of the wavevectors [1/Mpc] of half-complex modes."""
    k_z, k_y, k_x = wavenumbers(size, box_size)
    return np.asarray(np.sqrt(k_z**2 + k_y**2 + k_x**2))


def to_modes(field: np.ndarray) -> np.ndarray:
    """Return the half-complex modes of a cube, in one thread."""
    return np.asarray(scipy.fft.rfftn(np.asarray(field, dtype=np.float32), workers=1))


def to_space(modes: np.ndarray, size: int) -> np.ndarray:
    """Return the cube of ``size`` cells a side that has these modes, in one thread."""
    return np.asarray(scipy.fft.irfftn(modes, s=(size, size, size), workers=1))
