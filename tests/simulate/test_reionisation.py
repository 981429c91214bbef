"""The simulator: what it writes, that it goes on where it stopped, and what it says when it cannot run."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import MissingDependencyError, UsageError
from skyloom.fields import store
from skyloom.simulate.reionisation import Reionisation, fast21


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "one"
    Reionisation(simulations=3, redshifts=2, size=16, slices=4, box_size=64.0).simulate(folder)
    return folder


def test_the_set_holds_what_was_asked_for(small):
    ds = store.open(small)
    fields.check(ds)
    fields.check_values(ds)
    assert dict(ds.sizes) == {"sample": 3 * 2 * 4, "y": 16, "x": 16}
    assert len(np.unique(ds["group"])) == len(np.unique(ds["seed"])) == 3
    assert set(fields.fields(ds)) == {"T_b", "neutral_fraction", "delta"}
    assert ds["T_b"].attrs["units"] == "mK"
    # The slice's own label is the mean of the map that is stored.
    np.testing.assert_allclose(ds["x_HI_slice"], ds["neutral_fraction"].mean(("y", "x")), atol=1e-6)
    # Gas that is wholly ionised does not shine, gas that is not does.
    T_b, x = ds["T_b"].values, ds["neutral_fraction"].values
    assert np.all(T_b[x == 0] == 0)
    assert np.all(T_b[x > 0.5] > 0)


def test_the_number_of_workers_changes_nothing(small, tmp_path):
    simulator = Reionisation(simulations=3, redshifts=2, size=16, slices=4, box_size=64.0)
    simulator.simulate(tmp_path / "b", workers=2)
    a, b = store.open(small), store.open(tmp_path / "b")
    np.testing.assert_array_equal(a["T_b"], b["T_b"])
    assert a["sample"].values.tolist() == b["sample"].values.tolist()


def test_an_interrupted_run_goes_on_and_ends_with_the_same_set(small, tmp_path):
    simulator = Reionisation(simulations=3, redshifts=2, size=16, slices=4, box_size=64.0)
    done = []

    def stop(count, total):
        done.append(count)
        if count == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulator.simulate(tmp_path / "c", progress=stop)
    counts = []
    simulator.simulate(tmp_path / "c", progress=lambda count, total: counts.append(count))
    assert counts[0] == 1  # what was whole is not run again
    np.testing.assert_array_equal(store.open(small)["T_b"], store.open(tmp_path / "c")["T_b"])


def test_cubes_are_kept_where_no_slices_are_asked_for(tmp_path):
    Reionisation(simulations=1, redshifts=1, size=16, slices=0, box_size=64.0).simulate(tmp_path / "d")
    ds = store.open(tmp_path / "d")
    assert dict(ds.sizes) == {"sample": 1, "z": 16, "y": 16, "x": 16}
    assert float(ds["x_HI"][0]) == pytest.approx(float(ds["neutral_fraction"].mean()), abs=1e-6)


def test_21cmfast_that_is_not_installed_is_named_with_its_system_packages(monkeypatch):
    monkeypatch.setitem(sys.modules, "py21cmfast", None)
    with pytest.raises(MissingDependencyError, match=r"libfftw3-dev and libgsl-dev"):
        fast21.load()


def test_a_bubble_too_large_for_21cmfasts_box_is_refused():
    point = Reionisation(simulations=1).design()[0]
    with pytest.raises(UsageError, match="allows a third of the box"):
        fast21.run(point, size=16, box_size=20.0)


@pytest.mark.parametrize("wrong", [{"engine": "simfast"}, {"simulations": 0}, {"slices": 65}, {"size": 4}])
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(UsageError):
        Reionisation(**wrong)
