"""Two players in one step: whose gradient is whose, what each minimises, what they find."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods.adversarial import (
    critic_loss,
    frozen,
    generator_loss,
    interpolated_penalty,
    real_penalty,
)
from skyloom.methods.generative.likeness import STEADY, likeness, map_features
from skyloom.training.ema import MovingAverage

PLAYERS = {"net": {"name": "perceptron", "widths": [16]}, "critic": {"name": "perceptron", "widths": [16]}}


def gan(data=(2, 1, 1), **arguments):
    torch.manual_seed(0)
    return registry.build({"name": "gan", **PLAYERS, **arguments}, "method", data=data)


def batch(n=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    conditions = torch.randn(n, 1, generator=generator)
    return {"maps": torch.randn(n, 2, 1, 1, generator=generator), "targets": conditions}


@pytest.fixture(params=["bce", "least_squares", "hinge", "wasserstein"])
def loss(request):
    return request.param


def test_the_best_critic_is_known(loss):
    """With densities p and q at a point, it scores ln p/q, p/(p + q), the sign of p - q, or without bound."""
    p, q = 0.3, 0.1
    scores = torch.linspace(-4, 4, 2001)
    values = [
        p * critic_loss(loss, s, torch.tensor(0.0)).item()
        + q * critic_loss(loss, torch.tensor(0.0), s).item()
        for s in scores
    ]
    best = scores[int(torch.tensor(values).argmin())].item()
    expected = {"bce": math.log(p / q), "least_squares": p / (p + q), "hinge": 1.0, "wasserstein": 4.0}
    assert best == pytest.approx(expected[loss], abs=5e-3)


def test_the_generator_of_every_loss_wants_high_scores(loss):
    scores = torch.tensor([-0.5, 0.3], requires_grad=True)
    generator_loss(loss, scores).backward()
    assert (scores.grad < 0).all()


def test_smoothing_draws_the_margins_of_the_hinge():
    torch.manual_seed(0)
    zero = torch.zeros(10_000)
    # Margins are uniform from 0.8 to 1, of mean 0.9 for each side; the mean of 10,000 is off by 0.0006.
    assert critic_loss("hinge", zero, zero, smoothing=0.2).item() == pytest.approx(1.8, abs=0.005)
    assert critic_loss("hinge", zero + 0.79, zero - 1, smoothing=0.2).item() > 0
    assert critic_loss("hinge", zero + 1, zero - 1, smoothing=0.2).item() == 0


def test_smoothing_moves_the_best_score_to_its_label():
    """With labels of 1 - a, real maps alone are best scored where sigmoid(s) is 1 - a."""
    score = torch.tensor(math.log(0.9 / 0.1), requires_grad=True)
    (slope,) = torch.autograd.grad(critic_loss("bce", score, torch.tensor(0.0), smoothing=0.1), score)
    assert slope.item() == pytest.approx(0.0, abs=1e-6)


def test_penalties_of_a_linear_critic():
    weight = torch.tensor([3.0, 4.0])
    critic = lambda maps: maps.flatten(1) @ weight  # noqa: E731 - a slope of 5 everywhere
    real, fake = torch.randn(4, 2, 1, 1), torch.randn(4, 2, 1, 1)
    assert interpolated_penalty(critic, real, fake).item() == pytest.approx(16.0)
    assert real_penalty(critic, real).item() == pytest.approx(12.5)


def test_each_player_feels_its_own_loss_only(loss):
    method, given = gan(loss=loss), batch()
    torch.manual_seed(1)
    moves = method.play(given["maps"], given["targets"], generating=True)
    (moves["critic"] + moves["generator"]).backward()
    together = {name: weight.grad.clone() for name, weight in method.named_parameters()}
    for player, module in (("critic", method.critic), ("generator", method.net)):
        method.zero_grad()
        torch.manual_seed(1)
        method.play(given["maps"], given["targets"], generating=True)[player].backward()
        prefix = "critic." if module is method.critic else "net."
        for name, weight in module.named_parameters(prefix=prefix[:-1]):
            torch.testing.assert_close(together[name], weight.grad)
    assert all(weight.requires_grad for weight in method.parameters())


def test_the_generator_rests_between_its_steps(loss):
    method, given = gan(loss=loss, critic_steps=3), batch()
    method.optimisation = registry.build({"name": "adam", "lr": 0.01}, "optimiser")
    optimiser = method.configure_optimizers()
    method.log = lambda *_, **__: None
    moved = []
    for step in range(6):
        type(method).global_step = property(lambda _, step=step: step)
        before = [weight.clone() for weight in method.net.parameters()]
        optimiser.zero_grad()
        method.training_step(given, step).backward()
        optimiser.step()
        moved.append(any(not torch.equal(a, b) for a, b in zip(before, method.net.parameters(), strict=True)))
    del type(method).global_step
    assert moved == [False, False, True, False, False, True]


def test_the_critic_has_its_own_rate():
    method = gan(critic_rate=4.0)
    method.optimisation = registry.build({"name": "adamw", "lr": 0.01}, "optimiser")
    generating, criticising = method.configure_optimizers().param_groups
    assert (generating["lr"], criticising["lr"]) == (0.01, 0.04)
    assert len(generating["params"]) == len(list(method.net.parameters()))


@pytest.mark.parametrize("loss", ["hinge", "bce"])
def test_finds_a_mean_and_a_width_that_follow_the_condition(loss):
    """x = c + (0.5 + 0.3 [c > 0]) e: the generator learns a line, and a width that differs by side."""
    method = gan(
        data=(1, 1, 1),
        net={"name": "perceptron", "latent": 2, "widths": [32, 32]},
        critic={"name": "perceptron", "widths": [32, 32]},
        loss=loss,
        penalty="real",
        penalty_weight=0.2,
        critic_rate=3.0,
    )
    method.optimisation = registry.build({"name": "adam", "lr": 2e-3, "betas": [0.0, 0.9]}, "optimiser")
    optimiser = method.configure_optimizers()
    average = MovingAverage(method, 0.99)  # the players circle around the answer; their mean stands there
    generator = torch.Generator().manual_seed(0)
    for _ in range(400):
        c = torch.randn(128, 1, generator=generator)
        x = c + (0.5 + 0.3 * (c > 0)) * torch.randn(128, 1, generator=generator)
        optimiser.zero_grad()
        method.losses(x[..., None, None], c)[0].backward()
        optimiser.step()
        average.update()
    average.exchange()
    for c, sd in ((-1.0, 0.5), (1.0, 0.8)):
        drawn = method.sample(torch.full((4000, 1), c)).flatten()
        assert drawn.mean().item() == pytest.approx(c, abs=0.15)
        assert drawn.std().item() == pytest.approx(sd, abs=0.15)


def test_a_frozen_module_keeps_those_that_were_frozen_before():
    layer = nn.Linear(2, 2)
    layer.bias.requires_grad_(False)
    with frozen(layer):
        assert not layer.weight.requires_grad
    assert layer.weight.requires_grad
    assert not layer.bias.requires_grad


def test_likeness_is_the_energy_distance_of_two_normals():
    """Between N(0, 1) and N(d, 1) it is 2 E|N(d, 2)| - 2 E|N(0, 2)|, folded normals."""
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(3000, 1, 1, 1, generator=generator) for _ in range(2))
    d = 1.5
    folded = 2 / math.sqrt(math.pi) * math.exp(-(d**2) / 4) + d * math.erf(d / 2)
    found, spread = likeness(x, y + d, torch.zeros(3000, 0))
    assert found.item() == pytest.approx(2 * folded - 4 / math.sqrt(math.pi), rel=0.06)
    assert spread.item() == pytest.approx(1.0, abs=0.05)


def test_likeness_sees_conditions_that_are_not_followed():
    generator = torch.Generator().manual_seed(0)
    c = torch.randn(1000, 1, generator=generator)
    maps = c[..., None, None] + 0.1 * torch.randn(1000, 1, 1, 1, generator=generator)
    followed, _ = likeness(maps[:500], maps[500:], c[:500])  # marginally the same, jointly not
    again = c[:500, :, None, None] + 0.1 * torch.randn(500, 1, 1, 1, generator=generator)
    right, _ = likeness(maps[:500], again, c[:500])
    assert right.item() < 0.02 < followed.item()


def test_features_are_the_spectrum_of_a_wave_and_quantiles():
    x = torch.arange(16) * 2 * math.pi / 16
    wave = torch.cos(3 * x)[None, None, None].expand(1, 1, 16, 16)
    spectrum = map_features(wave)[0, :8].exp()
    assert int(spectrum.argmax()) == 2  # the third wavenumber
    assert spectrum[2] > 1e6 * spectrum[[0, 1, 3, 4]].max()
    # Two modes of 16²/4 each: their sum over the modes of the ring, by Parseval.
    k = torch.fft.fftfreq(16, 1 / 16)
    modes = ((k[:, None] ** 2 + k[None] ** 2).sqrt().round() == 3).sum()
    assert spectrum[2].item() == pytest.approx(128 / modes.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"critic_steps": 0}, "critic_steps is 0"),
        ({"critic_rate": 0.0}, "critic_rate is 0"),
        ({"loss": "wasserstein", "smoothing": 0.1}, "has no labels"),
        ({"lesson": 1.0}, "learns nothing by itself"),
        ({"loss": "bce", "smoothing": 0.7}, "smoothing is 0.7"),
        ({"net": {"name": "perceptron", "widths": [0]}}, "layers of"),
    ],
)
def test_what_cannot_be_is_refused(arguments, message):
    with pytest.raises(UsageError, match=message):
        gan(**arguments)


def test_a_quantile_that_no_real_map_has_otherwise_does_not_rule_the_distance():
    generator = torch.Generator().manual_seed(0)
    # maps of hits: most pixels are empty, so the lower quantiles are the same in all real maps
    real = torch.where(torch.rand((40, 1, 8, 8), generator=generator) < 0.1, 1.0, -1.0)
    faint = real + 0.05 * torch.randn(real.shape, generator=generator)
    distance, spread = likeness(real, faint, torch.zeros(40, 0))
    assert distance.item() < 1 and spread.item() < 2


def test_a_value_that_real_maps_nearly_share_does_not_rule_the_likeness():
    """An error of one least unit in one of two features moves all pairs by 1 / sqrt(2), and no further."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randn(400, 2, 1, 1, generator=generator) for _ in range(2))
    real[:, 1], fake[:, 1] = 0.002 * real[:, 1], 0.002 * fake[:, 1] + STEADY
    distance, _ = likeness(real, fake, torch.zeros(400, 0))
    assert 0.1 < distance.item() < math.sqrt(2)
