"""How well the flag for unlike maps works: its false alarms on unseen simulations, and what it sees.

Everything is measured on the shipped 21cmFAST set, map means removed: 60 simulations fitted, 20 held as
validation, 20 others changed. ``--simfast21 FOLDER`` adds boxes of another code. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter

from skyloom import formats
from skyloom.evaluate.shift import LEVEL, Shift
from skyloom.fields.project import cut
from skyloom.formats.shipped import Shipped


def changes(maps: np.ndarray, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Yield what is done to raw maps ``(n, N, N)``, and the changed maps."""
    sd, N = maps.std(), maps.shape[-1]
    yield "nothing (other simulations)", maps
    for width in (0.5, 1.0):
        yield f"smoothed over {width:g} pixels", gaussian_filter(maps, (0, width, width), mode="wrap")
    for part in (0.02, 0.1):
        yield f"white noise, {part:g} of the signal's sd", maps + part * sd * rng.normal(size=maps.shape)
    yield "10 % brighter", 1.1 * maps
    yield "twice as bright", 2 * maps
    yield "pixels half as large (a quarter, stretched)", maps[:, : N // 2, : N // 2].repeat(2, 1).repeat(2, 2)
    yield "pixels twice as large (32²)", maps.reshape(-1, N // 2, 2, N // 2, 2).mean(axis=(2, 4))
    yield "a window of 32²", maps[:, : N // 2, : N // 2]
    flat = maps.reshape(len(maps), -1)
    yield "pixels shuffled", rng.permuted(flat, axis=1).reshape(maps.shape)
    phases = np.exp(1j * np.angle(np.fft.rfft2(rng.normal(size=maps.shape))))
    yield "phases random", np.fft.irfft2(np.abs(np.fft.rfft2(maps)) * phases, s=(N, N))


def seen(maps: np.ndarray) -> np.ndarray:
    """Return maps as the network sees them: means removed, one channel."""
    return (maps - maps.mean(axis=(1, 2), keepdims=True)).astype(np.float32)[:, None]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simfast21", type=Path, help="output folder of SimFast21")
    parser.add_argument("--splits", type=int, default=20, help="random splits for the false alarms")
    options = parser.parse_args()
    ds = Shipped(set="reionisation-21cmfast").read()
    ds = ds.isel(sample=np.flatnonzero((ds["x_HI"].values > 0.01) & (ds["x_HI"].values < 0.99)))
    maps, groups = ds["T_b"].values.astype(np.float32), ds["group"].values
    shares, p_values = [], []
    for seed in range(options.splits):
        order = np.random.default_rng(seed).permutation(np.unique(groups))
        train, held, other = (np.isin(groups, part) for part in np.split(order, [60, 80]))
        shift = Shift.fit(seen(maps[train]), groups[train], seen(maps[held]), groups[held], periodic=True)
        verdict = shift.summary(seen(maps[other]), groups[other], bootstrap=1)
        shares.append(verdict.share[0])
        p_values.append(verdict.p_value)
    below = [f"{np.mean(np.array(p_values) <= level):.0%}" for level in (0.02, 0.05, 0.1, 0.5)]
    sys.stdout.write(
        f"unseen maps flagged: {np.mean(shares):.1%} over {options.splits} splits, sd {np.std(shares):.1%}\n"
    )
    sys.stdout.write(f"sets with p <= 0.02, 0.05, 0.1, 0.5: {', '.join(below)}\n\n")
    sys.stdout.write("| the maps were | flagged | p of the set | by one number | what differs most |\n")
    sys.stdout.write("|---|---|---|---|---|\n")
    edge = np.quantile(np.abs(shift.z(seen(maps[held]))).max(axis=1), 1 - LEVEL)
    tried = [(*pair, groups[other]) for pair in changes(maps[other], np.random.default_rng(0))]
    if options.simfast21:
        native = cut(formats.read(options.simfast21), kind="slice", axes=["z"], count=8)
        tried.append(("SimFast21, 40 Mpc", native["T_b"].values, native["group"].values))
    for name, changed, names in tried:
        verdict = shift.summary(seen(changed), names, bootstrap=1)
        simple = np.mean(np.abs(shift.z(seen(changed))).max(axis=1) > edge)
        most = f"{verdict.feature} {verdict.deviation:+.1f} sd" if verdict.unlike else "–"
        sys.stdout.write(
            f"| {name} | {verdict.share[0]:.0%} | {verdict.p_value:.1g} | {simple:.0%} | {most} |\n"
        )


if __name__ == "__main__":
    main()
