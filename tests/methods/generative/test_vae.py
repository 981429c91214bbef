"""The evidence bound against its closed form, and what a linear case must learn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from skyloom import registry
from skyloom.errors import UsageError

NET, ENCODER = (
    {"name": "perceptron", "latent": 3, "widths": [16]},
    {"name": "cmd_cnn", "width": 2, "dropout": 0.0},
)


def vae(**changes):
    torch.manual_seed(0)
    spec = {"name": "vae", "net": NET, "encoder": ENCODER, **changes}
    return registry.build(spec, "method", data=(1, 1, 8))


def test_the_bound_is_that_of_gaussians():
    method = vae(beta=2.0).eval()
    maps, point = torch.randn(4, 1, 8, 8), torch.zeros(4, 1)
    with torch.no_grad():
        method.log_error.fill_(math.log(0.5))
        mean, log_variance = method.encoded(maps, point)
        loss, square, kl = method.bound(maps, point, torch.Generator().manual_seed(1))
        noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(1))
        drawn = method.net(mean + (0.5 * log_variance).exp() * noise, point)
    noise_law = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = (
        torch.distributions.kl_divergence(noise_law, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    )
    torch.testing.assert_close(kl, expected)
    torch.testing.assert_close(square, (maps - drawn).square().mean())
    # Minus the log of a normal density of sd 0.5, without ln √2π, a pixel; 64 pixels share the KL.
    torch.testing.assert_close(loss, square / (2 * 0.25) + math.log(0.5) + 2.0 * expected / 64)


def test_the_error_that_is_learnt_is_that_of_the_maps():
    # An encoder and a generator that say nothing: the best error is the spread of the maps about their mean.
    method = vae()
    for part in (method.net, method.encoder):
        for weight in part.parameters():
            nn.init.zeros_(weight)
            weight.requires_grad_(False)
    maps = 0.3 * torch.randn(256, 1, 8, 8)
    optimiser = torch.optim.Adam([method.log_error], lr=0.05)
    for _ in range(150):
        loss, _ = method.losses(maps, torch.zeros(256, 1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert method.log_error.exp().item() == pytest.approx(maps.square().mean().sqrt().item(), rel=0.01)


def test_more_steps_and_a_negative_weight_are_refused():
    with pytest.raises(UsageError, match="beta is -1"):
        vae(beta=-1.0)
    with pytest.raises(UsageError, match="3 steps"):
        vae().sample(torch.zeros(1, 1), steps=3)
