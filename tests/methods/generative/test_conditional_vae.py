"""The variational autoencoder between fields: its bound against a closed form, and what its draws are."""

from __future__ import annotations

import math

import pytest
import torch

from skyloom.errors import UsageError
from skyloom.methods.generative.conditional_vae import ConditionalVAE

UNET = {"name": "unet", "width": 4, "depth": 2, "norm": "none"}
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


def test_draws_differ_as_much_as_the_input_leaves_open():
    """A target that is the input plus one normal number for the whole map: so are the draws."""
    method = made(2)
    generator = torch.Generator().manual_seed(1)

    def pairs(n):
        maps = 0.3 * torch.randn((n, 1, 8, 8), generator=generator)
        return maps, maps + torch.randn((n, 1, 1, 1), generator=generator)

    optimiser = torch.optim.Adam(method.parameters(), lr=0.01)
    for _ in range(200):
        loss, _ = method.losses(*pairs(16))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    maps, _ = pairs(4)
    shift = (method.predict(maps, draws=200)["samples"] - maps[:, None]).mean((2, 3, 4))
    assert shift.std(dim=1).mean().item() == pytest.approx(1, abs=0.2)
    assert shift.mean().item() == pytest.approx(0, abs=0.2)


def test_refusals():
    with pytest.raises(UsageError, match="beta is -1, noise 4, draws 8"):
        made(4, beta=-1.0)
    with pytest.raises(UsageError, match="needs a network that gives maps"):
        ConditionalVAE(1, 1, 8, net=ENCODER)
