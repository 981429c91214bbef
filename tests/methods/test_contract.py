"""What every method promises: batches, logged names, rebuilding, modes, seeds, anyone's own Trainer."""

from __future__ import annotations

import json
from importlib.metadata import entry_points

import lightning
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from skyloom import registry
from skyloom.errors import RegistryError, ShapeError, UsageError
from skyloom.methods import prediction_mode, rebuild
from skyloom.methods.adversarial import Adversarial
from skyloom.methods.cross_entropy import CrossEntropy
from skyloom.methods.posterior import Posterior
from skyloom.methods.supervised import MeanSquared, Moments

METHODS = [
    entry.name for entry in entry_points(group="skyloom.method") if "ensembles" not in entry.load().answers
]
SMALL = {"net": {"name": "resnet", "width": 4, "dropout": 0.2}}
#: Methods that need another network than that.
DENOISER = {
    "net": {"name": "unet", "width": 8, "multiples": [1, 2], "attention": False},
    "steps": 2,
    "draws": 2,
}
OWN = {
    "regression": {"net": {"name": "unet", "width": 4, "depth": 2}, "ssim": 0.1},
    "conditional_diffusion": DENOISER,
    "conditional_flow": DENOISER,
    "indi": DENOISER,
    "conditional_vae": {
        "net": {"name": "unet", "width": 4, "depth": 2},
        "encoder": {"name": "cmd_cnn", "width": 2, "dropout": 0.0},
        "noise": 4,
        "draws": 2,
    },
    "conditional_density": {
        "net": {"name": "unet", "width": 4, "depth": 2},
        "features": 2,
        "splines": 1,
        "hidden": [8],
        "draws": 2,
    },
    "pix2pix": {"net": {"name": "unet", "width": 4, "depth": 2}, "critic": {"name": "patchgan", "width": 4}},
    "cyclegan": {
        "net": {"name": "resnet_fields", "width": 4, "blocks": 1},
        "critic": {"name": "patchgan", "width": 4},
        "identity": 0.0,
    },
}
#: Methods that choose weights by something else than their loss at random times, or against a critic.
OWN_CHOICE = [
    *("conditional_diffusion", "conditional_flow", "indi"),
    *("conditional_vae", "conditional_density", "pix2pix", "cyclegan"),
]


@pytest.fixture
def maps(request):
    channels = 1
    if "method" in request.fixturenames:
        channels = request.getfixturevalue("method").spec["data"][0]
    return torch.randn(6, channels, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=METHODS)
def method(request):
    torch.manual_seed(0)
    channels = 2 if request.param == "indi" else 1  # of which each becomes a target
    return registry.build(small(request.param), "method", data=(channels, 2, 16))


def small(name):
    return {"name": name, **OWN.get(name, SMALL)}


def target(method):
    """What one map is to give: two numbers, or two maps."""
    values = torch.tensor([0.5, -0.5])
    return values[:, None, None].expand(2, 16, 16) if "fields" in method.answers else values


def settle(method):
    """Move weights away from where some networks begin: at zero, where they have no slope."""
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.01 * torch.randn(weight.shape))


class Pairs(Dataset):
    def __init__(self, maps, target):
        self.maps, self.target = maps, target

    def __len__(self):
        return len(self.maps)

    def __getitem__(self, row):
        return {"maps": self.maps[row], "targets": self.target, "row": row}


# A Trainer made without our settings: it advises more workers and more log lines, which is not at stake here.
@pytest.mark.filterwarnings("ignore:.*does not have many workers", "ignore:.*number of training batches")
@pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning")  # Lightning's own use of torch's pytree
def test_runs_in_anyones_own_trainer(method, maps, tmp_path):
    before = {name: value.clone() for name, value in method.state_dict().items()}
    trainer = lightning.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    loader = DataLoader(Pairs(maps, target(method)), batch_size=3)
    trainer.fit(method, loader, loader)
    assert {"train/loss", "validation/loss"} <= set(trainer.callback_metrics)
    moved = [name for name, value in method.named_parameters() if not torch.equal(value, before[name])]
    assert any(name.startswith("net.") for name in moved)
    if method.name in OWN_CHOICE:
        return
    with torch.no_grad(), prediction_mode(method):
        expected = torch.stack(
            [method.losses(m, torch.stack([target(method)] * 3))[1] for m in maps.split(3)]
        ).mean()
    assert trainer.callback_metrics["validation/loss"].item() == pytest.approx(expected.item(), rel=1e-4)


def test_rebuilds_from_json_and_weights(method, maps):
    spec = json.loads(json.dumps(method.spec))
    written = registry.resolve(small(spec["name"]), "method")
    assert written == {"name": spec["name"], **spec["arguments"]}
    twin = rebuild(spec)
    twin.load_state_dict(method.state_dict())
    for name, value in method.predict(maps).items():
        assert torch.equal(twin.predict(maps)[name], value)


def test_state_has_no_shared_memory(method):
    """Safetensors refuses tensors that share memory."""
    pointers = [value.data_ptr() for value in method.state_dict().values() if value.numel()]
    assert len(set(pointers)) == len(pointers)


def test_prediction_leaves_every_layer_in_its_own_mode(method, maps):
    method.train()
    norms = [layer for layer in method.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    frozen = norms[0] if norms else next(method.net.children())
    frozen.eval()
    before = {name: layer.training for name, layer in method.named_modules()}
    running = [norm.running_mean.clone() for norm in norms]
    first, second = method.predict(maps), method.predict(maps)
    assert all(torch.equal(first[name], second[name]) for name in first)  # dropout is off
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, running, strict=True))
    assert before == {name: layer.training for name, layer in method.named_modules()}


