r"""The engine ``excursion``: semi-numerical reionisation in NumPy and SciPy, no compiler needed.

Four steps, each a function (Furlanetto, Zaldarriaga & Hernquist 2004; Mesinger, Furlanetto & Cen 2011):

1. ``lagrangian.linear_field``: a Gaussian field with the linear P(k), on a grid twice as fine;
2. ``lagrangian.Displacements``: second-order perturbation theory gives the density at any redshift;
3. :func:`ionise`: on scales from ``R_BUBBLE_MAX`` down to the cell, the conditional Press-Schechter
   collapsed fraction, scaled so that its mean is Sheth & Tormen's; a cell with
   :math:`\zeta f_\mathrm{coll} > 1` on any scale is ionised, the rest is partly ionised by its own haloes;
4. :func:`brightness_temperature`: the spin temperature is far above that of the background.

Filters, radii, masses and normalisation are those of 21cmFAST 4.1 run by the engine ``21cmfast``, so that the
two agree cell by cell on the same initial density (``scripts/validate_reionisation.py``). Left out, as there:
recombinations, X-rays, the spin temperature, redshift-space distortions, discrete haloes and the light cone.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from scipy.special import erfc, erfcinv

from skyloom.simulate.cosmology import DELTA_C, Cosmology
from skyloom.simulate.lagrangian import (
    SPHERE,
    Displacements,
    linear_field,
    magnitude,
    to_modes,
    to_space,
)
from skyloom.simulate.reionisation.design import Point
from skyloom.simulate.reionisation.engine import Box

SHARP_K = (2 / (9 * np.pi)) ** (1 / 3)  #: k R of a sharp cut in k with the volume of a top hat of radius R
REFINEMENT = 2  #: cells of the initial conditions per output cell, along one axis
RADIUS_STEP = 1.1  #: ratio of consecutive smoothing radii
IONISED_MU = 0.6  #: mean molecular weight in the virial mass, as 21cmFAST has it above 10^4 K
DEPTHS = np.linspace(0, 6, 4097)  #: table of depths below the barrier; beyond it nothing has collapsed


def run(point: Point, *, size: int, box_size: float) -> list[Box]:
    """Run one simulation at its redshifts.

    Args:
        point: Seed, parameters and redshifts.
        size: Cells along one side of the boxes.
        box_size: Comoving side length [Mpc].

    Returns:
        One box per redshift, highest first, arrays ``(z, y, x)`` with ``z`` the line of sight.

    Example:
        >>> parameters = {"HII_EFF_FACTOR": 30.0, "ION_Tvir_MIN": 4.7, "R_BUBBLE_MAX": 15.0}
        >>> point = Point(index=0, seed=1, parameters=parameters, redshifts=(9.0, 8.0))
        >>> early, late = run(point, size=16, box_size=32.0)
        >>> bool(early.neutral_fraction.mean() > late.neutral_fraction.mean())
        True
    """
    cosmology = Cosmology()
    rng = np.random.default_rng(point.seed)
    return evolve(linear_field(REFINEMENT * size, box_size, rng, cosmology), point, cosmology, size, box_size)


def evolve(linear: np.ndarray, point: Point, cosmology: Cosmology, size: int, box_size: float) -> list[Box]:
    """Run one simulation from its linear density.

    Args:
        linear: Linear density contrast today, shape ``(M, M, M)``, axes ``(z, y, x)``.
        point: Parameters and redshifts.
        cosmology: Background.
        size: Cells along one side of the boxes; ``M`` is a multiple of it.
        box_size: Comoving side length [Mpc].

    Returns:
        One box per redshift, highest first.

    Raises:
        ShapeError: ``linear`` is not a cube, or its side no multiple of ``size``.
    """
    displacements = Displacements(linear, box_size, size)
    boxes = []
    for z in sorted(point.redshifts, reverse=True):
        delta = displacements.density(cosmology.growth(z))
        x_HI = ionise(delta, box_size, z, cosmology, **point.parameters)
        boxes.append(Box(z, brightness_temperature(x_HI, delta, z, cosmology), x_HI, delta))
    return boxes


def versions() -> dict[str, str]:
    """Return the versions that decide what the engine computes."""
    return {"numpy": version("numpy"), "scipy": version("scipy")}


def ionise(
    delta: np.ndarray,
    box_size: float,
    z: float,
    cosmology: Cosmology,
    *,
    HII_EFF_FACTOR: float,
    ION_Tvir_MIN: float,
    R_BUBBLE_MAX: float,
) -> np.ndarray:
    r"""Return the neutral fraction of each cell.

    On scale ``R`` the collapsed fraction is :math:`\mathrm{erfc}[(\delta_c - \delta_R) / (D \sqrt{2}
    \sqrt{\sigma^2(M_\min) - \sigma^2(R)})]` of the evolved density :math:`\delta_R`, cut sharply in k, times
    the constant that makes its mean over the box equal Sheth & Tormen's.

    Args:
        delta: Density contrast at redshift ``z``, shape ``(N, N, N)``.
        box_size: Comoving side length [Mpc].
        z: Redshift.
        cosmology: Growth, variances and the mean collapsed fraction.
        HII_EFF_FACTOR: Ionising photons per collapsed hydrogen atom, net of escape and recombination, zeta.
        ION_Tvir_MIN: log10 of the virial temperature [K] of the smallest halo that shines, which sets M_min.
        R_BUBBLE_MAX: Largest smoothing radius [Mpc].

    Returns:
        Neutral fraction, shape ``(N, N, N)``, float32, 0 to 1.
    """
    size = delta.shape[0]
    modes = to_modes(delta)
    cut = (magnitude(size, box_size) * SHARP_K).astype(np.float32)
    D = cosmology.growth(z)
    M_min = cosmology.virial_mass(10**ION_Tvir_MIN, z, mu=IONISED_MU)
    photons = HII_EFF_FACTOR * cosmology.collapsed_fraction(M_min, z)
    small = float(cosmology.sigma(cosmology.radius(M_min)))
    cell_radius = SPHERE * box_size / size
    radii = _radii(cell_radius, min(R_BUBBLE_MAX, SPHERE * box_size))
    neutral = np.ones(delta.shape, np.float32)
    for R, large in zip(radii, cosmology.sigma(radii), strict=True):
        smooth = delta if cell_radius == R else to_space(modes * (cut <= 1 / R), size)
        depth = (DELTA_C - smooth) / np.float32(np.sqrt(2 * (small**2 - large**2)) * D)
        neutral[depth < _barrier(depth, photons)] = 0
    own = erfc(np.maximum(depth, 0))
    return np.asarray(neutral * (1 - np.minimum(own * np.float32(photons / own.mean(dtype=float)), 1)))


def _barrier(depth: np.ndarray, photons: float) -> float:
    """Return the depth below collapse above which a cell is ionised, given ``photons`` per atom in the box.

    The collapsed fraction ``erfc(depth)`` is scaled to the mean of the box; where that makes one photon per
    atom is the barrier. The mean is taken from a histogram of the depths, which is exact to 1e-5.
    """
    scaled = np.clip(depth, 0, DEPTHS[-1]) * np.float32(1 / DEPTHS[1]) + np.float32(0.5)
    counts = np.bincount(scaled.astype(np.int64).ravel(), minlength=len(DEPTHS))
    needed = float(counts @ erfc(DEPTHS)) / depth.size / photons
    return float(erfcinv(needed)) if needed < 1 else -np.inf


def _radii(smallest: float, largest: float) -> np.ndarray:
    """Return the radii [Mpc], largest first: powers of the step above the smallest.

    As in 21cmFAST the largest itself is none of them, so that it acts in steps of a tenth.
    """
    steps = max(0, int(np.log(largest / smallest) / np.log(RADIUS_STEP)))
    return np.asarray(smallest * RADIUS_STEP ** np.arange(steps, -1, -1))


def brightness_temperature(x_HI: np.ndarray, delta: np.ndarray, z: float, cosmology: Cosmology) -> np.ndarray:
    r"""Return the 21-cm brightness temperature against the background [mK].

    :math:`T_b = 27\,x_\mathrm{HI}(1+\delta)\,\frac{\Omega_b h^2}{0.023}
    \sqrt{\frac{0.15}{\Omega_m h^2}\frac{1+z}{10}}` mK (Furlanetto, Oh & Briggs 2006), the spin temperature
    far above the background and no peculiar velocities.

    Args:
        x_HI: Neutral fraction, any shape.
        delta: Density contrast, the same shape.
        z: Redshift.
        cosmology: Background.
    """
    h2 = cosmology.h**2
    scale = 27 * cosmology.Omega_b * h2 / 0.023 * np.sqrt(0.15 / (cosmology.Omega_m * h2) * (1 + z) / 10)
    return np.asarray(scale * x_HI * (1 + delta), dtype=np.float32)
