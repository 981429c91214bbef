"""Methods that draw fields given fields, on Gaussian pairs whose posterior is a formula.

Pixels are independent: target ``x ~ N(0, 1)``, input ``y = x + s n``. The posterior of ``x`` given ``y`` is
normal with mean ``y / (1 + s²)`` and variance ``s² / (1 + s²)``. The best network is a formula too, and a
sampler that is given it must give that posterior.
"""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from skyloom import registry
from skyloom.errors import ShapeError, UsageError
from skyloom.methods import rebuild
from skyloom.methods.generative.conditional import ConditionalDiffusion, ConditionalFlow
from skyloom.methods.generative.denoising import amplitudes, learnt
from skyloom.methods.generative.indi import InDI

S = 0.75
MEAN, VARIANCE = 1 / (1 + S**2), S**2 / (1 + S**2)
NET = {"name": "unet", "width": 8, "multiples": [1, 2], "attention": False}
DRAWING = ["conditional_diffusion", "conditional_flow", "indi"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class Best(nn.Module):
    """The best answer of a conditional denoiser: the mean of the method's target, given x_t and y."""

    def __init__(self, method):
        super().__init__()
        self.path = (method.schedule, method.target)

    def forward(self, seen, t, conditions, *, known):
        x, y = seen.chunk(2, dim=1)
        schedule, target = self.path
        a, s = amplitudes(schedule, t, x)
        # p(x_0 | y) is the prior; x_t = a x_0 + s n.
        gain = a * VARIANCE / (a**2 * VARIANCE + s**2)
        x_0 = MEAN * y + gain * (x - a * MEAN * y)
        noise = s * (x - a * MEAN * y) / (a**2 * VARIANCE + s**2)
        return torch.cat((learnt(target, x_0, noise, a, s), y), dim=1)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (ConditionalDiffusion, {"steps": 100}),
        (ConditionalDiffusion, {"steps": 400, "eta": 1.0}),
        (ConditionalFlow, {"steps": 25}),
        (ConditionalFlow, {"steps": 200, "solver": "euler"}),
    ],
)
def test_samples_have_mean_and_variance_of_the_posterior(cls, options):
    method = cls(1, 1, 8, net=NET, **options).double()
    method.net = Best(method)
    maps = torch.randn((200, 1, 8, 8), generator=seeded(), dtype=torch.float64) * math.sqrt(1 + S**2)
    samples = method.predict(maps, draws=4, generator=seeded(1))["samples"]
    pull = (samples - MEAN * maps[:, None]) / math.sqrt(VARIANCE)
    n = pull.numel()
    # Five standard errors, and 0.02 for steps of a finite size.
    assert abs(pull.mean()) < 5 / math.sqrt(n) + 0.02
    assert abs(pull.var() - 1) < 5 * math.sqrt(2 / n) + 0.02
    # One step from noise, of which nothing tells the target, is the mean of the posterior.
    torch.testing.assert_close(method(maps), MEAN * maps, atol=2e-3, rtol=0)


class Direct(nn.Module):
    """E[x | x_t] of direct iteration: x_t = x + t (s n + ε n')."""

    def __init__(self, noise):
        super().__init__()
        self.noise = noise

    def forward(self, x, t, conditions, *, known):
        t = t.reshape(-1, 1, 1, 1)
        return x / (1 + t**2 * (S**2 + self.noise**2))


def test_one_step_of_direct_iteration_is_the_regression():
    method = InDI(1, 1, 8, net=NET, noise=0.0, steps=1).double()
    method.net = Direct(0.0)
    y = torch.randn((2, 1, 8, 8), generator=seeded(), dtype=torch.float64)
    torch.testing.assert_close(method.predict(y)["mean"], MEAN * y)


def test_many_steps_of_direct_iteration_give_maps_of_the_true_variance():
    """dx/dt = (x - x / (1 + t² s²)) / t has x_0 = y / sqrt(1 + s²): the variance of the target, 1.

    The solver is Euler's: its error falls as the step.
    """
    y = torch.randn((2, 1, 8, 8), generator=seeded(), dtype=torch.float64)
    errors = []
    for steps in (20, 40):
        method = InDI(1, 1, 8, net=NET, noise=0.0, steps=steps).double()
        method.net = Direct(0.0)
        errors.append(float((method(y) - y / math.sqrt(1 + S**2)).abs().max()))
    assert errors[1] < 0.02
    assert 1.7 < errors[0] / errors[1] < 2.3


