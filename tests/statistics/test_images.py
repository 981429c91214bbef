"""Similarity of two maps against hand values, against the paper's formula pixel by pixel, and symmetries."""

from __future__ import annotations

import numpy as np
import pytest

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.statistics.images import correlation, psnr, ssim

RNG = np.random.default_rng(0)
TRUTH = RNG.random((3, 24, 24))
OTHER = TRUTH + 0.2 * RNG.standard_normal(TRUTH.shape)


def test_psnr_of_a_known_error():
    # An offset of 1 % of the span is 40 dB.
    assert psnr(TRUTH, TRUTH + 0.01, span=1.0) == pytest.approx([40, 40, 40])
    assert np.isinf(psnr(TRUTH, TRUTH)).all()
    assert psnr(TRUTH, OTHER) == pytest.approx(psnr(7 * TRUTH - 3, 7 * OTHER - 3))


def test_ssim_of_constant_maps_is_its_first_factor():
    a, b, R = 0.2, 0.6, 1.0
    flat = np.ones((16, 16))
    c1 = (0.01 * R) ** 2
    assert float(ssim(a * flat, b * flat, span=R)) == pytest.approx((2 * a * b + c1) / (a**2 + b**2 + c1))


@pytest.mark.parametrize(("periodic", "mode"), [(True, "wrap"), (False, "symmetric")])
def test_ssim_is_the_formula_pixel_by_pixel(periodic, mode):
    t, o, half = TRUTH[0], OTHER[0], 5
    x = np.arange(-half, half + 1)  # 3.5 widths of 1.5 pixels, rounded: the 11 × 11 window of the paper
    line = np.exp(-(x**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    padded = [np.pad(m, half, mode=mode) for m in (t, o)]
    total = 0.0
    for i in range(24):
        for j in range(24):
            p, q = (m[i : i + 11, j : j + 11] for m in padded)
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            total += (2 * mp * mq + 1e-4) * (2 * cov + 9e-4) / ((mp**2 + mq**2 + 1e-4) * (vp + vq + 9e-4))
    assert float(ssim(t, o, span=1.0, periodic=periodic)) == pytest.approx(total / 24**2, rel=1e-9)


def test_a_pair_moved_together_is_as_alike():
    before = ssim(TRUTH, OTHER), correlation(TRUTH, OTHER)
    for move in (
        lambda m: np.roll(m, (3, 5), (1, 2)),
        lambda m: m[..., ::-1],
        lambda m: np.swapaxes(m, 1, 2),
    ):
        assert ssim(move(TRUTH), move(OTHER)) == pytest.approx(before[0])
        assert correlation(move(TRUTH), move(OTHER)) == pytest.approx(before[1])


def test_noise_lowers_all_of_them():
    worse = TRUTH + 3 * (OTHER - TRUTH)
    for score in (psnr, ssim, correlation):
        assert (score(TRUTH, worse) < score(TRUTH, OTHER)).all()


def test_correlation_of_added_noise():
    t = RNG.standard_normal((1, 128, 128))
    o = t + RNG.standard_normal((1, 128, 128))
    # Equal parts of signal and noise: 1 / √2, known to (1 - r²) / N.
    assert float(correlation(t, o)[0]) == pytest.approx(1 / np.sqrt(2), abs=4 * 0.5 / 128)


def test_wrong_input_is_refused():
    with pytest.raises(ShapeError, match="stand beside true ones"):
        psnr(TRUTH, OTHER[:2])
    with pytest.raises(UsageError, match="span of values"):
        ssim(np.ones((8, 8)), np.zeros((8, 8)))
    with pytest.raises(UsageError, match="width is 0"):
        ssim(TRUTH, OTHER, width=0)
    with pytest.raises(DataError, match="NaN"):
        correlation(TRUTH, np.full_like(TRUTH, np.nan))
