"""How much of what a critic of patches looks at lies at the edge of the map, by how particles are selected.

    python scripts/corner_test.py FOLDER [--galaxies 16] [--seeds 2] [--figure corners.png]

Model galaxies are written to FOLDER as a simulation of IllustrisTNG is, and read three times, alike but for
the selection: the cube of a cutout, the sphere that fills the map with its tapered rim (what recipes have),
and one inside the map. One small PatchGAN learns to tell maps of gas from maps of dark matter. Another learns
to tell true maps of dark matter from those of a generator that has texture and mean profile right and knows
nothing of how a cube was turned: the halo from another direction, within the sphere, times the mean ratio of
the two selections. Attributions (expected gradients, the other kind for the baselines) are those of galaxies
that were not trained on.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from skyloom.evaluate.bootstrap import clustered
from skyloom.explain.handling import array, outer_share
from skyloom.explain.regions import OutputRegion
from skyloom.explain.shap import gradient_shap
from skyloom.formats.illustris import Illustris
from skyloom.methods.adversarial import critic_loss
from skyloom.nets.patchgan import PatchGAN
from skyloom.report.figures.attribution import smoothed_attribution
from skyloom.simulate.galaxies import Galaxies, native

WIDTH, PIXELS, VIEWS = 60.0, 32, 4  # kpc, pixels, directions
FILLING = "sphere that fills the map, tapered"
SELECTIONS = {
    "cube of the map's width": {"selection": "cube"},
    FILLING: {},
    "sphere inside the map, tapered": {"radius": WIDTH / 2},
}
TOLD, OTHER = "Mgas", "Mcdm"
SCALE = 1e6  # Msun / kpc²: linear below, logarithmic above
STEPS, BATCH, EXPLAINED = 500, 32, 48


class Critic(torch.nn.Module):
    """A PatchGAN without conditions."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = PatchGAN(1, 0, PIXELS, receptive_field=16, width=8, norm="none", padding="reflect")

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the scores of patches, ``(B, 1, h, w)``."""
        return self.patches(maps, torch.zeros(len(maps), 0))


def seen(folder: Path, galaxies: int, **selection: object) -> np.ndarray:
    """Return the maps of all galaxies, told and other, shape ``(galaxies, VIEWS, 2, N, N)``."""
    ds = Illustris(
        path=str(folder / "output"), snapshot=native.SNAPSHOT, offsets=str(native.offsets_file(folder)),
        ids=list(range(galaxies)), domains=[TOLD, OTHER], width=WIDTH, pixels=PIXELS, rotations=VIEWS,
        two_phase=False, **selection,
    ).read()  # fmt: skip
    maps = np.stack([ds[name].compute(scheduler="synchronous").values for name in (TOLD, OTHER)], axis=1)
    return maps.reshape(galaxies, VIEWS, 2, PIXELS, PIXELS)


def pairs(maps: np.ndarray, sphere: np.ndarray, train: int) -> dict[str, torch.Tensor]:
    """Return what critics tell apart, by name, shape ``(galaxies, VIEWS, 2, N, N)``: true first.

    Each domain is standardised by itself, so that its mean and spread tell nothing.
    """
    values, whole = (np.arcsinh(seen / SCALE) for seen in (maps, sphere))
    own = values[:train]
    mean, sd = (f(axis=(0, 1, 3, 4), keepdims=True) for f in (own.mean, own.std))
    domains = torch.from_numpy(((values - mean) / sd).astype(np.float32))
    ratio = (own - whole[:train])[:, :, 1].mean(axis=(0, 1))
    turned = [np.rot90(m, k) for m in (ratio, ratio.T) for k in range(4)]
    drawn = np.roll(whole[:, :, 1], 1, axis=1) + np.mean(turned, axis=0)
    fake = torch.from_numpy(((drawn - mean[:, :, 1]) / sd[:, :, 1]).astype(np.float32))
    return {
        "gas or dark matter": domains,
        "dark matter, true or drawn": torch.stack((domains[:, :, 1], fake), dim=2),
    }


def trained(maps: torch.Tensor, seed: int) -> Critic:
    """Return a critic that has learnt to tell the first domain from the second."""
    torch.manual_seed(seed)
    critic, rng = Critic(), np.random.default_rng(seed)
    optimiser = torch.optim.Adam(critic.parameters(), lr=6e-3, betas=(0.9, 0.99))
    flat = maps.flatten(0, 1)
    for _ in range(STEPS):
        rows = rng.integers(len(flat), size=(2, BATCH))
        turned = torch.rot90(flat, int(rng.integers(4)), (2, 3))
        real, fake = turned[rows[0], :1], turned[rows[1], 1:]
        loss = critic_loss("least_squares", critic(real), critic(fake))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return critic.eval()


def judged(critic: Critic, maps: torch.Tensor, seed: int) -> tuple[float, np.ndarray]:
    """Return how often a true map scores above another, and attributions of true ones ``(n, N, N)``."""
    flat = maps.flatten(0, 1)
    with torch.no_grad():
        scores = [critic(flat[:, d : d + 1]).mean((1, 2, 3)).numpy() for d in (0, 1)]
    ahead = scores[0][:, None] - scores[1][None, :]
    above = float((np.sign(ahead) / 2 + 0.5).mean())  # of a tie the half
    generator = torch.Generator().manual_seed(seed)
    score = OutputRegion(critic)
    found = gradient_shap(score, flat[:EXPLAINED, :1], flat[:, 1:], 0, draws=32, generator=generator)
    return above, array(found)[:, 0]


def main() -> None:
    """Print a row a selection, and draw what the critic sees and looks at."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--galaxies", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--figure", type=Path)
    given = parser.parse_args()
    Galaxies(galaxies=given.galaxies, domains=[TOLD, OTHER]).write(given.folder)
    train = given.galaxies * 3 // 4
    sys.stdout.write(
        "| critic | selection | true above other | outer tenth of its attribution | size there [score] |\n"
        "|---|---|---|---|---|\n"
    )
    drawn = []
    read = {name: seen(given.folder, given.galaxies, **how) for name, how in SELECTIONS.items()}
    for selection, raw in read.items():
        for task, maps in pairs(raw, read[FILLING], train).items():
            results = [judged(trained(maps[:train], seed), maps[train:], seed) for seed in range(given.seeds)]
            shares = np.array([[outer_share(one) for one in found] for _, found in results]).mean(axis=0)
            groups = np.repeat(np.arange(given.galaxies - train), VIEWS)[: len(shares)]
            told = clustered(lambda w, s=shares: w @ s[:, None] / w.sum(-1, keepdims=True), groups)
            size = np.mean([np.abs(found).mean(axis=0) for _, found in results], axis=0)
            above = np.mean([value for value, _ in results])
            sys.stdout.write(
                f"| {task} | {selection} | {above:.3f} | {told.value[0]:.1%} [{told.low[0]:.1%},"
                f" {told.high[0]:.1%}] | {outer_share(size) * size.sum():.3f} |\n"
            )
            sys.stdout.flush()
            drawn.append((f"{task}\n{selection}", maps[train, 0].numpy(), results[0][1][0], size))
    if given.figure is not None:
        draw(drawn).savefig(given.figure, dpi=110)


