"""``skyloom export sky``: what of the command line reaches the API."""

from __future__ import annotations

from pathlib import Path

from skyloom.api.sky import Exported


def test_export_sky_hands_on_what_was_given_and_tells_what_was_written(api, here, skyloom_command):
    api.answers["export_sky"] = Exported([Path("sky.fits")], {"flux of the line": "7 Jy km/s"})
    done = skyloom_command(
        "export", "sky", "set", "--out", "sky.fits", "--distance", "10", "--centre", "83.6,22",
        "--channels", "8", "--beam", "30",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == ["flux of the line: 7 Jy km/s", "image  sky.fits"]
    name, given, options = api.calls[-1]
    assert (name, given) == ("export_sky", (Path("set"), Path("sky.fits")))
    assert {key: value for key, value in options.items() if value not in (None, {})} == {
        "distance": 10.0, "centre": (83.6, 22.0), "count": 8, "beam": 30.0, "band": 1000.0,
        "dispersion": 10.0, "comoving": False,
    }  # fmt: skip


def test_a_centre_that_is_no_place_is_refused(api, here, skyloom_command):
    done = skyloom_command("export", "sky", "set", "--out", "sky.fits", "--centre", "Crab")
    assert done.exit_code == 2 and "--centre Crab" in done.output
    assert not api.calls
