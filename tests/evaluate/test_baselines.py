"""Baselines recover what they can know, no more, and say how far off they are."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import registry
from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.evaluate import scores
from skyloom.evaluate.baselines import Majority, MapMoments, Mean, Readings, Scattering, Spectrum


def make_maps(K: int, m: int = 4, N: int = 16, seed: int = 0):
    """Groups of maps of white noise: the first target is their mean, the second the logarithm of their sd."""
    rng = np.random.default_rng(seed)
    targets = np.repeat(rng.uniform(-1, 1, size=(K, 2)), m, axis=0)
    noise = rng.normal(size=(K * m, 1, N, N))
    maps = targets[:, 0, None, None, None] + np.exp(targets[:, 1])[:, None, None, None] * noise
    return maps.astype(np.float32), targets, np.repeat(np.arange(K), m)


def fitted(baseline, K=60):
    return baseline.fit(*make_maps(K), box=100.0, periodic=True)


def r2_of(baseline, maps, targets):
    return scores.r2(targets, baseline.predict(maps)["mean"])


def classes_of(targets):
    """One column a class: below, about or above zero in the second target."""
    return np.eye(3)[np.digitize(targets[:, 1], [-0.4, 0.4])]


@pytest.mark.parametrize("answers", ["parameters", "classes"])
@pytest.mark.parametrize("name", registry.names("baseline"))
def test_every_registered_baseline_keeps_the_contract(name, answers):
    maps, targets, groups = make_maps(12)
    needed = {}
    if name == "readings":
        needed, maps = {"columns": ["x"]}, maps[..., :1, :1]
    baseline = registry.build({"name": name, **needed}, "baseline")
    asked = {"box": 1.0, "periodic": True, "answers": answers}
    y = targets if answers == "parameters" else classes_of(targets)
    if answers not in baseline.answers:
        with pytest.raises(UsageError, match=f"the task asks for {answers}"):
            baseline.fit(maps, y, groups, **asked)
        return
    with pytest.raises(UsageError, match="not fitted"):
        baseline.predict(maps)
    assert baseline.fit(maps, y, groups, **asked) is baseline
    outputs = baseline.predict(maps[:5])
    if answers == "parameters":
        assert set(outputs) == {"mean", "sd"} and all(v.shape == (5, 2) for v in outputs.values())
        assert (outputs["sd"] > 0).all()
    else:
        assert set(outputs) == {"mean"} and outputs["mean"].min() >= 0
        assert outputs["mean"].sum(axis=1) == pytest.approx(np.ones(5))
    with pytest.raises(ShapeError, match="do not fit"):
        baseline.fit(maps, y[:-1], groups, **asked)
    with pytest.raises(DataError, match="has 1 group"):
        baseline.fit(maps, y, np.zeros(len(maps)), **asked)
    broken = maps.copy()
    broken[7, 0, -1, -1] = np.nan
    with pytest.raises(DataError, match="maps: row 7"):
        baseline.fit(broken, y, groups, **asked)


def test_majority_gives_the_shares_of_the_train_side():
    maps, targets, groups = make_maps(60)
    right = classes_of(targets)
    outputs = Majority().fit(maps, right, groups, box=1.0, periodic=True, answers="classes").predict(maps)
    assert outputs["mean"] == pytest.approx(np.tile(right.mean(axis=0), (len(maps), 1)))


@pytest.mark.parametrize("classifier", ["logistic", "lda"])
@pytest.mark.parametrize(
    "make", [lambda **c: MapMoments(degree=1, **c), lambda **c: Spectrum(bins=4, degree=1, **c), Scattering]
)
def test_features_tell_classes_apart_and_know_how_surely(make, classifier):
    asked = {"box": 1.0, "periodic": True, "answers": "classes"}
    maps, targets, groups = make_maps(120)
    # A class is drawn with the logistic probability of the width, t: nobody can know more than that.
    surely = 1 / (1 + np.exp(-4 * targets[:, 1]))
    right = (np.random.default_rng(3).random(len(surely)) < surely).astype(int)
    fitted = make(classifier=classifier).fit(maps, np.eye(2)[right], groups, **asked)
    test, truth, _ = make_maps(60, seed=1)
    p = fitted.predict(test)["mean"][:, 1]
    expected = 1 / (1 + np.exp(-4 * truth[:, 1]))
    # 480 draws of a class leave a logistic curve with errors of about 0.03 and 0.05 at its steepest. LDA
    # takes the features of a class for normal, which these are not.
    assert np.abs(p - expected).mean() < (0.06 if classifier == "logistic" else 0.1)


def test_a_class_that_a_fold_lacks_is_no_error():
    maps, _, groups = make_maps(12)
    rare = np.eye(2)[(groups == 0).astype(int)]
    for classifier in ("logistic", "lda"):
        baseline = MapMoments(classifier=classifier)
        baseline.fit(maps, rare, groups, box=1.0, periodic=True, answers="classes")
        assert baseline.predict(maps)["mean"].sum(axis=1) == pytest.approx(np.ones(len(maps)))


def test_scattering_knows_the_width_but_not_the_mean():
    maps, targets, _ = make_maps(60, seed=1)
    r2 = r2_of(fitted(Scattering()), maps, targets)
    assert r2[1] > 0.98 and r2[0] < 0.1


def test_scattering_knows_shape_that_the_spectrum_does_not():
    # Noise, and noise of the same spectrum whose phases were made those of a row of spikes.
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(120, 1, 16, 16))
    spikes = np.zeros((120, 1, 16, 16))
    spikes.reshape(120, -1)[np.arange(120), rng.integers(0, 256, 120)] = 1
    phases = np.fft.fft2(spikes)
    shaped = np.fft.ifft2(np.abs(np.fft.fft2(noise)) * phases / np.abs(phases)).real
    kind = np.arange(120) % 2
    maps = np.where(kind[:, None, None, None] == 1, shaped, noise)
    asked = {"box": 1.0, "periodic": True, "answers": "classes"}
    share = []
    for baseline in (Spectrum(bins=4), Scattering()):
        baseline.fit(maps[:80], np.eye(2)[kind[:80]], np.arange(80), **asked)
        share.append((baseline.predict(maps[80:])["mean"].argmax(axis=1) == kind[80:]).mean())
    # 40 coin tosses scatter by 0.08.
    assert share[0] < 0.75 and share[1] == 1


def test_mean_predicts_the_train_mean_and_the_spread_of_new_groups():
    maps, targets, _ = make_maps(60)
    outputs = fitted(Mean()).predict(maps)
    assert outputs["mean"] == pytest.approx(np.broadcast_to(targets.mean(axis=0), targets.shape))
    # Groups left out are off by their own deviation and by that of the mean of 48 others. The means of five
    # folds of twelve move this by 1.3 %.
    expected = targets[::4].std(axis=0, ddof=1) * np.sqrt(1 + 1 / 48)
    assert outputs["sd"][0] == pytest.approx(expected, rel=0.04)


def test_moments_know_mean_and_width():
    maps, targets, _ = make_maps(60, seed=1)
    r2 = r2_of(fitted(MapMoments()), maps, targets)
    # The mean of 256 pixels of variance exp(2 t), t uniform in ±1, errs by sinh(2) / 2 / 256; the target's
    # variance is 1/3. The logarithm of their sd errs by 1 / sqrt(2 * 256).
    assert r2[0] == pytest.approx(1 - np.sinh(2) / 2 / 256 * 3, abs=0.005)
    assert r2[1] == pytest.approx(1 - 3 / 512, abs=0.003)


def test_spectrum_knows_the_width_but_not_the_mean():
    maps, targets, _ = make_maps(60, seed=1)
    r2 = r2_of(fitted(Spectrum(bins=4, degree=1)), maps, targets)
    assert r2[1] > 0.98 and r2[0] < 0.1


def test_removed_mean_does_not_come_back_through_rounding():
    # In float32 a removed mean leaves noise that grows with it and would betray it, once standardised.
    def remove(maps):
        return (maps - maps.mean(axis=(2, 3), keepdims=True)).astype(np.float32)

    maps, targets, groups = make_maps(60)
    shifted = remove(maps + 100 * targets[:, 0, None, None, None].astype(np.float32))
    baseline = MapMoments().fit(shifted, targets, groups, box=1.0, periodic=True)
    test, truth, _ = make_maps(60, seed=1)
    r2 = r2_of(baseline, remove(test + 100 * truth[:, 0, None, None, None].astype(np.float32)), truth)
    assert r2[0] < 0.1 and r2[1] > 0.95


def test_error_is_that_of_new_groups():
    maps, _, groups = make_maps(60)
    # A target that is noise shared by each group: maps of a group would betray it, new groups cannot.
    noise = np.repeat(np.random.default_rng(2).normal(size=(60, 1)), 4, axis=0)
    sd = MapMoments().fit(maps, noise, groups, box=1.0, periodic=True).predict(maps)["sd"][0, 0]
    assert sd == pytest.approx(noise.std(), rel=0.1)


def test_predicted_error_is_right_on_a_new_side():
    maps, targets, _ = make_maps(60, seed=1)
    outputs = fitted(Spectrum(bins=4)).predict(maps)
    chi2 = scores.chi2(targets, outputs["mean"], outputs["sd"])
    # 240 maps in 60 groups; the error of the error allows for a fifth.
    assert chi2 == pytest.approx([1, 1], rel=0.35)


@pytest.mark.parametrize("baseline", [MapMoments(moments=4), Spectrum(bins=4), Scattering()])
def test_symmetries(baseline):
    maps, _, _ = make_maps(60, seed=1)
    outputs = fitted(baseline).predict(maps)["mean"]
    for moved in (np.roll(maps, (3, 5), axis=(2, 3)), maps[..., ::-1], np.swapaxes(maps, 2, 3)):
        assert baseline.predict(np.ascontiguousarray(moved))["mean"] == pytest.approx(outputs, abs=1e-4)


@pytest.mark.parametrize("make", [MapMoments, lambda: Spectrum(bins=4), Scattering])
def test_change_of_units_of_the_targets(make):
    maps, targets, groups = make_maps(30)
    one, other = (make().fit(maps, unit * targets, groups, box=1.0, periodic=True) for unit in (1, 1000))
    for name in ("mean", "sd"):
        assert other.predict(maps)[name] == pytest.approx(1000 * one.predict(maps)[name], rel=1e-6, abs=1e-6)


def test_empty_map_has_a_finite_spectrum():
    maps, targets, groups = make_maps(30)
    maps[0] = 0
    baseline = Spectrum(bins=4).fit(maps, targets, groups, box=1.0, periodic=False)
    assert np.isfinite(baseline.predict(maps)["mean"]).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MapMoments(moments=5), "moments is 5"),
        (lambda: MapMoments(degree=4), "degree is 4"),
        (lambda: Spectrum(bins=0), "bins is 0"),
        (lambda: Scattering(scales=0), "scales 0"),
    ],
)
def test_wrong_arguments_are_refused(make, text):
    with pytest.raises(UsageError, match=text):
        make()


def test_readings_answer_from_columns_and_from_logarithms_where_asked():
    rng = np.random.default_rng(0)
    x = rng.lognormal(0, 1, (200, 2))
    x[:3, 1] = 0
    y = np.log(x[:, :1])
    asked = {"box": 1.0, "periodic": False}
    right = Readings(columns=["a", "b"], logarithms=["a"], degree=1).fit(
        x[:, :, None, None], y, np.arange(200), **asked
    )
    plain = Readings(columns=["a", "b"], degree=1).fit(x[:, :, None, None], y, np.arange(200), **asked)
    assert right.columns == ("a", "b")
    # in the logarithm the answer is a straight line; without it, it is none
    assert scores.r2(y, right.predict(x[:, :, None, None])["mean"])[0] > 0.9999
    assert scores.r2(y, plain.predict(x[:, :, None, None])["mean"])[0] < 0.9
    zeros = Readings(columns=["b"], logarithms=["b"]).fit(x[:, 1:, None, None], y, np.arange(200), **asked)
    assert np.isfinite(zeros.predict(np.zeros((2, 1, 1, 1)))["mean"]).all()


@pytest.mark.parametrize("arguments", [{"columns": []}, {"columns": ["a"], "logarithms": ["b"]}])
def test_readings_need_columns_and_logarithms_of_them(arguments):
    with pytest.raises(UsageError, match="baseline readings"):
        Readings(**arguments)
