"""The variational autoencoder between fields: its bound against a closed form, and what its draws are."""

from __future__ import annotations

import math

import pytest
import torch

from skyloom.errors import UsageError
from skyloom.methods.generative.conditional_vae import ConditionalVAE

UNET = {"name": "unet", "width": 4, "depth": 1, "norm": "none"}
ENCODER = {"name": "resnet", "width": 4, "blocks": [1]}


def made(noise, **arguments):
    torch.manual_seed(0)
    return ConditionalVAE(1, 1, 8, net=UNET, encoder=ENCODER, noise=noise, **arguments)


def test_bound_with_the_true_posterior_is_the_evidence():
    """y = x + w z + s n with one z for the N pixels of a map: y - x is normal with C = s² 1 + w² 11ᵀ.

    z given y is normal with precision 1 + N w²/s² and mean (w/s²) Σ (y - x) over that; the bound is then the
    evidence, ln p(y|x) = -(r C⁻¹ r + ln |C| + N ln 2π) / 2, of which the loss leaves the last term out.
    """
    w, s, N = 0.7, 0.5, 64
    method = made(1)
    method.log_error.data.fill_(math.log(s))
    precision = 1 + N * w**2 / s**2

    def posterior(seen):
        r = (seen[:, 1] - seen[:, 0]).sum((1, 2))
        mean = w / s**2 * r / precision
        told = torch.full_like(mean, -math.log(precision))
        return torch.stack((mean, 8 * torch.atanh(told / 8)), dim=1)  # the bound on the logarithm, undone

    for part in ("net", "encoder"):
        delattr(method, part)  # a module cannot be replaced by a function
    method.net, method.encoder = (lambda seen: seen[:, :1] + w * seen[:, 1:]), posterior
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((1, 1, 8, 8), generator=generator)
    y = x + w * 1.3 + s * torch.randn((1, 1, 8, 8), generator=generator)
    C = s**2 * torch.eye(N) + w**2 * torch.ones(N, N)
    r = (y - x).flatten()
    exact = 0.5 * (r @ torch.linalg.solve(C, r) + torch.logdet(C)) / N
    many = 20_000
    loss, _, _ = method.bound(x.expand(many, -1, -1, -1), y.expand(many, -1, -1, -1), generator)
    assert loss.item() == pytest.approx(exact.item(), abs=2e-3)
    # Another posterior, here the prior, can only be worse.
    method.encoder = lambda seen: seen.new_zeros(len(seen), 2)
    worse, _, kl = method.bound(x.expand(many, -1, -1, -1), y.expand(many, -1, -1, -1), generator)
    assert worse.item() > exact.item() + 0.1 and kl.item() == 0


def test_draws_differ_where_the_input_leaves_open():
    """y = x + u + s n with one normal u a map: the bound comes near the entropy, which needs z to tell u.

    Per pixel the entropy without ln 2π / 2 is (63 ln s² + ln(s² + 64)) / 128 + 1/2 = -0.150; without z it is
    ln(1 + s²) / 2 + 1/2 = 0.612.
    """
    s, method = 0.5, made(1)
    generator = torch.Generator().manual_seed(1)

    def pairs(n):
        maps = 0.3 * torch.randn((n, 1, 8, 8), generator=generator)
        u = torch.randn((n, 1, 1, 1), generator=generator)
        return maps, maps + u + s * torch.randn(maps.shape, generator=generator)

    optimiser = torch.optim.Adam(method.parameters(), lr=0.02)
    for _ in range(150):
        loss, _ = method.losses(*pairs(32))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = method.validated(*pairs(400), generator)
    entropy = (63 * math.log(s**2) + math.log(s**2 + 64)) / 128 + 0.5
    assert entropy - 0.02 < found["loss"].item() < entropy + 0.2
    maps, _ = pairs(4)
    samples = method.predict(maps, draws=100, generator=generator)["samples"]
    shift = (samples - maps[:, None]).mean((2, 3, 4))
    assert 0.5 < shift.std(dim=1).mean().item() < 1.5  # of u: 1
    assert (samples - samples.mean((3, 4), keepdim=True)).std(dim=1).mean() < 0.2  # nothing of n


def test_refusals():
    with pytest.raises(UsageError, match="beta is -1, noise 4, draws 8"):
        made(4, beta=-1.0)
    with pytest.raises(UsageError, match="needs a network that gives maps"):
        ConditionalVAE(1, 1, 8, net=ENCODER)
