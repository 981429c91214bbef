"""What a critic looks at: the same attribution as of any network, and corners before and after a taper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from skyloom.errors import UsageError
from skyloom.explain.critic import CriticScore, judged_maps
from skyloom.explain.handling import array, outer_share
from skyloom.explain.shap import gradient_shap
from skyloom.methods.adversarial import critic_loss
from skyloom.methods.cyclegan import CycleGAN
from skyloom.methods.pix2pix import Pix2Pix
from skyloom.methods.regression import Regression

CRITIC = {"name": "patchgan", "width": 8, "norm": "none", "padding": "reflect", "receptive_field": 16}
UNET = {"name": "unet", "width": 4, "depth": 2}
SIZE = 32


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_score_is_the_mean_of_the_patches_and_attributions_share_it_out():
    torch.manual_seed(0)
    method = Pix2Pix(1, 1, SIZE, net=UNET, critic=CRITIC).eval()
    maps, truth = torch.randn(2, 3, 1, SIZE, SIZE)
    shown = judged_maps(method, maps, truth)
    assert list(shown) == ["truth", "generated", "input"]
    score = CriticScore(method)
    patches = method.critic(torch.cat((maps, truth), dim=1), torch.zeros(3, 0))
    torch.testing.assert_close(score(shown["truth"])[:, 0], patches.mean((1, 2, 3)))
    torch.testing.assert_close(shown["generated"][:, :1], method.predict(maps)["mean"])
    # Shapley values from one baseline add up to the difference of the scores.
    black = torch.zeros(1, 2, SIZE, SIZE)
    found = gradient_shap(score, shown["truth"], black, 0, draws=200, generator=generator())
    change = score(shown["truth"])[:, 0] - score(black)[:, 0]
    torch.testing.assert_close(found.sum((1, 2, 3)), change.detach(), rtol=0.1, atol=0.02)


def test_the_critic_of_cyclegan_does_not_see_the_input():
    torch.manual_seed(0)
    net = {"name": "resnet_fields", "width": 4, "blocks": 1}
    method = CycleGAN(2, 1, SIZE, net=net, critic=CRITIC).eval()
    maps, truth = torch.randn(3, 2, SIZE, SIZE), torch.randn(3, 1, SIZE, SIZE)
    shown = judged_maps(method, maps, truth)
    assert list(shown) == ["truth", "generated"]  # two inputs are no map of one target
    found = gradient_shap(
        CriticScore(method), shown["truth"], shown["truth"][:1] * 0, 0, draws=4, generator=generator()
    )
    assert found[:, 1:].abs().max() == 0 < found[:, :1].abs().max()


def cut_out(maps, angles, width):
    """Keep what lies in a square that was turned: its edge falls to nothing over ``width`` pixels."""
    r = torch.arange(SIZE) - (SIZE - 1) / 2
    y, x = torch.meshgrid(r, r, indexing="ij")
    c, s = (f(angles)[:, None, None] for f in (torch.cos, torch.sin))
    u, v = c * x + s * y, -s * x + c * y
    inside = SIZE / 2 - torch.maximum(u.abs(), v.abs())
    return maps * (inside / width).clamp(0, 1)[:, None]


def share_of_the_corners(treat):
    """Outer tenth of the attribution of a critic that tells true maps, cut out, from generated ones, not."""
    torch.manual_seed(0)
    method = Pix2Pix(1, 1, SIZE, net=UNET, critic=CRITIC)
    noise = 1 + 0.1 * torch.randn((64, 1, SIZE, SIZE), generator=generator(1))
    angles = math.pi / 2 * torch.rand(32, generator=generator(2))
    real, fake = treat(cut_out(noise[:32], angles, 0.5)), treat(noise[32:])
    optimiser = torch.optim.Adam(method.critic.parameters(), lr=5e-3)
    blank = torch.zeros_like(real)
    for _ in range(80):
        scores = [method.scores(blank)(fields) for fields in (real, fake)]
        loss = critic_loss("least_squares", *scores)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    seen, other = (torch.cat((fields[:8], blank[:8]), dim=1) for fields in (real, fake))
    found = gradient_shap(CriticScore(method), seen, other, 0, draws=16, generator=generator(3))
    return outer_share(array(found[:, :1])), loss.item()


def test_a_critic_of_maps_with_cut_corners_looks_at_corners_until_both_are_tapered():
    """Both kinds are the same noise but for the corners that a turned cube leaves empty.

    Behind one round taper nothing of the corners is left: the critic cannot tell, and its attribution leaves
    the outer tenth (36 % if it were even).
    """
    r = np.hypot(*np.meshgrid(*[np.arange(SIZE) - (SIZE - 1) / 2] * 2)) / (SIZE / 2)
    round_taper = torch.from_numpy(np.clip((0.95 - r) / 0.25, 0, 1)).float()
    before, told = share_of_the_corners(lambda maps: maps)
    after, lost = share_of_the_corners(lambda maps: maps * round_taper)
    assert before > 0.6 and told < 0.2
    assert after < 0.1 and lost > 0.24  # a critic that cannot tell answers 1/2: its loss is 1/4


def test_a_method_without_a_critic_is_refused():
    with pytest.raises(UsageError, match="'regression' has no critic to explain"):
        CriticScore(Regression(1, 1, SIZE, net=UNET))
