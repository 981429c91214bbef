r"""The wedge of modes in which smooth foregrounds stand before the 21-cm line.

A source at the angle θ from where an interferometer points changes its phase with frequency, and so moves
foregrounds to

.. math:: k_\parallel \le m\, k_\perp + b, \qquad m = \sin\theta\, \frac{D_C(z)\, H(z)}{c\,(1 + z)}

(Thyagarajan et al. 2013, arXiv:1308.0565; Liu, Parsons & Trott 2014, arXiv:1404.2596): the horizon is
θ = 90°, the edge of the field of view less. The buffer b is what the foregrounds' own spectra add.
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.instruments.base import Cube, Instrument, Scene, layers


def wedge_slope(redshift: float, angle: float = 90.0) -> float:
    """Return the slope m of the wedge, in Planck 2018.

    Args:
        redshift: Of the 21-cm line, more than 0.
        angle: From the middle of the field to the last foreground source [deg]; 90 is the horizon.

    Raises:
        UsageError: The redshift is not positive, or the angle not between 0 and 90.

    Example:
        >>> round(wedge_slope(8.0), 2), round(wedge_slope(8.0, angle=30.0), 2)
        (3.46, 1.73)
    """
    if not redshift > 0 or not 0 < angle <= 90:
        raise UsageError(
            f"a wedge at redshift {redshift} and angle {angle}", hint="allowed: above 0, and above 0 to 90"
        )
    from astropy.constants import c
    from astropy.cosmology import Planck18

    reach = Planck18.comoving_distance(redshift) * Planck18.H(redshift) / c / (1 + redshift)
    return float(np.sin(np.radians(angle)) * reach.to_value(""))


def in_wedge(
    shape: tuple[int, int, int], cell: float, *, slope: float, buffer: float = 0.0
) -> NDArray[np.bool_]:
    """Return which modes of a cube lie in the wedge; those constant along the line of sight always do.

    Args:
        shape: ``(D, H, W)``, the first axis along the line of sight.
        cell: Comoving side of a cell [Mpc].
        slope: m.
        buffer: b [1/Mpc].

    Returns:
        In the order of ``rfftn``, shape ``(D, H, W // 2 + 1)``.

    Example:
        >>> inside = in_wedge((8, 8, 8), 1.0, slope=1.5)
        >>> [bool(inside[k, 0, 2]) for k in (0, 2, 3, 4)]  # k_perp is 2 waves, 1.5 of them 3
        [True, True, True, False]
    """
    D, H, W = shape
    along = 2 * np.pi * np.abs(scipy.fft.fftfreq(D, cell))[:, None, None]
    across = 2 * np.pi * np.hypot(scipy.fft.fftfreq(H, cell)[:, None], scipy.fft.rfftfreq(W, cell))
    # Rounding shall not decide on a mode that lies on the edge.
    return np.asarray(along <= (slope * across + buffer) * (1 + 1e-9))


class Wedge(Instrument):
    """Modes of a cube that foregrounds hide: cut out, or with foregrounds over them.

    Args:
        angle: From the middle of the field to the last foreground source [deg]; 90 is the horizon.
        slope: Of the wedge, in place of the angle; null for that of angle and redshift.
        buffer: Added to the parallel wavenumber of the edge [1/Mpc].
        foreground: Rms of Gaussian foregrounds, even over the modes of the wedge, in the unit of the field;
            0 cuts the modes instead.

    Raises:
        UsageError: A number is negative, or the angle not between 0 and 90.
    """

    def __init__(
        self,
        *,
        angle: float = 90.0,
        slope: float | None = None,
        buffer: float = 0.0,
        foreground: float = 0.0,
    ) -> None:
        for name, value in (("slope", slope or 0.0), ("buffer", buffer), ("foreground", foreground)):
            if not value >= 0:
                raise UsageError(f"instrument 'wedge': {name} is {value}", hint="give 0 or more")
        if not 0 < angle <= 90:
            raise UsageError(f"instrument 'wedge': angle is {angle}", hint="allowed: above 0 to 90 degrees")
        self.angle, self.slope, self.buffer, self.foreground = angle, slope, buffer, foreground

    def observe(self, sky: Cube, scene: Scene, *, seed: int) -> Cube:
        """Return the cube without the modes of the wedge, or with foregrounds over them; see `Instrument`."""
        cube = layers(sky, "wedge")
        if sky.ndim != 3:
            raise ShapeError(
                f"instrument 'wedge': a map of shape {sky.shape} has no line of sight",
                hint="observe cubes, and cut maps from what is seen",
            )
        m = wedge_slope(scene.redshift, self.angle) if self.slope is None else self.slope
        shape = (cube.shape[0], cube.shape[1], cube.shape[2])
        inside = in_wedge(shape, scene.side / shape[2], slope=m, buffer=self.buffer)
        waves = scipy.fft.rfftn(np.asarray(cube, float))
        if not self.foreground:
            return np.asarray(scipy.fft.irfftn(np.where(inside, 0.0, waves), s=shape), sky.dtype)
        drawn = scipy.fft.rfftn(np.random.default_rng(seed).standard_normal(shape))
        before = scipy.fft.irfftn(np.where(inside, drawn, 0.0), s=shape)
        before *= self.foreground / np.sqrt(np.square(before).mean())
        return np.asarray(cube + before, sky.dtype)
