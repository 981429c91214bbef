"""Scattering coefficients against closed forms, energy bounds, symmetries and kymatio's own filters."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ellipe

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics import (
    WaveletScattering,
    isotropic,
    power_spectrum,
    scattering,
    scattering_features,
)
from skyloom.statistics.wavelets import filter_bank

RNG = np.random.default_rng(30)


def morlet(k: np.ndarray, j: int, theta: float, L: int) -> float:
    """The wavelet of one wavevector (x, y), from the formula, without aliases or normalisation."""
    sigma, xi = 0.8 * 2**j, 0.75 * np.pi / 2**j
    along, across = k @ [np.cos(theta), np.sin(theta)], k @ [-np.sin(theta), np.cos(theta)]

    def gauss(centre: float) -> float:
        return float(np.exp(-0.5 * sigma**2 * ((along - centre) ** 2 + (4 / L) ** -2 * across**2)))

    return gauss(xi) - np.exp(-0.5 * (sigma * xi) ** 2) * gauss(0.0)


def test_plane_wave() -> None:
    # A cos(k x) leaves A/2 |ψ(k) + ψ(-k) exp(-2ikx)|, and <|1 + r exp(iφ)|> = 2/π (1 + r) E(4r / (1 + r)²).
    N, L, J = 128, 4, 4
    k = 2 * np.pi * np.array([7, 5]) / N
    y, x = np.mgrid[:N, :N]
    s = scattering(3.0 * np.cos(k[0] * x + k[1] * y + 0.4), scales=J, angles=L)
    expected = np.zeros((J, L))
    for j, i in np.ndindex(J, L):
        there, back = (abs(morlet(sign * k, j, np.pi * i / L, L)) for sign in (1, -1))
        r = min(there, back) / max(there, back)
        expected[j, i] = 1.5 * max(there, back) * 2 / np.pi * (1 + r) * ellipe(4 * r / (1 + r) ** 2)
    # The finest wavelet has aliases; the common constant of all wavelets comes from one of the others.
    constant = filter_bank(N, J, L)[3, 0, 0, 7] / morlet(np.array([k[0], 0.0]), 3, 0.0, L)
    np.testing.assert_allclose(s.first[1:], constant * expected[1:], rtol=2e-3, atol=1e-6)
    assert s.first[2].argmax() == 1  # along (7, 5), of the directions 0°, 45°, 90° and 135°
    assert s.mean == pytest.approx(0.0, abs=1e-12)


def test_white_noise() -> None:
    # A wavelet's even and odd part make independent Gaussians of sd s >= t, the real and the imaginary part;
    # the mean modulus is √(2/π) s E(1 - t²/s²), with the complete elliptic integral E.
    maps = 2.0 * RNG.standard_normal((100, 32, 32))
    first = scattering(maps, scales=3, angles=4, order=1).first
    bank = filter_bank(32, 3, 4)
    mirror = np.roll(bank[..., ::-1, ::-1], 1, axis=(-2, -1))
    s, t = (2.0 * np.sqrt(np.square(part / 2).mean(axis=(-2, -1))) for part in (bank + mirror, bank - mirror))
    high, low = np.maximum(s, t), np.minimum(s, t)
    expected = np.sqrt(2 / np.pi) * high * ellipe(1 - (low / high) ** 2)
    z = (first.mean(axis=0) - expected) / (first.std(axis=0) / np.sqrt(100))
    assert np.abs(z).max() < 4


@pytest.mark.parametrize(("N", "J", "L"), [(32, 3, 4), (33, 4, 8), (16, 4, 1)])
def test_wavelets_hold_at_most_the_energy(N: int, J: int, L: int) -> None:
    bank = filter_bank(N, J, L)
    np.testing.assert_allclose(bank[:, :, 0, 0], 0.0, atol=1e-15)
    field = RNG.exponential(size=(N, N))
    energy = sum(
        np.mean(np.abs(np.fft.ifft2(np.fft.fft2(field) * wavelet)) ** 2) for wavelet in bank.reshape(-1, N, N)
    )
    assert 0.1 * field.var() < energy <= field.var()
    s = scattering(field, scales=J, angles=L)
    assert np.square(s.first).sum() <= energy  # <|u|>² <= <|u|²>
    for j in range(J - 1):  # the modulus is filtered by the same wavelets
        assert (np.square(s.second[j, j + 1 :]).sum(axis=(0, 2)) <= np.square(s.first[j]) * N**2).all()


def test_constant_map_has_only_a_mean() -> None:
    s = scattering(np.full((2, 16, 16), 5.0), scales=3)
    np.testing.assert_allclose(s.mean, 5.0)
    assert np.nanmax(s.first) < 1e-12
    assert np.nanmax(s.second) < 1e-12


def test_nothing_where_the_second_wavelet_is_not_coarser() -> None:
    s = scattering(RNG.standard_normal((16, 16)), scales=3, angles=2)
    j, j2 = np.indices((3, 3))
    np.testing.assert_array_equal(np.isnan(s.second).all(axis=(2, 3)), j2 <= j)
    np.testing.assert_array_equal(np.isnan(s.second).any(axis=(2, 3)), j2 <= j)
    assert np.isnan(scattering(RNG.standard_normal((16, 16)), scales=3, order=1).second).all()


def test_a_shift_of_a_periodic_map_changes_nothing() -> None:
    field = RNG.standard_normal((32, 32))
    before, after = scattering(field), scattering(np.roll(field, (5, 11), axis=(0, 1)))
    np.testing.assert_allclose(after.first, before.first, rtol=1e-11)
    np.testing.assert_allclose(after.second, before.second, rtol=1e-10)


@pytest.mark.parametrize("periodic", [True, False])
@pytest.mark.parametrize("L", [2, 4, 6])
def test_a_quarter_turn_moves_every_direction_by_half_of_them(L: int, periodic: bool) -> None:
    field = RNG.standard_normal((32, 32))
    before = scattering(field, scales=3, angles=L, periodic=periodic)
    after = scattering(np.rot90(field), scales=3, angles=L, periodic=periodic)
    np.testing.assert_allclose(after.first, np.roll(before.first, L // 2, axis=-1), rtol=1e-10)
    np.testing.assert_allclose(
        after.second, np.roll(before.second, (L // 2, L // 2), axis=(-2, -1)), rtol=1e-10
    )


@pytest.mark.parametrize("L", [3, 4])
def test_a_flip_reverses_the_directions(L: int) -> None:
    field = RNG.standard_normal((16, 16))
    before, after = scattering(field, scales=2, angles=L), scattering(field[::-1], scales=2, angles=L)
    mirror = -np.arange(L) % L
    np.testing.assert_allclose(after.first, before.first[:, mirror], rtol=1e-10)
    np.testing.assert_allclose(after.second, before.second[..., mirror, :][..., mirror], rtol=1e-10)
    np.testing.assert_allclose(isotropic(after).second, isotropic(before).second, rtol=1e-10)


def test_first_degree_in_the_field() -> None:
    field = RNG.standard_normal((16, 16))
    one, many = scattering(field, scales=3), scattering(-1e3 * field + 7.0, scales=3)
    np.testing.assert_allclose(many.first, 1e3 * one.first, rtol=1e-10)
    np.testing.assert_allclose(many.second, 1e3 * one.second, rtol=1e-10)
    assert many.mean == pytest.approx(7.0 - 1e3 * one.mean)


def test_isotropic_averages_pairs_of_directions() -> None:
    s = scattering(RNG.standard_normal((16, 16)), scales=2, angles=4)
    folded = isotropic(s).second[0, 1]
    pairs = {
        a: [s.second[0, 1, p, q] for p in range(4) for q in range(4) if min((q - p) % 4, (p - q) % 4) == a]
        for a in range(3)
    }
    np.testing.assert_allclose(folded, [np.mean(pairs[a]) for a in range(3)], rtol=1e-13)


def test_tells_a_lognormal_map_from_a_gaussian_one_of_equal_spectrum() -> None:
    N, maps = 32, 40
    n = np.hypot(*np.meshgrid(np.fft.fftfreq(N, 1 / N), np.fft.fftfreq(N, 1 / N)))
    shape = np.where(n > 0, np.maximum(n, 1) ** -1.0, 0.0)
    white = np.fft.fft2(RNG.standard_normal((2, maps, N, N)))
    smooth = np.fft.ifft2(white * shape).real
    lognormal = np.exp(smooth[0] / smooth.std())
    phases = white[1] / np.abs(white[1])
    gaussian = np.fft.ifft2(np.abs(np.fft.fft2(lognormal)) * phases).real
    power = [power_spectrum(m, 1.0, bins=6).power for m in (lognormal, gaussian)]
    np.testing.assert_allclose(power[0], power[1], rtol=1e-9)
    ratio = []
    for m in (lognormal, gaussian):
        s = isotropic(scattering(m, scales=3))
        ratio.append((s.second / s.first[:, :, None, None])[:, [0, 0, 1], [1, 2, 2]].mean(axis=-1))
    z = (ratio[0].mean(axis=0) - ratio[1].mean(axis=0)) / np.sqrt(
        (ratio[0].var(axis=0) + ratio[1].var(axis=0)) / maps
    )
    assert (z > 10).all()  # bright spots vary more on the coarse scale


def test_an_open_map_has_no_jump_at_its_edge() -> None:
    ramp = np.linspace(0.0, 1.0, 32) * np.ones((32, 1))
    closed, opened = scattering(ramp, scales=2), scattering(ramp, scales=2, periodic=False)
    assert opened.first[0, 0] < 0.5 * closed.first[0, 0]  # a kink is left


def test_batches_and_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    fields = RNG.standard_normal((2, 3, 16, 16))
    whole = scattering(fields, scales=3)
    assert whole.first.shape == (2, 3, 3, 4)
    assert whole.second.shape == (2, 3, 3, 3, 4, 4)
    np.testing.assert_allclose(whole.second[1, 2], scattering(fields[1, 2], scales=3).second, rtol=1e-12)
    single = scattering(fields.astype(np.float32), scales=3)
    np.testing.assert_allclose(single.second, whole.second, rtol=1e-5)
    monkeypatch.setattr("skyloom.statistics.wavelets._CHUNK", 300)
    np.testing.assert_allclose(scattering(fields, scales=3).second, whole.second, rtol=1e-12)
    assert scattering(fields[:0], scales=3).first.shape == (0, 3, 3, 4)


def test_features_in_order() -> None:
    field = RNG.standard_normal((2, 16, 16))
    s = isotropic(scattering(field, scales=3))
    features = scattering_features(field, scales=3)
    np.testing.assert_array_equal(features[:, :4], np.column_stack([s.mean, s.first]))
    np.testing.assert_array_equal(features[:, 4:7], s.second[:, 0, 1])
    np.testing.assert_array_equal(features[:, 7:10], s.second[:, 0, 2])
    np.testing.assert_array_equal(features[:, 10:], s.second[:, 1, 2])
    np.testing.assert_array_equal(scattering_features(field, scales=3, order=1), features[:, :4])


def test_agrees_with_kymatio() -> None:
    bank = pytest.importorskip("kymatio.scattering2d.filter_bank", exc_type=ImportError)
    core = pytest.importorskip("kymatio.scattering2d.core.scattering2d", exc_type=ImportError)
    backend = pytest.importorskip("kymatio.scattering2d.backend.numpy_backend", exc_type=ImportError)
    N, J, L = 32, 3, 4
    theirs = bank.filter_bank(N, N, J, L)
    # Their direction t is (L/2 - 1 - t) π/L from the first axis, ours from the last.
    turn = [int(t + 1) % L for t in range(L)]
    ours = filter_bank(N, J, L)
    reference = np.array([[theirs["psi"][j * L + t]["levels"][0] for t in range(L)] for j in range(J)])
    # The last of theirs points the other way: the mirror image in Fourier space.
    reference[:, -1] = np.roll(reference[:, -1, ::-1, ::-1], 1, axis=(-2, -1))
    constant = ours[:, turn].max() / reference.max()
    np.testing.assert_allclose(ours[:, turn], constant * reference, atol=1e-4)
    field = RNG.standard_normal((1, N, N)).astype(np.float32)
    out = core.scattering2d(
        field,
        lambda x: x,
        lambda x: x,
        backend.NumpyBackend2D,
        J,
        L,
        theirs["phi"],
        theirs["psi"],
        2,
        out_type="list",
    )
    s = scattering(field[0], scales=J, angles=L)
    for entry in out[1:]:
        j, t = entry["j"], [turn[i] for i in entry["theta"]]
        value = (
            s.first[j[0], t[0]] / constant if len(j) == 1 else s.second[j[0], j[1], t[0], t[1]] / constant**2
        )
        # They average a coarser grid through a low-pass filter.
        assert entry["coef"].mean() == pytest.approx(value, rel=0.05)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: scattering(np.ones((16, 15))), ShapeError, r"\(16, 15\)"),
        (lambda: scattering(np.full((16, 16), np.nan)), DataError, "1 of 1"),
        (
            lambda: scattering(np.ones((8, 8))),
            UsageError,
            "scales is 4 for maps of 8 pixels, allowed: 1 to 3",
        ),
        (lambda: scattering(np.ones((8, 8)), scales=0), UsageError, "scales is 0"),
        (lambda: scattering(np.ones((8, 8)), angles=0), UsageError, "angles is 0"),
        (lambda: scattering(np.ones((8, 8)), order=3), UsageError, "order is 3"),
        (lambda: WaveletScattering(scales=1), UsageError, "scales is 1"),
        (lambda: WaveletScattering().compute(np.ones((1, 8, 8, 8)), 1.0, True, ""), ShapeError, "cubes"),
    ],
)
def test_wrong_arguments(call, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        call()
