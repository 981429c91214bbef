"""Latent diffusion against diffusion, by autoencoders that lose nothing; and its two stages in a training."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from skyloom import registry
from skyloom.errors import Interrupted, UsageError
from skyloom.fields import example, store
from skyloom.fields.transforms import FieldTransforms, Pipeline
from skyloom.loading import MapDataModule
from skyloom.methods.generative.diffusion import Diffusion
from skyloom.methods.generative.latent_diffusion import LatentDiffusion
from skyloom.recipe import Train
from skyloom.runs import RunFolder
from skyloom.splits import ByGroup, audit, fingerprint
from skyloom.training import fit, rebuild

NET = {"name": "unet", "width": 8, "multiples": [1, 2], "attention": False}
CONDITIONS = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, -0.5]])
A, B = 3.0, -2.0  # of a straight line


class Line(nn.Module):
    """An autoencoder that loses nothing: z = A x + B."""

    def encode(self, maps):
        return A * maps + B, torch.zeros_like(maps)

    def decode(self, latent):
        return (latent - B) / A


def batches(maps):
    return [{"maps": part} for part in maps.split(2)]


@pytest.fixture
def twins():
    """A diffusion, and a latent diffusion of the same network whose autoencoder is a straight line."""
    torch.manual_seed(0)
    plain = Diffusion(1, 2, 8, net=NET, steps=4, eta=0.5, guidance=1.5)
    with torch.no_grad():
        for weight in plain.parameters():
            weight.add_(0.05 * torch.randn(weight.shape))
    latent = LatentDiffusion(
        1, 2, 8, net=NET, steps=4, eta=0.5, guidance=1.5,
        autoencoder={"name": "kl", "width": 4, "halvings": 0, "channels": 1},
    )  # fmt: skip
    latent.autoencoder = Line()
    latent.net.load_state_dict(plain.net.state_dict())
    return plain.double().eval(), latent.double().eval()


def test_with_an_autoencoder_that_loses_nothing_it_is_the_diffusion(twins):
    plain, latent = twins
    maps = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    maps = (maps - maps.mean()) / maps.std(correction=0)  # standardised, as those of a training side
    latent.begin_stage(batches(maps))
    torch.testing.assert_close(float(latent.latent_mean), B)
    torch.testing.assert_close(float(latent.latent_sd), A)
    seed = torch.Generator().manual_seed
    conditions = CONDITIONS.double()
    torch.testing.assert_close(
        latent.error(maps, conditions, seed(2)), plain.error(maps, conditions, seed(2))
    )
    torch.testing.assert_close(
        latent.sample(conditions, generator=seed(3)), plain.sample(conditions, generator=seed(3))
    )


def test_latent_maps_are_standardised_channel_by_channel_over_all_maps():
    torch.manual_seed(0)
    method = LatentDiffusion(1, 2, 8, net=NET, autoencoder={"name": "kl", "width": 4, "halvings": 1})
    maps = torch.randn(5, 1, 8, 8)
    method.begin_stage(batches(maps))  # of 2, 2 and 1 maps
    z = method.encoded(maps)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-4, rtol=0)
    # Undone by the decoder's side.
    mean = method.autoencoder.encode(maps)[0]
    torch.testing.assert_close(method.decoded(z), method.autoencoder.decode(mean), atol=1e-5, rtol=1e-4)


def test_each_stage_trains_its_own_network_alone():
    torch.manual_seed(0)
    method = LatentDiffusion(1, 2, 8, net=NET, autoencoder={"name": "kl", "width": 4, "halvings": 1})
    maps = torch.randn(3, 1, 8, 8)
    for trained, idle in (("autoencoder", "net"), ("net", "autoencoder")):
        method.zero_grad()
        method.losses(maps, CONDITIONS)[0].backward()
        assert any(weight.grad is not None for weight in getattr(method, trained).parameters())
        assert all(weight.grad is None for weight in getattr(method, idle).parameters())
        method.begin_stage(batches(maps))


def test_the_autoencoder_learns_to_rebuild_maps_it_has_not_seen():
    """Waves with random phases: a constant has their variance, 1, as its error."""
    torch.manual_seed(0)
    method = LatentDiffusion(1, 0, 16, net=NET, autoencoder={"name": "kl", "width": 8, "halvings": 1})
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    phases = 2 * torch.pi * torch.rand(2, 80, 1, 1, 1)
    maps = torch.cos(2 * torch.pi * 2 * x / 16 + phases[0]) + torch.cos(2 * torch.pi * y / 16 + phases[1])
    optimiser = torch.optim.AdamW(method.autoencoder.parameters(), lr=5e-3)
    for step in range(60):
        optimiser.zero_grad()
        method.losses(maps[8 * (step % 8) :][:8], torch.zeros(8, 0))[0].backward()
        optimiser.step()
    with torch.no_grad():
        assert (method.decoded(method.encoded(maps[64:])) - maps[64:]).square().mean() < 0.1


def test_the_first_loss_is_the_error_of_the_maps_and_the_divergence_a_number():
    torch.manual_seed(0)
    method = LatentDiffusion(1, 0, 8, net=NET, kl=0.5, autoencoder={"name": "kl", "width": 4})

    class Loud(Line):
        def encode(self, maps):
            return maps + 1, torch.full_like(maps, -40.0)  # as good as no noise

        def decode(self, latent):
            return latent - 1.5

    method.autoencoder = Loud()
    maps = torch.zeros(2, 1, 8, 8)
    # Every pixel is off by -0.5; N(1, e^-40) diverges from N(0, 1) by (1 + 0 - 1 + 40) / 2 = 20 a number.
    assert float(method.losses(maps, torch.zeros(2, 0))[0]) == pytest.approx(0.25 + 0.5 * 20.0)


def test_the_turn_comes_within_the_training():
    method = LatentDiffusion(1, 0, 8, net=NET, share=0.3, autoencoder={"name": "kl", "width": 4})
    assert [method.stages(epochs) for epochs in (2, 3, 10, 50)] == [(1,), (1,), (3,), (15,)]
    with pytest.raises(UsageError, match=r"train\.epochs is 1"):
        method.stages(1)
    with pytest.raises(UsageError, match="share is 1"):
        LatentDiffusion(1, 0, 8, share=1.0)


SIZE = 16


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    """Smooth maps: 48 to train on, 8 to validate."""
    folder = tmp_path_factory.mktemp("toy")
    maps = example(groups=16, per_group=4, size=SIZE)
    store.write(maps, folder)
    dealt = ByGroup(fractions={"train": 0.75, "validation": 0.125, "test": 0.125}).assign(maps)
    train = maps.isel(sample=np.isin(maps["sample"].values, dealt.sides["train"]))
    fitted = FieldTransforms({"T_b": Pipeline(["standardise"])}).fit(
        lambda: iter([{"T_b": train["T_b"].values}]), dealt.sides["train"]
    )
    audited = audit(maps, dealt, fingerprints=fingerprint(maps["T_b"].values), transforms=fitted)
    return store.Reader(folder), audited, fitted, maps["x_HI"].values[:, None].astype(np.float32)


def train(toy, folder, *, stop=None, resume=False, **settings):
    """Train for five epochs of six steps, two of them the autoencoder's; ``stop`` gets a SIGTERM there."""
    usual = {"epochs": 5, "batch_size": 8, "ema": 0.8, "optimiser": {"name": "adamw", "lr": 1e-2}}
    wanted = Train(**usual | {"checkpoint_every": 4, "augment": ["roll"]} | settings)
    torch.manual_seed(0)
    autoencoder = {"name": "kl", "width": 8, "halvings": 1, "channels": 4}
    spec = {"name": "latent_diffusion", "net": NET, "autoencoder": autoencoder, "share": 0.4}
    method = registry.build(spec, "method", data=(1, 1, SIZE))
    step = method.training_step

    def training_step(batch, batch_idx):
        if stop is not None and method.global_step == stop - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(batch, batch_idx)

    method.training_step = training_step
    data = MapDataModule(*toy, wanted)
    return method, fit(method, data, wanted, RunFolder(folder), resume=resume, progress="quiet")


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return (*train(toy, folder), folder)


