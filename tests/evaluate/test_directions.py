"""Angular resolution against closed forms on the sphere and a Rayleigh law."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from skyloom.evaluate.directions import angular_resolution, containment, direction, separation


def made(n=4000, seed=0, spread=0.01):
    """A fit that misses by a Gaussian of known spread across the vertical, and what it missed."""
    rng = np.random.default_rng(seed)
    missed = rng.normal(0, spread, (n, 2))
    coords = {"sample": [f"e{i}" for i in range(n)], "group": ("sample", [f"e{i}" for i in range(n)])}
    table = xr.Dataset(
        coords={
            **coords,
            "zenith": ("sample", np.zeros(n)),
            "azimuth": ("sample", rng.uniform(-np.pi, np.pi, n)),
            "nHit": ("sample", rng.integers(30, 900, n)),
        }
    )
    pair = ("sample", "parameter")
    truth = np.column_stack([np.full(n, 3.0), missed])
    p = xr.Dataset(
        {"truth": (pair, truth), "mean": (pair, truth * [1, 0.5, 0.5])},
        {**coords, "parameter": ["log_energy", "du_x", "du_y"]},
    )
    return p, table


def test_directions_are_unit_vectors_and_turn_with_the_sphere():
    rng = np.random.default_rng(0)
    zenith, azimuth = rng.uniform(0, 1, 50), rng.uniform(-3, 3, 50)
    u = direction(zenith, azimuth)
    np.testing.assert_allclose(np.linalg.norm(u, axis=1), 1, atol=1e-12)
    # along a meridian the angle is the difference of the zenith angles
    np.testing.assert_allclose(separation(u, direction(zenith + 0.1, azimuth)), np.degrees(0.1), rtol=1e-9)
    # a turn about the vertical by δ: cos = 1 - sin² θ (1 - cos δ)
    turned = separation(u, direction(zenith, azimuth + 0.2))
    np.testing.assert_allclose(
        np.cos(np.radians(turned)), 1 - np.sin(zenith) ** 2 * (1 - np.cos(0.2)), atol=1e-12
    )


def test_what_was_missed_brings_back_the_truth_and_never_below_the_horizon():
    fit, truth = direction(np.array([0.5]), np.array([1.0])), direction(np.array([0.55]), np.array([1.2]))
    missed = (truth - fit)[:, :2]
    assert separation(direction(np.array([0.5]), np.array([1.0]), missed), truth)[0] < 1e-6
    far = direction(np.array([1.5]), np.array([0.0]), np.array([[0.5, 0.0]]))
    np.testing.assert_allclose(far, [[1, 0, 0]], atol=1e-7)


def test_containment_counts_weights_as_copies():
    angles = np.array([[1.0], [5.0], [2.0]])
    assert containment(angles, weights=np.array([[1, 1, 8]]), level=0.68).item() == 2.0
    assert containment(np.repeat(angles, [1, 1, 8], axis=0), level=0.68).item() == 2.0


def test_the_resolution_of_a_gaussian_is_that_of_a_rayleigh_law():
    p, table = made()
    found = angular_resolution(p, {"mean": p.assign(mean=0 * p["mean"])}, table, draws=200)
    everything = found["events"]["all"]
    # sqrt(-2 ln 0.32) spreads; the network halves what was missed
    expected = np.degrees(0.01 * np.sqrt(-2 * np.log(0.32)))
    assert everything["plane fit"]["value"] == pytest.approx(expected, rel=0.04)
    assert everything["network"]["value"] == pytest.approx(expected / 2, rel=0.04)
    assert everything["mean"] == everything["plane fit"]
    assert everything["network"]["low"] < expected / 2 < everything["network"]["high"]
    assert sum(part["network"]["samples"] for name, part in found["events"].items() if name != "all") == 4000


def test_nothing_is_said_of_other_parameters():
    p, table = made(20)
    assert angular_resolution(p.sel(parameter=["log_energy"]), {}, table) is None
    assert angular_resolution(p, {}, table.drop_vars("zenith")) is None
