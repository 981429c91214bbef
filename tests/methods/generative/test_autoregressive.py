"""PixelCNN++: probabilities sum to one, toys are learnt to their entropy, draws follow the probabilities."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from skyloom.errors import DataError, UsageError
from skyloom.methods.generative import autoregressive_mixture as mixture
from skyloom.methods.generative.autoregressive import Autoregressive
from skyloom.methods.generative.autoregressive_quantiser import Quantiser

SMALL = {"nr_resnet": 1, "nr_filters": 6, "scales": 2, "dropout": 0.0, "mixtures": 2}


@pytest.mark.parametrize(("counts", "scale"), [([7], 1.0), ([5, 4], 1.0), ([256], 4.0), ([2], 1.0)])
def test_probabilities_of_all_levels_sum_to_one(counts, scale):
    generator = torch.Generator().manual_seed(0)
    C = len(counts)
    numbers = scale * torch.randn(9, mixture.outputs(C, 3), generator=generator, dtype=torch.float64)
    grid = torch.tensor(list(itertools.product(*map(range, counts))))
    of = mixture.components(numbers.repeat_interleave(len(grid), 0), C)
    P = mixture.log_prob(of, grid.repeat(9, 1), counts).exp().view(9, -1)
    torch.testing.assert_close(P.sum(dim=1), torch.ones(9).double(), rtol=1e-12, atol=0)


def test_probabilities_are_differences_of_the_logistic_distribution():
    # One component: mean 0.1, log scale -1; the mean of the second channel moves by tanh(0.3) x_0.
    of = mixture.components(torch.tensor([[0.0, 0.1, 0.2, -1.0, -0.5, 0.3]], dtype=torch.float64), 2)

    def cell(level, count, mean, log_scale):
        x, h = 2 * level / (count - 1) - 1, 1 / (count - 1)
        low, high = (1 / (1 + math.exp(-(x + sign * h - mean) / math.exp(log_scale))) for sign in (-1, 1))
        return (1.0 if level == count - 1 else high) - (0.0 if level == 0 else low)

    for a, b in itertools.product(range(5), range(3)):
        moved = 0.2 + math.tanh(0.3) * (2 * a / 4 - 1)
        expected = cell(a, 5, 0.1, -1.0) * cell(b, 3, moved, -0.5)
        found = mixture.log_prob(of, torch.tensor([[a, b]]), [5, 3]).exp().item()
        assert found == pytest.approx(expected, rel=1e-10)


def test_a_cell_far_from_every_component_keeps_a_slope():
    numbers = torch.tensor([[0.0, -0.9, -7.0]], requires_grad=True)
    found = mixture.log_prob(mixture.components(numbers, 1), torch.tensor([[250]]), [256])
    found.backward()
    # A cell at distance d of a scale s has log P ≈ -(d - h)/s: here more than a thousand scales away.
    d, s, h = 2 * 250 / 255 - 1 + 0.9, math.exp(-7), 1 / 255
    assert found.item() == pytest.approx(-(d - h) / s, rel=1e-3)
    assert numbers.grad[0, 1].item() == pytest.approx(1 / s, rel=1e-3)


def test_drawn_pixels_have_the_frequencies_of_their_probabilities():
    generator = torch.Generator().manual_seed(3)
    numbers, counts = torch.randn(1, mixture.outputs(2, 3), generator=generator).double(), [4, 3]
    grid = torch.tensor(list(itertools.product(range(4), range(3))))
    P = mixture.log_prob(mixture.components(numbers.expand(12, -1), 2), grid, counts).exp()
    n = 200_000
    noise = torch.rand(n, 3, generator=generator).double()
    drawn = mixture.draw(numbers.expand(n, -1), noise, counts).long()
    found = torch.bincount(drawn[:, 0] * 3 + drawn[:, 1], minlength=12) / n
    assert ((found - P).abs() < 4.5 * (P * (1 - P) / n).sqrt()).all()


def hits(n, size=2, levels=2, seed=0):
    """Events with values, hits and a detector that lacks the last pixel."""
    generator = torch.Generator().manual_seed(seed)
    detector = torch.ones(size, size)
    detector[-1, -1] = 0
    hit = (torch.rand(n, size, size, generator=generator) < 0.5) * detector
    value = torch.randint(0, levels, (n, size, size), generator=generator) * hit - 3.0 * (1 - hit)
    return torch.stack((value, hit, detector.expand(n, -1, -1)), dim=1)


def prepared(maps, conditions=0, **changes):
    torch.manual_seed(1)
    roles = ["value"] * (maps.shape[1] - 2) + ["hit", "detector"]
    method = Autoregressive(
        maps.shape[1], conditions, maps.shape[2], roles=roles, **{"levels": 2, **SMALL, **changes}
    ).eval()
    method.prepare([{"maps": maps, "targets": torch.zeros(len(maps), conditions)}])
    with torch.no_grad():
        for weight in method.parameters():
            weight.add_(0.1 * torch.randn(weight.shape))
    return method.double()


def test_draws_of_a_toy_follow_the_probabilities_of_all_its_maps():
    method = prepared(hits(50))
    # Three pixels, each without a hit, or with one of two levels: 27 maps, and no other has a probability.
    states = torch.tensor(list(itertools.product((-1, 0, 1), repeat=3)))
    hit = torch.cat((states >= 0, torch.zeros(27, 1, dtype=torch.bool)), dim=1).view(27, 2, 2)
    level = torch.cat((states, torch.zeros(27, 1)), dim=1).clamp(min=0).view(27, 1, 2, 2).double()
    maps = method.quantiser.restore(level, hit)
    with torch.no_grad():
        answers = method.net(method.encoded(level, hit, method.quantiser.detector), maps[:, 0, 0, :0])
        method.net.head.gain.div_(answers.std())  # of order one: every map has a probability to speak of
        P = method.log_prob(maps, maps[:, 0, 0, :0]).exp()
    assert P.sum().item() == pytest.approx(1.0, abs=1e-9)
    assert P.min() > 1e-4
    n = 8_000
    drawn = method.sample(torch.zeros(n, 0).double(), generator=torch.Generator().manual_seed(5))
    pixels = method.quantiser(drawn)
    digits = torch.where(pixels.hit, pixels.levels[:, 0] + 1, 0).flatten(1)[:, :3].long()
    found = torch.bincount((digits * torch.tensor([9, 3, 1])).sum(dim=1), minlength=27) / n
    assert ((found - P).abs() < 4.5 * (P * (1 - P) / n).sqrt()).all()


def test_where_there_is_no_detector_nothing_is_judged_or_drawn():
    maps = hits(50, size=4, levels=4)
    method, nothing = prepared(maps, levels=4), torch.zeros(50, 0).double()
    drawn = method.sample(nothing)
    assert (drawn[:, 1, -1, -1] == 0).all() and (drawn[:, 0, -1, -1] == -3).all()
    assert (drawn[:, 2] == maps[0, 2]).all()
    assert ((drawn[:, 0] == -3) == (drawn[:, 1] == 0)).all()
    assert set(drawn[:, 0].unique().tolist()) == {-3.0, 0.0, 1.0, 2.0, 3.0}
    # A network that answers 0 takes hit and no hit as equally likely: 1 bit at each of 15 pixels.
    with torch.no_grad():
        method.net.head.gain.zero_()
        method.net.head.bias.zero_()
        none = method.quantiser.restore(torch.zeros(1, 1, 4, 4).double(), torch.zeros(1, 4, 4).bool())
        bits = -method.log_prob(none, nothing[:1]) / math.log(2)
    assert bits.item() == pytest.approx(15.0)
    assert method.quantiser.pixels == 15 and method.dimensions == 30


def test_bits_are_those_of_the_probability_and_values_beyond_the_bounds_are_told():
    maps = hits(30, size=4, levels=4)
    method, nothing = prepared(maps, levels=4), torch.zeros(30, 0).double()
    brighter = maps.clone().double()
    hit = brighter[:, 1] > 0
    brighter[:, 0][hit] += 1  # what had the highest of four levels is now beyond it
    found = method.bits(brighter, nothing)
    with torch.no_grad():
        expected = -method.log_prob(brighter, nothing) / math.log(2)
    torch.testing.assert_close(found.bits, expected)
    assert found.clipped.tolist() == ((maps[:, 0] == 3).sum(dim=(1, 2))).tolist()
    assert found.values.tolist() == hit.sum(dim=(1, 2)).tolist()


def chains(n, keep, generator):
    """Maps of two levels, each row a chain that keeps its level with a probability ``(n,)``."""
    columns = [torch.randint(0, 2, (n, 4), generator=generator).float()]
    for _ in range(3):
        stay = torch.rand(n, 4, generator=generator) < keep[:, None]
        columns.append(torch.where(stay, columns[-1], 1 - columns[-1]))
    return torch.stack(columns, dim=2)[:, None]


def entropy(p):
    return -(p * math.log2(p) + (1 - p) * math.log2(1 - p))


def test_conditional_chains_are_learnt_to_their_entropy():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    method = Autoregressive(1, 1, 4, levels=2, mixtures=1, nr_resnet=1, nr_filters=8, scales=1, dropout=0.0)

    def batch(n, condition=None):
        c = torch.randint(0, 2, (n, 1), generator=generator).float() if condition is None else condition
        return chains(n, torch.where(c[:, 0] > 0, 0.95, 0.2), generator), c

    maps, conditions = batch(64)
    method.prepare([{"maps": maps, "targets": conditions}])
    optimiser = torch.optim.Adam(method.parameters(), lr=2e-2)
    for step in range(80):
        for group in optimiser.param_groups:
            group["lr"] = 2e-2 * (1 - step / 80)
        loss, _ = method.losses(*batch(64))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    method.eval()
    for value, keep in ((0.0, 0.2), (1.0, 0.95)):
        maps, conditions = batch(1000, torch.full((1000, 1), value))
        with torch.no_grad():
            bits, _ = method.losses(maps, conditions)
        # A coin in the first column, then three steps of the chain.
        expected = (1 + 3 * entropy(keep)) / 4
        assert bits.item() == pytest.approx(expected, rel=0.03)
        drawn = method.sample(conditions[:500]).round()
        kept = (drawn[..., 1:] == drawn[..., :-1]).float().mean().item()
        assert kept == pytest.approx(keep, abs=0.03)


def test_values_beyond_the_bounds_are_counted_and_take_the_last_level():
    quantiser = Quantiser(["value", "hit"], [11], 2)
    train = torch.tensor([[[[0.0, 10.0], [5.0, -1.0]], [[1.0, 1.0], [1.0, 0.0]]]])
    quantiser.learn([{"maps": train}])
    other = train.clone()
    other[0, 0] = torch.tensor([[-3.0, 12.0], [5.4, -1.0]])
    found = quantiser(other)
    assert found.levels[0, 0].tolist() == [[0.0, 10.0], [5.0, 0.0]]
    assert found.clipped.tolist() == [2]
    # A value within the bounds comes back to within half a step, and its level as it was.
    back = quantiser.restore(found.levels, found.hit)
    assert back[0, 0].tolist() == [[0.0, 10.0], [5.0, -1.0]]
    assert quantiser(back).levels.equal(found.levels)


def test_what_cannot_be_learnt_is_refused():
    maps = hits(20, size=4)

    def learn(maps, roles=("value", "hit", "detector")):
        Quantiser(list(roles), [4] * roles.count("value"), 4).learn([{"maps": maps}])

    changing = maps.clone()
    changing[3, 2, 0, 0] = 0
    with pytest.raises(DataError, match="not the same for all events"):
        learn(changing)
    ragged = maps.clone()
    ragged[0, 0, -1, -1] = 7.0
    with pytest.raises(DataError, match="channel 0 has values from -3 to 7 where there is no hit"):
        learn(ragged)
    with pytest.raises(DataError, match="channel 2, a value, is the same everywhere"):
        learn(maps, ("value", "hit", "value"))
    with pytest.raises(UsageError, match="more than once"):
        Quantiser(["value", "hit", "hit"], [4], 4)
    with pytest.raises(UsageError, match="at least one channel is a value"):
        Quantiser(["hit"], [], 4)
    with pytest.raises(UsageError, match="2 roles for 1 channels"):
        Autoregressive(1, 0, 4, roles=["value", "hit"])
    method = Autoregressive(1, 0, 4, **SMALL)
    for ask in (
        lambda: method.sample(torch.zeros(1, 0)),
        lambda: method.losses(maps[:, :1], torch.zeros(20, 0)),
    ):
        with pytest.raises(UsageError, match="does not know the bounds"):
            ask()
