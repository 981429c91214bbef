r"""Observables of detector events: what a shower array measures, from the charges and times of its channels.

Definitions follow the HAWC observatory (Abeysekara et al. 2017, ApJ 843, 39, arXiv:1701.01778). ``CxPE40`` is
the largest charge more than 40 m from the core; few hits with one large charge far out betray a muon of a
hadronic shower, so the compactness ``nHit / CxPE40`` is large for photons. ``PINC`` tells how unevenly charge
lies around the core. Distances are from the axis of the shower. HAWC corrects its charges for the height and
the response of each tube ("effective charge"); here they are taken as given. Charges are counted in
photoelectrons (PE), which astropy spells ``electron``.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics.component import EventStatistic
from skyloom.statistics.shower_front import C, fit_front

Array = NDArray[Any]

_BLOCK = 2**20  # channels of events looked at at once


class Observables(NamedTuple):
    """What was measured of ``n`` events, with ``R`` rings about the core."""

    nHit: Array
    """Channels hit, shape ``(n,)``."""
    charge: Array
    """Sum of the charges of the hits [PE], shape ``(n,)``."""
    zenith: Array
    """Zenith angle of the fitted plane front [rad], shape ``(n,)``; NaN where the hits do not fix one."""
    azimuth: Array
    """Azimuth of the fitted plane front, in (-π, π] [rad], shape ``(n,)``."""
    front_rms: Array
    """Root mean square of the times about the fitted front [ns], shape ``(n,)``."""
    CxPE40: Array
    """Largest charge of a hit more than 40 m from the core [PE], shape ``(n,)``; 0 where there is none."""
    compactness: Array
    """``nHit / CxPE40`` [1/PE], shape ``(n,)``; NaN where ``CxPE40`` is 0."""
    PINC: Array
    """Mean square of log10 of the charge about its mean in the ring, over ``sigma²``, shape ``(n,)``."""
    charge_profile: Array
    """Mean charge of the channels of a ring, hit or not [PE], shape ``(n, R)``."""
    time_profile: Array
    """Mean time after the front of the hits of a ring [ns], shape ``(n, R)``."""


def observables(
    charge: Array,
    time: Array,
    hit: Array,
    position: Array,
    edges: Array,
    core: Array | None = None,
    direction: Array | None = None,
    *,
    weights: Literal["none", "charge"] = "none",
    rejection: float | None = None,
    beyond: float = 40.0,
    width: float = 5.0,
    sigma: float = 1.0,
) -> Observables:
    r"""Measure events of a detector array.

    .. math:: C = \frac{n_\mathrm{hit}}{\mathrm{CxPE}_{40}}, \qquad
              \mathrm{PINC} = \frac{1}{N} \sum_{i=1}^{N} \frac{(\zeta_i - \langle\zeta\rangle_i)^2}{\sigma^2},
              \quad \zeta_i = \log_{10} q_i

    The mean :math:`\langle\zeta\rangle_i` is over the hits in the ring, ``width`` wide about the core, that
    hit :math:`i` lies in; hits without a positive charge are left out.

    Args:
        charge: Charges [PE], shape ``(n, M)``; what is not a hit is not looked at.
        time: Arrival times [ns], shape ``(n, M)``.
        hit: Whether the channel was hit, booleans of shape ``(n, M)``.
        position: Where the channels are [m], shape ``(M, 3)``, or ``(M, 2)`` on level ground.
        edges: Ascending radii of the rings of the profiles [m], shape ``(R + 1,)``.
        core: Where the axis meets the ground [m], shape ``(n, 2)``, at the mean height of the channels; left
            out, the mean position of the hits weighted by charge.
        direction: Zenith angle and azimuth of arrival [rad], shape ``(n, 2)``; left out, that of the fitted
            plane. Distances and the time profile refer to it; where it is NaN, to the vertical.
        weights: Whether the hits of the fit count by their charge or alike.
        rejection: As in ``fit_front``.
        beyond: Radius of ``CxPE40`` [m].
        width: Width of the rings of ``PINC`` [m].
        sigma: Spread of log10 of the charge that is expected of a photon [dex]. HAWC takes it from photons of
            the Crab nebula as a function of the charge; 1 leaves ``PINC`` in dex².

    Returns:
        The observables, one row an event.

    Raises:
        ShapeError: The arrays do not fit each other.
        DataError: A charge or time of a hit, a position or a core is NaN or infinite.
        UsageError: A number is out of range.

    Example:
        >>> x = np.array([[0.0, 0.0], [50.0, 0.0], [0.0, 60.0], [90.0, 90.0]])
        >>> q = np.array([[100.0, 8.0, 4.0, 0.0]])
        >>> o = observables(q, np.zeros((1, 4)), q > 0, x, np.array([0.0, 40.0, 200.0]), np.zeros((1, 2)))
        >>> o.nHit.tolist(), o.CxPE40.tolist(), o.compactness.tolist(), o.charge_profile.tolist()
        ([3], [8.0], [0.375], [[100.0, 4.0]])
    """
    charge, time, hit, position = _checked(charge, time, hit, position)
    _check_numbers(edges, beyond, width, sigma)
    n, M = charge.shape
    for name, given in (("core", core), ("direction", direction)):
        if given is not None and np.shape(given) != (n, 2):
            raise ShapeError(f"events: {name} has shape {np.shape(given)}, allowed: {(n, 2)}")
    if core is not None and not np.isfinite(core).all():
        raise DataError("events: a core is NaN or infinite", hint="drop these events, or leave the core out")
    parts = []
    step = max(1, _BLOCK // max(M, 1))
    for start in range(0, max(n, 1), step):
        rows = slice(start, start + step)
        parts.append(
            _measure(
                charge[rows],
                time[rows],
                hit[rows],
                position,
                edges,
                None if core is None else np.asarray(core, dtype=np.float64)[rows],
                None if direction is None else np.asarray(direction, dtype=np.float64)[rows],
                by_charge=weights == "charge",
                rejection=rejection,
                numbers=(beyond, width, sigma),
            )
        )
    return Observables(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _checked(charge: Array, time: Array, hit: Array, position: Array) -> tuple[Array, Array, Array, Array]:
    charge, time, hit, position = (np.asarray(array) for array in (charge, time, hit, position))
    if charge.ndim != 2 or not charge.shape == time.shape == hit.shape:
        raise ShapeError(
            f"events: charge {charge.shape}, time {time.shape}, hit {hit.shape}; allowed: (n, M) for all"
        )
    M = charge.shape[1]
    if position.shape not in ((M, 2), (M, 3)):
        raise ShapeError(f"events: positions have shape {position.shape}, allowed: {(M, 2)} or {(M, 3)}")
    if not np.isfinite(position).all():
        raise DataError("events: the position of a channel is NaN or infinite", hint="drop this channel")
    hit = hit.astype(bool)
    for name, values in (("charge", charge), ("time", time)):
        bad = int((hit & ~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise DataError(
                f"events: the {name} of a hit is NaN or infinite in {bad} of {len(values)} events",
                hint="mark such channels as not hit",
            )
    return charge, time, hit, position.astype(np.float64)


def _check_numbers(edges: Array, beyond: float, width: float, sigma: float) -> None:
    radii = np.asarray(edges)
    if radii.ndim != 1 or len(radii) < 2 or (np.diff(radii) <= 0).any() or radii[0] < 0:
        raise UsageError(f"events: edges are {radii.tolist()!r}, allowed: two or more ascending radii")
    for name, value in (("width", width), ("sigma", sigma)):
        if not value > 0:
            raise UsageError(f"events: {name} is {value!r}, allowed: more than 0")
    if not beyond >= 0:
        raise UsageError(f"events: beyond is {beyond!r}, allowed: 0 or more")


def _measure(
    charge: Array,
    time: Array,
    hit: Array,
    position: Array,
    edges: Array,
    core: Array | None,
    direction: Array | None,
    *,
    by_charge: bool,
    rejection: float | None,
    numbers: tuple[float, float, float],
) -> tuple[Array, ...]:
    beyond, width, sigma = numbers
    q = np.where(hit, charge, 0.0).astype(np.float64)
    n_hit, total = hit.sum(axis=1), q.sum(axis=1)
    front = fit_front(time, hit, position, np.maximum(q, 0.0) if by_charge else None, rejection=rejection)
    axis = np.stack([front.zenith, front.azimuth], axis=1) if direction is None else direction
    u = _unit_vectors(axis)
    foot = q @ position[:, :2] / np.where(total > 0, total, np.nan)[:, None] if core is None else core
    r = _from_axis(position, foot, u)
    far = np.where(hit & (r > beyond), q, 0.0).max(axis=1, initial=0.0)
    compactness = n_hit / np.where(far > 0, far, np.nan)
    late = front.residual
    if direction is not None:
        late = np.where(hit, time + (u[:, :2] @ position[:, :2].T + _height(u, position)) / C, np.nan)
        late = late - (np.nansum(late, axis=1) / np.where(n_hit > 0, n_hit, np.nan))[:, None]
    timed = hit & np.isfinite(late)
    return (
        n_hit, total, front.zenith, front.azimuth, front.rms, far, compactness,
        _pinc(q, hit, r, width) / sigma**2,
        _ring_mean(q, np.ones_like(hit), r, edges),
        _ring_mean(np.where(timed, late, 0.0), timed, r, edges),
    )  # fmt: skip


def _unit_vectors(axis: Array) -> Array:
    zenith, azimuth = np.where(np.isfinite(axis).all(axis=1, keepdims=True), axis, 0.0).T
    sine = np.sin(zenith)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), np.cos(zenith)], axis=1)


def _height(u: Array, position: Array) -> Array:
    """Return ``u_z z`` of every channel, 0 on level ground."""
    z = position[:, 2] if position.shape[1] == 3 else np.zeros(len(position))
    return np.asarray(u[:, 2:] * z)


def _from_axis(position: Array, foot: Array, u: Array) -> Array:
    """Distance of every channel from the axis of every event [m], shape ``(n, M)``; NaN without a core."""
    apart = position[None, :, :2] - foot[:, None, :]
    z = position[:, 2] - position[:, 2].mean() if position.shape[1] == 3 else np.zeros(len(position))
    along = np.einsum("nma,na->nm", apart, u[:, :2]) + u[:, 2:] * z
    return np.asarray(np.sqrt(np.maximum(np.square(apart).sum(axis=2) + z**2 - along**2, 0.0)))


def _ring_mean(values: Array, counted: Array, r: Array, edges: Array) -> Array:
    """Mean over the counted channels of each ring, shape ``(n, R)``; NaN where there is none."""
    n, R = len(values), len(edges) - 1
    ring = np.searchsorted(edges, r, side="right") - 1  # NaN sorts behind all edges
    inside = counted & (ring >= 0) & (ring < R)
    cell = (np.arange(n)[:, None] * R + ring)[inside]
    number = np.bincount(cell, minlength=n * R)
    total = np.bincount(cell, weights=values[inside], minlength=n * R)
    return (total / np.where(number > 0, number, np.nan)).reshape(n, R)


def _pinc(q: Array, hit: Array, r: Array, width: float) -> Array:
    """Mean square deviation of log10 of the charge from its mean in rings of equal width [dex²]."""
    used = hit & (q > 0) & np.isfinite(r)
    zeta = np.log10(np.where(used, q, 1.0))
    ring = np.where(used, np.floor(np.where(used, r, 0.0) / width), 0).astype(np.int64)
    R = int(ring.max(initial=0)) + 1
    mean = _ring_mean(zeta, used, ring + 0.5, np.arange(R + 1))
    apart = np.where(used, zeta - np.take_along_axis(mean, ring, axis=1), 0.0)
    number = used.sum(axis=1)
    return np.asarray(np.square(apart).sum(axis=1) / np.where(number > 0, number, np.nan))


_DESCRIBED = {
    "nHit": ("", "channels hit"),
    "total_charge": ("{q}", "total charge"),
    "zenith": ("rad", "zenith angle of the plane front"),
    "azimuth": ("rad", "azimuth of the plane front"),
    "front_rms": ("ns", "rms of the times about the plane front"),
    "CxPE40": ("{q}", "largest charge outside the core"),
    "compactness": ("1 / {q}", "compactness nHit / CxPE40"),
    "PINC": ("", "PINC, unevenness of the charge about the core"),
    "charge_profile": ("{q}", "mean charge of a channel"),
    "time_profile": ("ns", "mean time after the plane front"),
}


class EventObservables(EventStatistic):
    """Observables of the events of a detector array.

    It takes a dataset with the variables ``charge`` [PE], ``time`` [ns] and ``hit`` (booleans) of dimensions
    ``(sample, channel)``, and on ``channel`` the coordinates ``x``, ``y`` [m] and, where heights differ,
    ``z``. On ``sample`` it may hold ``core_x`` and ``core_y`` [m], and ``zenith`` and ``azimuth`` of arrival
    [rad]; what is absent is taken from the hits themselves, as ``events.observables`` tells.

    Args:
        bins: Rings of equal width of the lateral profiles.
        r_max: Outer edge of the last ring [m].
        weights: Whether the hits of the plane fit count by their ``charge`` or alike (``none``).
        rejection: Leave out of the fit hits that lie more than so many robust standard deviations from it.
        beyond: Radius of ``CxPE40`` [m].
        width: Width of the rings of ``PINC`` [m].
        sigma: Spread of log10 of the charge expected of a photon [dex].

    Raises:
        UsageError: A number is out of range.

    Example:
        >>> layout = {"x": ("channel", [0.0, 50.0, 0.0]), "y": ("channel", [0.0, 0.0, 60.0])}
        >>> q = (("sample", "channel"), np.array([[100.0, 8.0, 4.0]]))
        >>> t, hit = (q[0], np.zeros((1, 3))), (q[0], np.ones((1, 3), bool))
        >>> ds = xr.Dataset({"charge": q, "time": t, "hit": hit}, coords=layout)
        >>> EventObservables().compute(ds)["total_charge"].values.tolist()
        [112.0]
    """

    def __init__(
        self,
        *,
        bins: int = 15,
        r_max: float = 150.0,
        weights: Literal["none", "charge"] = "none",
        rejection: float | None = None,
        beyond: float = 40.0,
        width: float = 5.0,
        sigma: float = 1.0,
    ) -> None:
        if bins < 1 or not r_max > 0:
            raise UsageError(f"bins is {bins!r} and r_max {r_max!r}, allowed: 1 or more, and more than 0")
        if rejection is not None and not rejection > 0:
            raise UsageError(f"rejection is {rejection!r}, allowed: a positive number of standard deviations")
        self.edges = np.linspace(0.0, r_max, bins + 1)
        _check_numbers(self.edges, beyond, width, sigma)
        self.weights, self.rejection = weights, rejection
        self.beyond, self.width, self.sigma = beyond, width, sigma

    def compute(self, events: xr.Dataset) -> xr.Dataset:
        """Measure the events of a dataset.

        Args:
            events: As the class describes.

        Returns:
            On ``sample``: ``nHit``, ``total_charge``, ``zenith``, ``azimuth``, ``front_rms``, ``CxPE40``,
            ``compactness``, ``PINC``; on ``(sample, radius)``: ``charge_profile``, ``time_profile``.

        Raises:
            DataError: A variable or coordinate is missing, or holds NaN or infinity.
            ShapeError: Dimensions are not as described.
        """
        missing = [name for name in ("charge", "time", "hit", "x", "y") if name not in events]
        if missing:
            raise DataError(
                f"event_observables: the dataset has no {', '.join(missing)}",
                hint="it needs charge, time, hit of (sample, channel), and x, y on channel",
            )
        names = ("sample", "channel")
        strange = [name for name in ("charge", "time", "hit") if set(events[name].dims) != set(names)]
        if strange:
            raise ShapeError(
                f"event_observables: {strange[0]} has dimensions {events[strange[0]].dims}, allowed: {names}"
            )
        axes = [events[name].values for name in ("x", "y", "z") if name in events]
        charges, times, hits = (events[name].transpose(*names).values for name in ("charge", "time", "hit"))
        found = observables(
            charges,
            times,
            hits,
            np.stack(axes, axis=1),
            self.edges,
            _pair(events, "core_x", "core_y"),
            _pair(events, "zenith", "azimuth"),
            weights=self.weights,
            rejection=self.rejection,
            beyond=self.beyond,
            width=self.width,
            sigma=self.sigma,
        )
        charge = events["charge"].attrs.get("units") or "electron"
        variables = {}
        for (name, (unit, meaning)), values in zip(_DESCRIBED.items(), found, strict=True):
            dims = ("sample", "radius") if values.ndim == 2 else ("sample",)
            variables[name] = (dims, values, {"units": unit.format(q=charge), "long_name": meaning})
        middle = 0.5 * (self.edges[1:] + self.edges[:-1])
        radius = ("radius", middle, {"units": "m", "long_name": "distance from the axis of the shower"})
        return xr.Dataset(variables, coords={"radius": radius})


def _pair(events: xr.Dataset, first: str, second: str) -> Array | None:
    """Return two coordinates of the samples side by side, None where neither is there."""
    there = [name for name in (first, second) if name in events]
    if len(there) == 1:
        raise DataError(f"event_observables: the dataset has {there[0]} only", hint=f"give {first}, {second}")
    return np.stack([events[first].values, events[second].values], axis=1) if there else None
