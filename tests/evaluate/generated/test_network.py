"""The judge network reads what it learned, off unseen and generated maps, and hears one that is deaf."""

from __future__ import annotations

import numpy as np

from skyloom.evaluate.generated.network import read_parameters, train_judge
from skyloom.evaluate.generated.sample import gather


def test_it_hears_a_generator_that_is_deaf_to_its_parameter(lognormal):
    real, fine = (
        gather(lognormal(n, seed=s, prefix=p), ["delta"], ["A"], maximum=999, seed=0)
        for n, s, p in ((60, 8, "big"), (30, 9, "fine"))
    )
    judge = train_judge(real, ["A"], steps=60, seed=0)
    assert judge.trained == 72 and len(judge.unseen) == 30
    scores = [judge.scores(ensemble)["A"]["r2"]["value"] for ensemble in (judge.unseen, fine)]
    assert min(scores) > 0.5
    # The parameter of another map: at best the prior mean, R² of 0 less what a sure answer costs.
    mixed = np.random.default_rng(0).permutation(fine.data["A"].values)
    deaf = gather(
        fine.data.assign_coords(A=("sample", mixed, fine.data["A"].attrs)),
        ["delta"],
        ["A"],
        maximum=999,
        seed=0,
    )
    assert judge.scores(deaf)["A"]["r2"]["value"] < 0


def test_it_learns_from_other_simulations_and_reads_all_real_ones(lognormal):
    seen, real = (
        gather(lognormal(n, seed=s, prefix=p), ["delta"], ["A"], maximum=999, seed=0)
        for n, s, p in ((20, 3, "seen"), (10, 4, "real"))
    )
    told = read_parameters(real, real, ["A"], steps=1, seed=0, learnt_from=seen)
    assert (told["trained"], told["unseen"]) == (24, 20)  # 60 % of 20 groups of two; all ten of the real set
    assert told["real"] == told["generated"]
