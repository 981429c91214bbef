"""Outputs that are maps: receptive fields to the pixel, sums that close, and the test of the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from skyloom.errors import ShapeError, UsageError
from skyloom.explain.gradients import integrated_gradients, saliency
from skyloom.explain.handling import outer_share
from skyloom.explain.occlusion import occlusion
from skyloom.explain.regions import OutputRegion
from skyloom.explain.shap import deep_lift_shap, gradient_shap

N = 16


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def patch_gan(norm=nn.BatchNorm2d):
    """Scores of overlapping patches: kernels 4, strides 2, 2, 1; padding 1, as in pix2pix."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 4, stride=2, padding=1), nn.LeakyReLU(0.2),
        nn.Conv2d(4, 8, 4, stride=2, padding=1), norm(8), nn.LeakyReLU(0.2),
        nn.Conv2d(8, 1, 4, padding=1),
    )  # fmt: skip


def translator():
    """Two convolutions of 3 pixels: an output pixel sees 5."""
    torch.manual_seed(4)
    first, second = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 1, 3, padding=1)
    return nn.Sequential(first, nn.Tanh(), second)


@pytest.fixture
def maps():
    return torch.randn(3, 1, N, N, generator=generator(1))


@pytest.fixture
def pairs():
    return torch.randn(3, 2, 32, 32, generator=generator(1))


def sees(first, end, layers):
    """Rows of the input that reach some rows of the output; layers are (kernel, stride, padding)."""
    for kernel, stride, padding in reversed(layers):
        first, end = first * stride - padding, (end - 1) * stride - padding + kernel
    return first, end


TOOLS = {
    "saliency": lambda net, maps: saliency(net, maps, 0),
    "integrated_gradients": lambda net, maps: integrated_gradients(net, maps, 0, steps=16),
    "gradient_shap": lambda net, maps: gradient_shap(
        net, maps, torch.zeros_like(maps[:1]), 0, draws=16, generator=generator()
    ),
    "deep_lift_shap": lambda net, maps: deep_lift_shap(net, maps, torch.zeros_like(maps[:1]), 0),
    "occlusion": lambda net, maps: occlusion(net, maps, 0, size=1, stride=1, fill=0.0),
}


@pytest.mark.parametrize("name", TOOLS)
def test_one_output_pixel_sees_five_pixels_and_nothing_else(name, maps):
    found = TOOLS[name](OutputRegion(translator(), rows=(7, 8), columns=(3, 4)), maps)
    inside = torch.zeros(N, N, dtype=torch.bool)
    inside[5:10, 1:6] = True
    assert (found[..., ~inside] == 0).all()
    assert (found[..., inside] != 0).all()


@pytest.mark.parametrize("corner", [(0, 1), (3, 5)])
def test_a_patch_of_a_discriminator_sees_its_receptive_field(corner, pairs):
    net = OutputRegion(patch_gan(), rows=corner, columns=(2, 3))
    rows, columns = (
        slice(*np.clip(sees(*ends, [(4, 2, 1), (4, 2, 1), (4, 1, 1)]), 0, 32)) for ends in (corner, (2, 3))
    )
    inside = torch.zeros(32, 32, dtype=torch.bool)
    inside[rows, columns] = True
    for name in ("saliency", "integrated_gradients", "deep_lift_shap"):
        found = TOOLS[name](net, pairs)
        assert (found[..., ~inside] == 0).all()
        assert found[..., rows, columns].abs().sum((0, 1)).min() > 0


def test_regions_of_the_output_add_up_to_the_whole(maps):
    net = translator()
    whole = integrated_gradients(OutputRegion(net), maps, 0, steps=16)
    halves = [integrated_gradients(OutputRegion(net, rows=r), maps, 0, steps=16) for r in ((0, 8), (8, 16))]
    np.testing.assert_allclose((halves[0] + halves[1]) / 2, whole, atol=1e-6)
    mask = torch.zeros(N, N, dtype=torch.bool)
    mask[2:4, 6:9] = True
    by_mask = integrated_gradients(OutputRegion(net, mask=mask), maps, 0, steps=16)
    by_ends = integrated_gradients(OutputRegion(net, rows=(2, 4), columns=(6, 9)), maps, 0, steps=16)
    np.testing.assert_allclose(by_mask, by_ends, atol=1e-7)


@pytest.mark.parametrize("name", ["integrated_gradients", "deep_lift_shap"])
def test_sums_close_to_the_change_of_the_mean_score(name, pairs):
    net = OutputRegion(patch_gan())
    with torch.no_grad():
        change = (net.eval()(pairs) - net(torch.zeros_like(pairs[:1])))[:, 0]
    tool = TOOLS[name] if name == "deep_lift_shap" else lambda n, m: integrated_gradients(n, m, 0, steps=256)
    np.testing.assert_allclose(tool(net, pairs).sum((1, 2, 3)), change, atol=2e-4)


def test_instance_norm_sees_the_whole_map_and_is_refused_by_deep_lift(pairs):
    net = OutputRegion(patch_gan(nn.InstanceNorm2d), rows=(0, 1), columns=(0, 1))
    with pytest.raises(UsageError, match=r"net\.3 is InstanceNorm2d"):
        TOOLS["deep_lift_shap"](net, pairs)
    assert TOOLS["saliency"](net, pairs)[..., 20:, 20:].abs().sum() > 0


def test_the_share_of_the_outer_tenth():
    # 20 pixels: the frame is two wide, 20² - 16² = 144 of 400 pixels.
    assert outer_share(np.ones((3, 20, 20))) == pytest.approx(0.36)
    frame = np.ones((20, 20))
    frame[2:-2, 2:-2] = 0
    assert outer_share(-frame) == 1 and outer_share(1 - frame) == 0
    assert np.isnan(outer_share(np.zeros((20, 20))))

    class Corner(nn.Module):
        """A discriminator that looks for a cut corner, as one did (in a published system, on galaxies)."""

        def forward(self, maps):
            return nn.functional.conv2d(maps, torch.ones(1, 1, 1, 1)) * mask

    mask = torch.zeros(20, 20)
    mask[:2, :2] = 1.0
    maps = torch.randn(2, 1, 20, 20, generator=generator())
    assert outer_share(integrated_gradients(OutputRegion(Corner()), maps, 0, steps=2).numpy()) == 1.0


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"rows": (3, 3)}, UsageError, r"rows of the region are \(3, 3\)"),
        ({"columns": (-1, 3)}, UsageError, r"columns of the region are \(-1, 3\)"),
        ({"rows": (0, 1), "mask": [[True]]}, UsageError, "not by both"),
        ({"mask": [[False]]}, UsageError, "holds no pixel"),
        ({"rows": (0, 17)}, ShapeError, r"ends at \(17, 16\), the output map at \(16, 16\)"),
        ({"mask": [[True]]}, ShapeError, r"mask has shape \(1, 1\)"),
    ],
)
def test_regions_that_do_not_fit(settings, error, text, maps):
    with pytest.raises(error, match=text):
        OutputRegion(nn.Identity(), **settings)(maps)


def test_an_output_that_is_no_map_is_refused(maps):
    with pytest.raises(ShapeError, match=r"the output has shape \(3, 256\)"):
        OutputRegion(nn.Flatten())(maps)
