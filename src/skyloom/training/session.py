"""What happens in a training besides the steps: averaging, scores, checkpoints, stopping, in one callback.

A checkpoint is taken after a whole step (every ``checkpoint_every`` of them, and when asked to stop) or after
an epoch with its validation, never between: so each one is a point from which the same bits follow. At the
end of an epoch the weights are written first, then the log, then the checkpoint; a process killed between
them goes on from the checkpoint before and writes the same weights again.

Nothing here waits for an accelerator except where a row is logged, every ``log_every`` steps.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch import Tensor

from skyloom.errors import DataError, DivergedError, Interrupted, UsageError
from skyloom.methods.base import Learner
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.training import rng
from skyloom.training.checkpoint import Generations
from skyloom.training.ema import MovingAverage
from skyloom.training.log import Log
from skyloom.training.position import Position, PositionedData, ask_again, refuse_unequal_parts
from skyloom.training.progress import Reporter
from skyloom.training.scores import TRAIN_LOSS, VALIDATION_LOSS, Scores
from skyloom.training.signals import StopRequest
from skyloom.training.stopping import Stopping
from skyloom.training.weights import save_weights

Artist = Callable[[LightningModule, int], None]


class Session(Callback):
    """The callback of a training.

    Args:
        settings: ``train`` of the recipe.
        folder: The run.
        data: The data, at the position where the training begins.
        request: Tells whether somebody asked to stop.
        reporter: Shows progress.
        state: The checkpoint to go on from; None to begin.
        loggers: Trackers; only the first process has any.
        artist: Draws samples of the method after an epoch, every ``draw_every`` of them.
    """

    def __init__(
        self,
        *,
        settings: Train,
        folder: RunFolder,
        data: PositionedData,
        request: StopRequest,
        reporter: Reporter,
        state: dict[str, Any] | None,
        loggers: Iterable[Logger] = (),
        artist: Artist | None = None,
    ) -> None:
        self.settings, self.folder, self.data = settings, folder, data
        self.request, self.reporter, self.loggers = request, reporter, list(loggers)
        self.artist = artist
        self.position: Position = data.position
        self.stopping = Stopping(settings.early_stopping)
        self.log_file = Log()
        self.scores = Scores()
        self.generations = Generations(folder.path_of("state"), settings.keep)
        self.average: MovingAverage | None = None
        self.validation_seconds = 0.0
        self._state = state
        self._began, self._seconds_before = time.perf_counter(), 0.0
        self._averaged_in = False
        self._seeded = False
        self._validated: dict[str, float] = {}
        self._learning_rate = math.nan
        if state is not None:
            self._take_up(state)

    @property
    def seconds(self) -> float:
        """Seconds of training so far, interruptions not counted."""
        return self._seconds_before + time.perf_counter() - self._began

    def _take_up(self, state: dict[str, Any]) -> None:
        self.stopping = Stopping(**state["stopping"])
        self.log_file = Log(state["log"])
        self._seconds_before, self.validation_seconds = state["seconds"]

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Restore what lives on the device, once Lightning has put everything in its place."""
        self.request.listen()
        refuse_unequal_parts(self.data.train.loader.batch_sampler)
        if self.settings.ema is not None:
            self.average = MovingAverage(module, self.settings.ema)
        if self._state is None:
            self.stopping = Stopping(self._patience(module))
        else:
            self._restore(trainer, module, self._state)
            self._state = {"own": self._state["ranks"][trainer.global_rank]}  # the rest is large
        self.reporter.begin(self.settings.epochs, self.data.train.total, self.position)

    def _restore(self, trainer: Trainer, module: LightningModule, state: dict[str, Any]) -> None:
        try:
            module.load_state_dict(state["model"])
            trainer.optimizers[0].load_state_dict(state["optimiser"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise DataError(
                f"the checkpoint in {self.generations.folder} does not fit the method: {error}",
                hint="resume with the recipe that the run was begun with",
            ) from error
        trainer.lr_scheduler_configs[0].scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.scores.restore(state["ranks"][trainer.global_rank]["scores"])

    def on_train_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Let Lightning keep its loaders from the first whole epoch on; turn to a new stage."""
        if self.position.batch == 0:
            ask_again(trainer, False)
            if self.position.epoch in self._stages(module):
                self._turn(module)
        self._seeded = False

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed the epoch, or go on in the middle of one, after the loaders have drawn what they draw."""
        if not self._seeded:
            self._seeded = True
            if self.position.batch and self._state is not None:
                rng.set_generator_state(self._state["own"]["generators"])
            else:
                rng.seed_epoch(self.settings.seed, self.position.epoch, trainer.global_rank)
        self.scores.begin(len(batch["row"]), training=True)
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

    def on_before_optimizer_step(self, trainer: Trainer, module: LightningModule, optimizer: Any) -> None:
        """Clip the gradient; Lightning's own clipping refuses fused optimisers under bf16."""
        if self.settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), self.settings.gradient_clip)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count, average, log, and save where it is time."""
        self.position.batch += 1
        self.position.step += 1
        self.scores.end(outputs["loss"])
        if self.average is not None:
            self.average.update()
        self.reporter.step(self.position)
        if self.position.batch == self.data.train.total:
            return  # the end of the epoch writes its own row and checkpoint, after the validation
        step = self.position.step
        if step % self.settings.log_every == 0:
            self._write_row(trainer, self._row(trainer))
        stop = self._asked_to_stop(trainer)
        if stop or step % self.settings.checkpoint_every == 0:
            self._save(trainer, module)
        if stop:
            raise self._interrupted()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Judge the averaged weights."""
        self._validation_began = time.perf_counter()
        self.reporter.validating()
        self._exchange(trainer)
        if trainer.world_size > 1:
            # The moments of batch normalisation are each process's own; the first one's are saved.
            for value in module.buffers():
                torch.distributed.broadcast(value, src=0)

    def on_validation_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Tell the maps that the scores to come are the means of."""
        self.scores.begin(len(batch["row"]), training=False)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Keep the scores."""
        self._exchange(trainer)
        self._validated = self.scores.validation(self._total(trainer))
        self.validation_seconds += time.perf_counter() - self._validation_began

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Write the row, the weights and the checkpoint of the epoch; decide whether to go on."""
        row = self._row(trainer) | {"train/loss_epoch": self.scores.epoch()} | self._validated
        if VALIDATION_LOSS not in row:
            raise UsageError(
                f"{type(module).__name__} logged no {VALIDATION_LOSS!r}, which picks the best weights",
                hint="log it in validation_step, and give the validation side at least one map",
            )
        self._refuse_divergence(VALIDATION_LOSS, row[VALIDATION_LOSS])
        epoch = self.position.epoch + 1
        best = self.stopping.improves(row[VALIDATION_LOSS], epoch)
        self._write_weights(trainer, module, epoch, best)
        self._draw(trainer, module, epoch)
        self.position.epoch, self.position.batch = epoch, 0
        self.data.next_epoch()
        self._write_row(trainer, row)
        self._save(trainer, module)
        self.reporter.epoch(row, best)
        if self.stopping.done:
            trainer.should_stop = True
        elif epoch < self.settings.epochs and self._asked_to_stop(trainer, always=True):
            raise self._interrupted()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Leave the module with its own weights, not the average."""
        if self._averaged_in:
            self._exchange(trainer)

    def _stages(self, module: LightningModule) -> tuple[int, ...]:
        return module.stages(self.settings.epochs) if isinstance(module, Learner) else ()

    def _patience(self, module: LightningModule) -> int | None:
        """Epochs to wait for a better one: for ever where a stage is still to come."""
        last = all(epoch <= self.position.epoch for epoch in self._stages(module))
        return self.settings.early_stopping if last else None

    def _turn(self, module: Any) -> None:
        """Take the averaged weights over and let the method begin its next stage."""
        if self.average is not None:
            self.average.adopt()
        module.begin_stage(self.data.loader("train"))
        if self.average is not None:
            self.average.restart()
        self.stopping = Stopping(self._patience(module))

    def _exchange(self, trainer: Trainer) -> None:
        if self.average is not None:
            self.average.exchange()
            self._averaged_in = not self._averaged_in

    def _total(self, trainer: Trainer) -> Callable[[Tensor], Tensor]:
        """Return what adds a tensor up over processes."""
        return lambda totals: trainer.strategy.reduce(totals, reduce_op="sum")

    def _row(self, trainer: Trainer) -> dict[str, Any]:
        means = self.scores.row(self._total(trainer))
        self._refuse_divergence(TRAIN_LOSS, means[TRAIN_LOSS])
        return {
            "step": self.position.step,
            "epoch": self.position.epoch + 1,
            "seconds": round(self.seconds, 3),
            "lr": self._learning_rate,
            **means,
        }

    def _write_row(self, trainer: Trainer, row: Mapping[str, Any]) -> None:
        self.log_file.add(row)
        self.reporter.row(row)
        for logger in self.loggers:
            scores = {name: value for name, value in row.items() if name != "step"}
            logger.log_metrics(scores, step=row["step"])

    def _refuse_divergence(self, name: str, value: float) -> None:
        if not math.isfinite(value):
            raise DivergedError(
                f"the training diverged: {name} is {value} at step {self.position.step}",
                hint="lower the learning rate (train.optimiser.lr), set train.gradient_clip, "
                "or look for NaN in the data with skyloom inspect",
            )

    def _asked_to_stop(self, trainer: Trainer, always: bool = False) -> bool:
        asked = self.request.caught is not None
        if trainer.world_size == 1:
            return asked
        # All processes leave at the same step, or those that stay wait for ever; asking costs a round trip.
        if not always and self.position.step % self.settings.log_every:
            return False
        flag = torch.tensor(float(asked), device=trainer.strategy.root_device)
        return bool(trainer.strategy.reduce(flag, reduce_op="sum").item() > 0)

    def _interrupted(self) -> Interrupted:
        name = self.request.caught.name if self.request.caught is not None else "another process"
        return Interrupted(
            f"stopped by {name} after step {self.position.step}; all is saved in {self.folder.path}",
            hint=f"skyloom train {self.folder.path} --resume goes on there",
        )

    def _write_weights(self, trainer: Trainer, module: LightningModule, epoch: int, best: bool) -> None:
        if not trainer.is_global_zero:
            return
        facts = {
            "epoch": epoch,
            "step": self.position.step,
            "validation_loss": self._validated[VALIDATION_LOSS],
            "averaged": self.average is not None,
        }
        self._exchange(trainer)
        for name in ("last", "best") if best else ("last",):
            path = self.folder.path_of(f"weights/{name}.safetensors")
            save_weights(path, module.state_dict(), module.spec, **facts)  # type: ignore[arg-type]
        self._exchange(trainer)

    def _draw(self, trainer: Trainer, module: LightningModule, epoch: int) -> None:
        every = self.settings.draw_every
        if self.artist is None or every is None or epoch % every or not trainer.is_global_zero:
            return
        began = time.perf_counter()
        self._exchange(trainer)
        self.artist(module, epoch)
        self._exchange(trainer)
        self.validation_seconds += time.perf_counter() - began

    def _save(self, trainer: Trainer, module: LightningModule) -> None:
        own = {"generators": rng.generator_state(), "scores": self.scores.snapshot()}
        ranks: list[Any] = [own] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(ranks, own)
        if not trainer.is_global_zero:
            return
        self.log_file.write(self.folder.path_of("log.csv"))
        self.generations.save(
            self.position.step,
            {
                "settings": json.dumps(self.settings.model_dump(mode="json")),
                "position": vars(self.position).copy(),
                "model": module.state_dict(),
                "optimiser": trainer.optimizers[0].state_dict(),
                "scheduler": trainer.lr_scheduler_configs[0].scheduler.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "stopping": self.stopping.state_dict(),
                "seconds": (self.seconds, self.validation_seconds),
                "log": self.log_file.text(),
                "ranks": ranks,
            },
        )
