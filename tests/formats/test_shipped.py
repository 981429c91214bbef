"""The sets in the package: what they hold, and that they are what their native files were."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom import fields
from skyloom.errors import FormatError
from skyloom.fields import store
from skyloom.formats.shipped import Shipped, shipped_sets
from skyloom.statistics import power_spectrum


@pytest.mark.parametrize("name", shipped_sets())
def test_every_shipped_set_is_whole_and_small(name):
    ds = Shipped(set=name).read()
    fields.check(ds)
    fields.check_values(ds)
    files = list(Shipped(set=name).folder.iterdir())
    assert sum(file.stat().st_size for file in files) <= 12e6


def test_an_unknown_set_is_refused_with_the_nearest_name():
    with pytest.raises(FormatError, match="no shipped set is called 'cosmic-rays'") as caught:
        Shipped(set="cosmic-rays")
    assert "cosmic-rays-athena" in str(caught.value.hint)


def test_cosmic_rays_has_two_runs_of_each_regime_at_two_times():
    ds = Shipped(set="cosmic-rays-athena").read()
    assert list(fields.class_names(ds, "transport").values()) == [
        "MHD", "CR_Advect", "CR_Diff_Fiducial", "CR_Diff100", "CR_withStreaming",
    ]  # fmt: skip
    pairs = set(zip(ds["group"].values, ds["transport"].values, strict=True))
    assert len(pairs) == len(np.unique(ds["seed"])) == 10
    assert np.bincount([int(code) for _, code in pairs]).tolist() == [2] * 5
    assert np.unique(ds["time"].round(1)).tolist() == [0.8, 1.2]
    # Mass is kept: the box holds rho = 1; float16 rounds each cell by less than 5e-4.
    np.testing.assert_allclose(ds["density"].mean(("z", "y", "x")), 1.0, atol=1e-4)
    # Cosmic rays begin at P_c = P_gas = 1, an energy of 3, and are absent from MHD.
    energy = ds["E_c"].mean(("z", "y", "x")).values
    none = ds["transport"].values == 0
    assert (energy[none] == 0).all()
    np.testing.assert_allclose(energy[~none], 3.0, rtol=0.07)


def test_advected_cosmic_rays_carry_the_grid_noise_that_the_docs_warn_of():
    """Power at the last wavenumbers rises only there: a network may read the code instead of the physics."""
    ds = Shipped(set="cosmic-rays-athena").read()
    power = power_spectrum(ds["density"].values, 1.0, dims=3, bins=23).power
    rise = power[:, -1] / power[:, -4]
    advected = ds["transport"].values == 1
    assert (rise[~advected] < 0.5).all()
    assert (rise[advected] > 0.8).all()


def test_the_packed_cubes_are_those_of_the_native_files(shared_data):
    stored = store.Reader(Shipped(set="cosmic-rays-athena").folder)
    ids = stored.ids.tolist()
    with np.load(shared_data / "turbulence" / "athena_regimes" / "stream_2.npz") as run:
        late = stored.read("density", np.array([ids.index("stream-2-t1.2")]))[0]
        np.testing.assert_array_equal(late, run["density"][2].astype(np.float32))
        energy = stored.read("magnetic_energy", np.array([ids.index("stream-2-t0.8")]))[0]
        np.testing.assert_allclose(energy, run["B2"][0].astype(np.float32) / 2, rtol=1e-3)
