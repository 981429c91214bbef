"""The flag on toy bubbles: silent on unseen simulations as often as it says, loud on maps made otherwise."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from skyloom.errors import DataError, ShapeError
from skyloom.evaluate.features import Frame
from skyloom.evaluate.shift import LEVEL, Shift, in_words

N, PER_GROUP = 32, 6


def bubbles(groups: int, seed: int, *, width: float = 1.5, noise: float = 0.0):
    """Correlated Gaussian maps, zero below a threshold that each simulation has of its own."""
    rng = np.random.default_rng(seed)
    threshold = np.repeat(rng.uniform(-1, 1, groups), PER_GROUP)[:, None, None]
    white = rng.normal(size=(groups * PER_GROUP, N, N))
    field = gaussian_filter(white, (0, width, width), mode="wrap")
    field = np.where(field / field.std() > threshold, 3.0 + field / field.std(), 0.0)
    field = field + noise * rng.normal(size=field.shape)
    field -= field.mean(axis=(1, 2), keepdims=True)
    return field[:, None].astype(np.float32), 1000 * seed + np.repeat(np.arange(groups), PER_GROUP)


@pytest.fixture(scope="module")
def shift():
    return Shift.fit(*bubbles(50, 0), *bubbles(30, 1), periodic=True)


def test_unseen_simulations_are_flagged_as_often_as_the_flag_says(shift):
    verdict = shift.summary(*bubbles(150, 2))
    share, low, high = verdict.share
    # Both the 80 simulations left out and the 150 new ones scatter: the errors of the two shares add.
    flags = (verdict.map_p <= LEVEL).reshape(150, PER_GROUP).mean(axis=1)
    error = flags.std(ddof=1) * np.sqrt(1 / 150 + 1 / 80)
    assert abs(share - LEVEL) < 3 * error < 3 * LEVEL
    assert low < share < high
    assert verdict.unlike is False


def test_p_values_of_single_simulations_and_of_sets_are_honest(shift):
    verdict = shift.summary(*bubbles(150, 3))
    # At most q of the simulations may have p <= q, up to the scatter of 150 of them and of the 80 beside.
    for q in (0.1, 0.3, 0.5):
        error = np.sqrt(q * (1 - q) * (1 / 150 + 1 / 80))
        assert np.mean(verdict.group_p <= q) < q + 3 * error
    assert verdict.group_p.min() >= 1 / 81
    sets = [shift.summary(*bubbles(12, 100 + seed)).p_value for seed in range(30)]
    # Thirty of probability 0.1: sd 0.055.
    assert np.mean(np.array(sets) <= 0.1) <= 0.27


@pytest.mark.parametrize("changed", [{"width": 2.0}, {"width": 1.2}, {"noise": 0.01}])
def test_another_beam_and_weak_noise_are_flagged(shift, changed):
    verdict = shift.summary(*bubbles(12, 4, **changed))
    assert verdict.share[0] > 0.4
    assert verdict.unlike and verdict.p_value < 1e-4


def test_the_largest_deviation_of_one_feature_sees_less(shift):
    maps, groups = bubbles(12, 4, width=2.0)
    usual = np.abs(shift.z(bubbles(80, 1)[0])).max(axis=1)
    simple = np.abs(shift.z(maps)).max(axis=1) > np.quantile(usual, 1 - LEVEL)
    assert simple.mean() < 0.5 * shift.summary(maps, groups).share[0]


def test_another_map_size_and_shuffled_pixels_are_flagged(shift):
    maps, groups = bubbles(12, 5)
    coarse = maps.reshape(-1, 1, N // 2, 2, N // 2, 2).mean(axis=(3, 5))
    assert shift.summary(coarse, groups).unlike
    shuffled = np.random.default_rng(0).permuted(maps.reshape(len(maps), -1), axis=1).reshape(maps.shape)
    assert shift.summary(shuffled, groups).share[0] > 0.9


def test_one_simulation_alone_can_be_flagged_only_beside_enough_others(shift):
    maps, groups = bubbles(1, 6, width=3.0)
    one = shift.summary(maps, groups)
    assert one.p_value == pytest.approx(1 / 81) and one.unlike
    assert np.isnan(one.share[1:]).all()
    few = Shift.fit(*bubbles(15, 0), *bubbles(5, 1), periodic=True).summary(maps, groups)
    assert few.unlike is None
    assert "too few to tell" in in_words(few.card())


def test_the_score_knows_no_direction_and_no_unit(shift):
    maps, _ = bubbles(4, 7)
    scores = shift.score(maps)
    np.testing.assert_allclose(shift.score(maps[..., ::-1]), scores, rtol=1e-4)
    np.testing.assert_allclose(shift.score(np.rot90(maps, axes=(2, 3))), scores, rtol=1e-4)
    (train, first), (held, second) = bubbles(50, 0), bubbles(30, 1)
    kelvin = Shift.fit(1e-3 * train, first, 1e-3 * held, second, periodic=True)
    np.testing.assert_allclose(kelvin.score(1e-3 * maps), scores, rtol=1e-3)


def test_features_have_their_closed_forms():
    wave = np.cos(2 * np.pi * 3 * np.arange(N) / N)[:, None] * np.ones(N)
    frame = Frame.fit(wave[None, None], periodic=True)
    found = dict(zip(frame.names(), frame.features(wave[None, None])[0], strict=True))
    # In units of the root mean square a cosine has sd 1, no skewness, excess kurtosis 3/8 · 4 - 3 = -1.5.
    assert found["mean"] == pytest.approx(0, abs=1e-6)
    assert found["standard deviation"] == pytest.approx(np.log(1.001), abs=1e-6)
    assert found["skewness"] == pytest.approx(0, abs=1e-5)
    assert found["kurtosis"] == pytest.approx(np.arcsinh(-1.5), abs=1e-5)
    # Half of the steps run along the crests.
    assert found["25 % quantile of steps between neighbours"] == pytest.approx(np.log(1e-3), abs=1e-3)
    power = [value for name, value in found.items() if name.startswith("power")]
    assert int(np.argmax(power)) == 1  # 3 cycles a box; bins of 15/12 cycles begin at 1


def test_channels_are_told_apart_and_their_correlation_counts():
    rng = np.random.default_rng(0)
    pair = rng.normal(size=(40, 2, N, N))
    pair[:, 1] = 0.6 * pair[:, 0] + 0.8 * pair[:, 1]
    frame = Frame.fit(pair, periodic=True)
    assert frame.names()[-1] == "correlation of channels 2 and 1"
    # r of N² pairs scatters by (1 - r²) / N.
    assert frame.features(pair)[:, -1].mean() == pytest.approx(0.6, abs=4 * 0.64 / N / np.sqrt(40))


def test_a_state_of_plain_json_gives_the_same_scores(shift):
    again = Shift.from_state(json.loads(json.dumps(shift.state())))
    maps, groups = bubbles(3, 8)
    np.testing.assert_array_equal(again.score(maps), shift.score(maps))
    assert again.summary(maps, groups).card() == shift.summary(maps, groups).card()


def test_few_training_maps_have_no_curve_and_wrong_input_is_refused(shift):
    small = Shift.fit(*bubbles(10, 0), *bubbles(4, 1), periodic=True)
    assert small.axes.shape[1] == 0
    assert Shift.from_state(small.state()).score(bubbles(1, 2)[0]).shape == (PER_GROUP,)
    with pytest.raises(DataError, match="1 training maps do not tell"):
        Shift.fit(*(part[:1] for part in bubbles(1, 0)), *bubbles(4, 1), periodic=True)
    with pytest.raises(ShapeError, match="had 1 channels"):
        shift.score(np.zeros((3, 2, N, N)))


def test_real_boxes_of_another_code_are_flagged_and_unseen_21cmfast_is_not(shared_data):
    from skyloom import formats
    from skyloom.fields.project import cut
    from skyloom.formats.shipped import Shipped

    native = cut(formats.read(shared_data / "reionisation/simfast21_run"), kind="slice", axes=["z"], count=8)
    ds = Shipped(set="reionisation-21cmfast").read()
    ds = ds.isel(sample=np.flatnonzero((ds["x_HI"].values > 0.01) & (ds["x_HI"].values < 0.99)))
    numbers = np.array([int(name[3:]) for name in ds["group"].values])

    def maps(ds):
        values = np.asarray(ds["T_b"].values, np.float32)
        return (values - values.mean(axis=(1, 2), keepdims=True))[:, None]

    train, held = ds.isel(sample=numbers < 40), ds.isel(sample=(numbers >= 40) & (numbers < 65))
    groups = (train["group"].values, held["group"].values)
    shift = Shift.fit(maps(train), groups[0], maps(held), groups[1], periodic=True)
    verdict = shift.summary(maps(native), native["group"].values)
    assert verdict.unlike and verdict.share[0] == 1.0
    rest = ds.isel(sample=numbers >= 65)
    same = shift.summary(maps(rest), rest["group"].values)
    flags = np.array([(same.map_p[rest["group"].values == name] <= LEVEL).mean() for name in same.groups])
    assert abs(same.share[0] - LEVEL) < 3 * flags.std(ddof=1) * np.sqrt(1 / len(flags) + 1 / 65)
