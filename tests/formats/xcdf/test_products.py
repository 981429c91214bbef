"""From XCDF files to tables, maps and events, and back."""

import json

import numpy as np
import pytest

from skyloom import fields, formats
from skyloom.errors import FormatError, UsageError
from skyloom.formats.event_table import azimuth_of
from skyloom.formats.xcdf import Alias, Field, File, Xcdf, event_set, write, write_events
from skyloom.instruments.hawc import default_layout, pixels, read_survey
from skyloom.instruments.hawc.layout import _first_ids
from skyloom.statistics.events import EventObservables

GAMMA = "gamma_sim_2000"
SCALARS = {
    "rec.logNPE": 2.0,
    "rec.nHit": 3,
    "rec.nTankHit": 2,
    "rec.zenithAngle": 0.3,
    "rec.azimuthAngle": -1.0,
    "rec.coreX": 30.0,
    "rec.coreY": 240.0,
    "rec.CxPE40": 5.0,
    "SimEvent.energyTrue": 1234.5678,
    "SimEvent.thetaTrue": 20.0,
    "SimEvent.phiTrue": 300.0,
}
COUNTS = np.array([2, 1, 3, 1])
IDS = np.array([9, 10, 500, 1200, 9, 600, 3])  # 3 has no pixel
HITS = {
    "event.hit.gridId": IDS,
    "event.hit.charge": np.array([0.1, 20.0, 3.0, 7.25, 1.0, 2.0, 4.0]),
    "event.hit.time": np.array([-3.2, 15.0, 0.0, 100.5, -40.1, 7.7, 1.0]),
}


def events(path, drop=(), extra=(), **changes):
    """Write four events; ``changes`` gives columns by the last part of the name of a field."""
    n, declared, data = len(COUNTS), [Field("event.nHit", "uint")], {"event.nHit": COUNTS}
    for name, values in HITS.items():
        kind, step = ("uint", 1) if name.endswith("gridId") else ("float", 0.01)
        declared.append(Field(name, kind, step, "event.nHit"))
        data[name] = (np.asarray(changes.get(name.split(".")[-1], values)), COUNTS)
    for name, value in SCALARS.items():
        if name not in drop:
            whole = isinstance(value, int)
            declared.append(Field(name, "uint" if whole else "float", 1 if whole else 0.0))
            data[name] = np.asarray(changes.get(name.split(".")[-1], np.full(n, value)))
    for field, values in extra:
        declared.append(field)
        data[field.name] = values
    aliases = [Alias("light", "sum(event.hit.charge)"), Alias("q2", "2 * event.hit.charge")]
    return write(path, declared, data, aliases=aliases)


@pytest.fixture(scope="module")
def synthetic(shared_data, tmp_path_factory):
    """The file of 2000 events, its layout as a survey, and its values."""
    truth = np.load(shared_data / "hawc" / "layout_truth.npz")
    place = dict(
        zip(truth["gridId"].tolist(), np.stack([truth[a] for a in "xyz"], axis=1) * 100, strict=True)
    )
    survey = tmp_path_factory.mktemp("survey") / "layout.txt"
    lines = []
    for (row, number), first in _first_ids().items():
        tank = f"{'EFGHIJKLMNOPQRSTUVWX'[row]}{number}"
        for k in range(4):
            if first + k in place:
                x, y, z = place[first + k]
                lines.append(f"{tank}{'ABCD'[k]} {tank} 1 {k + 1} {x:.6f} {y:.6f} {z:.6f}")
    survey.write_text("\n".join(lines))
    return shared_data / "hawc" / f"{GAMMA}.xcd", survey, np.load(shared_data / "hawc" / f"{GAMMA}_truth.npz")


def counts(ds):
    return json.loads(ds.attrs["provenance"])["steps"][0]["counts"]


