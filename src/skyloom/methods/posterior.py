"""Neural posterior estimation: a normalising flow over the parameters, conditioned on features of the map.

The flow ``q(θ | f(x))`` and the network ``f`` are trained together by minimising ``-log q(θ | f(x))`` over
simulated pairs (Papamakarios & Murray 2016, arXiv:1605.06376; Greenberg et al. 2019, arXiv:1905.07488). At
the optimum ``q`` is the posterior under the prior that the training simulations were drawn from.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
import zuko
from torch import Tensor, nn

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.base import Method, Net, prediction_mode
from skyloom.methods.supervised import standard_normal

# The conditional flow is evaluated for this many (map, draw) pairs at a time: about 100 MB.
PAIRS_AT_ONCE = 1 << 15
MEAN_DRAWS = 64


class Posterior(Method):
    """Neural posterior: samples, densities, and the moments of its samples.

    Args:
        in_channels: Channels of the maps.
        out_features: Number of targets.
        size: Side length of the maps, pixels.
        net: The network that compresses a map to ``features`` numbers.
        flow: ``nsf``, splines (Durkan et al. 2019, arXiv:1906.04032), which can bend to the edge of a prior;
            or ``maf``, affine (Papamakarios et al. 2017, arXiv:1705.07057), exact for Gaussian posteriors.
            Splines act within five standard deviations of the prior and leave what lies beyond unchanged.
        features: Numbers to which a map is compressed.
        transforms: Layers of the flow.
        hidden: Widths of the dense layers in each transform.
        predict_draws: Samples from which ``mean`` and ``sd`` of a prediction are taken.

    Raises:
        UsageError: Fewer than two ``predict_draws``.

    Example:
        >>> method = Posterior(1, 2, 16, net={"name": "resnet", "width": 4}, hidden=[8], predict_draws=10)
        >>> maps = torch.zeros(3, 1, 16, 16)
        >>> {name: tuple(value.shape) for name, value in method.predict(maps, draws=5).items()}
        {'mean': (3, 2), 'sd': (3, 2), 'samples': (3, 5, 2)}
        >>> method.log_prob(maps, torch.zeros(3, 2)).shape
        torch.Size([3])
    """

    name = "posterior"
    draws = 256

    def __init__(
        self,
        in_channels: int,
        out_features: int,
        size: int,
        *,
        net: Net = {"name": "resnet"},  # noqa: B006 - read, never written
        flow: Literal["nsf", "maf"] = "nsf",
        features: int = 16,
        transforms: int = 3,
        hidden: list[int] = [64, 64],  # noqa: B006
        predict_draws: int = 512,
    ) -> None:
        if predict_draws < 2:
            raise UsageError(
                f"method 'posterior' needs at least 2 predict_draws for an error, found {predict_draws}",
                hint="try 512",
            )
        arguments: dict[str, Any] = {
            "net": registry.resolve(net, "net"),
            "flow": flow,
            "features": features,
            "transforms": transforms,
            "hidden": list(hidden),
            "predict_draws": predict_draws,
        }
        super().__init__(in_channels, out_features, size, arguments)
        self.predict_draws = predict_draws
        self.net = registry.build(net, "net", data=(in_channels, features, size))
        family = {"nsf": zuko.flows.NSF, "maf": zuko.flows.MAF}[flow]
        self.flow: nn.Module = family(
            features=out_features, context=features, transforms=transforms, hidden_features=tuple(hidden)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return the predicted mean, standardised, ``(B, P)``; differentiable.

        It is taken over 64 samples in mirrored pairs with the same noise for every map: exact for a Gaussian
        posterior, and independent of the other maps of the batch.
        """
        context = self.net(maps)
        noise = standard_normal((MEAN_DRAWS // 2, 1, self.out_features), context, None)
        mirrored = torch.cat((noise, -noise)).expand(-1, len(context), -1)
        samples: Tensor = self.flow(context).transform.inv(mirrored)
        return samples.mean(dim=0)

    def log_prob(self, maps: Tensor, targets: Tensor) -> Tensor:
        """Return the log density of targets, in standardised units.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            targets: Shape ``(B, P)``, standardised.

        Returns:
            Shape ``(B,)``, nats.
        """
        log_density: Tensor = self.flow(self.net(maps)).log_prob(targets)
        return log_density

    def sample(self, maps: Tensor, draws: int, *, generator: torch.Generator | None) -> Tensor:
        """Draw from the posterior of each map, differentiably.

        Args:
            maps: Shape ``(B, C, H, W)``, standardised.
            draws: Samples for each map.
            generator: Source of the noise, on the device of the maps; None starts one from seed 0.

        Returns:
            Shape ``(B, draws, P)``, standardised.
        """
        context = self.net(maps)
        noise = standard_normal((draws, len(context), self.out_features), context, generator)
        inverse = self.flow(context).transform.inv
        step = max(1, PAIRS_AT_ONCE // max(1, len(context)))
        return torch.cat([inverse(part) for part in torch.split(noise, step)]).movedim(0, 1)

    def losses(self, maps: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean of ``-log q(θ | x)`` twice: it is minimised and logged."""
        loss = -self.log_prob(maps, targets).mean()
        return loss, loss

    def predict(
        self, maps: Tensor, *, draws: int = 0, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Predict ``mean`` and ``sd`` of the samples, and the first ``draws`` of these as ``samples``.

        At least ``predict_draws`` are drawn, so that the moments of a few samples do not suffer.
        """
        with prediction_mode(self), torch.no_grad():
            samples = self.sample(maps, max(draws, self.predict_draws), generator=generator)
        prediction = {"mean": samples.mean(dim=1), "sd": samples.std(dim=1)}
        if draws:
            prediction["samples"] = samples[:, :draws]
        return prediction
