r"""Size distributions of bubbles and islands: mean free path and friends of friends.

A region is where a field lies below a threshold (ionised bubbles in a map of the neutral fraction or of the
21-cm brightness) or at least at it (neutral islands, or bubbles in a map of the ionised fraction). Two
definitions of its size, both those of tools21cm (Mesinger & Furlanetto 2007; Giri et al. 2018):

* mean free path: the distance ``R`` from a point of the region to its boundary, over all points and
  directions; its distribution ``dP/dlnR``.
* friends of friends: the volume ``V`` of each connected region, pixels joined by their faces; its
  distribution over the pixels of all regions, ``dP/dlnV``, so that a region counts by its volume.

Where tools21cm steps along a ray by whole pixels in an open box, rays here end exactly on the face of a pixel
and go on through the opposite face of a periodic box.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import ShapeError, UsageError
from skyloom.statistics.arrays import checked, product_unit, spatial_dims
from skyloom.statistics.component import MapStatistic
from skyloom.statistics.rays import symmetric_rays, tracer

Array = NDArray[Any]


class FreePaths(NamedTuple):
    """Distances from the points of a region to its boundary; all 0 but the mean where there is no region."""

    length: Array
    """Centres of the bins, in their logarithm [l], shape ``(bins,)``."""
    density: Array
    """``dP/dlnR``: share of the rays in each bin over its width in ``ln R``, shape ``(..., bins)``."""
    mean: Array
    """Mean length [l], of rays that were cut at the diagonal of the box too; NaN without a region."""
    fraction: Array
    """Share of the box that the region fills, shape ``(...,)``."""


class RegionSizes(NamedTuple):
    """Volumes of connected regions; all 0 where there is none."""

    volume: Array
    """Centres of the bins, in their logarithm [l^d], shape ``(bins,)``."""
    density: Array
    """Share of the region's pixels whose connected region lies in each bin, over its width in ``ln V``, shape
    ``(..., bins)``."""
    regions: Array
    """Number of connected regions, shape ``(...,)``."""
    largest: Array
    """Share of the region in its largest connected part, shape ``(...,)``: near 1 once it percolates."""
    fraction: Array
    """Share of the box that the region fills, shape ``(...,)``."""


def mean_free_path(
    field: Array,
    box: float,
    *,
    threshold: float,
    above: bool = False,
    rays: int = 192,
    bins: int = 24,
    seed: int = 0,
    periodic: bool = True,
    dims: int = 2,
) -> FreePaths:
    r"""Distribution of the distance from a point of a region to its boundary, over all directions.

    .. math:: \frac{dP}{d\ln R} = R\,\Big\langle \delta_D\big(R - R(\mathbf r, \hat n)\big)
              \Big\rangle_{\mathbf r \in \mathrm{region},\, \hat n}

    Rays start from every pixel of the region, at random places in it and in random directions, the same for
    all pixels and with all their mirror images: turns, flips and periodic shifts of the field change nothing.

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        threshold: Where the region ends [u].
        above: Whether the region is where the field is at least the threshold; if not, where it is below.
        rays: Rays from each pixel, rounded up to a multiple of the 8 (maps) or 48 (cubes) mirror images.
        bins: Bins of equal width in ``ln R`` from half a pixel to the diagonal of the box. Shorter rays are
            in no bin, nor are those that have not ended at the diagonal.
        seed: Seed of places and directions.
        periodic: Whether opposite faces touch. If not, a ray ends at the face.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``FreePaths(length [l], density, mean [l], fraction)``, shapes ``(bins,)``, ``(..., bins)``, and
        ``(...,)``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` is not positive, ``rays`` or ``bins`` is less than 1, the threshold is not finite,
            or ``dims`` is neither 2 nor 3.

    Example:
        >>> y, x = np.mgrid[:64, :64] - 31.5
        >>> disc = mean_free_path(np.hypot(x, y), 64.0, threshold=20.0)
        >>> round(float(disc.mean / (8 * 20 / (3 * np.pi))), 2)  # 8 R / 3 π of a disc
        1.0
    """
    values = _checked(field, box, threshold, bins, dims, "mean_free_path")
    if rays < 1:
        raise UsageError(f"mean_free_path: rays is {rays!r}, allowed: 1 or more")
    N, lead = values.shape[-1], values.shape[:-dims]
    sent = symmetric_rays(dims, rays, seed)
    limit = math.sqrt(dims) * N
    edges = np.geomspace(0.5, limit, bins + 1)
    inside = _region(values.reshape(-1, *(N,) * dims), threshold, above)
    fraction = inside.mean(axis=tuple(range(1, dims + 1)))
    density, mean = np.zeros((len(inside), bins)), np.full(len(inside), np.nan)
    trace = tracer()
    for i in np.flatnonzero(fraction):
        solid = inside[i] if dims == 3 else inside[i][None]
        counts, total = trace(solid, sent, periodic, limit, edges)
        number = inside[i].sum() * len(sent.chord)
        density[i], mean[i] = counts / (number * np.diff(np.log(edges))), total / number * box / N
    centres = np.sqrt(edges[1:] * edges[:-1]) * box / N
    return FreePaths(centres, density.reshape(*lead, bins), mean.reshape(lead), fraction.reshape(lead))


def friends_of_friends(
    field: Array,
    box: float,
    *,
    threshold: float,
    above: bool = False,
    bins: int = 24,
    periodic: bool = True,
    dims: int = 2,
) -> RegionSizes:
    r"""Distribution of the volume of connected regions, each weighted by its volume.

    .. math:: \frac{dP}{d\ln V} = \frac{V^2}{V_\mathrm{region}} \frac{dN}{dV}

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        threshold: Where a region ends [u].
        above: Whether a region is where the field is at least the threshold; if not, where it is below.
        bins: Bins of equal width in ``ln V`` from one pixel to the box.
        periodic: Whether opposite faces touch.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``RegionSizes(volume [l^dims], density, regions, largest, fraction)``, shapes ``(bins,)``,
        ``(..., bins)``, and ``(...,)``. The sum of the density times the width of a bin is 1.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` is not positive, ``bins`` is less than 1, the threshold is not finite, or ``dims``
            is neither 2 nor 3.

    Example:
        >>> f = friends_of_friends(np.eye(4), 4.0, threshold=0.5, above=True, bins=2)
        >>> int(f.regions), float(f.largest), float(f.fraction)  # they touch in corners only
        (4, 0.25, 0.25)
    """
    values = _checked(field, box, threshold, bins, dims, "friends_of_friends")
    N, lead = values.shape[-1], values.shape[:-dims]
    edges = np.geomspace(1.0, N**dims, bins + 1)
    inside = _region(values.reshape(-1, *(N,) * dims), threshold, above)
    found = np.zeros((len(inside), bins + 3))
    for row, one in zip(found, inside, strict=True):
        sizes = connected_regions(one, periodic=periodic)[1]
        if sizes.size:
            weighted = np.histogram(sizes, edges, weights=sizes)[0] / sizes.sum()
            row[:bins] = weighted / np.diff(np.log(edges))
            row[bins:] = len(sizes), sizes.max() / sizes.sum(), one.mean()
    centres = np.sqrt(edges[1:] * edges[:-1]) * (box / N) ** dims
    found = found.reshape(*lead, bins + 3)
    return RegionSizes(
        centres, found[..., :bins], found[..., bins].astype(np.int64), found[..., -2], found[..., -1]
    )


def connected_regions(inside: Array, *, periodic: bool = True) -> tuple[Array, Array]:
    """Number the connected regions of one map or cube; pixels are joined by their faces.

    Args:
        inside: Which pixels belong to a region, booleans of any shape.
        periodic: Whether opposite faces touch.

    Returns:
        Labels of the shape of ``inside``, 0 outside and 1, 2, ... in the regions, and the number of pixels of
        each region, shape ``(regions,)``.

    Raises:
        ShapeError: The values are not booleans.

    Example:
        >>> labels, sizes = connected_regions(np.array([[1, 0, 0, 1], [0, 0, 0, 0]], dtype=bool))
        >>> labels[0].tolist(), sizes.tolist()
        ([1, 0, 0, 1], [2])
    """
    from scipy.ndimage import label
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if inside.dtype != bool:
        raise ShapeError(f"connected_regions was given values of type {inside.dtype}, allowed: booleans")
    labels, number = label(inside)
    if periodic and number > 1:
        faces = [(labels.take(0, axis), labels.take(-1, axis)) for axis in range(inside.ndim)]
        first, last = (np.concatenate([face[i].ravel() for face in faces]) for i in (0, 1))
        touch = (first > 0) & (last > 0)
        pairs = (np.ones(touch.sum(), dtype=bool), (first[touch] - 1, last[touch] - 1))
        parts = connected_components(coo_array(pairs, shape=(number, number)), directed=False)[1]
        labels = np.concatenate([[0], parts + 1])[labels]
    return labels, np.bincount(labels.ravel())[1:]


def _checked(field: Array, box: float, threshold: float, bins: int, dims: int, what: str) -> Array:
    values = checked(field, dims, what)
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"{what}: box is {box!r}, allowed: a positive length")
    if not math.isfinite(threshold):
        raise UsageError(f"{what}: threshold is {threshold!r}, allowed: a finite number")
    if bins < 1:
        raise UsageError(f"{what}: bins is {bins!r}, allowed: 1 or more")
    return values


def _region(values: Array, threshold: float, above: bool) -> Array:
    return values >= threshold if above else values < threshold


class _Regions:
    """What both distributions ask of a recipe."""

    def __init__(self, threshold: float, above: bool, bins: int) -> None:
        if not math.isfinite(threshold):
            raise UsageError(f"threshold is {threshold!r}, allowed: a finite number")
        if bins < 1:
            raise UsageError(f"bins is {bins!r}, allowed: 1 or more")
        self.threshold, self.above, self.bins = threshold, above, bins


class MeanFreePath(_Regions, MapStatistic):
    """The distribution of mean free paths in the bubbles or islands of every map or cube.

    Args:
        threshold: Where a region ends, in the unit of the maps.
        above: Whether a region is where a map is at least the threshold (neutral islands); if not, where it
            is below (ionised bubbles).
        rays: Rays from each pixel, rounded up to a multiple of 8 (maps) or 48 (cubes).
        bins: Bins of equal width in the logarithm of the length.
        seed: Seed of the directions.

    Raises:
        UsageError: The threshold is not finite, or ``rays`` or ``bins`` is less than 1.

    Example:
        >>> maps = np.random.default_rng(0).random((2, 16, 16))
        >>> ds = MeanFreePath(threshold=0.5, bins=6).compute(maps, 32.0, True, "", box_unit="Mpc")
        >>> ds["density"].dims, ds["length"].attrs["units"]
        (('sample', 'length'), 'Mpc')
    """

    def __init__(
        self, *, threshold: float = 0.5, above: bool = False, rays: int = 192, bins: int = 24, seed: int = 0
    ) -> None:
        super().__init__(threshold, above, bins)
        if rays < 1:
            raise UsageError(f"rays is {rays!r}, allowed: 1 or more")
        self.rays, self.seed = rays, seed

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the distributions.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``density (sample, length)``, dP/dlnR, and ``fraction (sample)``, the share of the map.
        """
        paths = mean_free_path(
            maps,
            box,
            threshold=self.threshold,
            above=self.above,
            rays=self.rays,
            bins=self.bins,
            seed=self.seed,
            periodic=periodic,
            dims=spatial_dims(maps),
        )
        said = {"units": "", "long_name": "dP/dlnR of mean free paths"}
        return xr.Dataset(
            {
                "density": (("sample", "length"), paths.density, said),
                "fraction": ("sample", paths.fraction, {"units": "", "long_name": "share of the box"}),
            },
            coords={"length": ("length", paths.length, {"units": box_unit, "long_name": "mean free path"})},
        )