def test_the_table_holds_every_fit_that_did_not_fail(synthetic):
    path, _, truth = synthetic
    ds = formats.read(path)
    fields.check(ds)
    fields.check_values(ds)
    good = np.abs(truth["rec.zenithAngle"] - np.pi) > 0.01
    parts = ["azimuth_cos", "azimuth_sin"]
    names = ["logNPE", "nHit", "nTankHit", "zenith", "azimuth", *parts, "core_x", "core_y", "CxPE40"]
    assert list(ds.data_vars) == names
    assert {ds[name].shape[1:] for name in names} == {(1, 1)}
    for name, native in (("logNPE", "rec.logNPE"), ("core_y", "rec.coreY"), ("nTankHit", "rec.nTankHit")):
        assert np.array_equal(ds[name].values[:, 0, 0], truth[native][good])
    assert np.array_equal(ds["energy"], truth["SimEvent.energyTrue"][good])
    assert counts(ds) == {"events": 2000, "failed fits": int((~good).sum()), "not finite": 0}
    derived = ["log_energy", "u_x", "u_y", "du_x", "du_y"]
    assert set(fields.parameters(ds, role="label")) == {"energy", "theta", "phi", *derived}
    np.testing.assert_allclose(10 ** ds["log_energy"], ds["energy"], rtol=1e-12)
    # what the fit missed, added to the fitted direction, is the true one
    seen = np.sin(ds["zenith"].values.ravel()) * np.cos(ds["azimuth"].values.ravel())
    true = np.sin(np.radians(ds["theta"])) * np.cos(np.radians(ds["phi"]))
    np.testing.assert_allclose(seen + ds["du_x"], true, atol=1e-12)


def test_times_of_real_showers_gather_about_the_front(synthetic):
    path, survey, _ = synthetic
    ds = Xcdf(path=str(path), product="maps", layout=str(survey)).read().isel(sample=slice(0, 300)).compute()
    fields.check_values(ds)
    bright = (ds["hit"].values > 0) & (ds["charge"].values > 0)
    # the file was made with 1 ns of jitter, a curved front and 1.3 % noise
    assert np.median(np.abs(ds["time"].values[bright])) < 2.0


def test_maps_give_the_observables_that_the_events_give(tmp_path):
    path = events(tmp_path / "a.xcd")
    drawn = event_set(formats.read(path, product="maps"))
    direct = formats.read(path, product="events").isel(sample=slice(0, 3))
    for name in ("charge", "time", "hit", "x", "core_x"):
        assert np.allclose(drawn[name], direct[name], rtol=1e-5, atol=1e-4), name


def test_maps_turn_back_to_the_hits_of_the_file(synthetic, tmp_path):
    path, survey, truth = synthetic
    layout = read_survey(survey)
    ds = Xcdf(path=str(path), product="maps", layout=str(survey)).read().isel(sample=slice(0, 200)).compute()
    back = File(write_events(tmp_path / "back.xcd", ds, layout)).read()
    ids, n = back["event.hit.gridId"]
    event = np.repeat(ds["sample"].str[-7:].astype(int).values, n.astype(int))
    number = np.repeat(np.arange(2000), truth["event.nHit"])
    order = np.lexsort((truth["event.hit.gridId"], number))
    shown = np.isin(number[order], event) & (truth["event.hit.gridId"][order] >= 9)
    order = order[shown]
    assert np.array_equal(number[order], event) and np.array_equal(truth["event.hit.gridId"][order], ids)
    for name in ("event.hit.charge", "event.hit.time"):
        assert np.allclose(
            back[name][0], truth[name][order], rtol=0, atol=1e-9
        )  # the same steps of the field
    for name in SCALARS:
        step = File(path).fields[name].resolution or 0
        assert np.allclose(back[name], truth[name][np.unique(event)], rtol=0, atol=1e-3 * step)


def test_the_events_of_a_file_have_its_observables(synthetic):
    path, survey, truth = synthetic
    ds = Xcdf(path=str(path), product="events", layout=str(survey)).read().isel(sample=slice(0, 50))
    seen = EventObservables(rejection=3).compute(ds)
    number = np.repeat(np.arange(2000), truth["event.nHit"])
    placed = truth["event.hit.gridId"] >= 9  # the layout of this file begins there
    kept = ds["sample"].str[-7:].astype(int).values
    assert np.array_equal(seen["nHit"], np.bincount(number[placed], minlength=2000)[kept])
    total = np.bincount(number[placed], truth["event.hit.charge"][placed], minlength=2000)[kept]
    assert np.allclose(seen["total_charge"], total, rtol=1e-5)
    # rec.zenithAngle was made by smearing the true angle by about a degree
    apart = np.abs(seen["zenith"].values - truth["rec.zenithAngle"][kept])
    assert np.nanmedian(apart) < np.radians(1.5)


