"""Answers planted at one scale: the band that holds them is found by both questions."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from skyloom.errors import UsageError
from skyloom.explain import Context
from skyloom.explain.bands import BandAttribution, Bands, octaves
from skyloom.fields.interventions import filter_band

N = 32


def generator():
    return torch.Generator().manual_seed(0)


def wave(k):
    return np.cos(2 * np.pi * k * np.arange(N) / N) * np.ones((N, 1))


def amplitude(k):
    pattern = torch.from_numpy(wave(k).astype(np.float32)) * 2 / N**2
    return lambda maps: (maps[:, 0] * pattern).sum((1, 2))


@pytest.mark.parametrize(("k", "band"), [(1, 0), (3, 1), (5, 2), (12, 3)])
def test_only_the_band_of_the_answer_matters(reader, k, band):
    labels = np.random.default_rng(5).standard_normal(40)
    # The other wave has no label in it, but stands in the way.
    raw = labels[:, None, None, None] * wave(k) + 0.7 * wave(9).T + 3.0
    context = Context(labels[:, None], raw, lambda m: torch.from_numpy(m.astype(np.float32)), ["a"])
    ds = Bands(bootstrap=50).explain(
        reader(amplitude(k)), torch.zeros(1), 0, generator=generator(), context=context
    )
    # Without its band the answer is 0 for all maps: 1 - Σ y² / Σ (y - <y>)².
    lost = 1 - np.square(labels).sum() / np.square(labels - labels.mean()).sum()
    removed, kept = np.ones(4), np.full(4, lost)
    removed[band], kept[band] = lost, 1
    np.testing.assert_allclose(ds["score"].sel(treatment="removed"), removed, atol=1e-4)
    np.testing.assert_allclose(ds["score"].sel(treatment="kept"), kept, atol=1e-4)
    np.testing.assert_allclose(ds["drop"], ds["own"] - ds["score"], atol=1e-12)
    summary = json.loads(ds.attrs["summary"])
    assert summary["most_needed"] == [float(ds["n_low"][band]), float(ds["n_high"][band])]
    assert summary["own"] == pytest.approx(1.0, abs=1e-5)


def test_attribution_of_a_linear_network_is_weight_times_filtered_map(linear, weights, maps, context):
    ds = BandAttribution(edges=[0, 2, 3, 9], steps=1).explain(
        linear, maps, 1, generator=generator(), context=context
    )
    mean = maps.numpy().mean((-2, -1), keepdims=True)
    for column, band in enumerate([(0, 2), (2, 3), (3, 9)]):
        part = filter_band(maps.numpy(), *band) - mean
        expected = (weights[1].numpy() * part).sum((1, 2, 3))
        np.testing.assert_allclose(ds["by_band"][:, column], expected, atol=1e-4)
    np.testing.assert_allclose(ds["of_mean"], (weights[1].numpy() * mean).sum((1, 2, 3)), atol=1e-4)
    np.testing.assert_allclose(ds["gap"], 0, atol=1e-4)


@pytest.mark.parametrize("periodic", [True, False])
def test_the_bands_share_the_whole_change(reader, periodic):
    maps = torch.randn(6, 1, N, N, generator=torch.Generator().manual_seed(3))
    context = Context(np.zeros((6, 1)), maps.numpy(), torch.from_numpy, ["x"], periodic=periodic)
    # The variance of white noise: each mode holds the same, so a band's share is its share of modes.
    method = reader(lambda m: m.square().mean((1, 2, 3)))
    ds = BandAttribution(steps=1).explain(method, maps, 0, generator=generator(), context=context)
    total = ds["by_band"].sum("band") + ds["of_mean"]
    np.testing.assert_allclose(total, maps.square().mean((1, 2, 3)), rtol=1e-5)
    if periodic:
        n = np.hypot(*np.meshgrid(*[np.fft.fftfreq(N, 1 / N)] * 2))
        edges = [*ds["n_low"].values, np.inf]
        modes = np.histogram(n[n > 0], edges)[0]
        # 6 maps of m modes each: the power scatters by (2 / 6 m)^1/2 of itself.
        share = ds["by_band"].mean("sample").values
        np.testing.assert_allclose(
            share, modes / N**2, atol=0, rtol=float(4 * (2 / (6 * modes.min())) ** 0.5)
        )
    summary = json.loads(ds.attrs["summary"])
    assert summary["largest"] == [8.0, octaves(N)[-1]]
    assert sum(summary["share"]) == pytest.approx(1, abs=0.02)  # the rest is the mean's


def test_octaves_reach_the_corner():
    for side in (16, 31, 64):
        edges = octaves(side)
        assert edges[0] == 0 and edges[-1] > side / 2**0.5
        np.testing.assert_allclose(np.diff(np.log2(edges[1:-1])), 1)


@pytest.mark.parametrize("edges", [[4.0], [4.0, 4.0], [-1.0, 4.0], []])
def test_edges_that_do_not_rise_are_refused(edges):
    for make in (Bands, BandAttribution):
        with pytest.raises(UsageError, match="rising numbers"):
            make(edges=edges)
