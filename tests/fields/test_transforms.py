"""Transforms: the contract of every one in the registry, closed forms, pipelines that remember their ids."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from skyloom import registry
from skyloom.errors import DataError, RegistryError, ShapeError, UsageError
from skyloom.fields.gaussianise import Gaussianise
from skyloom.fields.transforms import (
    Asinh,
    Equalise,
    FieldTransforms,
    Log10,
    MinMax,
    Pipeline,
    RemoveMean,
    Standardise,
    ids_digest,
)

NEEDED = {
    "log10": {"floor": 1e-3},
    "asinh": {"scale": 2.0},
    "smooth": {"width": 1.0},
    "filter_band": {"high": 3.0},
    "beam": {"fwhm": 60.0, "box": 300.0},
    "interferometer": {"redshift": 8.0, "box": 300.0, "depth": 30.0},
}  # arguments without a default
RNG = np.random.default_rng(30)
MAPS = RNG.lognormal(1.0, 1.0, (6, 8, 8)).astype(np.float32)  # positive: inside the domain of log10


def batches():
    yield MAPS[:1]
    yield MAPS[1:5]
    yield MAPS[5:]


def made(name: str):
    return registry.build({"name": name, **NEEDED.get(name, {})}, "transform")


@pytest.fixture(params=registry.names("transform"))
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_inverts_and_keeps_precision(name: str) -> None:
    for maps, tolerance in ((MAPS, 1e-4), (MAPS.astype(np.float64), 1e-9)):
        fitted = made(name).fit(batches)
        values, carry = fitted.apply(maps)
        assert values.dtype == maps.dtype and values.shape == maps.shape
        assert not np.array_equal(values, maps)
        restored = fitted.inverse(values, carry)
        assert restored.dtype == maps.dtype
        np.testing.assert_allclose(restored, maps, rtol=tolerance, atol=tolerance)


def test_keeps_the_order_of_pixels_where_it_says_so(name: str) -> None:
    values, _ = made(name).fit(batches).apply(MAPS[:1])
    order = MAPS[0].ravel().argsort()
    assert (np.diff(values[0].ravel()[order]) >= 0).all() == made(name).keeps_order


def test_state_is_json_and_rebuilds_the_same_bits(name: str) -> None:
    fitted = made(name).fit(batches)
    rebuilt = made(name).restored(json.loads(json.dumps(fitted.state())))
    np.testing.assert_array_equal(rebuilt.apply(MAPS)[0], fitted.apply(MAPS)[0])
    with pytest.raises(DataError, match="cannot have the state"):
        made(name).restored({"nothing": 1.0})


def test_fit_is_a_copy_and_nothing_is_written_to(name: str) -> None:
    before = MAPS.copy()
    transform = made(name)
    fitted = transform.fit(batches)
    assert fitted is not transform
    values, carry = fitted.apply(MAPS)
    kept = values.copy()
    fitted.inverse(values, carry)
    np.testing.assert_array_equal(MAPS, before)
    np.testing.assert_array_equal(values, kept)
    if transform.learns:
        for use in (lambda: transform.apply(MAPS), lambda: transform.inverse(MAPS, {}), transform.state):
            with pytest.raises(UsageError, match="was not fitted"):
                use()


def test_one_map_does_not_depend_on_its_neighbours(name: str) -> None:
    fitted = made(name).fit(batches)
    np.testing.assert_array_equal(fitted.apply(MAPS)[0][2:3], fitted.apply(MAPS[2:3])[0])


def test_nan_wrong_shapes_and_text_are_errors(name: str) -> None:
    fitted = made(name).fit(batches)
    broken = MAPS.copy()
    broken[3, 0, 0] = np.nan
    for use in (fitted.apply, lambda m: fitted.inverse(m, {}), lambda m: made(name).fit(lambda: iter([m]))):
        if made(name).learns or use is fitted.apply:
            with pytest.raises(DataError, match=r"NaN or infinity in 1 of 6 maps, the first at \[3\]"):
                use(broken)
            with pytest.raises(ShapeError, match=r"shape \(8, 8\), allowed: \(n, H, W\)"):
                use(MAPS[0])
    with pytest.raises(DataError, match="type <U1"):
        fitted.apply(np.full((1, 2, 2), "a"))


def test_carry_is_needed_and_must_fit(name: str) -> None:
    fitted = made(name).fit(batches)
    values, carry = fitted.apply(MAPS)
    assert sorted(carry) == sorted(fitted.carries)
    for part in fitted.carries:
        with pytest.raises(UsageError, match=f"needs '{part}' of every map"):
            fitted.inverse(values, {k: v for k, v in carry.items() if k != part})
        with pytest.raises(ShapeError, match=f"6 maps, but 2 '{part}'"):
            fitted.inverse(values, {**carry, part: carry[part][:2]})


def test_nothing_to_fit_on_is_an_error() -> None:
    for transform in (Standardise(), MinMax(), Gaussianise()):
        with pytest.raises(DataError, match="no map was given"):
            transform.fit(lambda: iter([]))
        with pytest.raises(DataError, match="no map was given"):
            transform.fit(lambda: iter([MAPS[:0]]))
        with pytest.raises(DataError, match="every pixel is the same"):
            transform.fit(lambda: iter([np.ones((2, 4, 4))]))


@settings(max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 12), max_size=5),
    mean=st.floats(-1e7, 1e7),
    sd=st.floats(1e-2, 1e3),
)
def test_moments_of_batches_are_those_of_the_whole(cuts: list[int], mean: float, sd: float) -> None:
    maps = mean + sd * np.random.default_rng(4).standard_normal((12, 5, 5))
    state = Standardise().fit(lambda: iter(np.split(maps, sorted(cuts)))).state()
    assert state["mean"] == pytest.approx(maps.mean(), rel=1e-12, abs=1e-9)
    # Rounding of the means costs eps × mean / sd; sums of squares would cost the square of it.
    assert state["sd"] == pytest.approx(maps.std(), rel=1e-12 + 10 * np.finfo(float).eps * abs(mean) / sd)


def test_moments_of_single_precision_with_a_large_mean() -> None:
    maps = (1e4 + RNG.standard_normal((50, 16, 16))).astype(np.float32)
    state = Standardise().fit(lambda: iter(np.split(maps, 5))).state()
    assert state["sd"] == pytest.approx(maps.astype(np.float64).std(), rel=1e-9)


def test_closed_forms() -> None:
    m = np.array([[[0.5, 1.0, 4.0]]])
    assert Log10(floor=1.0).apply(m)[0].ravel().tolist() == pytest.approx([0.0, 0.0, np.log10(4.0)])
    np.testing.assert_allclose(
        Asinh(scale=0.5).apply(m)[0], np.log(2 * m + np.sqrt(4 * m**2 + 1)), rtol=1e-12
    )
    stretched = MinMax(low=-1.0, high=3.0).fit(lambda: iter([m])).apply(np.array([[[2.25, 7.5]]]))[0]
    assert stretched.ravel().tolist() == pytest.approx([1.0, 7.0])  # the middle; twice the range
    standard, _ = Standardise().fit(batches).apply(MAPS)
    assert float(standard.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(standard.std()) == pytest.approx(1.0, abs=1e-6)
    flat, carry = RemoveMean().apply(MAPS)
    np.testing.assert_allclose(flat.mean(axis=(1, 2)), 0.0, atol=1e-5)
    np.testing.assert_allclose(carry["mean"], MAPS.mean(axis=(1, 2), dtype=np.float64), rtol=1e-12)


def test_equalised_values_are_uniform() -> None:
    # With as many quantiles as gaps between 64 different values, their ranks are 0, 1/63, ..., 1.
    values, _ = Equalise(bins=63).apply(MAPS)
    np.testing.assert_allclose(np.sort(values[2].ravel()), np.linspace(0, 1, 64), atol=1e-6)


def test_equal_values_share_the_middle_of_their_ranks() -> None:
    # A map ionised by more than half (0 mK), quantiles 0, 0, 0, 2, 4: knots 0, 2, 4 with ranks 0.25, 0.75, 1.
    m = np.array([[[0.0, 0.0, 0.0, 2.0, 4.0]]])
    values, carry = Equalise(bins=4).apply(m)
    assert values.ravel().tolist() == [0.25, 0.25, 0.25, 0.75, 1.0]
    np.testing.assert_array_equal(Equalise(bins=4).inverse(values, carry), m)
    constant, carry = Equalise(bins=4).apply(np.full((1, 2, 2), 7.0))
    assert np.unique(constant).tolist() == [0.5]
    assert np.unique(Equalise(bins=4).inverse(constant, carry)).tolist() == [7.0]


@settings(max_examples=60)
@given(hnp.arrays(np.float64, (2, 4, 4), elements=st.floats(-1e6, 1e6, width=32)), st.integers(1, 40))
def test_equalise_inverts_whatever_the_map(maps: np.ndarray, bins: int) -> None:
    transform = Equalise(bins=bins)
    values, carry = transform.apply(maps)
    assert values.min() >= 0.0 and values.max() <= 1.0
    np.testing.assert_allclose(transform.inverse(values, carry), maps, atol=1e-9 * (1 + np.ptp(maps)) * bins)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Log10(floor=0.0), "floor is 0.0"),
        (lambda: Asinh(scale=float("inf")), "scale is inf"),
        (lambda: MinMax(low=1.0, high=1.0), "low is 1.0"),
        (lambda: Equalise(bins=0), "bins is 0"),
    ],
)
def test_wrong_arguments(make, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        make()


SPECS = [{"name": "log10", "floor": 0.01}, {"name": "remove_mean"}, "standardise"]
IDS = [f"s{i}" for i in range(len(MAPS))]


def test_pipeline_fits_each_step_on_what_the_steps_before_it_make() -> None:
    fitted = Pipeline(SPECS).fit(batches, IDS)
    logarithm = np.log10(MAPS)
    flat = logarithm - logarithm.mean(axis=(1, 2), keepdims=True)
    values, carry = fitted.apply(MAPS)
    np.testing.assert_allclose(values, flat / flat.std(), atol=1e-5)
    assert list(carry) == ["1.mean"]
    np.testing.assert_allclose(fitted.inverse(values, carry), MAPS, rtol=1e-5)


def test_pipeline_state_is_json_and_rebuilds_the_same_bits() -> None:
    fitted = Pipeline(SPECS).fit(batches, IDS)
    rebuilt = Pipeline.from_state(json.loads(json.dumps(fitted.state())))
    assert rebuilt.digest == fitted.digest == ids_digest(reversed(IDS))
    np.testing.assert_array_equal(rebuilt.apply(MAPS)[0], fitted.apply(MAPS)[0])
    assert rebuilt.state() == fitted.state()
    assert fitted.state()["specs"][2] == {"name": "standardise"}


def test_pipeline_without_a_fit_does_nothing() -> None:
    for pipeline in (Pipeline(SPECS), Pipeline([])):
        for use in (lambda p=pipeline: p.apply(MAPS), lambda p=pipeline: p.inverse(MAPS, {}), pipeline.state):
            with pytest.raises(UsageError, match="not fitted"):
                use()
    values, carry = Pipeline([]).fit(batches, IDS).apply(MAPS)
    assert values is MAPS and carry == {}


def test_unknown_transform_is_named() -> None:
    with pytest.raises(RegistryError, match="standardise"):
        Pipeline(["standardize"])


def test_digest_tells_sets_of_ids_apart() -> None:
    digests = [ids_digest(ids) for ids in (["a", "b"], ["ab"], ["a"], [], ["a", "b", "c"])]
    assert len(set(digests)) == 5
    assert all(len(d) == 64 for d in digests)


def test_several_fields() -> None:
    other = RNG.standard_normal(MAPS.shape)

    def both():
        yield {"T_b": MAPS[:4], "delta": other[:4]}
        yield {"T_b": MAPS[4:], "delta": other[4:]}

    transforms = FieldTransforms({"T_b": Pipeline(SPECS), "delta": Pipeline(["min_max"])}).fit(both, IDS)
    values, carry = transforms.apply({"T_b": MAPS, "delta": other})
    np.testing.assert_array_equal(values["T_b"], Pipeline(SPECS).fit(batches, IDS).apply(MAPS)[0])
    assert (values["delta"].min(), values["delta"].max()) == pytest.approx((0.0, 1.0))
    assert list(carry) == ["T_b/1.mean"]
    restored = transforms.inverse(values, carry)
    np.testing.assert_allclose(restored["T_b"], MAPS, rtol=1e-5)
    np.testing.assert_allclose(restored["delta"], other, atol=1e-12)
    rebuilt = FieldTransforms.from_state(json.loads(json.dumps(transforms.state())))
    assert rebuilt.digest == transforms.digest == ids_digest(IDS)
    np.testing.assert_array_equal(rebuilt.apply({"T_b": MAPS})[0]["T_b"], values["T_b"])
    with pytest.raises(UsageError, match="did you mean 'T_b'"):
        transforms.apply({"Tb": MAPS})
    mixed = FieldTransforms({**transforms.pipelines, "delta": Pipeline([]).fit(batches, ["x"])})
    with pytest.raises(UsageError, match="2 different sets of ids"):
        _ = mixed.digest


def test_gaussianise_gives_normal_scores_and_stays_within_the_training_range() -> None:
    x = np.random.default_rng(3).standard_normal((24, 32, 32))
    fitted = Gaussianise().fit(lambda: iter(np.split(np.exp(2.0 * x), 3)))
    # A monotone relation is undone: the normal numbers come back, to within the sampling of the quantiles.
    inside = np.abs(x) < 2.5
    assert np.abs(fitted.apply(np.exp(2.0 * x))[0] - x)[inside].max() < 0.1
    ends = fitted.inverse(np.array([[[-9.0, 9.0]]]), {})
    np.testing.assert_allclose(ends.ravel(), np.exp(2.0 * np.array([x.min(), x.max()])))
    # A floor that a tenth of the pixels stand at is one value, in the middle of its levels: Phi^-1(0.05).
    floored = np.maximum(x, -1.2816)
    flat = Gaussianise().fit(lambda: iter([floored]))
    assert -5 < flat.apply(np.full((1, 1, 1), -1.2816))[0].item() < -1.2816
    np.testing.assert_allclose(flat.inverse(flat.apply(floored)[0], {}), floored)
