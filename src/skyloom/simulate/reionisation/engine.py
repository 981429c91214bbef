"""What every reionisation engine returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Box:
    """One coeval box, arrays ``(z, y, x)`` with ``z`` the line of sight.

    Args:
        redshift: Redshift of the box.
        T_b: Brightness temperature against the background [mK].
        neutral_fraction: Neutral fraction of hydrogen, 0 to 1.
        delta: Matter density contrast.
    """

    redshift: float
    T_b: np.ndarray
    neutral_fraction: np.ndarray
    delta: np.ndarray