def rows(folder):
    head, *lines = (folder / "log.csv").read_text().splitlines()
    found = [dict(zip(head.split(","), line.split(","), strict=True)) for line in lines]
    return [row for row in found if row["validation/loss"]]


def test_the_best_epoch_is_one_of_the_denoiser_and_its_file_is_whole(whole, toy):
    method, fitted, folder = whole
    log = rows(folder)
    rebuilt = [float(row["validation/reconstruction"]) for row in log if row["validation/reconstruction"]]
    assert len(rebuilt) == 2  # epochs of the autoencoder
    # The error of a denoiser begins at 1 by construction, above that of the maps: it is chosen all the same.
    losses = [float(row["validation/loss"]) for row in log]
    assert fitted.best_epoch == 3 + int(np.argmin(losses[2:]))
    assert fitted.validation_loss == min(losses[2:])
    assert int(method.stage) == 1
    # What the file holds stands for itself: statistics included.
    again = rebuild(folder / "weights/best.safetensors")
    assert torch.equal(again.latent_sd, method.latent_sd)
    sides = MapDataModule(*toy, Train()).loader("train")
    z = again.encoded(torch.cat([batch["maps"] for batch in sides]))
    torch.testing.assert_close(z.std((0, 2, 3), correction=0), torch.ones(4), atol=1e-3, rtol=0)


def test_the_frozen_autoencoder_is_the_averaged_one_of_its_last_epoch(whole, toy, tmp_path):
    method, _, _ = whole
    with pytest.raises(Interrupted):
        train(toy, tmp_path, stop=13)  # the first step after the turn
    averaged = load_file(tmp_path / "weights/last.safetensors")  # written at the end of the second epoch
    own = torch.load(max((tmp_path / "state").glob("*.pt")), weights_only=True)["model"]
    for name, value in method.autoencoder.state_dict().items():
        assert torch.equal(value, averaged[f"autoencoder.{name}"]), name
        assert torch.equal(value, own[f"autoencoder.{name}"]), name


@pytest.mark.parametrize("stop", [5, 12, 13])
def test_stopped_before_at_and_after_the_turn(whole, toy, tmp_path, stop):
    _, _, folder = whole
    with pytest.raises(Interrupted):
        train(toy, tmp_path, stop=stop)
    train(toy, tmp_path, resume=True)
    for name in ("weights/best.safetensors", "weights/last.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_only_the_last_stage_is_stopped_early(toy, tmp_path):
    # A rate of nothing: no epoch is better than the first of its stage.
    _, fitted = train(
        toy, tmp_path, epochs=8, early_stopping=1, optimiser={"name": "sgd", "lr": 1e-30}, ema=None
    )
    # The autoencoder has three epochs (0.4 of 8); of the denoiser's the second is no better.
    assert (fitted.epochs, fitted.best_epoch) == (5, 4)
