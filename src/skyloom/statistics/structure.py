"""Structure functions: moments of the difference of a field between two points a distance apart.

Of turbulence, ``S_p(r)`` goes as ``r^ζ(p)`` in the inertial range; ``ζ(p) = p H`` for a self-similar field,
and less than that at high order where the field is intermittent.

Distances are binned equally in their logarithm from one pixel to half the box. A bin is represented by a few
lattice vectors in it, spread evenly over the angle, with all their mirror images: the same for every order,
and left as they are by turns and flips. Of a periodic field all pairs of pixels that far apart count and the
second order comes from the autocorrelation; of an open one all pairs inside the box.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import UsageError
from skyloom.statistics.arrays import checked, product_unit, spatial_dims
from skyloom.statistics.component import MapStatistic

Array = NDArray[Any]

_CHUNK = 2**18  # cells whose differences are taken at once: 2 MB each


class Structure(NamedTuple):
    """Structure functions; a bin that holds no lattice vector has NaN."""

    lag: Array
    """Mean distance of the pairs in each bin [l], shape ``(bins,)``; the centre of an empty bin."""
    moment: Array
    """``S_p``, of the order ``orders[i]`` at ``[..., i, :]`` [u^p], shape ``(..., orders, bins)``."""


def structure_function(
    field: Array,
    box: float,
    *,
    orders: Sequence[int] = (1, 2, 3),
    bins: int = 16,
    directions: int = 4,
    periodic: bool = True,
    dims: int = 2,
) -> Structure:
    r"""Isotropic structure functions of scalar maps or cubes.

    .. math:: S_p(r) = \big\langle |x(\mathbf r' + \mathbf r) - x(\mathbf r')|^p
              \big\rangle_{\mathbf r',\; |\mathbf r| \in \text{bin}}, \qquad S_2(r) = 2\,(\xi(0) - \xi(r))

    Args:
        field: Real values, shape ``(..., N, N)`` or ``(..., N, N, N)``, in any unit ``u``.
        box: Side length of the box in any length unit ``l``.
        orders: Positive whole numbers ``p``, each once.
        bins: Bins of equal width in the logarithm of the distance, from one pixel to half the box.
        directions: Lattice vectors taken in each bin, each with all its mirror images.
        periodic: Whether opposite faces touch.
        dims: 2 for maps, 3 for cubes; the axes before them are a batch.

    Returns:
        ``Structure(lag [l], moment [u^p])``, shapes ``(bins,)`` and ``(..., orders, bins)``.

    Raises:
        ShapeError: The field is not square.
        DataError: A value is NaN or infinite.
        UsageError: ``box`` is not positive, ``orders`` are not distinct positive whole numbers, ``bins`` or
            ``directions`` is less than 1, or ``dims`` is neither 2 nor 3.

    Example:
        >>> white = np.random.default_rng(0).standard_normal((64, 64))
        >>> s = structure_function(white, 64.0, orders=[2])
        >>> round(float(np.nanmean(s.moment)), 1)  # twice the variance at any distance
        2.0
    """
    values = checked(field, dims, "structure_function")
    if not (math.isfinite(box) and box > 0):
        raise UsageError(f"structure_function: box is {box!r}, allowed: a positive length")
    _check(orders, bins, directions)
    N, lead = values.shape[-1], values.shape[:-dims]
    vectors, place, lag = lag_vectors(N, dims, bins, directions)
    batch = values.reshape(-1, *(N,) * dims)
    count = np.bincount(place, minlength=bins)
    moment = np.full((len(batch), len(orders), bins), np.nan)
    step = max(1, _CHUNK // N**dims)
    for start in range(0, len(batch), step):
        part = batch[start : start + step].astype(np.float64)
        sums = np.zeros((len(part), len(orders), bins))
        direct = [p for p in orders if p != 2 or not periodic]
        if periodic and 2 in orders:
            second = _by_correlation(part, vectors)
            for v, i in enumerate(place):
                sums[:, list(orders).index(2), i] += second[:, v]
        for vector, i in zip(vectors if direct else (), place, strict=False):
            difference = _differences(part, vector, periodic)
            for p in direct:
                power = (difference**p).mean(axis=tuple(range(1, dims + 1)))
                sums[:, list(orders).index(p), i] += power
        moment[start : start + step, :, count > 0] = sums[:, :, count > 0] / count[count > 0]
    return Structure(lag * box / N, moment.reshape(*lead, len(orders), bins))


@lru_cache(maxsize=16)
def lag_vectors(N: int, dims: int, bins: int, directions: int) -> tuple[Array, Array, Array]:
    """Choose the lattice vectors that stand for each bin of distance.

    Args:
        N: Side of the field in pixels.
        dims: 2 for maps, 3 for cubes.
        bins: Bins of equal width in the logarithm of the distance, from 1 to ``N / 2``.
        directions: Vectors in each bin, aside from mirror images.

    Returns:
        Vectors [pixels] ``(K, dims)``, one of each opposite two; the bin of each ``(K,)``; and the mean
        length in each bin [pixels] ``(bins,)``, the centre of an empty one.

    Example:
        >>> vectors, place, lag = lag_vectors(8, 2, 1, 100)
        >>> len(vectors), [round(float(r), 2) for r in lag]  # half of the 48 vectors up to 4 pixels long
        (24, [2.69])
    """
    edges = np.geomspace(1.0, max(N / 2, 1.5), bins + 1)
    octant = np.array(
        [v for v in itertools.product(range(N // 2 + 1), repeat=dims) if v == tuple(sorted(v)) and any(v)]
    )
    length = np.linalg.norm(octant, axis=1)
    inside = length <= edges[-1]
    octant, length = octant[inside], length[inside]
    where = np.minimum(np.searchsorted(edges, length, side="right") - 1, bins - 1)
    found: list[Array] = []
    place: list[int] = []
    for i in range(bins):
        here, r = octant[where == i], length[where == i]
        # From an axis to the diagonal; of equal directions the shorter first.
        here = here[np.lexsort((r, here.sum(axis=1) / r))]
        evenly = np.linspace(0, len(here) - 1, min(directions, len(here))).round().astype(int)
        for vector in here[evenly]:
            images = _images(vector)
            found.extend(images)
            place.extend([i] * len(images))
    vectors, bin_of = np.array(found), np.array(place)
    count = np.bincount(bin_of, minlength=bins)
    total = np.bincount(bin_of, weights=np.linalg.norm(vectors, axis=1), minlength=bins)
    return vectors, bin_of, np.where(count > 0, total / np.maximum(count, 1), np.sqrt(edges[1:] * edges[:-1]))


def _images(vector: Array) -> list[Array]:
    """Return all mirror images of a lattice vector, one of each opposite two."""
    images = {
        tuple(int(s * c) for s, c in zip(signs, order, strict=True))
        for order in itertools.permutations(vector)
        for signs in itertools.product((1, -1), repeat=len(vector))
    }
    return [np.array(image) for image in sorted(images) if image > (0,) * len(vector)]


def _differences(fields: Array, vector: Array, periodic: bool) -> Array:
    """Absolute differences of fields (n, ...) between all pairs of pixels ``vector`` apart."""
    if periodic:
        axes = tuple(range(1, fields.ndim))
        return np.asarray(np.abs(np.roll(fields, tuple(-vector), axis=axes) - fields))
    ahead = (slice(None), *(slice(max(v, 0), min(v, 0) or None) for v in vector))
    behind = (slice(None), *(slice(max(-v, 0), min(-v, 0) or None) for v in vector))
    return np.asarray(np.abs(fields[ahead] - fields[behind]))


def _by_correlation(fields: Array, vectors: Array) -> Array:
    """Second order of periodic fields (n, ...) for every vector, shape ``(n, K)``."""
    axes = tuple(range(1, fields.ndim))
    modes = scipy.fft.rfftn(fields - fields.mean(axis=axes, keepdims=True), axes=axes)
    power = np.square(modes.real) + np.square(modes.imag)
    xi = scipy.fft.irfftn(power, s=fields.shape[1:], axes=axes) / math.prod(fields.shape[1:])
    zero = xi[(slice(None), *(0,) * (fields.ndim - 1))]
    apart = xi[(slice(None), *vectors.T)]
    return np.asarray(np.maximum(2 * (zero[:, None] - apart), 0.0))


def _check(orders: Sequence[int], bins: int, directions: int) -> None:
    whole = all(isinstance(p, int | np.integer) and p > 0 for p in orders)
    if not orders or not whole or len(set(orders)) < len(orders):
        raise UsageError(
            f"structure_function: orders are {orders!r}, allowed: positive whole numbers, each once"
        )
    if bins < 1:
        raise UsageError(f"structure_function: bins is {bins!r}, allowed: 1 or more")
    if directions < 1:
        raise UsageError(f"structure_function: directions is {directions!r}, allowed: 1 or more")


class StructureFunctions(MapStatistic):
    """The isotropic structure functions of every map or cube.

    Args:
        orders: Positive whole numbers, each once.
        bins: Bins of equal width in the logarithm of the distance.
        directions: Lattice vectors taken in each bin, each with all its mirror images.

    Raises:
        UsageError: ``orders`` are not distinct positive whole numbers, or another number is less than 1.

    Example:
        >>> maps = np.random.default_rng(0).standard_normal((2, 16, 16))
        >>> ds = StructureFunctions(orders=[2, 3], bins=4).compute(maps, 16.0, True, "mK", box_unit="Mpc")
        >>> ds["order_3"].dims, ds["order_3"].attrs["units"]
        (('sample', 'lag'), 'mK3')
    """

    def __init__(
        self,
        *,
        orders: list[int] = [1, 2, 3],  # noqa: B006 - read, never written
        bins: int = 16,
        directions: int = 4,
    ) -> None:
        _check(orders, bins, directions)
        self.orders, self.bins, self.directions = tuple(orders), bins, directions

    def compute(
        self, maps: Array, box: float, periodic: bool, units: str, box_unit: str = "Mpc"
    ) -> xr.Dataset:
        """Compute the structure functions of maps or cubes.

        Arguments as ``MapStatistic.compute``.

        Returns:
            ``order_p (sample, lag)`` for each order; bins without a lattice vector are left out.
        """
        dims = spatial_dims(maps)
        s = structure_function(
            maps,
            box,
            orders=self.orders,
            bins=self.bins,
            directions=self.directions,
            periodic=periodic,
            dims=dims,
        )
        place = lag_vectors(maps.shape[-1], dims, self.bins, self.directions)[1]
        filled = np.unique(place)
        variables = {
            f"order_{p}": (
                ("sample", "lag"),
                s.moment[:, i, filled],
                {
                    "units": product_unit([units] * p, box_unit, 0),
                    "long_name": f"structure function of order {p}",
                },
            )
            for i, p in enumerate(self.orders)
        }
        said = {"units": box_unit, "long_name": "distance"}
        return xr.Dataset(variables, coords={"lag": ("lag", s.lag[filled], said)})
