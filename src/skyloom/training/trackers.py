"""Trackers: the rows of ``log.csv`` sent to TensorBoard, Weights & Biases or MLflow as well.

A tracker is asked for one of Lightning's loggers once a training, in the first process only. A resumed
training goes on in the same record: TensorBoard drops what was written after the checkpoint, the others know
the run by an identifier kept in the run folder. Nothing is read back: ``log.csv`` alone is the truth.
"""

from __future__ import annotations

import importlib.util
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from skyloom.errors import MissingDependencyError
from skyloom.runs import RunFolder

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger


def _require(package: str, extra: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise MissingDependencyError(
            f"the tracker {extra!r} needs the package {package!r}, which is not installed",
            hint=f"pip install 'skyloom[{extra}]', or leave {extra} out of train.trackers",
        )


class TensorBoard:
    """Event files in the run folder, for ``tensorboard --logdir``.

    Args:
        folder: Where in the run folder.

    Raises:
        MissingDependencyError: TensorBoard is not installed.

    Example:
        >>> TensorBoard(folder="events").folder
        'events'
    """

    def __init__(self, *, folder: str = "tensorboard") -> None:
        _require("tensorboard", "tensorboard")
        self.folder = folder

    def logger(self, run: RunFolder, step: int) -> Logger:
        """Return the Lightning logger.

        Args:
            run: The run.
            step: Optimiser steps done; later rows of an interrupted training are dropped.
        """
        from lightning.pytorch.loggers import TensorBoardLogger

        return TensorBoardLogger(
            run.path, name=None, version=self.folder, purge_step=step + 1 if step else None
        )


class WandB:
    """A run of Weights & Biases.

    Args:
        project: Its project.
        offline: Write to the run folder only; ``wandb sync`` sends it later.

    Raises:
        MissingDependencyError: wandb is not installed.
    """

    def __init__(self, *, project: str = "skyloom", offline: bool = False) -> None:
        _require("wandb", "wandb")
        self.project, self.offline = project, offline

    def logger(self, run: RunFolder, step: int) -> Logger:
        """Return the Lightning logger.

        Args:
            run: The run; its folder's name is the name of the record.
            step: Optimiser steps done.
        """
        from lightning.pytorch.loggers import WandbLogger

        name = "state/wandb-run.txt"
        if not run.has(name):
            run.write_text(name, secrets.token_hex(8))
        return WandbLogger(
            name=run.path.name,
            save_dir=run.path,
            id=run.read_text(name),
            project=self.project,
            offline=self.offline,
            resume="allow",
        )


class MLflow:
    """A run of MLflow.

    Args:
        experiment: Its experiment.
        uri: The tracking server; None takes ``MLFLOW_TRACKING_URI``, else an SQLite file in the run folder.

    Raises:
        MissingDependencyError: MLflow is not installed.
    """

    def __init__(self, *, experiment: str = "skyloom", uri: str | None = None) -> None:
        _require("mlflow", "mlflow")
        self.experiment, self.uri = experiment, uri

    def logger(self, run: RunFolder, step: int) -> Logger:
        """Return the Lightning logger.

        Args:
            run: The run; its folder's name is the name of the record.
            step: Optimiser steps done.
        """
        from lightning.pytorch.loggers import MLFlowLogger

        # MLflow refuses plain folders since version 3.
        database = f"sqlite:///{Path(run.path).resolve() / 'mlflow.db'}"
        uri = self.uri or os.environ.get("MLFLOW_TRACKING_URI") or database
        name = "state/mlflow-run.txt"
        known = run.read_text(name) if run.has(name) else None
        logger = MLFlowLogger(
            experiment_name=self.experiment, run_name=run.path.name, tracking_uri=uri, run_id=known
        )
        if known is None and logger.run_id is not None:
            run.write_text(name, logger.run_id)
        return logger
