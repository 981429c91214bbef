"""Samplers with the best denoiser of Gaussian maps, which is a formula: they must give that Gaussian.

All samplers without fresh noise are then linear in the noise they start from, ``x = A z + b``: pushing the
unit vectors through gives the covariance ``A A^T`` exactly, with no sampling error.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise

import pytest
import torch

from skyloom.errors import UsageError
from skyloom.methods.generative.denoising import Denoised, amplitudes, ddim, denoised, learnt, ode
from skyloom.methods.generative.schedule import LEFT, Circle, Diffusion, Straight

N = 4  # pixels of a 2 × 2 map
MEAN = torch.tensor([1.0, -0.5, 0.25, 2.0], dtype=torch.float64)
ROOT = torch.tensor(
    [[1.0, 0, 0, 0], [0.5, 0.8, 0, 0], [-0.3, 0.2, 0.6, 0], [0.1, 0.4, 0.3, 1.2]], dtype=torch.float64
)
COVARIANCE = ROOT @ ROOT.T


def best(schedule, x, t):
    """E[x_0 | x] = mean + alpha C (alpha² C + sigma² 1)^-1 (x - alpha mean)."""
    a, s = (float(value.flatten()[0]) for value in amplitudes(schedule, t, x))
    total = a**2 * COVARIANCE + s**2 * torch.eye(N, dtype=x.dtype)
    off = x.reshape(-1, N) - a * MEAN
    solved = torch.linalg.solve(total, off.T).T
    x_0 = MEAN + a * solved @ COVARIANCE
    return Denoised(x_0.reshape(x.shape), (s * solved).reshape(x.shape))


def moments(walk):
    """Mean and covariance that a sampler without fresh noise gives."""
    units = torch.cat((torch.zeros(1, N, dtype=torch.float64), torch.eye(N, dtype=torch.float64)))
    found = walk(units.reshape(-1, 1, 2, 2)).reshape(-1, N)
    A = (found[1:] - found[0]).T
    return found[0], A @ A.T


@pytest.mark.parametrize(("spacing", "steps"), [("uniform", 1000), ("quadratic", 1500)])
@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_ddim_turns_noise_into_the_gaussian(kind, spacing, steps):
    schedule = Diffusion(kind, 1000)
    mean, covariance = moments(
        lambda z: ddim(partial(best, schedule), schedule, z, steps=steps, spacing=spacing)
    )
    torch.testing.assert_close(mean, MEAN, atol=0.02, rtol=0)
    torch.testing.assert_close(covariance, COVARIANCE, atol=0.02, rtol=0)


@pytest.mark.parametrize(("spacing", "kept"), [("uniform", 0.268), ("quadratic", 0.824)])
def test_a_faint_mode_keeps_its_power_where_the_last_steps_are_short(spacing, kept):
    """Of one Gaussian pixel of variance v, DDIM is a product of factors of its steps.

    E[x_0 | x] = a v x / (a² v + s²), so a step from (a, s) to (b, r) multiplies x by
    b m + r (1 - a m) / s with m = a v / (a² v + s²).
    """
    schedule, v = Diffusion("cosine", 1000), 1e-3
    whole = [round(1000 * (1 - k / 40) ** {"uniform": 1, "quadratic": 2}[spacing]) for k in range(41)]
    factor = 1.0
    for now, then in pairwise(dict.fromkeys(whole)):
        a, b = (math.sqrt(float(schedule.alpha_bar[step])) for step in (now, then))
        s, r = math.sqrt(1 - a * a), math.sqrt(1 - b * b)
        m = a * v / (a * a * v + s * s)
        factor *= b * m + r * (1 - a * m) / s
    assert factor**2 / v == pytest.approx(kept, abs=1e-3)

    def denoise(x, t):
        alpha, sigma = amplitudes(schedule, t, x)
        x_0 = alpha * v / (alpha**2 * v + sigma**2) * x
        return Denoised(x_0, (x - alpha * x_0) / sigma)

    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    assert float(ddim(denoise, schedule, one, steps=40, spacing=spacing)) == pytest.approx(factor)


@pytest.mark.parametrize("path", ["straight", "circle"])
@pytest.mark.parametrize(("order", "power"), [("euler", 1), ("heun", 2)])
def test_the_flow_gives_the_gaussian_to_the_order_of_its_solver(order, power, path):
    denoise = partial(best, {"straight": Straight(), "circle": Circle()}[path])

    def error(steps):
        mean, covariance = moments(lambda z: ode(denoise, z, steps=steps, order=order, path=path))
        return float((covariance - COVARIANCE).abs().max() + (mean - MEAN).abs().max())

    coarse, fine = error(64), error(128)
    assert fine < {"euler": 0.1, "heun": 0.01}[order]
    # Halving the step divides the error by 2 or 4; the single Euler step at the end of Heun weighs h² too.
    assert 0.8 * 2**power < coarse / fine < 1.25 * 2**power


def test_fresh_noise_keeps_the_gaussian():
    schedule = Diffusion("cosine", 1000)
    draws = 20_000
    z = torch.randn((draws, 1, 2, 2), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = ddim(
        partial(best, schedule), schedule, z, steps=200, eta=1.0, generator=torch.Generator().manual_seed(2)
    ).reshape(-1, N)
    # Five standard errors: sd/√n of a mean, σ²√(2/n) of a variance; and 0.03 for 200 steps in place of 1000.
    sd = COVARIANCE.diagonal().sqrt()
    assert ((found.mean(0) - MEAN).abs() < 5 * sd / math.sqrt(draws) + 0.03).all()
    worst = 5 * COVARIANCE.diagonal().max() * math.sqrt(2 / draws)
    assert (torch.cov(found.T) - COVARIANCE).abs().max() < worst + 0.03


def test_euler_on_straight_paths_is_ddim():
    """x_s = (1 - s) x_0 + s noise is x + (s - t)(noise - x_0), whatever the denoiser."""
    z = torch.randn((5, 1, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    walked = ddim(partial(best, Straight()), Straight(), z, steps=7)
    torch.testing.assert_close(walked, ode(partial(best, Straight()), z, steps=7, order="euler"))


def test_ddim_agrees_with_diffusers():
    from diffusers import DDIMScheduler

    theirs = DDIMScheduler(
        1000, beta_start=1e-4, beta_end=0.02, beta_schedule="linear", clip_sample=False,
        set_alpha_to_one=True, timestep_spacing="trailing",
    )  # fmt: skip
    ours = Diffusion("linear", 1000)
    torch.testing.assert_close(ours.alpha_bar[1:], theirs.alphas_cumprod.double(), rtol=2e-4, atol=1e-8)
    theirs.set_timesteps(10)
    z = torch.randn((3, 1, 2, 2), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = z
    for step in theirs.timesteps:
        t = torch.full((3,), (int(step) + 1) / 1000, dtype=torch.float64)
        x = theirs.step(best(ours, x, t).noise, step, x).prev_sample
    torch.testing.assert_close(ddim(partial(best, ours), ours, z, steps=10), x, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("steps", [50, 200, 1000])
@pytest.mark.parametrize("kind", ["cosine", "linear"])
def test_schedules_keep_the_variance_and_end_in_noise(kind, steps):
    schedule = Diffusion(kind, steps)
    t = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    torch.testing.assert_close(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones_like(t))
    assert schedule.alpha(t)[0] == 1
    assert schedule.alpha(t)[-1] ** 2 < LEFT
    assert (schedule.alpha(t).diff() < 0).all()
    # Uniform numbers become the steps 1 to T, each for an equal share; the clean map is no step.
    u = (torch.arange(10 * steps, dtype=torch.float64) + 0.5) / (10 * steps)
    drawn, counts = torch.unique(schedule.times(u), return_counts=True)
    torch.testing.assert_close(drawn, t[1:])
    assert (counts == 10).all()


def test_a_schedule_that_leaves_too_much_of_the_map_is_refused():
    # The published 100 steps with betas from 1e-4 to 0.02 end at ᾱ = Π(1 - β) = 0.36.
    betas = torch.linspace(1e-4, 0.02, 100, dtype=torch.float64)
    assert float((1 - betas).prod()) == pytest.approx(0.36, abs=0.01)
    with pytest.raises(UsageError, match=r"variance is left, allowed: less than 0\.001"):
        Diffusion("cosine", 1)


@pytest.mark.parametrize("target", ["noise", "velocity", "flow"])
def test_what_is_learnt_gives_map_and_noise_back(target):
    generator = torch.Generator().manual_seed(0)
    x_0, noise = (torch.randn((4, 1, 2, 2), generator=generator, dtype=torch.float64) for _ in range(2))
    schedule = Straight() if target == "flow" else Diffusion()
    t = torch.tensor([0.1, 0.4, 0.7, 0.9], dtype=torch.float64)
    a, s = amplitudes(schedule, t, x_0)
    back = denoised(target, learnt(target, x_0, noise, a, s), a * x_0 + s * noise, a, s)
    torch.testing.assert_close(back.x_0, x_0)
    torch.testing.assert_close(back.noise, noise)
