"""What a score of the patch critic sees, and what either network makes of a periodic map."""

from __future__ import annotations

import pytest
import torch

from skyloom.errors import ShapeError, UsageError
from skyloom.nets.patchgan import FIELDS, PatchGAN
from skyloom.nets.resnet_fields import ResNetFields


@pytest.mark.parametrize("field", [1, 16, 34, 70])
def test_a_score_sees_a_patch_of_the_size_that_is_named(field):
    torch.manual_seed(0)
    size = 2 * max(field, 8) + 4 - 2 * max(field, 8) % 8
    critic = PatchGAN(1, 0, size, receptive_field=field, width=2, norm="none", padding="zeros").double()
    maps = torch.randn((1, 1, size, size), dtype=torch.float64, requires_grad=True)
    scores = critic(maps, torch.zeros(1, 0, dtype=torch.float64))
    middle = scores.shape[-1] // 2
    scores[0, 0, middle, middle].backward()
    seen = torch.nonzero(maps.grad[0, 0])
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [field, field]


def test_receptive_fields_follow_the_formula():
    """From the scores back: r → r + 3 for each layer of step 1, r → 2 r + 2 for each of step 2."""
    for field, halvings in FIELDS.items():
        r = 1 + 3 + 3 if halvings else 1
        for _ in range(halvings):
            r = 2 * r + 2
        assert r == field


@pytest.mark.parametrize(("size", "field"), [(32, 16), (64, 16), (128, 34), (256, 70)])
def test_the_patch_scales_with_the_map(size, field):
    assert PatchGAN(1, 0, size, width=2).receptive_field == field


def test_scores_move_with_the_map():
    """Away from where the layers of step 1 meet an edge that is none of the map's."""
    torch.manual_seed(0)
    critic = PatchGAN(1, 2, 32, width=4, norm="none")
    maps, told = torch.randn(2, 1, 32, 32), torch.randn(2, 2)
    moved, still = critic(maps.roll(2, -1), told), critic(maps, told)
    assert moved.shape == (2, 1, 14, 14)
    torch.testing.assert_close(moved[..., 4:-4], still[..., 3:-5], rtol=1e-4, atol=1e-6)


def test_scores_vary_as_much_as_the_maps_before_anything_is_learnt():
    """He's weights have a variance of 2 / (1 + a²) over the fan-in: features keep their mean square.

    A layer gives 2 / (1 + a²) times the mean square of what it sees, the activation leaves (1 + a²) / 2 of
    it; behind the last layer is none, so the scores have 2 / (1 + 0.2²) = 1.92 of that of the maps, 1.
    """
    square = []
    for seed in range(12):
        torch.manual_seed(seed)
        critic = PatchGAN(2, 0, 32, width=16, norm="none", padding="circular")
        square.append(critic(torch.randn(8, 2, 32, 32), torch.zeros(8, 0))[..., 2:-2, 2:-2].square().mean())
    assert torch.stack(square).mean().item() == pytest.approx(1.92, rel=0.25)


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_residual_blocks_commute_with_shifts_of_a_periodic_map(norm):
    torch.manual_seed(0)
    net = ResNetFields(1, 2, 16, width=4, blocks=2, norm=norm, padding="circular")
    maps = torch.randn(2, 1, 16, 16)
    rolled = net(maps.roll((4, 8), (-2, -1)))  # the map is halved twice
    torch.testing.assert_close(rolled, net(maps).roll((4, 8), (-2, -1)), rtol=1e-3, atol=1e-4)


def test_instance_norm_hides_the_amplitude_that_none_keeps():
    torch.manual_seed(0)
    maps = torch.randn(1, 1, 16, 16)
    answers = {}
    for norm in ("instance", "none"):
        net = ResNetFields(1, 1, 16, width=4, blocks=1, norm=norm)
        answers[norm] = ((net(3 * maps + 1) - net(maps)).std() / net(maps).std()).item()
    assert answers["instance"] < 0.05 and answers["none"] > 0.5


def test_refusals():
    with pytest.raises(UsageError, match="a receptive field of 20 pixels") as caught:
        PatchGAN(1, 0, 64, receptive_field=20)
    assert "16, 34, 70" in caught.value.hint
    with pytest.raises(ShapeError, match="maps of 16 pixels are too small for patches of 70"):
        PatchGAN(1, 0, 16, receptive_field=70)
    with pytest.raises(ShapeError, match="halves the map twice; maps of 18 × 18"):
        ResNetFields(1, 1, 18)
    with pytest.raises(UsageError, match="blocks of 1 or more, found 0"):
        ResNetFields(1, 1, 16, blocks=0)
