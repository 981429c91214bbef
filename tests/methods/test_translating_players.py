"""Pix2pix and CycleGAN: whose gradient is whose, what is paired, what the pool gives, what is learnt."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from skyloom import registry
from skyloom.errors import UsageError
from skyloom.methods import rebuild
from skyloom.methods.cyclegan import CycleGAN, Pool
from skyloom.methods.pix2pix import Pix2Pix

CRITIC = {"name": "patchgan", "width": 4, "norm": "none"}
NETS = {
    "pix2pix": {"name": "unet", "width": 4, "depth": 3, "norm": "none", "dropout": 0.5},
    "cyclegan": {"name": "resnet_fields", "width": 4, "blocks": 1, "norm": "none"},
}


def made(name, channels=(1, 1), **arguments):
    torch.manual_seed(0)
    spec = {"name": name, "net": NETS[name], "critic": CRITIC, **arguments}
    return registry.build(spec, "method", data=(*channels, 16))


def pairs(n=6, seed=0):
    maps = torch.randn((n, 1, 16, 16), generator=torch.Generator().manual_seed(seed))
    return maps, maps.roll(1, -1)


@pytest.fixture(params=NETS)
def method(request):
    return made(request.param)


def test_each_player_feels_its_own_loss_only(method):
    generators, critics = method.players
    moves = method.play(*pairs(), generating=True)
    moves["critic"].backward(retain_graph=True)
    assert all(w.grad is None for module in generators for w in module.parameters())
    assert all(w.grad is not None for module in critics for w in module.parameters())
    before = [w.grad.clone() for module in critics for w in module.parameters()]
    moves["generator"].backward()
    assert all(w.grad is not None for module in generators for w in module.parameters())
    after = [w.grad for module in critics for w in module.parameters()]
    assert all(torch.equal(x, y) for x, y in zip(before, after, strict=True))
    assert {"score_real", "score_fake"} <= set(moves)
    assert "generator" not in method.play(*pairs(), generating=False)


def test_the_critic_of_pix2pix_sees_the_input_beside_the_target():
    method = made("pix2pix")
    maps, targets = pairs()
    right, wrong = (method.scores(maps)(t) for t in (targets, targets.flip(0)))
    assert right.shape == (6, 1, 6, 6) and not torch.allclose(right, wrong)
    assert not torch.allclose(method.scores(maps.flip(0))(targets), right)


def test_loss_of_pix2pix_by_hand(monkeypatch):
    """A generator that gives its input and a critic that scores its mean: all is known."""
    method = made("pix2pix", loss="least_squares", l1=10.0)
    method.net = nn.Identity()
    del method.critic  # a module cannot be replaced by a function
    method.critic = lambda x, _: x[:, 1:].mean((1, 2, 3))[:, None]
    monkeypatch.setattr("skyloom.methods.pix2pix.frozen", lambda _: nullcontext())
    maps, targets = torch.full((2, 1, 16, 16), 3.0), torch.full((2, 1, 16, 16), 1.0)
    moves = method.play(maps, targets, generating=True)
    # Real 1, fake 3: ((1 - 1)² + 3²) / 2; (3 - 1)² / 2 + 10 |3 - 1|.
    assert moves["critic"].item() == pytest.approx(4.5)
    assert moves["generator"].item() == pytest.approx(2 + 20)


def test_a_target_of_another_map_counts_as_half_of_what_is_false():
    """Scores are the mean of target over input: true 1; fake 3; of another map 2 and 1/2."""
    method = made("pix2pix", loss="least_squares", mismatched=True)
    for part in ("net", "critic"):
        delattr(method, part)  # a module cannot be replaced by a function
    method.net = lambda x: 3 * x
    method.critic = lambda seen, _: (seen[:, 1:] / seen[:, :1]).mean((1, 2, 3))[:, None]
    maps = torch.tensor([1.0, 2.0])[:, None, None, None].expand(2, 1, 16, 16)
    moves = method.play(maps, maps, generating=False)
    false = (3**2 + 3**2 + 2**2 + 0.5**2) / 4
    assert moves["critic"].item() == pytest.approx((0 + false) / 2)
    assert moves["score_wrong"].item() == pytest.approx(1.25)


def test_perceptual_loss_by_hand():
    """Features of a critic of one pixel, linear where all is positive: shares of what the target is ahead."""
    method = made("pix2pix", l1=0.0, perceptual=3.0, critic={**CRITIC, "receptive_field": 1, "width": 1})
    method.net = nn.Identity()
    with torch.no_grad():
        for conv, weights in zip(method.critic.convs, ([0.0, 0.5], [2.0, 2.0], [1.0, 1.0]), strict=True):
            conv.conv.weight.copy_(torch.tensor(weights)[: conv.conv.in_channels, None, None])
    maps, targets = torch.full((2, 1, 16, 16), 1.0), torch.full((2, 1, 16, 16), 4.0)
    moves = method.play(maps.requires_grad_(), targets, generating=True)
    # Layers see 0.5 of the target: |4 - 1| / 2, then twice that; their mean is 2.25.
    assert moves["perceptual"].item() == pytest.approx(2.25)
    fooled = nn.functional.softplus(-method.scores(maps)(maps)).mean()
    assert moves["generator"].item() == pytest.approx(fooled.item() + 3 * 2.25)
    moves["perceptual"].backward()  # the critic is not moved by it
    assert all(weight.grad is None for weight in method.critic.parameters())


def test_loss_of_cyclegan_by_hand(monkeypatch):
    """Generators that double and add one; maps that are constant, so that no shuffling is seen."""
    method = made("cyclegan", pool=0, cycle=10.0)
    for part in ("net", "back", "critic", "critic_back"):
        delattr(method, part)  # a module cannot be replaced by a function
    method.net, method.back = (lambda x: 2 * x), (lambda y: y + 1)
    method.critic = method.critic_back = lambda x, _: x.mean((1, 2, 3))[:, None]
    x, y = torch.full((2, 1, 16, 16), 1.0), torch.full((2, 1, 16, 16), 5.0)
    monkeypatch.setattr("skyloom.methods.cyclegan.frozen", lambda _: nullcontext())  # they have no weights
    moves = method.play(x, y, generating=True)
    # G(x) = 2, F(y) = 6; F(G(x)) = 3, G(F(y)) = 12; G(y) = 10, F(x) = 2.
    assert moves["cycle"].item() == pytest.approx((3 - 1) + (12 - 5))
    fooled = (2 - 1) ** 2 / 2 + (6 - 1) ** 2 / 2
    assert moves["generator"].item() == pytest.approx(fooled + 10 * 9 + 10 * 0.5 * (5 + 1))
    # Critics: real 5 and fake 2; real 1 and fake 6.
    assert moves["critic"].item() == pytest.approx(((5 - 1) ** 2 + 2**2) / 2 + (0 + 6**2) / 2)


def test_no_step_of_cyclegan_compares_a_true_pair():
    """Whatever the pairing of the batch, the expected loss is the same: permuted targets change nothing."""
    method = made("cyclegan", pool=0).eval()
    maps, targets = pairs(4)
    found = []
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        torch.manual_seed(1)
        moves = method.play(maps, targets[order], generating=True)
        found.append(torch.stack([moves["critic"], moves["generator"]]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def test_the_pool_gives_back_earlier_maps_and_keeps_what_it_took():
    pool = Pool(4, 1, 2)
    torch.manual_seed(0)
    numbered = torch.arange(40.0)[:, None, None, None].expand(-1, 1, 2, 2)
    given = torch.cat([pool(part) for part in numbered.split(4)])[:, 0, 0, 0]
    assert torch.equal(given[:4], torch.arange(4.0))  # while it fills
    older = given[4:] < torch.arange(4.0, 40.0)
    assert 9 <= int(older.sum()) <= 27  # half of 36, three standard deviations
    held = pool.maps[:, 0, 0, 0]
    # Nothing is lost and nothing doubled: each map was given once or is still held.
    assert sorted(torch.cat((given[4:], held)).tolist()) == torch.arange(40.0).tolist()
    twin = Pool(4, 1, 2)
    twin.load_state_dict(pool.state_dict())
    torch.manual_seed(5)
    first = pool(numbered[:4])
    torch.manual_seed(5)
    assert torch.equal(twin(numbered[:4]), first)


def test_prediction_leaves_the_pool_alone():
    method = made("cyclegan").train()
    method.predict(pairs()[0])
    method.log = lambda *_, **__: None
    method.validation_step(dict(zip(("maps", "targets"), pairs(), strict=True)), 0)
    assert int(method.pool.held) == 0
    method.play(*pairs(), generating=True)
    assert int(method.pool.held) == int(method.pool_back.held) == 6


def test_dropout_is_the_noise_of_pix2pix():
    method, maps = made("pix2pix", draws=2), pairs()[0]
    state = torch.get_rng_state()
    first = method.predict(maps, draws=3, generator=torch.Generator().manual_seed(1))["samples"]
    again = method.predict(maps, draws=3, generator=torch.Generator().manual_seed(1))["samples"]
    assert torch.equal(first, again) and torch.equal(torch.get_rng_state(), state)
    assert (first.std(dim=1) > 0).any()
    assert all(layer.training for layer in method.noisy())  # back in the mode they were in
    with pytest.raises(UsageError, match="by the dropout of its network"):
        Pix2Pix(1, 1, 16, net={**NETS["pix2pix"], "dropout": 0.0}, critic=CRITIC, draws=2)


@pytest.mark.parametrize("name", NETS)
def test_validation_says_whether_the_critic_tells_true_from_generated(name, monkeypatch):
    """A critic that scores the mean of the targets, a generator whose maps are lower by one: always right."""
    method = made(name)
    for part in ("critic", "net"):
        delattr(method, part)  # a module cannot be replaced by a function
    method.critic = lambda x, _: x[:, -1:]
    found = {}
    monkeypatch.setattr(method, "log", lambda key, value, **_: found.update({key: value.item()}))
    maps = torch.linspace(-0.3, 0.3, 6)[:, None, None, None].expand(6, 1, 16, 16).contiguous()
    for shift, told in ((1.0, 1.0), (0.0, 0.5)):
        method.net = lambda x, shift=shift: x - shift
        method.validation_step({"maps": maps, "targets": maps}, 0)
        assert found["validation/told"] == pytest.approx(told)


@pytest.mark.parametrize("name", NETS)
def test_rebuilds_and_has_both_rates(name):
    method = made(name, critic_rate=0.25)
    twin = rebuild(json.loads(json.dumps(method.spec)))
    twin.load_state_dict(method.state_dict())
    maps = pairs()[0]
    assert torch.equal(twin.predict(maps)["mean"], method.predict(maps)["mean"])
    rates = [group["lr"] for group in method.configure_optimizers().param_groups]
    assert rates[1] == pytest.approx(0.25 * rates[0])


def test_pix2pix_learns_what_only_neighbours_tell():
    net = {**NETS["pix2pix"], "width": 8, "depth": 2, "dropout": 0.0}
    method = made("pix2pix", net=net, l1=20.0)
    optimiser = torch.optim.Adam(method.parameters(), lr=0.005, betas=(0.5, 0.9))
    for step in range(100):
        moves = method.play(*pairs(8, seed=step), generating=True)
        optimiser.zero_grad()
        (moves["critic"] + moves["generator"]).backward()
        optimiser.step()
    maps, targets = pairs(8, seed=1000)
    assert (method.predict(maps)["mean"] - targets).square().mean() < 0.25  # of a variance of 1


def test_refusals():
    with pytest.raises(UsageError, match="identity needs as many targets as inputs"):
        CycleGAN(1, 2, 16, net=NETS["cyclegan"], critic=CRITIC, identity=0.5)
    assert made("cyclegan", channels=(1, 2)).identity == 0
    with pytest.raises(UsageError, match="needs a network that gives maps"):
        Pix2Pix(1, 1, 16, net={"name": "resnet"})
    with pytest.raises(UsageError, match="l1 is -1"):
        Pix2Pix(1, 1, 16, net=NETS["pix2pix"], critic=CRITIC, l1=-1.0)
