"""Which samples of a table take part: cuts on coordinates, and equal numbers in every bin of a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from skyloom.errors import DataError, nearest
from skyloom.fields.convention import class_names


def select(table: xr.Dataset, ranges: Mapping[str, Sequence[float | str]]) -> NDArray[np.bool_]:
    """Return which samples have every named coordinate inside its closed range, or of a named class.

    Args:
        table: Coordinates of ``n`` samples.
        ranges: Coordinate to ``[low, high]``, in the coordinate's unit, or to names of its classes.

    Returns:
        Whether each sample takes part, shape ``(n,)``.

    Raises:
        DataError: There is no such coordinate or class, or no sample is left; the message tells what the
            range was.

    Example:
        >>> from skyloom.fields import example
        >>> int(select(example(), {"redshift": [8, 8.5]}).sum())
        12
    """
    keep = np.ones(table.sizes["sample"], dtype=bool)
    for name, wanted in ranges.items():
        values = _numbers(table, name)
        if isinstance(wanted[0], str):
            keep &= np.isin(values, [_code(table, name, str(word)) for word in wanted])
        else:
            low, high = (float(end) for end in wanted)
            keep &= (values >= low) & (values <= high)
        if not keep.any():
            raise DataError(
                f"no sample is left after {name} in [{', '.join(map(str, wanted))}]",
                hint=f"it runs from {np.nanmin(values):.4g} to {np.nanmax(values):.4g}; widen data.select",
            )
    return keep


def balance(
    table: xr.Dataset, parameter: str, *, bins: int = 10, within: str | None = "redshift", seed: int = 0
) -> NDArray[np.bool_]:
    """Return a choice of samples with equal numbers in each occupied bin of a label.

    Every bin keeps as many samples as the least occupied one holds, within each value of ``within`` by
    itself; which ones is drawn from the seed.

    Args:
        table: Coordinates of ``n`` samples.
        parameter: The label to balance.
        bins: Equal-width bins between the ends of its range, or its extremes where it has none.
        within: Coordinate whose values are balanced apart; ``None`` for all together.
        seed: Which of the surplus samples are left out.

    Returns:
        Whether each sample takes part, shape ``(n,)``.

    Raises:
        DataError: There is no such coordinate, or a sample has no value of it.

    Example:
        >>> from skyloom.fields import example
        >>> ds = example(groups=8, per_group=4)
        >>> kept = ds["x_HI"].values[balance(ds, "x_HI", bins=4, within=None)]
        >>> counts = np.histogram(kept, np.linspace(0, 1, 5))[0]
        >>> len(set(counts[counts > 0])) == 1
        True
    """
    values = _numbers(table, parameter)
    for name in filter(None, (parameter, within)):
        if np.isnan(_numbers(table, name)).any():
            raise DataError(
                f"samples without {name} cannot be balanced",
                hint="select those that have it, or set within: null",
            )
    attributes = table[parameter].attrs
    low, high = attributes.get("low", values.min()), attributes.get("high", values.max())
    codes = list(class_names(table, parameter))
    if codes:
        bins, place = len(codes), np.searchsorted(codes, values)
    else:
        edges = np.linspace(low, high, bins + 1)
        place = np.clip(np.digitize(values, edges) - 1, 0, bins - 1)
    apart = np.zeros(len(values)) if within is None else _numbers(table, within)
    generator = np.random.default_rng(seed)
    keep = np.zeros(len(values), dtype=bool)
    for value in np.unique(apart):
        cells = [np.flatnonzero((apart == value) & (place == b)) for b in range(bins)]
        cells = [cell for cell in cells if cell.size]
        fewest = min(cell.size for cell in cells)
        for cell in cells:
            keep[generator.permutation(cell)[:fewest]] = True
    return keep


def spread_over(groups: Sequence[str] | NDArray[Any], count: int) -> NDArray[np.int64]:
    """Return rows of a few samples of as many groups as there are, to be looked at.

    Args:
        groups: Group of each sample, shape ``(n,)``.
        count: Samples wanted.

    Returns:
        At most ``count`` rows: the middle one of each group in turn, then others of these groups.

    Example:
        >>> spread_over(["a", "a", "a", "b", "b"], 4).tolist()
        [1, 3, 0]
    """
    names, rows = np.asarray(groups), []
    members = [np.flatnonzero(names == name) for name in dict.fromkeys(names.tolist())]
    for share in (0.5, 0.2, 0.8, 0.05):
        rows += [int(found[int(share * (len(found) - 1))]) for found in members]
    return np.array(list(dict.fromkeys(rows))[:count], dtype=np.int64)


def _code(table: xr.Dataset, name: str, word: str) -> int:
    codes = {given: code for code, given in class_names(table, name).items()}
    if word not in codes:
        raise DataError(
            f"{word!r} is no class of {name!r}",
            hint=nearest(word, codes) if codes else "it has no classes: give an interval [low, high]",
        )
    return codes[word]


def _numbers(table: xr.Dataset, name: str) -> NDArray[np.float64]:
    numeric = [str(c) for c in table.coords if table[c].dtype.kind in "if" and table[c].dims == ("sample",)]
    if name not in numeric:
        raise DataError(f"no numeric coordinate {name!r} in the field set", hint=nearest(name, numeric))
    return np.asarray(table[name].values, dtype=np.float64)
