r"""Distances between two ensembles: how far apart are two sets of draws, in one number with its error?

Two kinds of input: values, shape ``(n,)``, and features, shape ``(n, D)``, one row a sample. Features should
be brought to a common scale first (`normalised`); nothing here knows where they come from.

Every estimate from finite samples is off for equal laws too: a Fréchet distance is too large by a term that
falls as ``1 / n``, so a distance means something only beside that of two real sets of the same sizes. Errors
are those of a jackknife that leaves out blocks of whole groups (`grouped.jackknifed`): drawing with
replacement, as a bootstrap does, makes copies of samples, which a distance that compares pairs takes for a
signal.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist, pdist
from scipy.stats import rankdata

from skyloom.errors import DataError, ShapeError, UsageError

Array = NDArray[Any]


class Manifold(NamedTuple):
    """How two clouds of points cover each other; each is 1, up to sampling, for equal laws."""

    precision: float
    """Share of generated points inside the real cloud (Kynkäänniemi et al. 2019)."""
    recall: float
    """Share of real points inside the generated cloud."""
    density: float
    """Mean number of real balls around a generated point over ``neighbours`` (Naeem et al. 2020)."""
    coverage: float
    """Share of real points whose ball holds a generated point."""


def normalised(reference: Array, *others: Array) -> list[Array]:
    r"""Return features on one scale, that of the reference's bulk, with tails drawn in.

    .. math:: y = \mathrm{arsinh}\big((x - \mathrm{median}) / s\big), \qquad s = (q_{75} - q_{25}) / 1.349

    ``s`` is the sd of a Gaussian; where the quartiles are equal the sd itself is taken. A few wild values,
    such as the kurtosis of a nearly empty map, would otherwise be all of a distance.

    Args:
        reference: Features, shape ``(n, D)``.
        others: More ensembles, shape ``(m, D)`` each.

    Returns:
        The reference and the others; columns that are constant in the reference are left out of all.

    Raises:
        ShapeError: An ensemble has another number of columns.
        DataError: An ensemble is empty or not finite.

    Example:
        >>> a, b = normalised(np.array([[-1.349, 7.0], [0.0, 7.0], [1.349, 7.0]]), np.array([[2.698, 8.0]]))
        >>> b.shape, bool(np.isclose(b[0, 0], np.arcsinh(2.698)))
        ((1, 1), True)
    """
    tables = [_table(reference), *(_table(other) for other in others)]
    _same_columns(*tables)
    low, middle, high = np.quantile(tables[0], [0.25, 0.5, 0.75], axis=0)
    sd = tables[0].std(axis=0)
    varies = sd > 1e-10 * np.maximum(np.abs(middle), 1e-300)
    bulk = (high - low) / 1.349
    scale = np.where(bulk > 1e-10 * sd, bulk, sd)[varies]
    return [np.arcsinh((table[:, varies] - middle[varies]) / scale) for table in tables]


def wasserstein(first: ArrayLike, second: ArrayLike, *, order: int = 1) -> float:
    r"""Wasserstein distance of values on a line, from their quantile functions.

    .. math:: W_p = \Big( \int_0^1 |F_1^{-1}(q) - F_2^{-1}(q)|^p \, dq \Big)^{1/p}

    Args:
        first: Values, shape ``(n,)``, in any unit ``u``.
        second: Values [u], shape ``(m,)``.
        order: ``p``, 1 or more.

    Returns:
        The distance [u].

    Raises:
        UsageError: ``order`` is less than 1.
        DataError: An ensemble is empty or not finite.

    Example:
        >>> wasserstein([0.0, 1.0], [3.0, 4.0])
        3.0
    """
    if order < 1:
        raise UsageError(f"wasserstein: order is {order!r}, allowed: 1 or more")
    a, b = (np.sort(_table(np.ravel(values))[:, 0]) for values in (first, second))
    return float(_quantile_gap(a[:, None], b[:, None], order)[0] ** (1 / order))


def sliced_wasserstein(
    first: Array, second: Array, *, order: int = 2, directions: int = 128, seed: int = 0
) -> float:
    r"""Wasserstein distance of points, averaged over projections on random lines (Bonneel et al. 2015).

    .. math:: SW_p = \Big( \big\langle W_p^p(\theta \cdot x_1, \theta \cdot x_2) \big\rangle_{|\theta| = 1}
              \Big)^{1/p}

    Args:
        first: Features, shape ``(n, D)``, in one unit ``u``.
        second: Features [u], shape ``(m, D)``.
        order: ``p``, 1 or more.
        directions: Lines drawn.
        seed: Seed of the lines.

    Returns:
        The distance [u]; for ``p = 2`` a shift ``d`` of an ensemble gives ``|d| / sqrt(D)``.

    Raises:
        UsageError: ``order`` or ``directions`` is less than 1.
        ShapeError: The ensembles differ in ``D``.
        DataError: An ensemble is empty or not finite.

    Example:
        >>> points = np.random.default_rng(0).standard_normal((100, 2))
        >>> sliced_wasserstein(points, points)
        0.0
    """
    if order < 1 or directions < 1:
        raise UsageError(
            f"sliced_wasserstein: order {order!r}, directions {directions!r}, allowed: 1 or more"
        )
    a, b = _pair(first, second)
    lines = np.random.default_rng(seed).standard_normal((a.shape[1], directions))
    lines /= np.linalg.norm(lines, axis=0)
    gaps = _quantile_gap(np.sort(a @ lines, axis=0), np.sort(b @ lines, axis=0), order)
    return float(gaps.mean() ** (1 / order))


def mmd(first: Array, second: Array, *, bandwidth: float | None = None) -> float:
    r"""Squared maximum mean discrepancy with a Gaussian kernel, unbiased (Gretton et al. 2012, eq. 3).

    .. math:: \mathrm{MMD}^2 = \langle k(x, x') \rangle_{x \ne x'} + \langle k(y, y') \rangle_{y \ne y'}
              - 2 \langle k(x, y) \rangle, \qquad k(x, y) = e^{-|x - y|^2 / 2 h^2}

    Args:
        first: Features, shape ``(n, D)``, in one unit ``u``.
        second: Features [u], shape ``(m, D)``.
        bandwidth: ``h`` [u]; left out, the median distance between two points of either ensemble.

    Returns:
        The square [dimensionless], 0 on average for equal laws and then as often negative as positive.

    Raises:
        ShapeError: The ensembles differ in ``D``.
        DataError: An ensemble has fewer than two points or is not finite, or all points are equal.
        UsageError: The bandwidth is not positive.

    Example:
        >>> near, far = np.zeros((5, 1)), np.full((5, 1), 100.0)
        >>> round(mmd(near, far, bandwidth=1.0), 6)
        2.0
    """
    a, b = _pair(first, second, least=2)
    h = float(np.median(pdist(np.concatenate([a, b])))) if bandwidth is None else bandwidth
    if not h > 0:
        if bandwidth is None:
            raise DataError("mmd: at least half of all pairs of points are equal", hint="give a bandwidth")
        raise UsageError(f"mmd: bandwidth is {bandwidth!r}, allowed: more than 0")
    own = [np.exp(-pdist(points, "sqeuclidean") / (2 * h**2)).mean() for points in (a, b)]
    return float(own[0] + own[1] - 2 * np.exp(-cdist(a, b, "sqeuclidean") / (2 * h**2)).mean())


def frechet(first: Array, second: Array) -> float:
    r"""Squared Fréchet distance of the Gaussians with the means and covariances of two ensembles.

    .. math:: d^2 = |\mu_1 - \mu_2|^2 + \mathrm{tr}\big(\Sigma_1 + \Sigma_2
              - 2 (\Sigma_1^{1/2} \Sigma_2 \Sigma_1^{1/2})^{1/2}\big)

    It is the square that Heusel et al. (2017) call FID, on whatever features are given.

    Args:
        first: Features, shape ``(n, D)``, in one unit ``u``.
        second: Features [u], shape ``(m, D)``.

    Returns:
        The square [u²].

    Raises:
        ShapeError: The ensembles differ in ``D``.
        DataError: An ensemble has fewer than two points or is not finite.

    Example:
        >>> points = np.random.default_rng(0).standard_normal((50, 3))
        >>> round(frechet(points, points + [1.0, 0.0, 2.0]), 6)
        5.0
    """
    a, b = _pair(first, second, least=2)
    covariances = [np.atleast_2d(np.cov(points, rowvar=False)) for points in (a, b)]
    root = _root(covariances[0])
    cross = np.linalg.eigvalsh(root @ covariances[1] @ root)
    shift = np.square(a.mean(axis=0) - b.mean(axis=0)).sum()
    traces = np.trace(covariances[0]) + np.trace(covariances[1])
    return float(max(shift + traces - 2 * np.sqrt(np.maximum(cross, 0)).sum(), 0.0))


def manifold(real: Array, generated: Array, *, neighbours: int = 5) -> Manifold:
    """Precision, recall, density and coverage in feature space.

    A cloud is the union of the balls around its points that reach to their ``neighbours``-th nearest fellow.

    Args:
        real: Features, shape ``(n, D)``, in one unit ``u``.
        generated: Features [u], shape ``(m, D)``.
        neighbours: Fellows inside a ball.

    Returns:
        ``Manifold(precision, recall, density, coverage)`` (Kynkäänniemi et al. 2019, arXiv:1904.06991; Naeem
        et al. 2020, arXiv:2002.09797). Two sets of equal law have a precision below 1 where ``D`` is large.

    Raises:
        ShapeError: The ensembles differ in ``D``.
        UsageError: ``neighbours`` is less than 1.
        DataError: An ensemble has no more points than ``neighbours``, or is not finite.

    Example:
        >>> points = np.random.default_rng(0).standard_normal((50, 2))
        >>> manifold(points, points[:25] + 100.0)
        Manifold(precision=0.0, recall=0.0, density=0.0, coverage=0.0)
    """
    if neighbours < 1:
        raise UsageError(f"manifold: neighbours is {neighbours!r}, allowed: 1 or more")
    a, b = _pair(real, generated, least=neighbours + 1)
    # Position 0 of a sorted row is the point itself.
    reach = [np.partition(cdist(points, points), neighbours, axis=1)[:, neighbours] for points in (a, b)]
    between = cdist(a, b)
    in_real, in_generated = between <= reach[0][:, None], between <= reach[1][None, :]
    return Manifold(
        float(in_real.any(axis=0).mean()),
        float(in_generated.any(axis=1).mean()),
        float(in_real.sum(axis=0).mean() / neighbours),
        float(in_real.any(axis=1).mean()),
    )


def two_sample_auc(
    first: Array,
    second: Array,
    first_groups: Array,
    second_groups: Array,
    *,
    classifier: Literal["logistic", "boosting"] = "logistic",
    folds: int = 5,
    seed: int = 0,
) -> float:
    r"""How well a classifier tells two ensembles apart on groups that it has not seen.

    The classifier two-sample test of Lopez-Paz & Oquab (2017, arXiv:1610.06545). Groups of the same name
    stand on the same side of a fold, whichever ensemble they are of. The area under
    the ROC curve is that of each fold, averaged: scores of different folds have no common zero.

    Args:
        first: Features, shape ``(n, D)``.
        second: Features, shape ``(m, D)``.
        first_groups: Group of each sample, shape ``(n,)``.
        second_groups: Group of each sample, shape ``(m,)``.
        classifier: ``logistic`` regression on features and their squares, or ``boosting`` of trees.
        folds: At most so many; fewer where there are fewer groups.
        seed: Seed of the folds and the trees.

    Returns:
        The area: 0.5 for equal laws, 1 where no sample can be mistaken. Two Gaussians of unit width a
        distance ``d`` apart have :math:`\Phi(d / \sqrt 2)`.

    Raises:
        ShapeError: The ensembles differ in ``D``.
        UsageError: An unknown classifier, or fewer than 2 folds.
        DataError: An ensemble has fewer than two groups, or is not finite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> near, far = rng.normal(size=(40, 1)), 50.0 + rng.normal(size=(40, 1))
        >>> two_sample_auc(near, far, np.arange(40), np.arange(40, 80))
        1.0
    """
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if folds < 2:
        raise UsageError(f"two_sample_auc: folds is {folds!r}, allowed: 2 or more")
    a, b = _pair(first, second)
    fewest = min(len(np.unique(groups)) for groups in (first_groups, second_groups))
    if fewest < 2:
        raise DataError(
            "two_sample_auc: an ensemble has one group only", hint="at least two are needed in each"
        )
    x, y = np.concatenate([a, b]), np.repeat([0, 1], [len(a), len(b)])
    groups = np.concatenate([np.asarray(first_groups).astype(str), np.asarray(second_groups).astype(str)])
    options: dict[str, Any] = {"n_splits": min(folds, fewest), "shuffle": True, "random_state": seed}
    # Groups of one sample need not be kept together, which is dealt out a hundred times faster.
    if len(np.unique(groups)) == len(groups):
        dealt = StratifiedKFold(**options).split(x, y)
    else:
        dealt = StratifiedGroupKFold(**options).split(x, y, groups)
    areas = []
    for train, test in dealt:
        if len(set(y[train])) < 2 or len(set(y[test])) < 2:
            continue
        scores = _scores(classifier, x[train], y[train], x[test], seed)
        areas.append(exceeds(scores[y[test] == 1], scores[y[test] == 0]))
    if not areas:
        raise DataError("two_sample_auc: no fold holds both ensembles", hint="give more groups to each")
    return float(np.mean(areas))


def exceeds(first: ArrayLike, second: ArrayLike) -> float:
    """Return the probability that one of the first exceeds one of the second; ties count half.

    It is the area under the ROC curve, and Mann and Whitney's statistic over ``n m``.

    Args:
        first: Values, shape ``(n,)``, in any unit ``u``.
        second: Values [u], shape ``(m,)``.

    Example:
        >>> exceeds([1.0, 3.0], [0.0, 1.0])
        0.875
    """
    a, b = np.ravel(first), np.ravel(second)
    ranks = rankdata(np.concatenate([a, b]))[: len(a)]
    return float((ranks.mean() - (len(a) + 1) / 2) / len(b))


def _scores(classifier: str, train: Array, labels: Array, test: Array, seed: int) -> Array:
    """Scores of the test rows by a classifier fitted on the train rows; higher is more like label 1."""
    from sklearn import config_context
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    with config_context(assume_finite=True, skip_parameter_validation=True):
        if classifier == "boosting":
            trees = HistGradientBoostingClassifier(max_iter=60, max_leaf_nodes=8, random_state=seed)
            return np.asarray(trees.fit(train, labels).predict_proba(test)[:, 1])
        if classifier != "logistic":
            raise UsageError(f"two_sample_auc: classifier is {classifier!r}, allowed: logistic, boosting")
        # Squares let it see a difference of widths.
        for squared in (False, True):
            if squared:
                train, test = (
                    np.concatenate([x, np.square(np.clip(x, -10, 10))], axis=1) for x in (train, test)
                )
            mean, sd = train.mean(axis=0), train.std(axis=0)
            train, test = ((x - mean) / np.where(sd > 0, sd, 1.0) for x in (train, test))
        model = LogisticRegression(C=0.1, solver="newton-cholesky").fit(train, labels)
        return np.asarray(model.decision_function(test))


def _quantile_gap(a: Array, b: Array, order: int) -> Array:
    """Integral of the gap of two quantile functions to a power, column by column; both are sorted."""
    if len(a) == len(b):
        return np.asarray((np.abs(a - b) ** order).mean(axis=0))
    edges = np.union1d(np.arange(len(a) + 1) / len(a), np.arange(len(b) + 1) / len(b))
    middle, width = 0.5 * (edges[1:] + edges[:-1]), np.diff(edges)
    gap = a[(middle * len(a)).astype(int)] - b[(middle * len(b)).astype(int)]
    return np.asarray((np.abs(gap) ** order * width[:, None]).sum(axis=0))


def _root(covariance: Array) -> Array:
    values, vectors = scipy.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)


def _table(points: ArrayLike, least: int = 1) -> Array:
    table = np.asarray(points, np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2:
        raise ShapeError(f"an ensemble has shape {table.shape}, allowed: (n, D), one row a sample")
    if len(table) < least:
        raise DataError(f"an ensemble has {len(table)} samples, and {least} are needed")
    if not np.isfinite(table).all():
        bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
        raise DataError(
            f"an ensemble is not finite in {bad.size} of {len(table)} samples, the first {bad[0]}"
        )
    return table


def _pair(first: ArrayLike, second: ArrayLike, least: int = 1) -> tuple[Array, Array]:
    a, b = _table(first, least), _table(second, least)
    _same_columns(a, b)
    return a, b


def _same_columns(*tables: Array) -> None:
    widths = [table.shape[1] for table in tables]
    if len(set(widths)) > 1:
        raise ShapeError(f"ensembles of {' and '.join(map(str, widths))} features cannot be compared")
