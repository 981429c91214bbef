r"""Stirring: a random acceleration on large scales that gives the gas exactly the energy it is asked for.

Every Fourier mode with :math:`1 \le |k| \le 3` (in units of one wave a box) has an amplitude that follows an
Ornstein-Uhlenbeck process (Eswaran & Pope 1988, Comput. Fluids 16, 257), :math:`\propto k^{-2}`, its part
along k weighed down against its part across. The process is drawn at fixed times, so the same seed stirs the
same way at any resolution and in any transport; only the amplitude answers to the gas.
"""

from __future__ import annotations

import math

import numpy as np

from skyloom.simulate.turbulence.grid import Array, Grid
from skyloom.simulate.turbulence.mhd import Gas

LARGEST_K = 3  #: waves a box
CADENCE = 0.01  #: time between two draws, box sides over sound speed


class Driving:
    """A random force with a given power.

    Args:
        grid: The grid, a cube.
        seed: Of the whole history of the force.
        power: Energy per volume and time, in units of density times cubed sound speed over the box side.
        solenoidal: Weight of the part without divergence, 0 to 1; the rest is the weight of the gradient.
        correlation_time: Of the process, in box sides over sound speed.

    Example:
        >>> Driving(Grid((8, 8, 8), 1 / 8), seed=1, power=1.0).acceleration.shape
        (3, 8, 8, 8)
    """

    def __init__(
        self, grid: Grid, seed: int, *, power: float, solenoidal: float = 0.5, correlation_time: float = 0.5
    ) -> None:
        self.grid, self.power, self.solenoidal = grid, power, solenoidal
        self._keep = math.exp(-CADENCE / correlation_time)
        self._rng = np.random.default_rng(seed)
        whole = np.arange(-LARGEST_K, LARGEST_K + 1)
        k = np.stack(np.meshgrid(whole, whole, whole, indexing="ij"))  # components x, y, z on axes x, y, z
        square = (k**2).sum(0)
        # Half of the modes; the others are their conjugates, which the real part below stands for.
        half = (k[0] > 0) | ((k[0] == 0) & ((k[1] > 0) | ((k[1] == 0) & (k[2] > 0))))
        self._size = np.where(half & (square <= LARGEST_K**2), 1 / np.maximum(square, 1), 0.0)
        self._direction = k / np.sqrt(np.maximum(square, 1))
        sides = [(np.arange(n) + 0.5) / n for n in grid.shape[::-1]]
        self._waves = [np.exp(2j * np.pi * np.outer(side, whole)) for side in sides]
        self._amplitude = self._draw()
        self._drawn = 0
        self.acceleration: Array = self._in_space()  #: shape ``(3, Z, Y, X)``, of no fixed size

    def _draw(self) -> np.ndarray:
        """Return new amplitudes, shape ``(3, 7, 7, 7)`` in k_x, k_y, k_z."""
        normal = self._rng.standard_normal((2, *self._direction.shape))
        free = (normal[0] + 1j * normal[1]) * self._size
        along = self._direction * (self._direction * free).sum(0)
        return np.asarray(self.solenoidal * (free - along) + (1 - self.solenoidal) * along)

    def _in_space(self) -> Array:
        x, y, z = self._waves
        rows = np.einsum("dabc,zc->dabz", self._amplitude, z)
        planes = np.einsum("dabz,yb->dazy", rows, y)
        return np.asarray(np.tensordot(planes, x, axes=(1, 1)).real)

    def advance(self, time: float) -> None:
        """Make the draws that are due by ``time``, without a push: what a run that goes on begins with."""
        due = math.floor(time / CADENCE + 1e-9)
        if due > self._drawn:
            for _ in range(due - self._drawn):
                self._amplitude *= self._keep
                self._amplitude += math.sqrt(1 - self._keep**2) * self._draw()
            self._drawn = due
            self.acceleration = self._in_space()

    def apply(self, gas: Gas, time: float, dt: float) -> None:
        """Push ``gas`` for ``dt``: no net momentum, and ``power * dt`` more kinetic energy.

        Args:
            gas: Its momentum changes.
            time: At the end of the push; decides which draws of the process are due.
            dt: Duration.
        """
        self.advance(time)
        density, momentum = gas.density, gas.momentum
        push = density * self.acceleration
        push -= density * (push.mean((1, 2, 3)) / density.mean())[:, None, None, None]
        # Kinetic energy after x pushes is K + b x + a x^2: solve for the gain.
        a = 0.5 * float((push**2 / density).sum(0).mean())
        b = float((momentum * push / density).sum(0).mean())
        gain = self.power * dt
        momentum += (math.sqrt(b * b + 4 * a * gain) - b) / (2 * a) * push
        gas.refresh()
