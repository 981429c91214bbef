"""Scores of classes: by hand, by scikit-learn, and in the published confusion of the cosmic-ray paper."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn import metrics

from skyloom.errors import ShapeError, UsageError
from skyloom.evaluate.class_scores import ClassScores, brier, confusion, log_loss, of_counts, per_class

# Bustard & Wu (2024), Table 2 and its confusion matrix, in shares of each of five equally frequent classes.
PUBLISHED = np.array(
    [
        [0.779, 0.114, 0, 0.080, 0.027],
        [0, 0.984, 0, 0.015, 0],
        [0, 0, 1, 0, 0],
        [0.002, 0.080, 0.008, 0.842, 0.069],
        [0.002, 0.011, 0.034, 0.145, 0.808],
    ]
)


def drawn(n=600, C=3, seed=0):
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(C), size=n)
    truth = (probability.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return truth, probability


def test_counts_agree_with_scikit_learn():
    truth, probability = drawn()
    given = probability.argmax(axis=1)
    matrix = confusion(truth, given, 3)
    assert matrix.tolist() == metrics.confusion_matrix(truth, given).tolist()
    told, each = of_counts(matrix), per_class(matrix)
    assert told["accuracy"] == pytest.approx(metrics.accuracy_score(truth, given))
    assert told["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(truth, given))
    for name, function in (("precision", metrics.precision_score), ("f1", metrics.f1_score)):
        assert told[name] == pytest.approx(function(truth, given, average="macro"))
        assert each[name] == pytest.approx(function(truth, given, average=None))
    assert each["recall"] == pytest.approx(metrics.recall_score(truth, given, average=None))
    for c in range(3):
        assert each["one_vs_rest"][c] == pytest.approx(metrics.accuracy_score(truth == c, given == c))
    assert log_loss(truth, probability) == pytest.approx(metrics.log_loss(truth, probability))
    right = np.eye(3)[truth]
    assert brier(truth, probability) == pytest.approx(((probability - right) ** 2).sum(axis=1).mean())


def test_weights_are_repetitions():
    truth, probability = drawn(40)
    counts = np.random.default_rng(1).integers(0, 4, 40)
    rows = np.repeat(np.arange(40), counts)
    given = probability.argmax(axis=1)
    weighted = confusion(truth, given, 3, weights=np.stack([counts, np.ones(40)]))
    assert weighted[0].tolist() == confusion(truth[rows], given[rows], 3).tolist()
    assert weighted[1].tolist() == confusion(truth, given, 3).tolist()
    for score in (log_loss, brier):
        assert score(truth, probability, weights=counts) == pytest.approx(
            score(truth[rows], probability[rows])
        )


def test_one_versus_rest_of_the_published_confusion_sounds_better_than_the_plain_accuracy():
    each, together = per_class(PUBLISHED), of_counts(PUBLISHED)
    # The paper's own columns, rounded to 0.1 %; the matrix is rounded to 0.1 % in each of five cells.
    assert 100 * each["one_vs_rest"] == pytest.approx([95.5, 95.6, 99.2, 92.0, 94.2], abs=0.25)
    assert 100 * each["precision"] == pytest.approx([99.5, 82.8, 96.0, 77.7, 89.4], abs=0.4)
    assert 100 * each["recall"] == pytest.approx([77.9, 98.4, 100, 84.2, 80.8], abs=0.15)
    assert 100 * together["accuracy"] == pytest.approx(88.3, abs=0.1)
    assert 100 * together["one_vs_rest"] == pytest.approx(95.3, abs=0.1)


def test_a_class_that_is_absent_or_never_given():
    matrix = np.array([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
    each, together = per_class(matrix), of_counts(matrix)
    assert np.isnan(each["recall"][2]) and np.isnan(each["precision"][2]) and np.isnan(each["f1"][2])
    assert together["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    never = of_counts(np.array([[5, 0], [5, 0]]))
    assert never["precision"] == pytest.approx(0.25) and never["f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_scores_by_name_and_sets():
    truth, probability = drawn(50)
    p = xr.Dataset(
        {"truth": ("sample", truth), "probability": (("sample", "class"), probability)},
        coords={"class": list("abc")},
    )
    names = ["accuracy", "ece", "coverage_90", "set_size_90"]
    assert ClassScores(p, names).names == ["accuracy", "ece"]
    sets = probability >= 0.2
    p = p.assign(set=(("sample", "class", "level"), sets[..., None])).assign_coords(level=[0.9])
    score = ClassScores(p, names)
    assert score.names == names
    told = dict(zip(names, score(np.ones((1, 50)))[0], strict=True))
    assert told["coverage_90"] == pytest.approx(sets[np.arange(50), truth].mean())
    assert told["set_size_90"] == pytest.approx(sets.sum(axis=1).mean())
    with pytest.raises(UsageError, match="unknown score 'acuracy'; did you mean 'accuracy'"):
        ClassScores(p, ["acuracy"])


def test_wrong_arrays_are_refused():
    for truth, given in (([0, 1], [0]), ([0, 3], [0, 1]), ([-1, 0], [0, 0])):
        with pytest.raises(ShapeError, match="numbers from 0 to 2"):
            confusion(np.array(truth), np.array(given), 3)
    with pytest.raises(ShapeError, match="last axis must have the 2 samples"):
        confusion(np.array([0, 1]), np.array([0, 1]), 2, weights=np.ones(3))
