"""Variance at one parameter point and the difference of coherences, from numbers that are known."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.evaluate.generated import judge
from skyloom.evaluate.generated.curves import Curve
from skyloom.evaluate.generated.measures import variance_measure
from skyloom.statistics.two_point import PowerSpectrum


def test_variance_is_the_ratio_of_spreads():
    rng = np.random.default_rng(0)
    reference = rng.standard_normal((50, 3))
    values = np.concatenate([reference, 7.0 + [1.0, 2.0, 3.0] * reference])
    curve = Curve("pdf", "delta", "pdf", values, {}, ("value",), (3,), {})
    measure, told = variance_measure(curve)
    assert measure(np.arange(50), np.arange(50, 100)) == pytest.approx([2.0])  # the median of 1, 2 and 3
    assert (told[0].section, told[0].better) == ("variance", "both")


def test_a_fixed_set_tells_of_universes_that_are_too_much_alike(real, twin, lognormal):
    point = np.full(16, 0.7)
    fixed, same, other = (lognormal(16, seed=s, prefix=f"f{s}", theta=point) for s in (5, 6, 7))
    alike = other.copy()
    alike["delta"] = other["delta"] * 0 + other["delta"][:1].values * np.linspace(1, 1.02, 32)[:, None, None]
    settings = {"statistics": ["power_spectrum"], "fields": ["delta"], "network": False, "splits": 5}
    cards = [judge(real, twin, fixed=(fixed, drawn), **settings) for drawn in (same, alike)]
    good, bad = (card.row("variance.delta.power_spectrum.power") for card in cards)
    assert good["real"] is not False and 0.7 < good["generated"]["value"] < 1.4
    assert bad["real"] is False and bad["generated"]["value"] < 0.1


def test_coherence_has_its_difference_beside_its_errors(real):
    inverted = real.assign(gas=real["gas"] * -1.0)
    for name in ("gas", "delta"):
        inverted[name].attrs = real[name].attrs
    card = judge(real, inverted, statistics=["coherence"], network=False, splits=5)
    row = card.row("delta-gas.coherence.r.difference")
    # r becomes -r: the difference is 2 |r|, and r is near 1 for a power of the field.
    assert 1.5 < row["generated"]["value"] < 2
    assert row["floor"]["value"] < 0.1


def test_reach_keeps_the_first_bins_and_changes_none_of_them():
    maps = np.random.default_rng(1).standard_normal((2, 32, 32))
    whole, half = (PowerSpectrum(bins=15, reach=reach).compute(maps, 8.0, True, "") for reach in (1.0, 0.5))
    kept = whole["k"].values <= 0.5 * np.pi * 32 / 8.0
    assert 0 < kept.sum() < whole.sizes["k"]
    np.testing.assert_array_equal(half["power"], whole["power"][:, kept])
