"""Trainings of one generative adversarial network with several seeds: how stable is it?

for seed in 0 1 2 3 4; do skyloom train multifield-gan --out seeds/$seed --set train.seed=$seed; done
python scripts/compare_seeds.py seeds.png seeds/0 seeds/1 seeds/2 seeds/3 seeds/4

Of every training its log is read: the losses of both players and the critic's scores of real and generated
maps at each step, and at each validation the error of ln P(k), averaged over fields and wavenumbers, and the
spread between maps over the real one, which falls towards 0 in a collapse. A table of the ends is printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLUMNS = (
    "run",
    "error of ln P, first",
    "last",
    "least",
    "spread, least",
    "last",
    "score of real",
    "of drawn",
    "loss of the critic",
)
SMOOTHED = 5  #: logged steps that a curve of losses is averaged over


def curve(log: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the steps at which a column was logged, and its values, each ``(n,)``."""
    known = np.isfinite(log[name])
    return log["step"][known], log[name][known]


def smooth(values: np.ndarray) -> np.ndarray:
    """Return running means over ``SMOOTHED`` values, shape ``(n - SMOOTHED + 1,)``."""
    return np.convolve(values, np.ones(SMOOTHED) / SMOOTHED, "valid")


def draw(ax: Axes, logs: list[np.ndarray], names: dict[str, str], label: str) -> Axes:
    """Draw columns of all logs against the step; each column has a line style, each log a colour.

    Args:
        ax: Where to draw.
        logs: One a training.
        names: Columns to what the legend calls them, empty for none.
        label: Of the vertical axis.
    """
    for place, log in enumerate(logs):
        for (name, told), style in zip(names.items(), ("-", ":"), strict=False):
            steps, values = curve(log, name)
            if name.startswith("train/"):
                steps, values = steps[SMOOTHED - 1 :], smooth(values)
            ax.plot(steps, values, style, color=f"C{place}", lw=1, label=told if place == 0 else None)
    ax.set(xlabel="optimiser step", ylabel=label)
    if any(names.values()):
        ax.legend(frameon=False)
    return ax


def main(target: Path, *runs: Path) -> None:
    """Draw the figure and print the table."""
    logs = [np.genfromtxt(run / "log.csv", delimiter=",", names=True, deletechars="") for run in runs]
    figure = Figure(figsize=(9, 6), layout="constrained")
    losses, scores, power, spread = figure.subplots(2, 2).ravel()
    draw(losses, logs, {"train/critic": "critic", "train/generator": "generator"}, "loss")
    draw(scores, logs, {"train/score_real": "real", "train/score_fake": "drawn"}, "mean score of the critic")
    draw(power, logs, {"validation/power_error": ""}, "mean error of ln P(k)")
    draw(spread, logs, {"validation/spread": ""}, "spread between maps, over the real")
    power.set_ylim(0)
    spread.axhline(1, color="0.6", lw=0.8)
    figure.savefig(target, dpi=120)
    sys.stdout.write("\t".join(COLUMNS) + "\n")
    for run, log in zip(runs, logs, strict=True):
        error, width = (curve(log, f"validation/{name}")[1] for name in ("power_error", "spread"))
        ends = [smooth(curve(log, f"train/{name}")[1])[-1] for name in ("score_real", "score_fake", "critic")]
        numbers = (error[0], error[-1], error.min(), width.min(), width[-1], *ends)
        sys.stdout.write("\t".join([run.name, *(f"{number:.2f}" for number in numbers)]) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