def draw(rows: list[tuple[str, np.ndarray, np.ndarray, np.ndarray]]) -> Figure:
    """Return a row a critic and selection: a true map, another, attribution, its mean size over all maps."""
    figure = Figure(figsize=(11, 2.6 * len(rows)), layout="constrained")
    titles = ("true", "other", "what speaks for true", "size over all maps")
    for place, (name, pair, attribution, size) in enumerate(rows):
        axes = [figure.add_subplot(len(rows), 4, 4 * place + column + 1) for column in range(4)]
        low, high = float(pair.min()), float(pair.max())
        reach = float(np.abs(attribution).max())
        for ax, values, title, look, label in zip(
            axes,
            (*pair, attribution, smoothed_attribution(size)),
            titles,
            (("viridis", low, high), ("viridis", low, high), ("RdBu_r", -reach, reach), ("magma", 0.0, None)),
            ("standardised", "standardised", "attribution [score]", "attribution [score]"),
            strict=True,
        ):
            image = ax.imshow(values, cmap=look[0], vmin=look[1], vmax=look[2])
            figure.colorbar(image, ax=ax, label=label, shrink=0.8)
            ax.set_xticks([])
            ax.set_yticks([])
            if not place:
                ax.set_title(title)
        axes[0].set_ylabel(name, fontsize=8)
    return figure


if __name__ == "__main__":
    main()
