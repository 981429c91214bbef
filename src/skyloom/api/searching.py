"""Searching the settings of a recipe by Optuna: by the validation loss, never by the test side.

Every trial is a run folder named by what it tries. A trial that was stopped goes on in its folder, and one
that tries what was tried before takes its answer from there. The same command may run many times at once, on
one machine or on many with a database that all reach: each takes trials until the number asked for is done.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning.pytorch.loggers import Logger

from skyloom.api.progress import counting
from skyloom.api.training import train
from skyloom.errors import Interrupted, MissingDependencyError, UsageError
from skyloom.recipe import text
from skyloom.runs import write_text

if TYPE_CHECKING:
    import optuna

    from skyloom.recipe import Recipe

BEST, TABLE, STUDY = "best.yaml", "trials.csv", "study.db"
HEARTBEAT = 60  #: seconds after which a trial whose process says nothing is given to another


@dataclass(frozen=True)
class Choice:
    """One of several values.

    Args:
        values: JSON values, two or more.
    """

    values: tuple[Any, ...]

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return the value that a trial tries."""
        told = trial.suggest_categorical(name, [json.dumps(value) for value in self.values])
        return json.loads(told)


@dataclass(frozen=True)
class Range:
    """A number within limits.

    Args:
        low: Smallest.
        high: Largest.
        whole: Whether it is an integer.
        log: Whether its logarithm is what is uniform.
    """

    low: float
    high: float
    whole: bool = False
    log: bool = False

    def suggest(self, trial: optuna.Trial, name: str) -> Any:
        """Return the number that a trial tries."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)


Space = Mapping[str, Choice | Range]


def read_space(told: list[str]) -> dict[str, Choice | Range]:
    """Read what is to be searched.

    Args:
        told: ``KEY=LOW..HIGH``, with ``:log`` behind it for a logarithmic range, or ``KEY=VALUE,VALUE,...``;
            keys are dotted as for ``--set``.

    Raises:
        UsageError: One is of neither form.

    Example:
        >>> read_space(["train.optimiser.lr=1e-4..1e-2:log", "method.net.width=8,16"])["method.net.width"]
        Choice(values=(8, 16))
    """
    space: dict[str, Choice | Range] = {}
    for entry in told:
        key, equals, spec = entry.partition("=")
        low, dots, high = spec.removesuffix(":log").partition("..")
        if not (equals and key and spec):
            raise UsageError(f"--over {entry}", hint="write --over train.optimiser.lr=1e-4..1e-2:log")
        if not dots:
            values = text.read(f"[{spec}]", f"--over {key}").value
            if len(values) < 2:
                raise UsageError(
                    f"--over {entry}: one value leaves nothing to search", hint="give two or more"
                )
            space[key] = Choice(tuple(values))
            continue
        try:
            ends = float(low), float(high)
        except ValueError:
            raise UsageError(f"--over {entry}: {low!r} or {high!r} is no number") from None
        log = spec.endswith(":log")
        if ends[0] >= ends[1] or (log and ends[0] <= 0):
            raise UsageError(
                f"--over {entry}: an empty range", hint="the smaller end first, above 0 for :log"
            )
        space[key] = Range(*ends, whole=low.isdigit() and high.isdigit(), log=log)
    if not space:
        raise UsageError("nothing is to be searched", hint="--over train.optimiser.lr=1e-4..1e-2:log")
    return space


def sweep(
    recipe: Recipe,
    folder: Path,
    space: Space,
    *,
    trials: int = 20,
    storage: str | None = None,
    seed: int = 0,
    progress: str | None = None,
) -> Path:
    """Search settings of a recipe for the smallest validation loss.

    Args:
        recipe: The recipe.
        folder: Where the trials go; one that holds a sweep is gone on with.
        space: Dotted key to what is tried there.
        trials: Trials in all, those of earlier and other calls included.
        storage: Database by URL; an SQLite file in the folder if not given.
        seed: Of what is tried.
        progress: ``bar``, ``lines`` or ``quiet``, of each training.

    Returns:
        ``folder``, with ``best.yaml`` (the recipe with the best settings), ``trials.csv`` and the runs.

    Raises:
        MissingDependencyError: Optuna is not installed.
        UsageError: The folder holds a sweep over other settings, or no trial came to an end.
        Interrupted: Stopped from outside; the same command goes on with the trial.
    """
    study = _study(folder, storage, seed)
    known = study.user_attrs.get("space")
    own = json.dumps({key: repr(part) for key, part in space.items()}, sort_keys=True)
    if known not in (None, own):
        raise UsageError(
            f"the sweep in {folder} searches {known}, not {own}", hint="choose another folder with --out"
        )
    study.set_user_attr("space", own)
    from optuna.study import MaxTrialsCallback
    from optuna.trial import TrialState

    done = (TrialState.COMPLETE, TrialState.PRUNED)
    left = trials - sum(trial.state in done for trial in study.trials)
    if left > 0:
        study.optimize(
            _objective(recipe, folder, space, study, progress),
            n_trials=left,
            callbacks=[MaxTrialsCallback(trials, states=done)],
            catch=(),
        )
    if not any(trial.state == TrialState.COMPLETE for trial in study.trials):
        raise UsageError(f"no trial of {folder} came to an end", hint="give more trials")
    study.trials_dataframe(attrs=("number", "state", "value", "params")).to_csv(folder / TABLE, index=False)
    best = _values(space, study.best_trial)
    write_text(folder / BEST, recipe.with_overrides(best).to_yaml())
    return folder


def ranking(folder: Path, count: int = 5) -> list[tuple[str, ...]]:
    """Return the best trials of a sweep as rows of text, header first.

    Args:
        folder: What `sweep` returned.
        count: Rows.
    """
    import pandas as pd

    table = pd.read_csv(folder / TABLE)
    keys = [name for name in table.columns if name.startswith("params_")]
    rows = [("trial", "validation loss", *(key.removeprefix("params_") for key in keys))]
    best = table[table["state"] == "COMPLETE"].sort_values("value").head(count)
    for _, row in best.iterrows():
        rows.append((str(row["number"]), f"{row['value']:.4g}", *(_short(row[key]) for key in keys)))
    return rows


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _study(folder: Path, storage: str | None, seed: int) -> optuna.Study:
    try:
        import optuna
        from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
    except ImportError:
        raise MissingDependencyError(
            "a sweep needs the package 'optuna', which is not installed", hint="pip install 'skyloom[sweep]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        kept = RDBStorage(
            storage or f"sqlite:///{(folder / STUDY).resolve()}",
            heartbeat_interval=HEARTBEAT,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )
        study = optuna.create_study(
            study_name=folder.name, storage=kept, direction="minimize", load_if_exists=True
        )
        # Processes that begin together would try the same things with the same seed.
        study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.trials), constant_liar=True)
        study.pruner = optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2)
    return study


def _objective(
    recipe: Recipe, folder: Path, space: Space, study: optuna.Study, progress: str | None
) -> Callable[[optuna.Trial], float]:
    def objective(trial: optuna.Trial) -> float:
        values = {key: part.suggest(trial, key) for key, part in space.items()}
        name = hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:10]
        changes = {**values, "train.repeats": 1, "variants": {}, "transfer": {}, "explain": []}
        tried = recipe.with_overrides(changes)
        place = folder / "trials" / name
        try:
            with counting("data", progress) as count:
                train(tried, place, resume=True, progress=progress, making=count, loggers=[_Watch(trial)])
        except (Interrupted, KeyboardInterrupt):
            study.enqueue_trial(trial.params)  # the next call goes on with it, in the same folder
            raise
        loss: float = json.loads((place / "timing.json").read_text(encoding="utf-8"))["validation_loss"]
        return loss

    return objective


class _Watch(Logger):
    """Tells a trial of each epoch, and ends the training where others were better by then."""

    def __init__(self, trial: optuna.Trial) -> None:
        super().__init__()
        self.trial = trial

    @property
    def name(self) -> str:
        """Its name."""
        return "sweep"

    @property
    def version(self) -> int:
        """The number of the trial."""
        return int(self.trial.number)

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Take a row of the log; only those of an epoch have a validation."""
        if "validation/loss" not in metrics:
            return
        import optuna

        epoch = int(metrics["epoch"])
        self.trial.report(float(metrics["validation/loss"]), epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the trial knows them."""


def _values(space: Space, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """Return what a trial tried, by dotted key."""
    return {
        key: json.loads(trial.params[key]) if isinstance(part, Choice) else trial.params[key]
        for key, part in space.items()
    }
