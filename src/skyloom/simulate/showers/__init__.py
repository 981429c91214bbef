"""Air showers on HAWC: photons and protons, from the first interaction to maps of hits, as field sets.

The embedded stand-in for HAWC's simulated events, which are not public: a cascade model of closed forms and
random branching, a response of tanks and PMTs, a trigger and a simple reconstruction, hundreds of events a
second. What it holds and leaves out, what was tuned, and how it compares with the published numbers and
with real events, is told in ``docs/explanation/shower-simulator.md``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skyloom.errors import UsageError, nearest
from skyloom.fields.store import ShardWriter
from skyloom.formats.xcdf.quantities import SPECIES
from skyloom.instruments.hawc import Layout, default_layout, read_survey
from skyloom.simulate.running import Progress, run_missing

if TYPE_CHECKING:
    import xarray as xr

    from skyloom.simulate.showers.generate import Thrown
    from skyloom.simulate.showers.reconstruction import Reconstructed

MIDDLE = 2
"""Which of the four PMTs of a tank, from 0, is the large one in the middle."""
READ_OUT = (150.0, 400.0)
"""What is read out before and after the trigger [ns]."""
CODES = {name: code for code, name in SPECIES.items()}


@dataclass(frozen=True)
class Shard:
    """Events that are simulated together: number of the shard, of its first event, and how many."""

    index: int
    first: int
    events: int


class Showers:
    """Showers of photons and protons on HAWC.

    Every event is a shower of its own, thrown until one triggers, and its own group. ``maps`` gives maps of
    40 × 40 pixels as the format ``xcdf`` does: ``charge`` [log10 PE], with two channels ``time`` [ns after
    the plane front], and apart from these ``hit`` and ``detector`` (0 or 1). ``table`` gives the
    reconstructed numbers as fields of one pixel. In both, the truth stands in labels.

    Args:
        events: Events that trigger; the few whose reconstruction fails are left out.
        species: Dealt to the events in turn: ``gamma``, ``proton``.
        product: What to make of the events.
        channels: Of maps: charge alone, or charge and time.
        energies: Least and largest energy [GeV].
        index: The number of primaries falls as energy to minus this.
        zenith_max: Largest zenith angle [deg]; angles follow cos θ sin θ.
        core_radius: Cores fill a disc of this radius about the middle of the array [m].
        layout: Where PMTs stand: ``default`` (rebuilt), or the path of a survey.
        dead: Grid ids of channels that do not work.
        multiplicity: PMTs that the trigger needs.
        window: Within how long [ns].
        noise: Rate of noise hits of a PMT [kHz].
        jitter: Spread of the times of a PMT [ns].
        gain: Spread of the gains, relative.
        per_shard: Events that are simulated together, and kept when a run is stopped.
        seed: Of everything.

    Raises:
        UsageError: A number is out of range, or a species unknown.

    Example:
        >>> [shard.events for shard in Showers(events=2500).design()]
        [1000, 1000, 500]
    """

    def __init__(
        self,
        *,
        events: int = 10_000,
        species: list[str] | None = None,
        product: Literal["table", "maps"] = "maps",
        channels: Literal[1, 2] = 2,
        energies: list[float] | None = None,
        index: float = 2.0,
        zenith_max: float = 50.0,
        core_radius: float = 200.0,
        layout: str = "default",
        dead: list[int] | None = None,
        multiplicity: int = 28,
        window: float = 150.0,
        noise: float = 25.0,
        jitter: float = 1.0,
        gain: float = 0.1,
        per_shard: int = 1000,
        seed: int = 0,
    ) -> None:
        species = list(CODES) if species is None else species
        energies = [100.0, 100_000.0] if energies is None else energies
        for name in species:
            if name not in CODES:
                raise UsageError(f"species {name!r} is unknown", hint=nearest(name, CODES))
        if events < 1 or not species or per_shard < 1 or multiplicity < 4 or seed < 0:
            raise UsageError(
                f"events={events}, species={species}, per_shard={per_shard}, multiplicity={multiplicity}, "
                f"seed={seed}",
                hint="need at least one event, species and event a shard, multiplicity >= 4 and seed >= 0",
            )
        if len(energies) != 2 or not 10 <= energies[0] < energies[1] <= 1e6 or not 0 < zenith_max <= 60:
            raise UsageError(
                f"energies={energies}, zenith_max={zenith_max}",
                hint="need two rising energies from 10 to 1e6 GeV, and 0 < zenith_max <= 60 degrees",
            )
        if min(core_radius, window) <= 0 or min(noise, jitter, gain) < 0:
            raise UsageError(
                f"core_radius={core_radius}, window={window}, noise={noise}, jitter={jitter}, gain={gain}",
                hint="the first two are above 0, the others not below",
            )
        self.events, self.species, self.per_shard, self.seed = events, species, per_shard, seed
        self.product, self.channels, self.layout, self.dead = product, channels, layout, list(dead or [])
        self.settings: dict[str, Any] = {
            "events": events,
            "species": species,
            "product": product,
            "channels": channels,
            "energies": energies,
            "index": index,
            "zenith_max": zenith_max,
            "core_radius": core_radius,
            "layout": layout,
            "dead": self.dead,
            "multiplicity": multiplicity,
            "window": window,
            "noise": noise,
            "jitter": jitter,
            "gain": gain,
            "per_shard": per_shard,
            "seed": seed,
        }
        self._beam = (
            *energies, index, np.cos(np.radians(zenith_max)), core_radius, gain, jitter,
            noise * 1e-6, *READ_OUT, multiplicity, window,
        )  # fmt: skip

    def design(self) -> list[Shard]:
        """Return the shards: which events are simulated together."""
        starts = range(0, self.events, self.per_shard)
        return [
            Shard(index, first, min(self.per_shard, self.events - first))
            for index, first in enumerate(starts)
        ]

    def simulate(self, folder: Path, *, workers: int = 1, progress: Progress | None = None) -> Path:
        """Simulate what is not in ``folder`` yet, and write it there as a stored field set.

        Args:
            folder: Where the shards go; those already whole are kept.
            workers: Processes, one thread each. The result does not depend on their number.
            progress: Called with (shards done, all).

        Returns:
            ``folder``, which ``skyloom.open`` reads.
        """
        code = {name: version(name) for name in ("skyloom", "numpy", "numba")}
        shards = self.design()
        writer = ShardWriter(
            folder, self._template(code), identity=json.dumps([self.settings, code], sort_keys=True)
        )
        work = {shard.index: (shard, code) for shard in shards}
        run_missing(writer, work, self.one, workers=min(workers, len(shards)), progress=progress)
        return folder

    def one(self, shard: Shard, code: dict[str, str] | None = None) -> xr.Dataset:
        """Simulate the events of one shard and return them as a field set.

        Args:
            shard: Which ones.
            code: Versions for the provenance.
        """
        from skyloom.simulate.showers.generate import Beam, throw  # compiles
        from skyloom.simulate.showers.reconstruction import reconstruct

        layout = self._layout()
        number = np.arange(shard.first, shard.first + shard.events)
        codes = np.array([CODES[name] for name in self.species])[number % len(self.species)]
        rng = np.random.default_rng([self.seed, shard.index])
        number_of_tank, kind = np.divmod(layout.grid_id - 1, 4)
        tank = np.unique(number_of_tank, return_inverse=True)[1]
        thrown = throw(rng, codes, layout.position, tank, kind == MIDDLE, Beam(*map(float, self._beam)))
        found = reconstruct(thrown.charge, thrown.time, layout.position, tank)
        return self._field_set(thrown, found, layout, codes, shard.first, code or {})

    def _template(self, code: dict[str, str]) -> xr.Dataset:
        """Return a field set with the structure of every shard; its values say nothing."""
        from skyloom.simulate.showers.generate import Thrown
        from skyloom.simulate.showers.reconstruction import Reconstructed

        layout = self._layout()
        one, pmts = np.ones(1), np.ones((1, len(layout)))
        thrown = Thrown(pmts, pmts, one, one, one, np.ones((1, 2)), one, one)
        found = Reconstructed(*([one] * len(Reconstructed._fields)))
        return self._field_set(thrown, found, layout, np.array([next(iter(SPECIES))]), 0, code)

    def _layout(self) -> Layout:
        layout = default_layout() if self.layout == "default" else read_survey(self.layout)
        return layout.without(self.dead)

    def _field_set(
        self,
        thrown: Thrown,
        found: Reconstructed,
        layout: Layout,
        codes: np.ndarray,
        first: int,
        code: dict[str, str],
    ) -> xr.Dataset:
        from skyloom.simulate.showers.products import field_set

        return field_set(
            thrown,
            found,
            layout,
            species=codes,
            first=first,
            seed=self.seed,
            product=self.product,
            channels=self.channels,
            provenance={
                "code": code,
                "seeds": [self.seed],
                "steps": [{"step": "simulate", "simulator": "showers", **self.settings}],
            },
        )
