r"""Maps of what particles carry: column densities, and means along the line of sight.

Every particle spreads its mass over the pixels by its kernel :math:`K_p(i)`, the share of it that lies over
pixel :math:`i`. A column density is :math:`\sum_p w_p K_p(i) / A` with the pixel's area :math:`A`; a mean is
:math:`\sum_p w_p q_p K_p(i) / \sum_p w_p K_p(i)`, weighted by mass or by volume. All maps of a call share one
pixel grid and one pass over the particles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skyloom.errors import ShapeError, UsageError, nearest
from skyloom.fields.particles.deposit import deposit
from skyloom.fields.particles.view import View

Array = NDArray[Any]
VOLUME = "volume"
"""The weight of a mean that is each particle's volume, 4/3 π r³."""


def project(
    positions: ArrayLike,
    radii: ArrayLike,
    view: View,
    *,
    sums: Mapping[str, ArrayLike],
    means: Mapping[str, tuple[ArrayLike, str]] | None = None,
    kernel: str = "sphere",
    box: float | None = None,
    way: str = "exact",
    empty: float = np.nan,
    threads: int | None = None,
) -> dict[str, Array]:
    """Project particles onto the pixels of a view.

    Args:
        positions: Shape ``(n, 3)``, any length unit ``l``.
        radii: Radius at which each particle ends, shape ``(n,)`` [l].
        view: Centre, width, pixels and rotation of the map.
        sums: Name -> what is added up, shape ``(n,)`` [u], such as the mass.
        means: Name -> ``(values, weight)``: values of shape ``(n,)``, and the name of the sum that weighs
            them, or ``volume``.
        kernel: ``sphere`` for Voronoi cells, ``spline`` or ``wendland`` for SPH; as in ``deposit``.
        box: Side of the periodic box [l]. A view of the whole box that is not turned is periodic itself;
            otherwise each particle is seen once, at its image nearest to the centre.
        way: ``exact`` or ``nested``, as in ``deposit``.
        empty: Value of a mean where there is no weight.
        threads: Threads; one per core if not given.

    Returns:
        Name -> map ``(N, N)``, axes ``y, x``: sums per area [u / l²], means in the unit of their values.

    Raises:
        UsageError: A weight is unknown, a name stands twice, or the view is wider than the periodic box.
        ShapeError: A quantity has not one value a particle.

    Example:
        >>> view = View(centre=(0.0, 0.0, 0.0), width=2.0, pixels=4)
        >>> maps = project([[0.1, 0.2, 0.0]], [0.5], view, sums={"gas": [3.0]}, means={"T": ([1e4], "gas")})
        >>> round(float(maps["gas"].sum() * view.pixel**2), 12), round(float(np.nanmax(maps["T"])), 6)
        (3.0, 10000.0)
    """
    means = dict(means or {})
    if twice := sorted(set(sums) & set(means)):
        raise UsageError(f"{twice[0]!r} is asked for as a sum and as a mean", hint="give one another name")
    if box is not None and view.width > box * (1 + 1e-9):
        raise UsageError(
            f"the view is {view.width:g} wide, the periodic box {box:g}", hint="allowed: up to the box"
        )
    R = np.asarray(radii, dtype=np.float64)
    weights = {name: np.asarray(values, dtype=np.float64) for name, values in sums.items()}
    if any(weight == VOLUME for _, weight in means.values()) and VOLUME not in weights:
        weights[VOLUME] = 4 / 3 * np.pi * R**3
    columns = dict(weights)
    for name, (values, weight) in means.items():
        if weight not in weights:
            hint = nearest(weight, [*sums, VOLUME])
            raise UsageError(f"the mean {name!r} is to be weighted by {weight!r}", hint=hint)
        columns[name] = np.asarray(values, dtype=np.float64) * weights[weight]
    for name, column in columns.items():
        if column.shape != R.shape:
            raise ShapeError(f"{name!r} has the shape {column.shape}, the radii {R.shape}; they must agree")
    wraps = box is not None and view.rotation is None and bool(np.isclose(view.width, box))
    seen = view.turned(positions, box)[:, :2] / view.pixel + view.pixels / 2
    stacked = np.stack(list(columns.values()), axis=1) if columns else np.zeros((len(R), 0))
    deposited = deposit(
        seen, R / view.pixel, stacked,
        pixels=view.pixels, kernel=kernel, periodic=wraps, way=way, threads=threads,
    )  # fmt: skip
    image = dict(zip(columns, deposited, strict=True))
    maps = {name: image[name] / view.pixel**2 for name in sums}
    for name, (_, weight) in means.items():
        filled = image[weight] > 0
        maps[name] = np.where(filled, image[name] / np.where(filled, image[weight], 1.0), empty)
    return maps
