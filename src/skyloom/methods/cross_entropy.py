r"""Classes: a network learns the probability of each by minimising the cross-entropy.

Targets are one column a class, 1 for the right one: the cross-entropy with them is least at the posterior
probabilities of the classes, so the network's softmax is an estimate of these (under the shares of the
classes on the train side). What is minimised may be smoothed and weighted; what is logged is neither, so that
it compares epochs and settings fairly.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Batch, Method, Net, prediction_mode


class CrossEntropy(Method):
    r"""Probabilities of classes.

    .. math:: -\sum_c w_c \Big[(1 - \epsilon)\, t_c + \frac{\epsilon}{C}\Big] \log p_c , \qquad
              p = \mathrm{softmax}(\mathrm{net}(x))

    with smoothing ε (Szegedy et al. 2016, arXiv:1512.00567) and the class weights w. Both move the
    probabilities: smoothing makes them less sure, weights shift them to the heavier class.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of classes ``C``.
        size: Side length of the maps, pixels.
        net: The network.
        label_smoothing: ε, from 0 to below 1.
        class_weights: A weight for each class, in the order of the task's classes; ``balanced`` takes
            ``n / (C n_c)`` of the train side, so that all classes count alike; null weighs all maps alike.

    Raises:
        UsageError: The smoothing is out of range, or there are not ``C`` positive weights; in training,
            balanced weights are asked for and a class has no map, or the data is no ``MapDataModule``.

    Example:
        >>> method = CrossEntropy(1, 3, 16, net={"name": "resnet", "width": 4})
        >>> method.predict(torch.zeros(2, 1, 16, 16))["mean"].sum(dim=1).round(decimals=5).tolist()
        [1.0, 1.0]
    """

    name = "cross_entropy"
    answers = ("classes",)

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "resnet"},  # noqa: B006 - read, never written
        label_smoothing: float = 0.0,
        class_weights: list[float] | Literal["balanced"] | None = None,
    ) -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(
                f"method 'cross_entropy': label_smoothing is {label_smoothing}, allowed: from 0 to below 1",
                hint="0.1 is common",
            )
        given = None if isinstance(class_weights, str) else class_weights
        if given is not None and (len(given) != out_features or min(given) <= 0):
            raise UsageError(
                f"method 'cross_entropy': class_weights {class_weights} for {out_features} classes",
                hint="give each class a positive weight, in the order of the task's classes",
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "label_smoothing": label_smoothing,
            "class_weights": class_weights,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.label_smoothing = label_smoothing
        self.balanced = class_weights == "balanced"
        weight = None if given is None else torch.tensor(given, dtype=torch.float32)
        self.register_buffer("weight", weight, persistent=False)
        self.net = registry.build(net, "net", data=(in_channels, out_features, size))

    def forward(self, maps: Tensor) -> Tensor:
        """Return the logits ``(B, C)``: logarithms of the probabilities, up to a constant for each map."""
        logits: Tensor = self.net(maps)
        return logits

    def on_fit_start(self) -> None:
        """Weigh the classes by how rare they are on the train side, where that was asked for."""
        if not self.balanced:
            return
        data: Any = getattr(self.trainer, "datamodule", None)
        if not hasattr(data, "targets"):
            raise UsageError(
                "method 'cross_entropy': class_weights 'balanced' counts the classes of a MapDataModule",
                hint="give the Trainer one, or give a weight for each class",
            )
        counts = torch.from_numpy(data.targets[data.rows("train")].sum(axis=0))
        if not (counts > 0).all():
            raise UsageError(
                "method 'cross_entropy': class_weights 'balanced', and "
                f"{int((counts <= 0).sum())} of {len(counts)} classes without a map on the train side",
                hint="split differently, or give a weight for each class",
            )
        self.weight = (counts.sum() / (len(counts) * counts)).to(self.device)

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the smoothed and weighted cross-entropy, and the plain one [nats]."""
        logits = self(maps)
        minimised = cross_entropy(
            logits, targets, weight=self.get_buffer("weight"), label_smoothing=self.label_smoothing
        )
        return minimised, cross_entropy(logits, targets)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Log ``validation/loss`` and the share of maps whose likeliest class is right."""
        maps, targets = self.check(batch)
        logits = self(maps)
        right = (logits.argmax(dim=1) == targets.argmax(dim=1)).float().mean()
        options: dict[str, Any] = {"batch_size": len(maps), "on_epoch": True, "sync_dist": True}
        self.log("validation/loss", cross_entropy(logits, targets), **options)
        self.log("validation/accuracy", right, **options)

    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict the probabilities as ``mean``, which they are: of targets that are 0 or 1.

        Raises:
            UsageError: Samples are asked for.
        """
        if draws:
            raise UsageError(
                f"method 'cross_entropy' has no {draws} samples to draw: probabilities say all that it knows",
                hint="leave out draws",
            )
        with prediction_mode(self), torch.no_grad():
            return {"mean": self(maps).softmax(dim=1)}
