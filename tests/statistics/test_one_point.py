"""Distributions and moments against hand calculations, sampled truth and symmetries."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import PDF, moments, pdf, quantiles

RNG = np.random.default_rng(21)


def test_moments_by_hand() -> None:
    # Values 0, 0, 0, 4: mean 1, variance 3, third moment 6, fourth 21; 6 / 3^1.5 and 21 / 9 - 3.
    m = moments(np.array([[0.0, 0.0], [0.0, 4.0]]))
    assert [float(v) for v in m] == pytest.approx([1.0, 3.0, 6 / 3**1.5, 21 / 9 - 3])


def test_moments_of_a_gaussian_sample() -> None:
    # Sampling errors of N Gaussian values: sd/√N, √(2/N) sd², √(6/N), √(24/N).
    n = 200 * 200
    m = moments(5.0 + 2.0 * RNG.standard_normal((200, 200)))
    errors = [2 / np.sqrt(n), 4 * np.sqrt(2 / n), np.sqrt(6 / n), np.sqrt(24 / n)]
    z = [(float(value) - truth) / e for value, truth, e in zip(m, (5.0, 4.0, 0.0, 0.0), errors, strict=True)]
    assert max(map(abs, z)) < 4


@settings(max_examples=30)
@given(a=st.floats(1e-3, 1e3), b=st.floats(-1e3, 1e3), dims=st.sampled_from([2, 3]))
def test_moments_follow_a_change_of_units(a: float, b: float, dims: int) -> None:
    field = np.random.default_rng(2).exponential(size=(2, *(6,) * dims))
    old, new = moments(field, dims=dims), moments(a * field + b, dims=dims)
    scale = abs(b) / a + 1  # digits lost by adding a large b
    np.testing.assert_allclose(new.mean, a * old.mean + b, rtol=1e-9, atol=1e-9 * a)
    np.testing.assert_allclose(new.variance, a**2 * old.variance, rtol=1e-12 * scale)
    np.testing.assert_allclose(new.skewness, old.skewness, rtol=1e-9 * scale)
    np.testing.assert_allclose(new.kurtosis, old.kurtosis, rtol=1e-9 * scale)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_field_has_no_shape(dtype: type) -> None:
    m = moments(np.full((2, 7, 7), 0.1, dtype=dtype))
    assert m.skewness.tolist() == [0.0, 0.0]
    assert m.kurtosis.tolist() == [0.0, 0.0]


def test_a_shuffle_changes_nothing() -> None:
    field = RNG.exponential(size=(8, 8))
    shuffled = RNG.permutation(field.ravel()).reshape(8, 8)
    np.testing.assert_allclose(np.array(moments(shuffled)), np.array(moments(field)), rtol=1e-12)
    np.testing.assert_array_equal(pdf(shuffled).density, pdf(field).density)


def test_pdf_by_hand_with_values_outside() -> None:
    # Bins [0, 1) and [1, 2]: one value in the first, two in the second, one outside; density = share / width.
    p = pdf(np.array([[0.5, 1.0], [2.0, 3.0]]), bins=2, low=0.0, high=2.0)
    assert p.value.tolist() == [0.5, 1.5]
    assert p.density.tolist() == [0.25, 0.5]


@settings(max_examples=30)
@given(bins=st.integers(1, 40), scale=st.floats(1e-3, 1e3))
def test_pdf_is_normalised_and_scales(bins: int, scale: float) -> None:
    field = np.random.default_rng(3).standard_normal((2, 3, 8, 8))
    p = pdf(field, bins=bins)
    width = (field.max() - field.min()) / bins
    np.testing.assert_allclose((p.density * width).sum(axis=-1), np.ones((2, 3)), rtol=1e-12)
    scaled = pdf(field * scale, bins=bins, low=field.min() * scale - scale, high=field.max() * scale + scale)
    same = pdf(field, bins=bins, low=field.min() - 1, high=field.max() + 1)
    np.testing.assert_allclose(scaled.value, same.value * scale, rtol=1e-9, atol=1e-9 * scale)
    np.testing.assert_allclose(scaled.density.sum(-1), same.density.sum(-1) / scale, rtol=1e-9)


def test_pdf_of_cubes_and_of_none() -> None:
    cube = RNG.standard_normal((2, 4, 4, 4))
    flat = pdf(cube.reshape(2, 8, 8), bins=5)
    np.testing.assert_array_equal(pdf(cube, bins=5, dims=3).density, flat.density)
    assert pdf(cube[:0], bins=5, low=0.0, high=1.0, dims=3).density.shape == (0, 5)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: pdf(np.ones((4, 4))), UsageError, "from 1.0 to 1.0"),
        (lambda: pdf(np.ones((0, 4, 4))), UsageError, "no field"),
        (lambda: pdf(np.ones((4, 4)), bins=0), UsageError, "bins is 0"),
        (lambda: pdf(np.ones((4, 5))), ShapeError, r"\(4, 5\)"),
        (lambda: moments(np.full((4, 4), np.inf)), DataError, "1 of 1"),
        (lambda: PDF(bins=0), UsageError, "bins is 0"),
        (lambda: PDF(low=1.0, high=0.0), UsageError, "low is 1.0"),
    ],
)
def test_wrong_arguments(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()


def test_quantiles_by_hand_and_of_a_gaussian() -> None:
    # Four values 0, 1, 2, 10: h = 3 f, so f = 0.5 lies half way from 1 to 2, f = 0.9 at 2 + 0.7 · 8.
    q = quantiles(np.array([[10.0, 1.0], [2.0, 0.0]]), fractions=(0.0, 0.5, 0.9, 1.0))
    assert q.value.tolist() == pytest.approx([0.0, 1.5, 7.6, 10.0])
    # The error of a quantile is √(f (1 - f) / N) over the density there, 0.242 at one sd.
    found = quantiles(RNG.standard_normal((2, 200, 200)), fractions=(0.158655, 0.841345))
    error = np.sqrt(0.158655 * 0.841345) / 200 / 0.24197
    assert (np.abs(found.value - [-1, 1]) < 4.5 * error).all()


def test_quantiles_follow_any_monotonic_change_and_know_cubes() -> None:
    cubes = RNG.exponential(size=(2, 5, 5, 5))
    fractions = (0.25, 0.5)  # of 125 values: h = 31 and 62, sorted values themselves
    old = quantiles(cubes, fractions=fractions, dims=3).value
    np.testing.assert_allclose(quantiles(np.log(cubes), fractions=fractions, dims=3).value, np.log(old))


@pytest.mark.parametrize("fractions", [(), (0.5, 0.5), (0.9, 0.1), (-0.1,), (1.5,)])
def test_fractions_must_ascend_from_0_to_1(fractions) -> None:
    with pytest.raises(UsageError, match="ascending numbers from 0 to 1"):
        quantiles(np.eye(4), fractions=fractions)


@pytest.mark.parametrize(("units", "inverse"), [("mK", "1 / mK"), ("dex(electron)", "1 / dex"), ("", "")])
def test_a_density_is_per_unit_and_of_a_logarithm_per_dex(units, inverse):
    maps = np.random.default_rng(0).random((2, 8, 8))
    assert PDF().compute(maps, 1.0, False, units)["pdf"].attrs["units"] == inverse
