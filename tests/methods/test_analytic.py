"""Learned posteriors against a linear-Gaussian problem whose posterior is known in closed form.

Two parameters with prior N(0, 1) each; a map of N = 16 pixels, each ``θ1 + θ2 + s n`` with ``n`` of N(0, 1).
The mean of the map, ``y``, is sufficient, with noise variance ``v = s² / N``. With ``A = (1, 1)`` the
posterior has covariance ``(1 + AᵀA / v)⁻¹ = 1 - AᵀA / (v + 2)`` and mean ``Aᵀ y / (v + 2)``. The noise ``s``
differs between maps and is written into a second channel, so that the error, too, must be read off the map.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn

from skyloom.methods.posterior import Posterior
from skyloom.methods.supervised import MeanSquared, Moments

PIXELS = 16


class Summary(nn.Module):
    """A small network on the two means of a map: the methods are on trial here, not the networks."""

    def __init__(self, out_features):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, out_features)
        )

    def forward(self, maps):
        return self.layers(maps.mean(dim=(2, 3)))


def simulate(count, generator):
    theta = torch.randn(count, 2, generator=generator)
    s = 2 + 6 * torch.rand(count, 1, 1, 1, generator=generator)
    noise = torch.randn(count, 1, 4, 4, generator=generator)
    maps = torch.cat((theta.sum(1)[:, None, None, None] + s * noise, (s - 5).expand(-1, 1, 4, 4)), dim=1)
    return maps, theta


def truth(maps):
    y, v = maps[:, 0].mean((1, 2)), (maps[:, 1].mean((1, 2)) + 5) ** 2 / PIXELS
    variance, covariance = 1 - 1 / (v + 2), -1 / (v + 2)
    return (y / (v + 2))[:, None].expand(-1, 2), variance.sqrt()[:, None].expand(-1, 2), covariance


def train(method, out_features, steps, seed=0, batch=512):
    torch.manual_seed(seed)
    method.net = Summary(out_features)
    generator = torch.Generator().manual_seed(seed + 1)
    optimiser = torch.optim.Adam(method.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        minimised, _ = method.losses(*simulate(batch, generator))
        optimiser.zero_grad()
        minimised.backward()
        optimiser.step()
        schedule.step()
    return method


@pytest.fixture
def unseen():
    return simulate(2000, torch.Generator().manual_seed(99))


def rms(difference):
    return difference.square().mean().sqrt().item()


# Training sees 1e5 draws or more, so that a linear fit would miss the mean by some 1e-3; the network's curve
# adds to that. A twentieth of the posterior's width (0.76 to 0.91) is asked for.
TOLERANCE = 0.04


def test_mean_squared_finds_the_posterior_mean(unseen):
    method = train(MeanSquared(2, 2, 4, net={"name": "vgg", "widths": [1], "dense": []}), 2, 600)
    assert rms(method.predict(unseen[0])["mean"] - truth(unseen[0])[0]) < TOLERANCE


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_moments_finds_mean_and_error_of_each_map(unseen, beta):
    method = train(Moments(2, 2, 4, net={"name": "vgg", "widths": [1], "dense": []}, beta=beta), 4, 600)
    prediction, (mean, sd, _) = method.predict(unseen[0]), truth(unseen[0])
    assert rms(prediction["mean"] - mean) < TOLERANCE
    assert rms(prediction["sd"] / sd - 1) < TOLERANCE
    # The true error spans 0.76 to 0.91 over the maps; a constant one would miss by more than the tolerance.
    assert rms(sd / sd.mean() - 1) > TOLERANCE


@pytest.mark.parametrize("flow", ["nsf", "maf"])
def test_posterior_finds_mean_error_correlation_and_density(unseen, flow):
    method = Posterior(
        2,
        2,
        4,
        net={"name": "vgg", "widths": [1], "dense": []},
        flow=flow,
        features=3,
        transforms=2,
        hidden=[32],
    )
    method = train(method, 3, 400, batch=256)
    maps, theta = (part[:400] for part in unseen)
    mean, sd, covariance = truth(maps)
    prediction = method.predict(maps, draws=512, generator=torch.Generator().manual_seed(5))
    # 512 samples add sd / 512^1/2 = 0.04 to the mean and 1 / 1024^1/2 = 0.03 to the error, relatively.
    assert rms(prediction["mean"] - mean) < TOLERANCE + 0.04
    assert rms(prediction["sd"] / sd - 1) < TOLERANCE + 0.03
    shifted = prediction["samples"] - prediction["mean"][:, None]
    sampled = (shifted[..., 0] * shifted[..., 1]).mean(1)
    assert rms(sampled - covariance) < TOLERANCE + 0.04
    # Without the noise of sampling, the mean of mirrored pairs meets the tolerance itself.
    with torch.no_grad():
        assert rms(method(maps) - mean) < TOLERANCE + 0.02
        learned = method.log_prob(maps, theta)
    full = torch.diag_embed(sd**2 - covariance[:, None]) + covariance[:, None, None]
    exact = torch.distributions.MultivariateNormal(mean, full).log_prob(theta)
    # The mean difference estimates the Kullback–Leibler divergence, at least 0, up to its own scatter.
    gap = exact - learned
    scatter = gap.std().item() / len(gap) ** 0.5
    assert -3 * scatter < gap.mean().item() < 0.02 + 3 * scatter