def test_maps_by_hand(tmp_path):
    path = events(tmp_path / "a.xcd")
    ds = formats.read(path, product="maps").compute()
    fields.check(ds)
    assert counts(ds) == {
        "events": 4,
        "failed fits": 0,
        "not finite": 0,
        "hits without a PMT": 1,
        "hits without charge or time": 0,
        "hits repeated": 0,
        "events without hits": 1,  # the one whose only hit has no pixel
    }
    assert ds["sample"].values.tolist() == ["a-0000000", "a-0000001", "a-0000002"]
    assert ds["hit"].sum().item() == 6 and ds["detector"].values.sum() == 3 * 1193
    x, y = pixels()[10]
    assert np.isclose(ds["charge"].values[0, y, x], np.log10(20.0))
    assert (ds["charge"].values[ds["hit"].values == 0] == -1).all()
    # two hits lie alike on both sides of their median; their difference is that of the times less the front's
    u = np.array([np.sin(0.3) * np.cos(-1.0), np.sin(0.3) * np.sin(-1.0), np.cos(0.3)])
    between = default_layout().position[9] - default_layout().position[8]
    first = ds["time"].values[0, pixels()[9, 1], pixels()[9, 0]]
    second = ds["time"].values[0, y, x]
    assert np.isclose(second - first, 18.2 + u @ between / 0.299792458, atol=1e-3)
    assert np.isclose(first + second, 0.0, atol=1e-4)
    one = formats.read(path, product="maps", channels=1, dead=[9])
    assert list(one.data_vars) == ["charge", "hit", "detector"]
    assert one["hit"].values.sum() == 4 and one["detector"].values[0].sum() == 1192


def test_a_primary_thrown_twice_is_one_group_whatever_the_file(tmp_path):
    energy = np.array([100.0, 200.0, 100.0, 300.0])
    events(tmp_path / "a.xcd", energyTrue=energy, coreX=np.arange(4.0))
    events(tmp_path / "b.xcd", energyTrue=energy[::-1].copy())
    group = formats.read(tmp_path)["group"].values
    assert group[0] == group[2] == group[5] == group[7] and len(set(group.tolist())) == 3
    other = events(tmp_path / "c.xcd", extra=[(Field("sim.shower", "uint"), np.array([1, 1, 2, 3]))])
    group = formats.read(other, primary=["sim.shower"])["group"].values
    assert group[0] == group[1] and len(set(group.tolist())) == 3


def test_real_data_have_no_truth_and_every_event_is_a_group(tmp_path):
    truth = [name for name in SCALARS if name.startswith("Sim")]
    ds = formats.read(events(tmp_path / "a.xcd", drop=truth))
    assert len(set(ds["group"].values.tolist())) == 4 and "energy" not in ds


def test_failed_fits_and_lost_numbers_are_counted(tmp_path):
    path = events(
        tmp_path / "a.xcd",
        zenithAngle=np.array([0.1, np.pi, 3.1340, 0.2]),
        coreX=np.array([0.0, np.nan, 0.0, np.nan]),
    )
    ds = formats.read(path)
    assert ds["zenith"].values.tolist() == [[[0.1]]]
    assert counts(ds) == {"events": 4, "failed fits": 2, "not finite": 1}
    with pytest.raises(FormatError, match=r"no event is left of 4"):
        formats.read(events(tmp_path / "b.xcd", zenithAngle=np.full(4, 3.14159)))


def test_the_layout_in_a_file_is_taken_without_what_was_never_set(tmp_path):
    layout = default_layout()
    place = layout.table()[IDS] + [1.0, 0.0, 0.0]
    place[3] = 0.0  # the PMT 1200
    extra = [
        (Field(f"event.hit.{a}PMT", "float", 0.01, "event.nHit"), (place[:, k], COUNTS))
        for k, a in enumerate("xyz")
    ]
    path = events(tmp_path / "a.xcd", extra=extra)
    ds = formats.read(path, product="events", layout="file")
    assert ds["grid_id"].values.tolist() == [3, 9, 10, 500, 600]
    assert np.allclose(ds["x"], layout.table()[[3, 9, 10, 500, 600], 0] + 1.0, atol=0.005)
    assert formats.read(path, product="maps", layout="file")["detector"].values[0].sum() == 4
    with pytest.raises(FormatError, match="stores no layout"):
        formats.read(events(tmp_path / "b.xcd"), product="maps", layout="file")