class FriendsOfFriends(_Regions, MapStatistic):
    """The volume-weighted distribution of connected bubbles or islands of every map or cube.

    Args:
        threshold: Where a region ends, in the unit of the maps.
        above: Whether a region is where a map is at least the threshold (neutral islands); if not, where it
            is below (ionised bubbles).
        bins: Bins of equal width in the logarithm of the volume.

    Raises:
        UsageError: The threshold is not finite, or ``bins`` is less than 1.

    Example:
        >>> maps = np.random.default_rng(0).random((2, 16, 16))
        >>> ds = FriendsOfFriends(threshold=0.5, bins=6).compute(maps, 32.0, True, "", box_unit="Mpc")
        >>> ds["density"].dims, ds["volume"].attrs["units"]
        (('sample', 'volume'), 'Mpc2')
    """

    def __init__(self, *, threshold: float = 0.5, above: bool = False, bins: int = 24) -> None:
        super().__init__(threshold, above, bins)

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the distributions.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``density (sample, volume)``, dP/dlnV weighted by volume; ``regions``, ``largest`` and
            ``fraction``, each ``(sample)``.
        """
        dims = spatial_dims(maps)
        found = friends_of_friends(
            maps,
            box,
            threshold=self.threshold,
            above=self.above,
            bins=self.bins,
            periodic=periodic,
            dims=dims,
        )
        volume = {"units": product_unit([], box_unit, dims), "long_name": "volume of a connected region"}
        said = {
            "regions": "number of connected regions",
            "largest": "share of the largest region",
            "fraction": "share of the box",
        }
        density = {"units": "", "long_name": "dP/dlnV of connected regions"}
        return xr.Dataset(
            {"density": (("sample", "volume"), found.density, density)}
            | {
                name: ("sample", getattr(found, name), {"units": "", "long_name": text})
                for name, text in said.items()
            },
            coords={"volume": ("volume", found.volume, volume)},
        )
