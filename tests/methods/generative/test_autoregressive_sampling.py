"""Remembering changes nothing: the same events as a pass of the whole network for every pixel gives."""

from __future__ import annotations

import gc

import pytest
import torch

from skyloom.methods import prediction_mode
from skyloom.methods.generative import autoregressive
from skyloom.methods.generative.autoregressive import Autoregressive
from skyloom.methods.generative.autoregressive_sampling import (
    draw,
    draw_slowly,
    free_bytes,
    largest_batch,
    numbers_of_a_map,
)
from skyloom.nets.pixelcnn_cached import CachedPixelCNN


def method_of(roles, conditions=0, size=8, **changes):
    """A method of some depth whose answers are of order one, and train maps that it knows."""
    torch.manual_seed(len(roles) + size)
    settings = {"levels": 9, "mixtures": 2, "nr_resnet": 1, "nr_filters": 4, "scales": 2, **changes}
    method = Autoregressive(len(roles), conditions, size, roles=roles, **settings)
    maps = torch.randn(20, len(roles), size, size)
    shown = torch.ones(size, size)
    if "detector" in roles:
        shown[0, 0] = shown[-1, 2:5] = 0
        maps[:, roles.index("detector")] = shown
    if "hit" in roles:
        hit = (maps[:, roles.index("hit")] > 0) * shown
        maps[:, : roles.count("value")] *= hit[:, None]
        maps[:, roles.index("hit")] = hit
    given = torch.randn(20, conditions)
    method.prepare([{"maps": maps, "targets": given}])
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
        method.net.head.gain.mul_(5.0)
    return method.eval(), given


@pytest.mark.parametrize(
    ("roles", "conditions", "changes"),
    [
        (["value"], 0, {"scales": 1}),
        (["value", "value", "hit", "detector"], 2, {"scales": 3, "nr_resnet": 2, "levels": [9, 64]}),
        (["value", "hit"], 1, {"nr_resnet": 2}),
        (["value", "value", "value"], 0, {"scales": 4, "levels": 8}),
    ],
)
def test_events_are_those_of_the_slow_way(roles, conditions, changes):
    method, given = method_of(roles, conditions, **changes)
    noise = method.noise(given[:4], [torch.Generator().manual_seed(seed) for seed in range(4)])
    with torch.no_grad(), prediction_mode(method):
        slow, fast = (way(method, noise, given[:4]) for way in (draw_slowly, draw))
        drawn = method.sample(given[:4], generator=[torch.Generator().manual_seed(s) for s in range(4)])
    assert torch.equal(slow.levels, fast.levels) and torch.equal(slow.hit, fast.hit)
    # They say something: levels of all kinds, and both pixels with and without a hit.
    assert len(slow.levels.unique()) >= 5
    assert ("hit" in roles) == (0.1 < slow.hit.double().mean().item() < 0.95)
    again = method.quantiser(drawn)
    assert torch.equal(again.levels, slow.levels.float()) and torch.equal(again.hit, slow.hit)


def test_maps_that_do_not_fit_together_are_drawn_in_parts(monkeypatch):
    method, given = method_of(["value", "hit"], 1)
    whole = method.sample(given[:5], generator=torch.Generator().manual_seed(1))
    monkeypatch.setattr(autoregressive, "largest_batch", lambda *_: 2)
    steps = []
    parts = method.sample(
        given[:5], generator=torch.Generator().manual_seed(1), done=lambda *s: steps.append(s)
    )
    assert torch.equal(whole, parts)
    assert steps == [(row + 1, 24) for row in range(24)]


def test_the_estimate_of_memory_covers_what_the_layers_keep():
    method, _ = method_of(["value", "hit"], 0, size=16, nr_filters=16, scales=3, nr_resnet=2)

    def kept(B):
        with torch.no_grad():
            cached = CachedPixelCNN(method.net, torch.zeros(B, 0))
        gc.collect()
        seen = {}
        stack, met = [cached], set()
        while stack:
            one = stack.pop()
            if id(one) in met:
                continue
            met.add(id(one))
            if isinstance(one, torch.Tensor):
                storage = one.untyped_storage()
                seen[storage.data_ptr()] = storage.nbytes()
            elif isinstance(one, list | tuple):
                stack += one
            elif hasattr(one, "__dict__"):
                stack += vars(one).values()
        return sum(seen.values())

    a_map = (kept(9) - kept(1)) / 8 / 4
    assert 0.5 * numbers_of_a_map(method) < a_map < numbers_of_a_map(method)
    assert largest_batch(method, torch.float64, free=0) == 1
    free = free_bytes(torch.device("cpu"))
    assert free > 2**20
    assert largest_batch(method, torch.float32) >= 0.4 * free / (4 * numbers_of_a_map(method))
