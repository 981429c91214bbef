"""Which samples depend on each other, and how whole clusters of them are dealt to the sides.

Two samples depend on each other if they share a group, a seed or a parent box. Dependence is passed on (a
union-find): in CAMELS the N-body twin of a hydrodynamic run has a group of its own but the same seed, so
both runs are one cluster and stay on one side; the 1P, EX and BE runs share one seed and are one cluster.
A set that does not know its seeds must number its simulations: samples with one seed are kept together.

Clusters are dealt in the order of a hash of their group names and the split's seed. The order of the samples
plays no part, and neither does a sample more or less in a group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from skyloom.errors import DataError, nearest
from skyloom.runs import SIDES

TIES = ("group", "seed", "parent")


def column(table: xr.Dataset, name: str) -> np.ndarray:
    """Return one coordinate of the samples.

    Args:
        table: A field set, or its coordinates alone.
        name: The coordinate.

    Returns:
        One value a sample, shape ``(n,)``.

    Raises:
        DataError: There is no such coordinate, or it holds a NaN.

    Example:
        >>> column(xr.Dataset(coords={"sample": ["a", "b"], "seed": ("sample", [1, 2])}), "seed")
        array([1, 2])
    """
    along = [str(key) for key, value in table.coords.items() if value.dims == ("sample",)]
    if name not in along:
        raise DataError(f"the samples have no coordinate {name!r}", hint=nearest(name, along))
    values = np.asarray(table[name].values)
    lost = np.isnan(values) if values.dtype.kind == "f" else np.zeros(len(values), dtype=bool)
    if lost.any():
        raise DataError(
            f"the coordinate {name!r} is not known for {lost.sum()} of {len(values)} samples, "
            f"such as {table['sample'].values[lost][0]!s}",
            hint="give every sample a value, or split by another coordinate",
        )
    return values


def clusters(table: xr.Dataset, key: str = "group") -> np.ndarray:
    """Name the cluster of each sample: samples that share group, seed, parent or ``key``, passed on.

    Args:
        table: A field set, or its coordinates alone.
        key: One more coordinate whose equal values depend on each other.

    Returns:
        A name for each sample, shape ``(n,)``: the sorted names of all groups of its cluster.

    Raises:
        DataError: A coordinate is missing or holds a NaN.

    Example:
        >>> names = {"sample": ["a", "b", "c"], "group": ["gas", "twin", "other"], "parent": ["a", "b", "c"]}
        >>> columns = {name: ("sample", column) for name, column in {**names, "seed": [5, 5, 6]}.items()}
        >>> clusters(xr.Dataset(coords=columns)).tolist()
        ['gas, twin', 'gas, twin', 'other']
    """
    labels = components([column(table, name) for name in dict.fromkeys((*TIES, key))])
    members: dict[int, set[str]] = {}
    for label, group in zip(labels.tolist(), column(table, "group").astype(str).tolist(), strict=True):
        members.setdefault(label, set()).add(group)
    names = {label: ", ".join(sorted(groups)) for label, groups in members.items()}
    return np.array([names[label] for label in labels.tolist()], dtype=str)


def components(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Number the connected components of samples, where an equal value in any column connects.

    Args:
        columns: Arrays of shape ``(n,)``.

    Returns:
        A number from 0 for each sample, shape ``(n,)``.

    Example:
        >>> components([np.array(["a", "a", "b", "c"]), np.array([1, 2, 2, 3])])
        array([0, 0, 0, 1])
    """
    root = np.arange(len(columns[0]))

    def find(row: int) -> int:
        while root[row] != row:
            root[row] = root[root[row]]
            row = int(root[row])
        return row

    for values in columns:
        _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
        for row, head in enumerate(first[inverse.ravel()]):
            root[find(row)] = find(int(head))
    _, numbers = np.unique([find(row) for row in range(len(root))], return_inverse=True)
    return np.asarray(numbers).ravel()


