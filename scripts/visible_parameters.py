"""How visible each parameter of a set is: ridge regression on the power spectra of single maps.

python scripts/visible_parameters.py data/web
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skyloom
from skyloom.fields import parameters
from skyloom.statistics import power_spectrum

BINS = 16
TOGETHER = ("Mgas", "HI", "B")


def features(maps: np.ndarray, box: float) -> np.ndarray:
    """Return the logarithm of P(k) of log10 of maps, and their mean, shape ``(n, BINS + 1)``."""
    values = np.log10(maps)
    mean = values.mean(axis=(1, 2), keepdims=True)
    power = power_spectrum(values - mean, box=box, bins=BINS).power
    return np.column_stack([np.log(power), mean[:, 0]])


def r2(x: np.ndarray, targets: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return R² of every target, five-fold by simulation."""
    model = make_pipeline(StandardScaler(), RidgeCV(np.logspace(-3, 4, 10)))
    predicted = cross_val_predict(model, x, targets, groups=groups, cv=GroupKFold(5))
    return 1 - ((predicted - targets) ** 2).sum(axis=0) / ((targets - targets.mean(axis=0)) ** 2).sum(axis=0)


def main(folder: Path) -> None:
    """Print a table: R² of the spectrum alone, and with the mean of the map."""
    ds = skyloom.open(folder)
    names = parameters(ds, role="parameter")
    values = [ds[name].values for name in names]
    targets = np.stack(
        [np.log(v) if n.startswith("A_") else v for n, v in zip(names, values, strict=True)], 1
    )
    found = {str(name): features(ds[name].values, ds.attrs["box_size"]) for name in ds.data_vars}
    ruler = "---|" * (len(names) + 1)
    sys.stdout.write(f"| maps | {' | '.join(names)} |\n|{ruler}\n")
    kinds = [*((name,) for name in found), *([TOGETHER] if set(TOGETHER) <= set(found) else [])]
    for kind in kinds:
        spectra = np.concatenate([found[name][:, :BINS] for name in kind], axis=1)
        whole = np.concatenate([found[name] for name in kind], axis=1)
        pairs = zip(*(r2(x, targets, ds["group"].values) for x in (spectra, whole)), strict=True)
        cells = " | ".join(f"{a:.2f} / {b:.2f}" for a, b in pairs)
        title = ", ".join(f"`{name}`" for name in kind)
        sys.stdout.write(f"| {title} | {cells} |\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
