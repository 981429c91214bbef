"""The judge network: does a network that learned from real maps read the right parameters off generated ones?

A moment network (Jeffrey & Wandelt 2020, arXiv:2011.05991), as those of the CAMELS Multifield Dataset, is
trained on real maps split by simulation. Its scores on real simulations that it has not seen are the ceiling;
a generator that ignores its parameters, or draws them in a way of its own, falls short of it. The network
proves no more than that: it reads what it has learned to read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from skyloom import registry
from skyloom.evaluate.generated.sample import Ensemble
from skyloom.evaluate.scorecard import scorecard

SCORES = ("r2", "rmse", "bias", "chi2")
FRACTIONS = {"train": 0.6, "validation": 0.15, "test": 0.25}
METHOD = {"name": "moments", "net": {"name": "resnet", "width": 16}}
OPTIMISER = {"name": "adamw", "lr": 2e-3}
BATCH = 32
# Beyond this ratio of a high to a middle value a field is learned by its logarithm.
STEEP = 30.0


@dataclass(frozen=True)
class Judge:
    """A trained judge.

    Args:
        task: The fitted task `infer`.
        method: The moment network.
        transforms: Of the fields, fitted on the train side.
        unseen: Real maps of simulations that it has not seen.
        trained: Number of maps that it was trained on.
        epochs: Passes over them.
    """

    task: Any
    method: Any
    transforms: Any
    unseen: Ensemble
    trained: int
    epochs: int

    def scores(self, ensemble: Ensemble) -> dict[str, Any]:
        """Return R², RMSE, bias and χ² of each parameter, with clustered intervals.

        Args:
            ensemble: Maps; what their table says of the parameters is taken for the truth.
        """
        import torch

        maps, _ = self.transforms.apply({name: ensemble.values(name) for name in ensemble.fields})
        stacked = np.stack([maps[name] for name in ensemble.fields], axis=1).astype(np.float32)
        blocks = [
            self.method.predict(torch.from_numpy(stacked[i : i + 256])) for i in range(0, len(stacked), 256)
        ]
        outputs = {name: np.concatenate([block[name].numpy() for block in blocks]) for name in blocks[0]}
        prediction = self.task.interpret(outputs, _targets(ensemble.data, self.task.parameters))
        prediction.attrs["scores"] = " ".join(SCORES)
        found = scorecard(prediction, bootstrap=500)
        return {name: {"unit": told["unit"], **told["scores"]} for name, told in found["parameters"].items()}


def train_judge(real: Ensemble, parameters: Sequence[str], *, steps: int, seed: int) -> Judge:
    """Train a network to read parameters off real maps.

    Args:
        real: Real maps; 60 % of their groups train, 15 % validate, 25 % stay unseen.
        parameters: Names of the parameters.
        steps: Optimiser steps, rounded up to whole epochs.
        seed: Seed of split, weights and batches.

    Raises:
        DataError: There are too few groups to split.
        LeakError: Two groups hold the same map.
        DivergedError: The training left the finite numbers.
    """
    import torch

    from skyloom.fields import store
    from skyloom.fields.transforms import FieldTransforms, Pipeline
    from skyloom.loading import MapDataModule
    from skyloom.recipe import Train
    from skyloom.runs import RunFolder
    from skyloom.splits import ByGroup, audit, fingerprint
    from skyloom.training import fit

    split = ByGroup(fractions=FRACTIONS, seed=seed).assign(real.data)
    ids = real.data["sample"].values.astype(str)
    rows = {side: np.flatnonzero(np.isin(ids, members)) for side, members in split.sides.items()}
    train = {name: real.values(name)[rows["train"]] for name in real.fields}
    pipelines = {name: Pipeline(_pipeline(values)) for name, values in train.items()}
    transforms = FieldTransforms(pipelines).fit(lambda: iter([train]), split.sides["train"])
    prints = np.stack([fingerprint(real.values(name)) for name in real.fields], axis=1)
    audited = audit(real.data, split, fingerprints=prints, transforms=transforms)
    table = _targets(real.data, parameters)
    task = registry.build({"name": "infer", "parameters": list(parameters)}, "task")
    task = task.fit(table.isel(sample=rows["train"]))
    size = real.values(real.fields[0]).shape[-1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = registry.build(METHOD, "method", data=(len(real.fields), len(parameters), size))
    batch = min(BATCH, len(rows["train"]))
    epochs = -(-steps // (len(rows["train"]) // batch))
    settings = Train(epochs=epochs, batch_size=batch, augment=_moves(real), seed=seed, optimiser=OPTIMISER)
    with tempfile.TemporaryDirectory() as folder:
        store.write(real.data, Path(folder) / "real")
        reader = store.Reader(Path(folder) / "real")
        module = MapDataModule(reader, audited, transforms, task.targets(table), settings)
        run = RunFolder.create(Path(folder) / "run", {"name": "judge"})
        fit(method, module, settings, run, progress="quiet")
    return Judge(task, method, transforms, real.take(rows["test"]), len(rows["train"]), epochs)


def read_parameters(
    real: Ensemble,
    generated: Ensemble,
    parameters: Sequence[str],
    *,
    steps: int,
    seed: int,
    learnt_from: Ensemble | None = None,
) -> dict[str, Any]:
    """Train the judge and let it read real and generated maps.

    Args:
        real: Real maps.
        generated: Generated maps.
        parameters: Names of the parameters.
        steps: Optimiser steps of the training.
        seed: Seed of split, weights and batches.
        learnt_from: Maps of other simulations to learn from; None learns from a part of the real ones.

    Returns:
        JSON values: ``real`` (simulations not seen) and ``generated``, each the scores of `Judge.scores`;
        ``trained`` and ``unseen``, numbers of real maps; ``epochs``.

    Raises:
        DataError, LeakError, DivergedError: As ``train_judge``.
    """
    judge = train_judge(real if learnt_from is None else learnt_from, parameters, steps=steps, seed=seed)
    unseen = judge.unseen if learnt_from is None else real
    return {
        "real": judge.scores(unseen),
        "generated": judge.scores(generated),
        "trained": judge.trained,
        "unseen": len(unseen),
        "epochs": judge.epochs,
    }


def _targets(data: xr.Dataset, parameters: Sequence[str]) -> xr.Dataset:
    """The table with every target as a parameter; a redshift is one too."""
    table = data.coords.to_dataset()
    if "redshift" in parameters:
        table = table.assign_coords(
            redshift=("sample", table["redshift"].values, {"role": "label", "units": ""})
        )
    return table


def _pipeline(values: np.ndarray) -> list[str | dict[str, Any]]:
    """Standardise; the logarithm first where values are positive and span decades."""
    middle, high = np.quantile(values, [0.5, 0.999])
    if values.min() > 0 and high > STEEP * middle:
        return [{"name": "log10", "floor": float(values.min())}, "standardise"]
    return ["standardise"]


def _moves(real: Ensemble) -> list[Any]:
    """Augmentations that leave the physics of scalar fields alone."""
    scalar = all(int(real.data[name].attrs["rank"]) == 0 for name in real.fields)
    moves = ["flip", "turn"] if scalar else []
    return [*moves, "roll"] if bool(real.data.attrs["periodic"]) else moves