def deal(names: Sequence[str], fractions: Mapping[str, float], seed: int, *, what: str) -> dict[str, str]:
    """Deal names to sides, every side at least one, in an order that only the names and the seed decide.

    Args:
        names: What is dealt; repetitions count once.
        fractions: Side to its share of the names, positive.
        seed: Another seed, another order.
        what: What the names are, for the error.

    Returns:
        Name to side.

    Raises:
        DataError: There are fewer names than sides.

    Example:
        >>> dealt = deal(["c", "b", "a"], {"train": 0.5, "test": 0.5}, 0, what="groups")
        >>> dealt == deal(["a", "b", "c", "a"], {"train": 0.5, "test": 0.5}, 0, what="groups")
        True
    """
    unique = sorted(set(names), key=lambda name: hashlib.sha256(f"{seed}\n{name}".encode()).digest())
    if len(unique) < len(fractions):
        raise DataError(
            f"{len(unique)} {what} cannot fill {len(fractions)} sides ({', '.join(fractions)})",
            hint="what shares a group, a seed or a parent stays together: simulate more, or split by slab",
        )
    shares = np.array(list(fractions.values())) * len(unique) / sum(fractions.values())
    counts = np.maximum(np.floor(shares + 1e-9).astype(int), 1)
    while counts.sum() != len(unique):
        step = 1 if counts.sum() < len(unique) else -1
        # An emptied side is no side: only sides of two or more may give.
        wish = np.where((counts > 1) | (step > 0), step * (shares - counts), -np.inf)
        counts[int(np.argmax(wish))] += step
    sides = np.repeat(list(fractions), counts)
    return dict(zip(unique, sides.tolist(), strict=True))


def deal_classes(
    names: np.ndarray, codes: np.ndarray, fractions: Mapping[str, float], seed: int, label: str
) -> dict[str, str]:
    """Deal the names of each class by themselves, so that every side has some of every class.

    Args:
        names: Cluster of each sample, shape ``(n,)``.
        codes: Class of each sample, shape ``(n,)``.
        fractions: Side to its share of each class, positive.
        seed: Another seed, another order.
        label: What the classes are called, for the errors.

    Returns:
        Name to side.

    Raises:
        DataError: A class has fewer clusters than there are sides, or a cluster is of two classes.

    Example:
        >>> names, codes = np.array(["a", "b", "c", "d"]), np.array([0, 0, 1, 1])
        >>> dealt = deal_classes(names, codes, {"train": 0.5, "test": 0.5}, 0, "transport")
        >>> sorted([dealt["a"], dealt["b"]]), sorted([dealt["c"], dealt["d"]])
        (['test', 'train'], ['test', 'train'])
    """
    side: dict[str, str] = {}
    for code in np.unique(codes):
        here = sorted(set(names[codes == code].tolist()))
        crossing = [name for name in here if name in side]
        if crossing:
            raise DataError(
                f"the cluster {crossing[0]!r} holds several values of {label!r}",
                hint="stratify by what is one value in each simulation",
            )
        side |= deal(here, fractions, seed, what=f"independent clusters of {label} {code:g}")
    return side


def gather(table: xr.Dataset, sides: Sequence[str]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Collect the ids of each side.

    Args:
        table: A field set, or its coordinates alone.
        sides: A side for each sample, ``""`` for none.

    Returns:
        Side to ids, and the ids on no side.

    Raises:
        DataError: A side is empty.

    Example:
        >>> gather(xr.Dataset(coords={"sample": ["a", "b", "c", "d"]}), ["train", "test", "", "validation"])
        ({'train': ('a',), 'validation': ('d',), 'test': ('b',)}, ('c',))
    """
    ids, where = table["sample"].values.astype(str), np.asarray(sides, dtype=str)
    found = {side: tuple(ids[where == side].tolist()) for side in SIDES}
    empty = [side for side, members in found.items() if not members]
    if empty:
        groups = len(np.unique(table["group"].values)) if "group" in table.coords else 0
        raise DataError(
            f"no sample is left for {' and '.join(empty)}: {len(ids)} samples of {groups} groups, "
            f"{(where == '').sum()} excluded",
            hint="widen the ranges, shrink the buffer, or simulate more",
        )
    return found, tuple(ids[where == ""].tolist())
