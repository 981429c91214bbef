"""The density flow against laws whose entropy, mean and width are formulas."""

import math

import pytest
import torch

from skyloom.errors import DataError, ShapeError, UsageError
from skyloom.methods.generative.density_flow import DensityFlow

RHO = 0.8


def trained(data, draw, steps, lr=1e-2, batch=256, **arguments):
    """Train on fresh samples, so that nothing can be learned by heart."""
    torch.manual_seed(0)
    method = DensityFlow(*data, **arguments)
    optimiser = torch.optim.Adam(method.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, lr, total_steps=steps)
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimiser.zero_grad()
        method.losses(*draw(batch, generator))[0].backward()
        optimiser.step()
        schedule.step()
    return method


def correlated(n, generator):
    """Two unit Gaussians with correlation RHO, as a table without conditions."""
    z = torch.randn((n, 2), generator=generator)
    x = torch.stack([z[:, 0], RHO * z[:, 0] + math.sqrt(1 - RHO**2) * z[:, 1]], dim=1)
    return x[:, :, None, None], torch.zeros(n, 0)


def test_the_loss_on_a_correlated_gaussian_is_its_entropy():
    method = trained((2, 0, 1), correlated, 250, splines=1, hidden=[16])
    with torch.no_grad():
        seen = correlated(20_000, torch.Generator().manual_seed(2))
        loss = float(method.losses(*seen)[0])
        drawn = method.sample(torch.zeros(20_000, 0)).flatten(1)
    # h = log(2 π e) + log(1 - ρ²) / 2; its estimate from n samples has an error of sqrt(D / 2 n) = 0.007.
    entropy = math.log(2 * math.pi * math.e) + 0.5 * math.log(1 - RHO**2)
    assert loss == pytest.approx(entropy, abs=0.03)
    found = torch.corrcoef(drawn.T)[0, 1]
    assert float(found) == pytest.approx(RHO, abs=0.02)
    assert drawn.std(dim=0).tolist() == pytest.approx([1.0, 1.0], abs=0.04)


def test_mean_and_width_follow_a_linear_gaussian_law():
    # x | c ~ N(2 c, (0.2 exp(c / 2))²): over the range of c the mean moves by twenty widths
    def draw(n, generator):
        c = 2 * torch.rand((n, 1), generator=generator) - 1
        x = 2 * c + 0.2 * torch.exp(c / 2) * torch.randn((n, 1), generator=generator)
        return x[:, :, None, None], c

    method = trained((1, 1, 1), draw, 250, splines=1, hidden=[32])
    for c in (-0.8, 0.0, 0.8):
        drawn = method.sample(torch.full((4000, 1), c)).flatten()
        width = 0.2 * math.exp(c / 2)
        assert float(drawn.mean()) == pytest.approx(2 * c, abs=0.2 * width)
        assert float(drawn.std()) == pytest.approx(width, rel=0.12)


@pytest.mark.parametrize("coupling", [False, True])
def test_the_inverse_undoes_the_flow(coupling):
    torch.manual_seed(0)
    method = DensityFlow(2, 3, 3, hidden=[16], coupling=coupling).double()
    c = torch.randn((4, 3), dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x = torch.randn((4, 18), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    transform = method.flow(c).transform
    torch.testing.assert_close(transform.inv(transform(x)), x, rtol=0, atol=1e-9)
    # the log density is that of the normal, changed by the volume that the Jacobian tells of
    with torch.no_grad():
        z = transform(x)[0]
    jacobian = torch.autograd.functional.jacobian(lambda row: method.flow(c[:1]).transform(row), x[:1])
    volume = torch.linalg.slogdet(jacobian.reshape(18, 18))[1]
    expected = -0.5 * (z @ z).item() - 9 * math.log(2 * math.pi) + volume.item()
    assert method.log_prob(x[:1].reshape(1, 2, 3, 3), c[:1]).item() == pytest.approx(expected, rel=1e-9)


def test_an_angle_is_bounded_by_its_entropy_and_drawn_on_the_circle():
    # von Mises would do as well; a uniform angle has the entropy log 2 π
    def draw(n, generator):
        phi = 2 * math.pi * torch.rand(n, generator=generator)
        return torch.stack([phi.cos(), phi.sin()], dim=1)[:, :, None, None], torch.zeros(n, 0)

    method = trained((2, 0, 1), draw, 200, splines=2, hidden=[16], circles=[[0, 1]], spread=0.5)
    with torch.no_grad():
        bound = float(method.losses(*draw(20_000, torch.Generator().manual_seed(3)))[0])
        drawn = method.sample(torch.zeros(8000, 0)).flatten(1)
    assert math.log(2 * math.pi) - 0.02 < bound < math.log(2 * math.pi) + 0.15
    torch.testing.assert_close(drawn.square().sum(dim=1), torch.ones(8000))
    angle = torch.atan2(drawn[:, 1], drawn[:, 0])
    share = torch.histc(angle, 8, -math.pi, math.pi) / 8000
    assert (share - 1 / 8).abs().max() < 0.03  # a share of 1/8 of 8000 has an error of 0.004


def test_what_cannot_be_is_refused():
    with pytest.raises(ShapeError, match="2 maps of 15 × 15 are 450 numbers, allowed: at most 400"):
        DensityFlow(2, 0, 15)
    with pytest.raises(UsageError, match="0 affine and 0 spline"):
        DensityFlow(2, 0, 1, affine=0, splines=0)
    for circles in ([[0]], [[0, 1], [1, 0]], [[0, 2]]):
        with pytest.raises(UsageError, match="circles are"):
            DensityFlow(2, 0, 1, circles=circles)
    method = DensityFlow(2, 0, 1, circles=[[0, 1]], hidden=[8])
    with pytest.raises(DataError, match="no cosine and sine"):
        method.losses(torch.ones(3, 2, 1, 1), torch.zeros(3, 0))
