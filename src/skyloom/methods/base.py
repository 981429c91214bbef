"""What every method shares: the batch, the logged losses, the optimiser and the way to be rebuilt.

A method is saved as its ``spec`` (JSON) beside its state dict; `rebuild` makes the same module from the spec,
so weights are loaded without unpickling anything.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import lightning
import torch
from torch import Tensor, nn

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods.optimisers import Weights
from skyloom.registry import Kind

Net = Annotated[dict[str, Any], Kind("net")]
Batch = dict[str, Tensor]
VALIDATION_SEED = 7919  # noise of the validation is the same in every epoch: its loss then compares weights


@contextmanager
def prediction_mode(module: nn.Module) -> Iterator[None]:
    """Switch dropout off and normalisation to its running values, and put every layer back afterwards.

    Args:
        module: Any module; layers that were frozen in one mode return to that mode.

    Example:
        >>> layer = nn.Dropout(0.5)
        >>> with prediction_mode(layer):
        ...     layer.training
        False
        >>> layer.training
        True
    """
    before = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, training in before:
            layer.training = training


class Learner(lightning.LightningModule, ABC):
    """What every method has, whatever it learns: checked batches, logged losses, an optimiser, a spec.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of targets ``P``.
        size: Side length of the maps, pixels.
        arguments: The recipe arguments, JSON values with every default written out.

    Attributes:
        name: The name in the registry.
        answers: What it can give, of ``parameters``, ``classes`` and ``ensembles``: a task asks for one.
        spec: JSON from which `rebuild` makes the same module.
        optimisation: Makes the optimiser (or any value that Lightning's ``configure_optimizers`` may return)
            from the weights; None gives AdamW with a learning rate of 1e-3.
    """

    name: ClassVar[str]
    answers: ClassVar[tuple[str, ...]] = ("parameters",)

    def __init__(self, in_channels: int, out_features: int, size: int, arguments: dict[str, Any]) -> None:
        super().__init__()
        self.out_features = out_features
        self.spec = {"name": self.name, "data": [in_channels, out_features, size], "arguments": arguments}
        self.optimisation: Callable[[Weights], Any] | None = None

    @abstractmethod
    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is minimised and what is logged, both averaged over the batch, shape ``()``.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            targets: Shape ``(B, P)``, standardised.
        """

    def stages(self, epochs: int) -> tuple[int, ...]:
        """Return the epochs, from 0, at which the training turns to something else; none as a rule.

        What is averaged is then taken over, `begin_stage` is called, and the choice of the best weights and
        early stopping begin anew. Only the last stage is stopped early.

        Args:
            epochs: Epochs planned.
        """
        return ()

    def begin_stage(self, batches: Iterable[Batch]) -> None:
        """Turn to the next stage; what it changes must be part of the state dict.

        Args:
            batches: The train side, every map of this process once, not augmented, on the CPU.
        """

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch and log ``train/loss``."""
        maps, targets = self.check(batch)
        minimised, logged = self.losses(maps, targets)
        self.log("train/loss", logged.detach(), batch_size=len(maps))
        return minimised

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``validation/loss``, averaged over the side."""
        maps, targets = self.check(batch)
        _, logged = self.losses(maps, targets)
        self.log_validation({"loss": logged}, len(maps))

    def log_validation(self, found: Mapping[str, Tensor], count: int) -> None:
        """Log scores of a batch of the validation, averaged over the side.

        Args:
            found: Name without ``validation/`` to the mean over the batch, shape ``()``; ``loss`` is needed.
            count: Maps of the batch.
        """
        for name, value in found.items():
            self.log(f"validation/{name}", value, batch_size=count, on_epoch=True, sync_dist=True)

    def refuse_to_wait(self, why: str) -> None:
        """Raise where several processes would wait for gradients of weights that rest in some steps.

        Args:
            why: What rests, a sentence that ends before the full stop.

        Raises:
            UsageError: The strategy expects a gradient for every weight in every step.
        """
        told = getattr(self.trainer.strategy, "_ddp_kwargs", {})
        if self.trainer.world_size > 1 and not told.get("find_unused_parameters"):
            raise UsageError(why, hint="--set train.strategy=ddp_find_unused_parameters_true")

    def check(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return maps and targets of a batch.

        Raises:
            ShapeError: The targets are not ``(B, P)``.
        """
        maps, targets = batch["maps"], batch["targets"]
        if targets.shape != (len(maps), self.out_features):
            raise ShapeError(
                f"method {self.name!r} was built for targets of shape ({len(maps)}, {self.out_features}), "
                f"found {tuple(targets.shape)}",
                hint="build the method again with as many outputs as there are parameters",
            )
        return maps, targets

    def configure_optimizers(self) -> Any:
        """Return what ``optimisation`` makes of the weights that are trained."""
        weights = [weight for weight in self.parameters() if weight.requires_grad]
        if self.optimisation is not None:
            return self.optimisation(weights)
        return registry.build("adamw", "optimiser")(weights)


class NoisyLearner(Learner):
    """Base of the methods whose loss draws noise of its own: in validation it is the same in every epoch."""

    @abstractmethod
    def validated(self, maps: Tensor, targets: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Return what is logged of a batch of the validation, each of shape ``()``.

        Args:
            maps: As the task gives them, standardised.
            targets: As the task gives them, standardised.
            generator: Source of the noise.

        Returns:
            ``loss``, by which weights are chosen, and whatever else is told.
        """

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log what `validated` finds, in prediction mode and with the same noise in every epoch."""
        maps, targets = self.check(batch)
        generator = torch.Generator(maps.device).manual_seed(VALIDATION_SEED + batch_idx)
        with prediction_mode(self):
            found = self.validated(maps, targets, generator)
        self.log_validation(found, len(maps))


class Method(Learner):
    """Base of the methods that answer for a map: a network, a loss, and predictions with or without errors.

    Arguments and attributes are those of `Learner`.

    Attributes:
        draws: Samples of each map that an evaluation asks for; 0 where the method has one answer.
    """

    draws: int = 0

    @abstractmethod
    def forward(self, maps: Tensor) -> Tensor:
        """Return the predicted mean, standardised, ``(B, P)``; differentiable with respect to the maps."""

    @abstractmethod
    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict with dropout off and running normalisation, without gradients.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            draws: Samples of the posterior wanted for each map.
            generator: Source of the samples, on the device of the maps; None starts one from seed 0.

        Returns:
            ``mean`` of shape ``(B, P)``, ``sd`` of shape ``(B, P)`` where the method knows it, and
            ``samples`` of shape ``(B, draws, P)`` where ``draws > 0``; all standardised.
        """


class FieldMethod(Method):
    """Base of the methods that answer with maps of other fields, one answer or samples of many.

    Targets and answers are maps ``(B, P, H, W)``, transformed. A method that has samples sets ``draws`` to 1
    or more and gives one for each map in ``draw``; its mean is that of its samples.
    """

    answers = ("fields",)

    def check(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return maps and targets of a batch.

        Raises:
            ShapeError: The targets are not ``(B, P, H, W)``.
        """
        maps, targets = batch["maps"], batch["targets"]
        wanted = (len(maps), self.out_features, *maps.shape[2:])
        if targets.shape != wanted:
            raise ShapeError(
                f"method {self.name!r} was built for targets of shape {wanted}, found {tuple(targets.shape)}",
                hint="build the method again with as many outputs as there are target fields",
            )
        return maps, targets

    def draw(self, maps: Tensor, generator: torch.Generator) -> Tensor:
        """Return one sample of the fields for each map, ``(B, P, H, W)``; called in prediction mode.

        Args:
            maps: Shape ``(B, C, H, W)``, transformed.
            generator: Source of the noise, on the device of the maps.

        Raises:
            UsageError: The method has one answer.
        """
        raise UsageError(
            f"method {self.name!r} has one answer for a map and no samples",
            hint="use a method that draws from a distribution",
        )

    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict ``mean`` ``(B, P, H, W)`` and, with draws, ``samples`` ``(B, draws, P, H, W)``.

        Raises:
            UsageError: Samples are asked for, and the method has one answer.
        """
        if generator is None:
            generator = torch.Generator(maps.device).manual_seed(0)
        with prediction_mode(self), torch.no_grad():
            if not (draws or self.draws):
                return {"mean": self(maps)}
            samples = torch.stack([self.draw(maps, generator) for _ in range(draws or self.draws)], dim=1)
        prediction = {"mean": samples.mean(dim=1)}
        return prediction | ({"samples": samples} if draws else {})


def rebuild(spec: dict[str, Any]) -> Any:
    """Make a method from its saved ``spec``; its weights are random until a state dict is loaded.

    Args:
        spec: ``{"name": ..., "data": [in_channels, out_features, size], "arguments": {...}}``.

    Returns:
        The method, a `Learner`.

    Raises:
        RegistryError: The method, its network or an argument is unknown to this installation.

    Example:
        >>> spec = {"name": "mean_squared", "data": [1, 2, 16], "arguments": {"net": {"name": "resnet"}}}
        >>> rebuild(spec).out_features
        2
    """
    return registry.build({"name": spec["name"], **spec["arguments"]}, "method", data=tuple(spec["data"]))
