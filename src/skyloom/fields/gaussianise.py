r"""A transform that gives the pixels of the training maps a Gaussian distribution.

.. math:: z = \Phi^{-1}(F(x)), \qquad F \text{ the distribution of all pixels of the training maps,}

known as Gaussian anamorphosis in geostatistics and, of the density of matter, as the way back to its Gaussian
initial state (Weinberg 1992, MNRAS 254, 315). It is monotone, so fields that are far from Gaussian (a
logarithm of hydrogen with a tail of shielded clouds) come to a range that a network reaches evenly, and what
is drawn comes back with the right distribution of pixels. Beyond the range of the training maps nothing is
known: values there take its ends, in both directions. An emulator so never draws a pixel brighter than all
that it was trained on, however far its parameters lie from theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from skyloom.fields.invertible import Carry, Maps, Transform, unfittable

REACH = 5.0  #: sd at which the ends of the training range are put; 6 pixels in 10 million lie beyond
KNOTS = 81
KEPT = 2**22  #: pixels that the distribution is taken from
LEVELS = np.linspace(-REACH, REACH, KNOTS)


class Gaussianise(Transform):
    """Give all pixels of the training maps together a standard normal distribution, by a monotone relation.

    It is linear between 81 quantiles. Equal values, such as a floor, share the middle of their levels.

    Example:
        >>> maps = np.random.default_rng(0).lognormal(1.0, 2.0, (16, 32, 32))
        >>> fitted = Gaussianise().fit(lambda: iter([maps]))
        >>> values = fitted.apply(maps)[0]
        >>> round(abs(float(values.mean())), 2), round(float(values.std()), 2)
        (0.0, 1.0)
        >>> bool(fitted.inverse(values + 9.0, {}).max() == maps.max())
        True
    """

    learns = tuple(f"quantile_{place:02d}" for place in range(KNOTS))

    def learn(self, batches: Iterable[Maps]) -> dict[str, float]:
        """Return quantiles of the pixels in the field's unit, from the smallest value to the largest.

        Of more than four million pixels every second, fourth, ... is looked at; the ends are those of all.
        """
        kept: list[NDArray[Any]] = []
        step, count, low, high = 1, 0, np.inf, -np.inf
        for batch in batches:
            if not batch.size:
                continue
            low, high = min(low, float(batch.min())), max(high, float(batch.max()))
            kept.append(batch.ravel()[::step].astype(np.float64))
            count += len(kept[-1])
            while count > KEPT:
                step, kept = 2 * step, [np.concatenate(kept)[::2]]
                count = len(kept[0])
        if not low < high:
            raise unfittable(self, "every pixel is the same" if kept else "no map was given")
        quantiles = np.quantile(np.concatenate(kept), norm.cdf(LEVELS))
        quantiles[0], quantiles[-1] = low, high
        return dict(zip(self.learns, quantiles.tolist(), strict=True))

    def forward(self, maps: Maps) -> tuple[Maps, Carry]:
        """Return normal scores, within five sd."""
        own, levels = self._relation()
        return np.asarray(np.interp(maps, own, levels), maps.dtype), {}

    def backward(self, maps: Maps, carry: Mapping[str, NDArray[Any]]) -> Maps:
        """Return values in the field's unit, within the range of the training maps."""
        own, levels = self._relation()
        return np.asarray(np.interp(maps, levels, own), maps.dtype)

    def _relation(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Strictly increasing values, and their levels."""
        state = self.state()
        own, shared = np.unique([state[name] for name in self.learns], return_inverse=True)
        return own, np.bincount(shared, weights=LEVELS) / np.bincount(shared)
