"""Every finding has a planted fault that fires it, and a set that is well fires none."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.formats import doctor
from skyloom.formats.doctor import Finding
from skyloom.formats.inspect import summarise

RNG = np.random.default_rng(41)


def fired(ds: xr.Dataset, **options) -> dict[str, Finding]:
    """Findings that are not ok, by check."""
    return {f.check: f for f in summarise(ds, **options).findings if f.level != "ok"}


def changed(ds: xr.Dataset, values: np.ndarray, **attributes) -> xr.Dataset:
    """The set with other values of T_b, and other attributes of it."""
    field = xr.Variable(ds["T_b"].dims, values, {**ds["T_b"].attrs, **attributes})
    return ds.assign(T_b=field)


def test_a_set_that_is_well_fires_nothing(healthy) -> None:
    assert fired(healthy) == {}
    checks = {f.check for f in summarise(healthy).findings}
    wanted = "finite constant copies units clipped precision monopole simulations"
    assert checks == set(wanted.split())


def test_blocks_change_nothing(healthy, monkeypatch) -> None:
    (whole,) = doctor.survey(healthy)
    monkeypatch.setattr("skyloom.formats.doctor.surveying.BLOCK_BYTES", 7 * 16 * 16 * 4)
    seen = []
    (parts,) = doctor.survey(healthy.chunk(sample=5), lambda done, total: seen.append((done, total)))
    assert seen == [(7, 48), (14, 48), (21, 48), (28, 48), (35, 48), (42, 48), (48, 48)]
    for name in ("mean", "sd", "minimum", "maximum", "digests", "prints", "at_lowest", "count"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert parts.total_sd == pytest.approx(whole.total_sd, rel=1e-12)
    np.testing.assert_allclose(whole.sd, healthy["T_b"].values.std(axis=(1, 2)), rtol=1e-5)


def test_nan_and_infinity_are_counted_with_the_first_samples(healthy) -> None:
    values = healthy["T_b"].values.copy()
    values[[3, 5], 0, 0], values[7, 1, 1:3], values[9, 0, 0] = np.nan, np.inf, -np.inf
    found = fired(changed(healthy, values))
    assert list(found) == ["finite"]
    assert found["finite"].level == "error"
    assert "5 values are NaN or infinite, in 4 of 48 samples: s0-3, s1-1, s1-3 and 1 more" in str(found)


def test_maps_of_one_value(healthy) -> None:
    values = healthy["T_b"].values.copy()
    values[4], values[6] = 20.0, 21.0
    found = fired(changed(healthy, values))
    assert found["constant"].level == "warning"
    assert "2 of 48 maps hold one value only: s1-0, s1-2" in found["constant"].message
    assert "copies" not in found


def test_copies_across_simulations_are_leaks_and_inside_one_a_note(healthy) -> None:
    values = healthy["T_b"].values.copy()
    values[47] = values[0]
    across = fired(changed(healthy, values))["copies"]
    assert across.level == "warning"
    words = "2 maps are the same to the last bit, though of different simulations: s0-0, s11-3"
    assert words in across.message
    tied = healthy.assign_coords(seed=("sample", np.zeros(48, int)))
    assert fired(changed(tied, values))["copies"].level == "note"  # one seed: a split keeps them together
    values = healthy["T_b"].values.copy()
    values[1] = values[0]
    assert fired(changed(healthy, values))["copies"].level == "note"


@pytest.mark.parametrize(
    "twin", [np.rot90, lambda m: m[::-1], lambda m: np.roll(m, (3, 5), (0, 1)), lambda m: 2 * m]
)
def test_turned_flipped_rolled_and_rescaled_twins(healthy, twin) -> None:
    values = healthy["T_b"].values.copy()
    values[30] = twin(values[2])
    found = fired(changed(healthy, values))["copies"]
    assert found.level == "warning"
    assert "2 maps are each other turned, flipped, rolled or rescaled" in found.message
    assert "s0-2, s7-2" in found.message


def test_equal_cubes_are_found_too() -> None:
    cubes = RNG.normal(size=(3, 4, 4, 4))
    cubes[2] = cubes[0]
    ds = xr.Dataset({"rho": (("sample", "z", "y", "x"), cubes, {"units": "", "long_name": "density"})})
    found = doctor.copies(doctor.survey(ds), np.array(["a", "b", "c"]), np.array(["a", "b", "c"]))
    assert [f.level for f in found] == ["warning"]
    assert "a, c" in found[0].message


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"units": None}, "error", "has no unit"),
        ({"units": "log10 K"}, "error", "'log10 K' is not a unit"),
        ({"units": "K"}, "warning", "a thousand times off"),
        ({"long_name": "log10 of the temperature"}, "warning", "its name says logarithm"),
        ({"units": "dex(K)", "scale": 10.0}, "warning", "10 to that power"),
        ({"units": "Msun / kpc2", "shift": -30.0}, "warning", "surface mass density of"),
        ({"units": "Msun", "scale": 0.4}, "warning", "those of stars"),
        ({"units": "", "long_name": "neutral fraction"}, "warning", "a fraction runs over"),
        ({"units": "mK", "scale": 0.001}, "warning", "are the values in K?"),
    ],
)
def test_units_that_do_not_fit(healthy, change, level, words) -> None:
    change = dict(change)
    values = healthy["T_b"].values * change.pop("scale", 1.0) + change.pop("shift", 0.0)
    ds = changed(healthy, values, **change)
    if change.get("units", "") is None:
        del ds["T_b"].attrs["units"]
    (found,) = doctor.quantities(doctor.survey(ds))
    assert found.level == level
    assert words in found.message + found.next


@pytest.mark.parametrize(
    ("units", "scale"),
    [("dex(K)", 0.2), ("Msun", 1e9), ("", 1.0), ("K", 0.001), ("Msun / pc2", 1.0), ("erg", 1.0)],
)
def test_units_that_fit(healthy, units, scale) -> None:
    ds = changed(healthy, np.abs(healthy["T_b"].values) * scale, units=units)
    assert [f.level for f in doctor.quantities(doctor.survey(ds))] == ["ok"]


def test_values_cut_off_at_a_limit(healthy) -> None:
    found = fired(changed(healthy, np.minimum(healthy["T_b"].values, 28.0)))["clipped"]
    assert found.level == "warning"
    share = (healthy["T_b"].values >= 28).mean()
    assert f"{share:.1%} of all pixels hold exactly the largest value, 28" in found.message
    floor = fired(changed(healthy, np.maximum(healthy["T_b"].values - 15, 0.0)))["clipped"]
    assert floor.level == "note"  # zero may be meant
    assert "logarithm is infinite" in floor.next


def test_maps_scaled_each_by_its_own_range(healthy) -> None:
    values = healthy["T_b"].values
    low, high = (f(values, axis=(1, 2), keepdims=True) for f in (np.min, np.max))
    # The ends are one pixel each in 256, so they are set inside a larger map to count as rare.
    wide = np.tile((values - low) / (high - low), (1, 2, 2)) * 0.98 + 0.01
    wide[:, 0, 0], wide[:, 1, 1] = 0.0, 1.0
    found = doctor.clipped(doctor.survey(xr.Dataset({"m": (("sample", "y", "x"), wide, {"units": ""})})))
    assert [f.level for f in found] == ["warning"]
    assert "every map runs from exactly 0 to 1" in found[0].message


def test_a_number_type_too_coarse_for_the_structure(healthy) -> None:
    # float16 near 2048 moves in steps of 2: a spread of 5 is two or three of them.
    ds = changed(healthy, (healthy["T_b"].values + 2048).astype(np.float16).astype(np.float32))
    assert "T_b: float16 near" in fired(ds, stored={"T_b": "float16"})["precision"].message
    assert "precision" not in fired(ds)
    integers = changed(healthy, healthy["T_b"].values.round().astype(np.int16))
    assert "int16" in fired(integers)["precision"].message


def test_a_mean_that_gives_the_label_away(healthy) -> None:
    shift = 10 * healthy["x_HI"].values[:, None, None]
    found = fired(changed(healthy, healthy["T_b"].values + shift.astype(np.float32)))["monopole"]
    assert found.level == "warning"
    assert "+0.99 with x_HI" in found.message or "+1.00 with x_HI" in found.message
    hint = fired(changed(healthy, healthy["T_b"].values + (shift / 12).astype(np.float32)))["monopole"]
    assert hint.level == "note"


def test_a_mean_that_was_removed(healthy) -> None:
    values = healthy["T_b"].values
    found = fired(changed(healthy, values - values.mean(axis=(1, 2), keepdims=True)))["monopole"]
    assert found.level == "note"
    assert "in all of them" in found.message


def test_a_simulation_in_another_unit_is_named(healthy) -> None:
    values = healthy["T_b"].values.copy()
    values[8:12] *= 3
    found = [f for f in summarise(changed(healthy, values)).findings if f.check == "simulations"]
    outliers = [f for f in found if f.level == "warning"]
    assert all("of s2 lies more than 6 robust sd" in f.message for f in outliers)
    assert {f.message.split(" of a map")[0] for f in outliers} == {"T_b: the mean", "T_b: the spread"}


def test_a_drift_along_the_set(healthy) -> None:
    drift = np.repeat(np.linspace(0, 10, 12), 4)[:, None, None]
    found = summarise(changed(healthy, healthy["T_b"].values + drift)).findings
    (told,) = [f for f in found if "drifts" in f.message]
    assert told.level == "note"
    assert "r = +1.00" in told.message


def test_maps_of_one_simulation_count_less(healthy) -> None:
    # With offsets of 3 sd of a map's own mean, 9 / (9 + 1) of the variance is shared, up to 12 draws' worth.
    own = healthy["T_b"].values.mean(axis=(1, 2)).std()
    offset = np.repeat(RNG.normal(0, 3 * own, 12), 4)[:, None, None]
    messages = [f.message for f in summarise(changed(healthy, healthy["T_b"].values + offset)).findings]
    (told,) = [message for message in messages if "share" in message]
    share = int(told.split("share ")[1].split("%")[0]) / 100
    assert share == pytest.approx(0.9, abs=0.1)
    count = int(told.split("count as about ")[1].split()[0])
    assert count == pytest.approx(48 / (1 + 3 * share), abs=1)
