r"""Whether a translated map of one object has its mass, its profile and its shape: scores of single maps.

They are meant for maps of a positive quantity with an object in the middle and nothing beyond the edges, such
as galaxies. Rings are about the centre of mass of the **true** map, so a profile in the wrong place is
a wrong profile. Asymmetry and clumpiness are those of ``statistics.morphology``, about the centre of mass;
a map without positive mass has none, and counts as 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skyloom.statistics import radial_profile
from skyloom.statistics.morphology import morphology
from skyloom.statistics.rings import mass_centre

Array = NDArray[Any]
RINGS = 20
FAINT = 1e-3  #: of a map's brightest ring; fainter rings have no relative residual
SCORES: dict[str, tuple[str, str]] = {
    "total_error": ("error of the total, relative", ""),
    "profile_error": ("mass in the wrong ring, relative", ""),
    "growth_error": ("largest error of the cumulative profile, relative", ""),
    "asymmetry_error": ("error of the asymmetry", ""),
    "clumpiness_error": ("error of the clumpiness", ""),
    "centre_offset": ("distance of the centres of mass", "box"),
}
"""Key -> label and unit; ``box`` stands for the box's own unit. All are means over maps, best at 0."""


def holds_objects(truth: Array, *, periodic: bool) -> bool:
    """Return whether true maps are of the kind that these scores are for.

    Args:
        truth: Shape ``(n, N, N)``.
        periodic: Whether opposite edges touch.
    """
    return not periodic and bool((truth >= 0).all() and (truth.sum(axis=(1, 2)) > 0).all())


class Shapes:
    """Profile and shape of true maps, against which others are held.

    Args:
        truth: Maps that ``holds_objects``, shape ``(n, N, N)``, in any unit ``u``.
        box: Side of a map in any length unit ``l``.

    Example:
        >>> y, x = np.indices((32, 32)) - 15.5
        >>> disc = np.exp(-np.hypot(y, x) / 2)[None]
        >>> errors = Shapes(disc, 32.0).errors(np.roll(disc, 2, axis=2))
        >>> round(float(errors["centre_offset"][0]), 1), round(float(errors["total_error"][0]), 2)
        (2.0, 0.0)
    """

    def __init__(self, truth: Array, box: float) -> None:
        self.box = box
        self.centres = (mass_centre(truth, periodic=False) + 0.5) * box / truth.shape[-1]
        self.rings, self.profile, self.growth, self.radius = self._profiles(truth)
        self.total = truth.sum(axis=(1, 2), dtype=np.float64) * (box / truth.shape[-1]) ** 2
        self.shape = self._shape(truth)

    def errors(self, maps: Array) -> dict[str, Array]:
        """Return the scores of maps, each of shape ``(n,)``.

        Args:
            maps: Shape ``(n, N, N)`` [u].
        """
        rings, _, growth, _ = self._profiles(maps)
        total = maps.sum(axis=(1, 2), dtype=np.float64) * (self.box / maps.shape[-1]) ** 2
        asymmetry, clumpiness = self._shape(maps)
        centres = (mass_centre(np.maximum(maps, 0), periodic=False) + 0.5) * self.box / maps.shape[-1]
        # Without positive mass there is no centre; the middle of the map stands for it.
        centres = np.where(np.isfinite(centres), centres, self.box / 2)
        mass = self.growth[:, -1]
        return {
            "total_error": np.abs(total / self.total - 1),
            "profile_error": np.abs(rings - self.rings).sum(axis=1) / mass,
            "growth_error": np.abs(growth - self.growth).max(axis=1) / mass,
            "asymmetry_error": np.abs(asymmetry - self.shape[0]),
            "clumpiness_error": np.abs(clumpiness - self.shape[1]),
            "centre_offset": np.linalg.norm(centres - self.centres, axis=1),
        }

    def curves(self, maps: Array) -> dict[str, Array]:
        """Return what is drawn of maps beside the truth.

        Args:
            maps: Shape ``(n, N, N)`` [u].

        Returns:
            ``profile``: the mean over maps of the mean in rings [u]; ``growth``: the mean over maps of what
            lies within a radius over all that lies within the last one in truth; ``residual``: quantiles
            0.16, 0.5 and 0.84 over maps of the profile over the true one less 1, shape ``(3, rings)``, NaN
            where rings are faint in half of the maps; ``map_total`` of every map [u l²].
        """
        _, profile, growth, _ = self._profiles(maps)
        bright = self.profile > FAINT * self.profile.max(axis=1, keepdims=True)
        relative = np.where(bright, profile / np.where(bright, self.profile, 1.0) - 1, np.nan)
        known = bright.mean(axis=0) >= 0.5
        residual = np.full((3, RINGS), np.nan)
        residual[:, known] = np.nanquantile(relative[:, known], [0.16, 0.5, 0.84], axis=0)
        pixel = self.box / maps.shape[-1]
        return {
            "profile": profile.mean(axis=0),
            "growth": (growth / self.growth[:, -1:]).mean(axis=0),
            "residual": residual,
            "map_total": maps.sum(axis=(1, 2), dtype=np.float64) * pixel**2,
        }

    def _profiles(self, maps: Array) -> tuple[Array, Array, Array, Array]:
        """Return mass in rings, mean in rings, mass within them, each ``(n, rings)``, and their radius."""
        found = radial_profile(maps, self.box, self.centres, periodic=False, bins=RINGS, r_max=self.box / 2)
        rings = np.diff(found.enclosed, axis=1, prepend=0.0)
        return rings, np.nan_to_num(found.mean), found.enclosed, found.radius

    def _shape(self, maps: Array) -> tuple[Array, Array]:
        found = morphology(np.maximum(maps, 0), self.box, periodic=False, minimise=False)
        return np.nan_to_num(found.asymmetry), np.nan_to_num(found.clumpiness)
