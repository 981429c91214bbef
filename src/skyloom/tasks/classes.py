"""The prediction of classes: one labelled table of truth and probabilities.

Everything that judges, draws or stores it reads this one ``xarray.Dataset``:

- dims: ``sample``, ``class`` and, where there are prediction sets, ``level``;
- variables: ``truth`` (sample), the number of the right class, -1 where it is not known; ``probability``
  (sample, class); ``set`` (sample, class, level), whether the class belongs to the prediction set that holds
  the truth with the probability ``level``;
- coordinates: ``sample``, ``group``, ``redshift`` (sample); ``class`` (class), their names; ``level``;
- attributes: ``answers`` (``classes``), ``target`` (what the classes are of), ``side``, ``leaky`` (0 or 1),
  ``scores`` (names separated by blanks), ``temperature`` (1 for the method's own probabilities) and
  ``intervals``: ``none`` (no sets) or ``conformal``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from skyloom.errors import DataError, ShapeError, UsageError

UNKNOWN = -1  # the class of a sample that has no label


def class_prediction(
    outputs: Mapping[str, np.ndarray],
    table: xr.Dataset,
    truth: np.ndarray,
    *,
    classes: Sequence[str],
    target: str,
    scores: Sequence[str] = (),
    side: str = "",
    leaky: bool = False,
) -> xr.Dataset:
    """Build the prediction of some samples from the probabilities of classes.

    Args:
        outputs: ``mean``, the probabilities, shape ``(n, C)``; each row sums to 1.
        table: Coordinates of the same ``n`` samples in the same order: ``sample``, ``group`` and, where
            known, ``redshift``.
        truth: Number of the right class of each sample, shape ``(n,)``; -1 where it is not known.
        classes: Names of the ``C`` classes.
        target: Name of what the classes are of, such as ``x_HI``.
        scores: Names of the scores by which the task judges.
        side: ``train``, ``validation``, ``test`` or the name of another set.
        leaky: Whether the split lets information pass.

    Returns:
        The prediction as this module describes it.

    Raises:
        UsageError: There is another output than ``mean``.
        ShapeError: The probabilities do not fit the table or the classes.
        DataError: A row does not sum to 1, or holds a value that is negative or not finite.

    Example:
        >>> table = xr.Dataset(coords={"sample": ["a"], "group": ("sample", ["g"])})
        >>> p = class_prediction({"mean": np.array([[0.2, 0.8]])}, table, np.array([1]),
        ...     classes=["none", "streaming"], target="transport")
        >>> str(p["class"].values[p["probability"].values.argmax()])
        'streaming'
    """
    if set(outputs) != {"mean"}:
        raise UsageError(
            f"a prediction of classes is made of 'mean' alone; found {sorted(outputs)}",
            hint="rename or drop the other outputs of the method",
        )
    probability = np.asarray(outputs["mean"], float)
    n, C = table.sizes["sample"], len(classes)
    if probability.shape != (n, C) or np.shape(truth) != (n,):
        raise ShapeError(
            f"probabilities {probability.shape} and truth {np.shape(truth)}; {n} samples and {C} classes"
            f" need ({n}, {C}) and ({n},)",
            hint="predict the rows of the table, all of them and in their order",
        )
    wrong = ~(np.abs(probability.sum(axis=1) - 1) < 1e-3) | ~(probability >= 0).all(axis=1)
    if wrong.any():
        first = table["sample"].values[wrong][0]
        raise DataError(
            f"the probabilities of sample '{first}' are {probability[wrong][0].tolist()}; they must be at"
            f" least 0 and sum to 1 ({int(wrong.sum())} of {n} samples do not)",
            hint="a network that gives NaN has diverged: lower its lr",
        )
    kept = ("sample", "group", "redshift")
    coords = {name: ("sample", table[name].values) for name in kept if name in table.coords}
    coords["class"] = ("class", np.array(list(classes), dtype=str))
    return xr.Dataset(
        {
            "truth": ("sample", np.asarray(truth, np.int64)),
            "probability": (("sample", "class"), probability / probability.sum(axis=1, keepdims=True)),
        },
        coords=coords,
        attrs={
            "answers": "classes",
            "target": target,
            "side": side,
            "leaky": int(leaky),
            "scores": " ".join(scores),
            "temperature": 1.0,
            "intervals": "none",
        },
    )


def summary_rows(prediction: xr.Dataset) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return what a prediction says of its samples together, one row for each class that is given.

    Args:
        prediction: As this module describes it.

    Returns:
        The header, and rows of text from the commonest class to the rarest: the class, in what share of the
        samples it is the likeliest, its mean probability over all of them and, where the truth is known, in
        what share it is right.

    Example:
        >>> p = xr.Dataset({"probability": (("sample", "class"), [[0.9, 0.1], [0.7, 0.3], [0.2, 0.8]]),
        ...     "truth": ("sample", [-1, -1, -1])}, coords={"class": ["none", "streaming"]})
        >>> summary_rows(p)[1]
        [('none', '67 %', '0.600', '-'), ('streaming', '33 %', '0.400', '-')]
    """
    p, truth = prediction["probability"].values, prediction["truth"].values
    given = p.argmax(axis=1)
    counts, known = np.bincount(given, minlength=p.shape[1]), (truth != UNKNOWN).all()
    rows: list[tuple[str, ...]] = []
    for c in np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]:
        share, right = f"{100 * counts[c] / len(p):.0f} %", "-"
        if known:
            right = f"{100 * (truth == c).mean():.0f} %"
        rows.append((str(prediction["class"].values[c]), share, f"{p[:, c].mean():.3f}", right))
    return ("class", "given to", "mean probability", "true of"), rows


def answers(prediction: xr.Dataset) -> str:
    """Tell what a prediction is of: ``classes`` or ``parameters``.

    Example:
        >>> answers(xr.Dataset(attrs={"answers": "classes"})), answers(xr.Dataset())
        ('classes', 'parameters')
    """
    return str(prediction.attrs.get("answers", "parameters"))
