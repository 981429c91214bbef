"""What a map looks like in some thirty numbers that need no network: power, moments, quantiles, steps, edges.

They are measured on maps as the network sees them, in pixels and in units of the training maps' own size, so
that another pixel scale, beam, noise or unit shows. Steps between neighbouring pixels are among them because
noise far too weak to change the power fills what was exactly zero; edges, because a window that was cut from
a periodic box no longer closes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from skyloom.errors import ShapeError
from skyloom.statistics.one_point import moments
from skyloom.statistics.two_point import power_spectrum

BINS = 12
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
STEPS = (0.1, 0.25, 0.5, 0.75, 0.9)
FLOOR = 1e-3  #: of the size of a map: what is smaller is rounding
BLOCK = 256  # maps at once


@dataclass(frozen=True)
class Frame:
    """How maps become features; fixed by the training maps, so that any other map is measured alike.

    Args:
        size: Pixels along one side of the training maps.
        periodic: Whether their opposite edges touch.
        scale: Root mean square of each channel, shape ``(C,)``.
        floor: Power of each channel that counts as none, relative to ``scale²``, shape ``(C, bins)``.
    """

    size: int
    periodic: bool
    scale: np.ndarray
    floor: np.ndarray

    @classmethod
    def fit(cls, maps: np.ndarray, *, periodic: bool) -> Self:
        """Measure the frame on the training maps ``(n, C, H, W)``."""
        scale = np.sqrt(np.square(maps, dtype=float).mean(axis=(0, 2, 3)))
        scale = np.where(scale > 0, scale, 1.0)
        frame = cls(maps.shape[-1], periodic, scale, np.zeros((len(scale), 1)))
        power = np.median(frame._power(maps / scale[:, None, None]), axis=0)
        return cls(frame.size, periodic, scale, 1e-6 * np.where(power > 0, power, 1.0))

    def names(self) -> list[str]:
        """What each feature measures, in their order."""
        bins = self.floor.shape[1]
        one = [f"power in bin {b + 1} of {bins}" for b in range(bins)]
        one += ["mean", "standard deviation", "skewness", "kurtosis", "misfit of opposite edges"]
        one += [f"{100 * q:g} % quantile of pixels" for q in QUANTILES]
        one += [f"{100 * q:g} % quantile of steps between neighbours" for q in STEPS]
        C = len(self.scale)
        several = [f"{name} (channel {c + 1})" if C > 1 else name for c in range(C) for name in one]
        pairs = [f"correlation of channels {a + 1} and {b + 1}" for a in range(C) for b in range(a)]
        return several + pairs

    def features(self, maps: np.ndarray) -> np.ndarray:
        """Return the features of maps.

        Args:
            maps: As the network sees them, shape ``(n, C, H, W)``.

        Returns:
            Shape ``(n, F)``, without units: for each channel the logarithm of the power by wavenumber (in
            cycles a pixel), moments and quantiles of pixels, quantiles of the steps between neighbours and
            how badly opposite edges fit; the correlation of each pair of channels.

        Raises:
            ShapeError: The maps have another number of channels.
        """
        if np.ndim(maps) != 4 or maps.shape[1] != len(self.scale):
            raise ShapeError(
                f"maps of shape {np.shape(maps)}; the training maps had {len(self.scale)} channels",
                hint="give (n, C, H, W), transformed as for the network",
            )
        blocks = [self._block(maps[start : start + BLOCK]) for start in range(0, len(maps), BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty((0, len(self.names())))

    def _block(self, maps: np.ndarray) -> np.ndarray:
        values = (maps / self.scale[:, None, None]).astype(np.float32)  # sorts twice as fast
        n, C = values.shape[:2]
        flat = values.reshape(n, C, -1)
        mean, variance, skewness, kurtosis = moments(values)
        shape = [mean, np.log(FLOOR + np.sqrt(variance)), np.arcsinh(skewness), np.arcsinh(kurtosis)]
        steps = [np.abs(np.diff(values, axis=axis)).reshape(n, C, -1) for axis in (2, 3)]
        edges = np.abs(values[:, :, [0, -1]] - values[:, :, [-1, 0]]).mean(axis=(2, 3))
        edges = edges + np.abs(values[..., [0, -1]] - values[..., [-1, 0]]).mean(axis=(2, 3))
        inside = sum(step.mean(axis=-1) for step in steps)
        parts = [
            np.log(np.maximum(self._power(values), self.floor)),
            *(column[..., None] for column in shape),
            np.log((FLOOR + edges) / (FLOOR + inside))[..., None],
            np.moveaxis(np.quantile(flat, QUANTILES, axis=-1), 0, -1),
            np.log(FLOOR + np.moveaxis(np.quantile(np.concatenate(steps, axis=-1), STEPS, axis=-1), 0, -1)),
        ]
        columns = [np.concatenate(parts, axis=-1).reshape(n, -1)]
        centred = (flat - flat.mean(axis=-1, keepdims=True)) / (FLOOR + np.sqrt(variance))[..., None]
        columns += [(centred[:, a] * centred[:, b]).mean(-1)[:, None] for a in range(C) for b in range(a)]
        return np.concatenate(columns, axis=1)

    def _power(self, values: np.ndarray) -> np.ndarray:
        """Power by wavenumber ``(n, C, bins)``; maps of another size at the same share of Nyquist."""
        own = power_spectrum(np.zeros((self.size, self.size)), self.size, periodic=self.periodic, bins=BINS)
        k = own.k[own.modes > 0]
        found = power_spectrum(values, values.shape[-1], periodic=self.periodic, bins=BINS)
        there, power = found.k[found.modes > 0], found.power[..., found.modes > 0]
        if values.shape[-1] == self.size:
            return np.asarray(power)
        rows = power.reshape(-1, len(there))
        return np.stack([np.interp(k, there, row) for row in rows]).reshape(*power.shape[:-1], len(k))