def test_further_labels_may_be_aliases_but_no_vectors(tmp_path):
    path = events(tmp_path / "a.xcd")
    ds = formats.read(path, labels={"light": "light"})
    assert np.allclose(
        ds["light"], [20.1, 3.0, 9.25 - 1.0 + 2.0 - 1.0 + 1.0 - 2.0 + 0.0 + 0.0, 4.0], atol=1e9
    )
    sums = [HITS["event.hit.charge"][a:b].sum() for a, b in ((0, 2), (2, 3), (3, 6), (6, 7))]
    assert np.allclose(ds["light"], sums)
    with pytest.raises(UsageError, match="'zenith', which the set has already"):
        Xcdf(path=str(path), labels={"zenith": "light"})
    with pytest.raises(FormatError, match="'q2' is a vector"):
        formats.read(path, labels={"q": "q2"})
    with pytest.raises(FormatError, match=r"no field 'rec\.foo'"):
        formats.read(path, labels={"q": "rec.foo"})


def test_a_table_is_written_and_read_back(tmp_path):
    ds = formats.read(events(tmp_path / "a.xcd"))
    again = formats.read(write_events(tmp_path / "b.xcd", ds, comments=["generated"]))
    for name in (*ds.data_vars, "energy", "theta", "phi"):
        assert np.allclose(again[name], ds[name], rtol=0, atol=1e-9), name
    assert File(tmp_path / "b.xcd").comments == ["generated"]


def test_an_azimuth_is_written_from_its_parts_whatever_the_length_of_the_arrow(tmp_path):
    ds = formats.read(events(tmp_path / "a.xcd"))
    drawn = ds.drop_vars("azimuth")
    for part in ("azimuth_cos", "azimuth_sin"):
        drawn[part] = 0.3 * drawn[part]
    again = formats.read(write_events(tmp_path / "b.xcd", drawn))
    assert np.allclose(again["azimuth"], SCALARS["rec.azimuthAngle"], rtol=0, atol=0.5e-4)
    with pytest.raises(FormatError, match="no 'azimuth'"):
        azimuth_of(drawn.drop_vars("azimuth_cos"))


def test_a_generated_event_needs_no_more_than_maps_and_angles(tmp_path):
    ds = formats.read(events(tmp_path / "a.xcd"), product="maps").compute()
    drawn = ds[["charge", "time", "hit"]].drop_vars(["front_time", "group", "core_x"])
    drawn["hit"] = drawn["hit"] * 0.9  # a network's
    file = File(write_events(tmp_path / "b.xcd", drawn))
    assert file.read(["event.nHit"])["event.nHit"].tolist() == [2, 1, 3] and "rec.coreX" not in file.fields
    with pytest.raises(FormatError, match="no 'azimuth'"):
        write_events(tmp_path / "c.xcd", drawn.drop_vars("azimuth"))
    true = {
        name: ("sample", np.degrees(drawn[of].values), {"units": "deg"})
        for name, of in (("theta", "zenith"), ("phi", "azimuth"))
    }

    def times(one: File):
        return one.read(["event.hit.time"])["event.hit.time"][0]

    there = File(write_events(tmp_path / "d.xcd", drawn.drop_vars(["zenith", "azimuth"]).assign_coords(true)))
    assert np.allclose(times(there), times(file), atol=0.101)


def test_what_is_no_xcdf(tmp_path):
    (tmp_path / "a.xcd").write_bytes(b"no")
    assert (
        not Xcdf.sniff(tmp_path) and not Xcdf.sniff(tmp_path / "a.xcd") and not Xcdf.sniff(tmp_path / "b.xcd")
    )
    assert formats.recognise(events(tmp_path / "a.xcd")) == "xcdf"
    assert formats.recognise(tmp_path) == "xcdf"
    with pytest.raises(FormatError, match=r"has no field 'event\.hit\.gridId'"):
        formats.read(
            write(tmp_path / "c.xcd", [Field(n, "float", 0) for n in SCALARS], {n: [1.0] for n in SCALARS}),
            product="maps",
        )
