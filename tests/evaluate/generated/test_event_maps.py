"""Maps of a detector judged as the events that they show."""

import numpy as np
import pytest

from skyloom import fields
from skyloom.evaluate.generated import judge
from skyloom.evaluate.generated.curves import compute_curves
from skyloom.evaluate.generated.sample import gather
from skyloom.instruments.hawc import detector_mask

N = 60


def events(seed, *, prefix, brighter=0.0, late=0.0):
    """Maps of hits at random pixels, as the format xcdf has them; charges are one dex a brighter."""
    rng = np.random.default_rng(seed)
    mask = detector_mask(np.zeros(0, dtype=int)) > 0
    hit = (rng.random((N, *mask.shape)) < rng.uniform(0.05, 0.3, (N, 1, 1))) & mask
    charge = np.where(hit, rng.normal(0.5 + brighter, 0.3, hit.shape), -1.0)
    time = np.where(hit, rng.normal(0, 5.0 + late, hit.shape), 0.0)
    ids = [f"{prefix}{row}" for row in range(N)]
    return fields.build(
        {
            "charge": (charge.astype(np.float32), "dex(electron)", "logarithm of the charge"),
            "time": (time.astype(np.float32), "ns", "time after the front"),
            "hit": (hit.astype(np.float32), "", "whether the PMT was hit"),
            "detector": (np.broadcast_to(mask, hit.shape).astype(np.float32), "", "where there are PMTs"),
        },
        ids=ids,
        groups=ids,
        seeds=np.arange(N),
        box_size=40.0,
        box_size_unit="",
        periodic=False,
        suite="toy",
        realism="toy",
    )


def test_observables_are_those_of_the_hits():
    real, bright = events(0, prefix="a"), events(0, prefix="b", brighter=1.0)
    names = ["charge", "time", "hit"]
    sets = [gather(ds, names, [], maximum=N, seed=0) for ds in (real, bright)]
    curves = {curve.variable: curve.values for curve in compute_curves(sets, ["event_observables"])}
    assert np.array_equal(curves["nHit"][:N, 0], real["hit"].values.sum(axis=(1, 2)))
    # charges of one dex more: the sum is ten times as large, and nothing else of hits and times moves
    assert np.allclose(curves["total_charge"][N:], 10 * curves["total_charge"][:N], rtol=1e-4)
    assert np.allclose(curves["front_rms"][N:], curves["front_rms"][:N], equal_nan=True)
    # times of 5 ns about the front, of which the fit takes up next to nothing
    assert np.nanmean(curves["front_rms"]) == pytest.approx(5.0, abs=0.15)


def test_events_that_are_too_bright_are_told_and_equal_ones_are_not():
    real = events(0, prefix="a")
    options = {"statistics": ["event_observables"], "network": False, "splits": 4, "baselines": []}
    same = judge(real, events(1, prefix="b"), **options)
    assert same.row("event_observables.total_charge.sigma")["real"] is not False
    assert same.numbers["fields"] == ["charge", "time", "hit"]  # the mask tells nothing
    # Every event leaves some ring without a hit; the profile is judged all the same.
    assert same.row("event_observables.charge_profile.sigma")["real"] is not False
    assert same.row("auc_events")["generated"]["value"] == pytest.approx(0.5, abs=0.2)
    bright = judge(real, events(1, prefix="b", brighter=0.7), **options)
    assert bright.row("event_observables.total_charge.sigma")["real"] is False
    assert bright.row("event_observables.nHit.sigma")["real"] is not False
    assert bright.row("event_observables.charge_profile.sigma")["real"] is False
    assert bright.row("auc_events")["real"] is False