def test_forward_is_the_mean_and_has_a_gradient(method, maps):
    settle(method)
    method.eval()
    asked = maps.clone().requires_grad_()
    mean = method(asked)
    mean.sum().backward()
    assert asked.grad.abs().sum() > 0
    # One map alone gives what it gives in a batch.
    torch.testing.assert_close(method(maps[:1]), mean[:1].detach(), rtol=1e-4, atol=1e-5)
    if isinstance(method, CrossEntropy):
        torch.testing.assert_close(method.predict(maps)["mean"], mean.detach().softmax(1))
    elif not method.draws:
        torch.testing.assert_close(method.predict(maps)["mean"], mean.detach())


@pytest.mark.parametrize("cls", [Moments, Posterior])
def test_one_seed_one_set_of_samples(cls, maps):
    torch.manual_seed(0)
    method = cls(1, 2, 16, **SMALL)

    def draw(seed):
        return method.predict(maps, draws=4, generator=torch.Generator().manual_seed(seed))["samples"]

    state = torch.get_rng_state()
    assert torch.equal(draw(0), draw(0))
    assert torch.equal(draw(0), method.predict(maps, draws=4)["samples"])  # None is seed 0
    assert not torch.equal(draw(0), draw(1))
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_of_moments_have_its_moments(maps):
    torch.manual_seed(0)
    prediction = Moments(1, 2, 16, **SMALL).predict(maps, draws=20_000)
    pull = (prediction["samples"] - prediction["mean"][:, None]) / prediction["sd"][:, None]
    # 12 means and variances of 20,000 draws each: five standard errors.
    assert pull.mean(1).abs().max() < 5 / 20_000**0.5
    assert (pull.var(1) - 1).abs().max() < 5 * (2 / 20_000) ** 0.5


def test_moments_loss_by_hand():
    method = Moments(1, 1, 16, net={"name": "resnet", "width": 4}, beta=0.5)
    method.moments = lambda maps: (torch.tensor([[1.0], [0.0]]), torch.log(torch.tensor([[4.0], [1.0]])))
    minimised, logged = method.losses(torch.zeros(2, 1, 16, 16), torch.tensor([[3.0], [2.0]]))
    first, second = 0.5 * (torch.log(torch.tensor(4.0)) + 4 / 4), 0.5 * (0 + 4 / 1)
    assert logged.item() == pytest.approx(((first + second) / 2).item())
    assert minimised.item() == pytest.approx(((2 * first + 1 * second) / 2).item())  # σ^(2 β) = 2 and 1


def test_log_variance_is_bounded_and_keeps_a_gradient():
    method = Moments(1, 1, 16, net={"name": "resnet", "width": 4})
    method.net = torch.nn.Flatten()
    raw = torch.tensor([[0.0, -30.0], [0.0, 0.1], [0.0, 30.0]], requires_grad=True)
    _, log_variance = method.moments(raw)
    assert log_variance.abs().max() <= 12
    assert log_variance[1].item() == pytest.approx(0.1, rel=1e-4)
    log_variance.sum().backward()
    assert (raw.grad[:, 1] > 0).all()


def test_posterior_in_pieces_is_the_same(maps, monkeypatch):
    torch.manual_seed(0)
    method = Posterior(1, 2, 16, predict_draws=8, **SMALL)
    whole = method.predict(maps, draws=8)["samples"]
    monkeypatch.setattr("skyloom.methods.posterior.PAIRS_AT_ONCE", 20)
    torch.testing.assert_close(method.predict(maps, draws=8)["samples"], whole, rtol=1e-5, atol=1e-5)


def test_one_parameter_has_a_posterior(maps):
    prediction = Posterior(1, 1, 16, **SMALL).predict(maps, draws=3)
    assert prediction["samples"].shape == (6, 3, 1)
    assert (prediction["sd"] > 0).all()


def test_own_optimisation_is_used(method):
    method.optimisation = lambda weights: torch.optim.SGD(weights, lr=0.125)
    assert method.configure_optimizers().defaults["lr"] == 0.125
    method.optimisation = None
    optimiser = method.configure_optimizers()
    own = torch.optim.Adam if isinstance(method, Adversarial) else torch.optim.AdamW
    assert type(optimiser) is own and optimiser.param_groups[0]["lr"] == 1e-3


def test_frozen_weights_are_not_handed_to_the_optimiser(method):
    weight = next(method.parameters()).requires_grad_(False)
    held = [w for group in method.configure_optimizers().param_groups for w in group["params"]]
    assert not any(w is weight for w in held)


def test_refusals(maps):
    with pytest.raises(UsageError, match=r"'mean_squared' has no posterior to draw 3 samples from"):
        MeanSquared(1, 2, 16, **SMALL).predict(maps, draws=3)
    with pytest.raises(UsageError, match=r"beta between 0 and 1, found 1.5"):
        Moments(1, 2, 16, beta=1.5)
    with pytest.raises(UsageError, match=r"at least 2 predict_draws for an error, found 1"):
        Posterior(1, 2, 16, predict_draws=1)
    with pytest.raises(ShapeError, match=r"targets of shape \(6, 2\), found \(6, 3\)"):
        MeanSquared(1, 2, 16, **SMALL).training_step({"maps": maps, "targets": torch.zeros(6, 3)}, 0)
    with pytest.raises(RegistryError, match="resnt"):
        MeanSquared(1, 2, 16, net={"name": "resnt"})