def test_noise_on_the_input_spreads_the_draws_of_direct_iteration():
    """x_0 = (y + ε n') / sqrt(1 + s² + ε²): draws vary by ε² / (1 + s² + ε²)."""
    noise, steps = 0.5, 100
    method = InDI(1, 1, 8, net=NET, noise=noise, steps=steps).double()
    method.net = Direct(noise)
    y = torch.randn((100, 1, 8, 8), generator=seeded(), dtype=torch.float64)
    samples = method.predict(y, draws=6, generator=seeded(2))["samples"]
    expected = noise**2 / (1 + S**2 + noise**2)
    found = samples.var(dim=1).mean()
    assert found == pytest.approx(expected, rel=5 * math.sqrt(2 / samples.numel()) + 0.02)


def test_direct_iteration_learns_the_regression_at_its_far_end():
    """F(x_t, t) = w(t) x_t, fitted at t = 1 by least squares on what the loss shows, is 1 / (1 + s²)."""
    method = InDI(1, 1, 8, net=NET, noise=0.0).double()
    seen = {}

    class Spy(nn.Module):
        def forward(self, x, t, conditions, *, known):
            seen.update(x=x, t=t)
            return torch.zeros_like(x)

    method.net = Spy()
    x = torch.randn((4000, 1, 2, 2), generator=seeded(), dtype=torch.float64)
    y = x + S * torch.randn(x.shape, generator=seeded(1), dtype=torch.float64)
    loss, _ = method.losses(y, x)
    assert loss.item() == pytest.approx(x.square().mean().item())
    t = seen["t"]
    assert 0 < t.min() < 1e-3 and 1 - 1e-3 < t.max() <= 1
    torch.testing.assert_close(seen["x"], x + t.reshape(-1, 1, 1, 1) * (y - x))
    late = t > 0.98
    slope = (seen["x"] * x)[late].sum() / seen["x"][late].square().sum()
    assert slope.item() == pytest.approx(MEAN, abs=5 * math.sqrt(VARIANCE * MEAN / (4 * int(late.sum()))))


@pytest.mark.parametrize("name", DRAWING)
def test_learning_beats_the_mean_of_the_target(name):
    """A shift by one pixel: nothing is open, so the error of the answer falls far below the variance."""
    torch.manual_seed(0)
    net = {**NET, "width": 16}
    method = registry.build({"name": name, "net": net, "steps": 4, "draws": 1}, "method", data=(1, 1, 8))
    optimiser = torch.optim.Adam(method.parameters(), lr=4e-3)
    maps = torch.randn((8, 1, 8, 8), generator=seeded())
    for _ in range(80):
        loss, _ = method.losses(maps, maps.roll(1, -1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    left = method.predict(maps)["mean"] - maps.roll(1, -1)
    assert left.square().mean() < 0.5


@pytest.mark.parametrize("name", DRAWING)
def test_interface_of_draws(name):
    torch.manual_seed(0)
    method = registry.build({"name": name, "net": NET, "steps": 2, "draws": 3}, "method", data=(2, 2, 8))
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    maps = torch.randn((3, 2, 8, 8), generator=seeded())
    state = torch.get_rng_state()
    first = method.predict(maps, draws=4, generator=seeded(5))
    assert first["samples"].shape == (3, 4, 2, 8, 8)
    torch.testing.assert_close(first["mean"], first["samples"].mean(dim=1))
    assert torch.equal(first["samples"], method.predict(maps, draws=4, generator=seeded(5))["samples"])
    assert not torch.equal(first["samples"], method.predict(maps, draws=4)["samples"])
    assert (first["samples"].std(dim=1) > 0).all()
    assert set(method.predict(maps)) == {"mean"} and method.draws == 3
    assert torch.equal(torch.get_rng_state(), state)
    twin = rebuild(json.loads(json.dumps(method.spec)))
    twin.load_state_dict(method.state_dict())
    assert torch.equal(twin.predict(maps)["mean"], method.predict(maps)["mean"])


def test_refusals():
    with pytest.raises(UsageError, match="2 channels cannot become 1"):
        InDI(2, 1, 8, net=NET)
    with pytest.raises(UsageError, match="noise is -1"):
        InDI(1, 1, 8, net=NET, noise=-1.0)
    with pytest.raises(UsageError, match="'indi' has one answer for a map and no samples"):
        InDI(1, 1, 8, net=NET, noise=0.0).predict(torch.zeros(1, 1, 8, 8), draws=2)
    with pytest.raises(UsageError, match="steps is 0"):
        ConditionalFlow(1, 1, 8, net=NET, steps=0)
    with pytest.raises(UsageError, match="draws is 0"):
        ConditionalDiffusion(1, 1, 8, net=NET, draws=0)
    with pytest.raises(ShapeError, match="built for targets of shape"):
        ConditionalFlow(1, 1, 8, net=NET).check({"maps": torch.zeros(2, 1, 8, 8), "targets": torch.zeros(2)})
