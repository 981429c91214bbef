"""Summary statistics of several ensembles in the same bins, through the registry.

Maps of all ensembles are handed to a statistic together, so that bins which it takes from its input are the
same for all. A statistic of one field is computed of each, one of a pair of fields of each pair, one of
events of the set as a whole. Of a field with one number a sample (events) mean and PDF are always there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import xarray as xr

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate.generated.sample import Ensemble

FOR_MAPS = ("pdf", "power_spectrum", "cross_spectrum", "coherence", "bispectrum", "minkowski")
BINS = 16  #: of the PDF of numbers
# A few wild pixels of the real maps would put all others into one bin.
RANGE = (0.001, 0.999)


@dataclass(frozen=True)
class Curve:
    """One statistic of all ensembles.

    Args:
        statistic: Name in the registry.
        of: The field, or both fields of a pair, or empty for events.
        variable: The variable of the statistic.
        values: Shape ``(n, bins)``, the ensembles one after another.
        variable_attrs: ``units`` and ``long_name``.
        dims: Names of the bin dimensions.
        shape: Number of bins of each.
        coords: Coordinates of the bins.
    """

    statistic: str
    of: str
    variable: str
    values: np.ndarray
    variable_attrs: dict[str, Any]
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    coords: dict[str, xr.DataArray]

    @property
    def key(self) -> str:
        """``field.statistic.variable``; both fields of a pair stand first, with a hyphen."""
        of = self.of.replace(" × ", "-")
        return ".".join(part for part in (of, self.statistic, self.variable) if part)


def default_statistics(dims: int) -> list[str]:
    """Return the statistics that a scorecard uses if none are named: those of the list that are installed.

    Args:
        dims: Spatial axes of the fields, 0 for events.

    Example:
        >>> default_statistics(2)[:2]
        ['pdf', 'power_spectrum']
    """
    installed = registry.names("statistic")
    return [name for name in FOR_MAPS if name in installed] if dims else []


def compute_curves(
    ensembles: Sequence[Ensemble],
    specs: Sequence[str | dict[str, Any]],
    *,
    progress: Callable[[], None] = lambda: None,
) -> list[Curve]:
    """Compute statistics of ensembles.

    Args:
        ensembles: The first is the real one: the PDF covers its range.
        specs: Components of kind ``statistic``.
        progress: Called after each statistic.

    Returns:
        The curves; bins that hold nothing in any sample are left out.

    Raises:
        UsageError: A statistic is for events and the set holds maps of something else, or the other way
            round.
        ShapeError: A statistic gives other bins for one ensemble of events than for another.
    """
    curves: list[Curve] = []
    for spec in specs:
        named = registry.resolve(spec, "statistic")["name"]
        kind = getattr(registry.get(named, "statistic"), "inputs", "map")
        if kind == "event" and ensembles[0].dims == 2 and {"charge", "hit"} <= set(ensembles[0].fields):
            curves += _of_events([of_maps(ensemble) for ensemble in ensembles], spec)
            progress()
            continue
        if (kind == "event") != (ensembles[0].dims == 0):
            held = "maps" if ensembles[0].dims else "events"
            raise UsageError(
                f"statistic {named!r} is one of a {kind}, and the sets hold {held}",
                hint="name other statistics",
            )
        if kind == "event":
            curves += _of_events(ensembles, spec)
        elif kind == "pair":
            for pair in combinations(ensembles[0].fields, 2):
                curves += _of_maps(ensembles, spec, pair)
        else:
            for name in ensembles[0].fields:
                curves += _of_maps(ensembles, _ranged(spec, ensembles[0].values(name)), (name,))
        progress()
    return curves


def curves_of_numbers(ensembles: Sequence[Ensemble]) -> list[Curve]:
    """Return mean and PDF of every field that has one number a sample.

    Args:
        ensembles: The first is the real one: the PDF covers its range.

    Returns:
        Of each field its value, shape ``(n, 1)`` in its unit, and its histogram, shape ``(n, BINS)`` in one
        over that unit: the mean over samples is the PDF.
    """
    curves: list[Curve] = []
    for name, field in ensembles[0].data.data_vars.items():
        if field.dims != ("sample",):
            continue
        of, told = str(name), {key: str(field.attrs[key]) for key in ("units", "long_name")}
        values = np.concatenate([ensemble.values(of) for ensemble in ensembles]).astype(np.float64)
        curves.append(Curve("mean", of, "mean", values[:, None], told, (), (), {}))
        low, high = (float(end) for end in np.quantile(ensembles[0].values(of), RANGE))
        if not low < high:
            continue
        edges = np.linspace(low, high, BINS + 1)
        inside = (values >= low) & (values <= high)
        place = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
        counts = (place[:, None] == np.arange(BINS)) & inside[:, None]
        middle = xr.DataArray(0.5 * (edges[1:] + edges[:-1]), dims="value", attrs=told)
        unit = f"1 / ({told['units']})" if told["units"] else ""
        density = {"units": unit, "long_name": "PDF"}
        width = edges[1] - edges[0]
        curves.append(
            Curve("pdf", of, "pdf", counts / width, density, ("value",), (BINS,), {"value": middle})
        )
    return curves


def of_maps(ensemble: Ensemble) -> Ensemble:
    """Return the events that maps of a detector show, in the frame of their own front.

    Generated maps know no direction of arrival, so that of the real ones is not looked at either: times are
    relative to the front, and the direction that a statistic finds is what the times still say against it.

    Args:
        ensemble: Maps ``charge``, ``hit`` and, where there are any, ``time``, as the format ``xcdf`` has.

    Raises:
        FormatError: A map is missing.
    """
    from skyloom.formats.xcdf import event_set

    upright = ("sample", np.zeros(len(ensemble)), {"role": "label", "units": "rad", "long_name": "angle"})
    other = [name for name in ensemble.data.coords if name not in ("sample", "group")]
    maps = ensemble.data.drop_vars(other).assign_coords(zenith=upright, azimuth=upright)
    return Ensemble(event_set(maps), ensemble.groups, ensemble.theta)


def _ranged(spec: str | dict[str, Any], values: np.ndarray) -> dict[str, Any]:
    """A PDF without ends gets those of the real values."""
    resolved = registry.resolve(spec, "statistic")
    if resolved["name"] == "pdf" and resolved["low"] is None and resolved["high"] is None:
        low, high = (float(end) for end in np.quantile(values, RANGE))
        if low < high:
            return {**resolved, "low": low, "high": high}
    return resolved


def _of_maps(
    ensembles: Sequence[Ensemble], spec: str | dict[str, Any], names: tuple[str, ...]
) -> list[Curve]:
    data = ensembles[0].data
    statistic = registry.build(spec, "statistic")
    maps = [np.concatenate([ensemble.values(name) for ensemble in ensembles]) for name in names]
    units = [str(data[name].attrs["units"]) for name in names]
    told = units[0] if len(units) == 1 else tuple(units)
    box, periodic = float(data.attrs["box_size"]), bool(data.attrs["periodic"])
    # Code units have no name; the box is then a pure number.
    found = statistic.compute(*maps, box, periodic, told, box_unit=str(data.attrs["box_size_unit"]))
    return _curves(found, registry.resolve(spec, "statistic")["name"], " × ".join(names))


def _of_events(ensembles: Sequence[Ensemble], spec: str | dict[str, Any]) -> list[Curve]:
    name = registry.resolve(spec, "statistic")["name"]
    statistic = registry.build(spec, "statistic")
    found = [statistic.compute(ensemble.data) for ensemble in ensembles]
    for other in found[1:]:
        for variable in found[0].data_vars:
            if other[variable].shape[1:] != found[0][variable].shape[1:]:
                raise ShapeError(
                    f"{name}: '{variable}' has other bins in one set than in another",
                    hint="give the statistic fixed bins",
                )
    joined = {
        variable: xr.concat([f[variable].drop_vars("sample", errors="ignore") for f in found], "sample")
        for variable in found[0].data_vars
        if "sample" in found[0][variable].dims
    }
    return _curves(xr.Dataset(joined), name, "")


def _curves(found: xr.Dataset, statistic: str, of: str) -> list[Curve]:
    curves = []
    for variable, told in found.data_vars.items():
        if "sample" not in told.dims:
            continue
        array = told.transpose("sample", ...)
        dims = tuple(str(dim) for dim in array.dims[1:])
        values = np.asarray(array.values, np.float64).reshape(len(array), -1)
        if not np.isfinite(values).any():
            continue
        coords = {str(dim): found[dim] for dim in dims if dim in found.coords}
        curves.append(
            Curve(statistic, of, str(variable), values, dict(array.attrs), dims, array.shape[1:], coords)
        )
    return curves
