r"""Checks across samples: copies of a map, what its mean gives away, simulations that differ from the rest.

The share of variance that maps of one simulation have in common is the intraclass correlation of a one-way
analysis of variance with :math:`K` groups of about :math:`m` maps,
:math:`\rho = (MS_b - MS_w) / (MS_b + (m - 1) MS_w)`; it makes :math:`n` maps worth
:math:`n / (1 + (m - 1)\rho)` independent ones (Kish 1965).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from skyloom.formats.doctor.findings import Finding, named, or_ok
from skyloom.formats.doctor.surveying import FieldSurvey
from skyloom.splits.fingerprint import twin_parts

_TOLD, _HINTED = 0.9, 0.5  # rank correlation with a label
_FAR = 6.0  # robust standard deviations
_SURE = 5.0  # Student's t of a rank correlation with the order of the set
_FLAT = 1e-4  # of a map's spread: a mean that varies less was removed


def copies(fields: Sequence[FieldSurvey], ids: np.ndarray, clusters: np.ndarray) -> list[Finding]:
    """Find maps that are there twice: exactly, or turned, flipped, rolled or rescaled.

    Args:
        fields: What ``survey`` returned.
        ids: Names of the samples, shape ``(n,)``.
        clusters: What each sample may share with others, shape ``(n,)``: copies inside one are kept together
            by a split, copies across them leak.
    """
    found = []
    for f in (f for f in fields if f.maps):
        plain = f.maximum == f.minimum
        exact = _classes([[] if flat else [text] for text, flat in zip(f.digests, plain, strict=True)])
        found += _told(f.name, "the same to the last bit", exact, ids, clusters)
        parts = _classes([twin_parts(text) for text in f.prints])
        twins = [rows for rows in parts if len({f.digests[row] for row in rows}) > 1]
        found += _told(f.name, "each other turned, flipped, rolled or rescaled", twins, ids, clusters)
    return or_ok("copies", found)


def _classes(keys: list[list[str]]) -> list[list[int]]:
    """Return the rows that share a key, two or more each, every such class once."""
    rows: dict[str, list[int]] = {}
    for row, texts in enumerate(keys):
        for text in texts:
            rows.setdefault(text, []).append(row)
    return [
        list(group) for group in {tuple(dict.fromkeys(group)) for group in rows.values()} if len(group) > 1
    ]


def _told(
    name: str, how: str, classes: list[list[int]], ids: np.ndarray, clusters: np.ndarray
) -> list[Finding]:
    classes = [group for group in sorted(classes) if len(group) > 1]
    across = [group for group in classes if len({str(clusters[row]) for row in group}) > 1]
    inside = [group for group in classes if group not in across]
    found = []
    if across:
        message = (
            f"{name}: {_maps(across)} maps are {how}, though of different simulations: "
            f"{named(ids[across[0]])}. A split by simulation leaks them"
        )
        found.append(Finding("warning", "copies", message, "remove them, or give them one group"))
    if inside:
        message = f"{name}: {_maps(inside)} maps of one simulation are {how}: {named(ids[inside[0]])}"
        found.append(
            Finding("note", "copies", message, "they count once; a split by group keeps them together")
        )
    return found


def _maps(classes: list[list[int]]) -> int:
    return len({row for group in classes for row in group})


def monopole(
    fields: Sequence[FieldSurvey], labels: Mapping[str, np.ndarray], groups: np.ndarray
) -> list[Finding]:
    """Find labels that the mean of a map gives away, and fields whose mean was removed.

    Args:
        fields: What ``survey`` returned.
        labels: Values of every label, shape ``(n,)``.
        groups: Simulation of each sample, shape ``(n,)``.
    """
    found = []
    for f in (f for f in fields if f.maps):
        means, spread = f.mean, float(np.nanmedian(f.sd)) if np.isfinite(f.sd).any() else 0.0
        known = np.isfinite(means)
        if known.sum() < 2 or spread == 0:
            continue
        if np.ptp(means[known]) < _FLAT * spread:
            message = f"{f.name}: the mean of a map is {means[known].mean():.3g} in all of them"
            found.append(
                Finding("note", "monopole", message, "amplitudes are relative to a mean that is gone")
            )
            continue
        if len(np.unique(groups)) < 3:
            continue
        strength = {name: _rank_correlation(means[known], values[known]) for name, values in labels.items()}
        told = {name: r for name, r in strength.items() if abs(r) >= _TOLD}
        hinted = {name: r for name, r in strength.items() if _HINTED <= abs(r) < _TOLD}
        if told:
            message = (
                f"{f.name}: the mean of a map alone gives the answer away, rank correlation {_list(told)}. A "
                "network may read the mean and nothing else"
            )
            step = "compare with the baseline 'moments'; the transform remove_mean takes the mean away"
            found.append(Finding("warning", "monopole", message, step))
        if hinted:
            message = f"{f.name}: the mean of a map hints at {_list(hinted)} (rank correlation)"
            found.append(Finding("note", "monopole", message))
    return or_ok("monopole", found)


def _list(correlations: Mapping[str, float]) -> str:
    return ", ".join(f"{r:+.2f} with {name}" for name, r in correlations.items())


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    from scipy.stats import rankdata

    if len(np.unique(a)) < 4 or len(np.unique(b)) < 4:
        return 0.0
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def simulations(fields: Sequence[FieldSurvey], groups: np.ndarray) -> list[Finding]:
    """Find simulations unlike the others, a drift along the set, and how much maps of one have in common.

    Args:
        fields: What ``survey`` returned.
        groups: Simulation of each sample, shape ``(n,)``, in the order of the set.
    """
    names, first, index = np.unique(np.asarray(groups, dtype=str), return_index=True, return_inverse=True)
    found: list[Finding] = []
    for f in (f for f in fields if f.maps):
        for what, values in (("mean", f.mean), ("spread", f.sd)):
            known = np.isfinite(values)
            count = np.bincount(index[known], minlength=len(names))
            if len(names) < 3 or (count == 0).any():
                continue
            means = np.bincount(index[known], weights=values[known], minlength=len(names)) / count
            found += _outliers(f, what, means, names)
            found += _trend(f, what, means[np.argsort(first)])
            if what == "mean":
                found += _shared(f, values[known], index[known], means, count)
    return or_ok("simulations", found)


def _outliers(f: FieldSurvey, what: str, means: np.ndarray, names: np.ndarray) -> list[Finding]:
    middle = np.median(means)
    typical = 1.4826 * np.median(np.abs(means - middle))
    apart = np.abs(means - middle)
    # Differences far below the structure of a map are rounding.
    far = apart > max(_FAR * typical, 1e-3 * float(np.nanmedian(f.sd)))
    if len(names) < 8 or not far.any():
        return []
    order = np.argsort(-apart)
    worst = names[order][far[order]]
    message = (
        f"{f.name}: the {what} of a map of {named(worst)} lies more than {_FAR:.0f} robust sd from the other "
        f"simulations ({means[order[0]]:.4g}, median {middle:.4g})"
    )
    step = "look at these maps: another unit, a failed run, or the edge of the prior?"
    return [Finding("warning", "simulations", message, step)]


def _trend(f: FieldSurvey, what: str, ordered: np.ndarray) -> list[Finding]:
    K = len(ordered)
    if K < 10 or np.ptp(ordered) < _FLAT * float(np.nanmedian(f.sd)):
        return []
    r = _rank_correlation(np.arange(K), ordered)
    if abs(r) * np.sqrt((K - 2) / max(1 - r**2, 1e-12)) < _SURE:
        return []
    message = f"{f.name}: the {what} of a map drifts along the simulations in the set's order (r = {r:+.2f})"
    return [
        Finding("note", "simulations", message, "fine if the set is sorted by a parameter; else look why")
    ]


def _shared(
    f: FieldSurvey, values: np.ndarray, index: np.ndarray, means: np.ndarray, count: np.ndarray
) -> list[Finding]:
    n, K = len(values), len(means)
    if n - K < 1 or np.ptp(values) < _FLAT * float(np.nanmedian(f.sd)):
        return []
    between = (count * np.square(means - values.mean())).sum() / (K - 1)
    within = np.square(values - means[index]).sum() / (n - K)
    m = (n - np.square(count).sum() / n) / (K - 1)  # the size of a group where sizes differ
    rho = (between - within) / (between + (m - 1) * within)
    if not rho > 0.1:
        return []
    message = (
        f"{f.name}: maps of one simulation share {rho:.0%} of the variance of their mean, so {n} maps count "
        f"as about {n / (1 + (n / K - 1) * rho):.0f} independent ones ({K} simulations)"
    )
    return [Finding("note", "simulations", message, "split by group, and read error bars over groups")]
