"""Every shipped recipe, run through the real command line on little data, and what it leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from skyloom.recipe import templates

#: What makes a run small; everything else is the shipped recipe.
SMALL = [
    "train.epochs=1",
    "train.threads=1",
    "evaluate.bootstrap=50",
]
FRACTIONS = "{train: 0.6, validation: 0.2, test: 0.2}"
SHIPPED = "{name: shipped, set: reionisation-21cmfast}"
EMBEDDED = "{name: reionisation, simulations: 16, redshifts: 2, size: 16, box_size: 32.0, seed: 7}"
ATHENA = "{name: shipped, set: cosmic-rays-athena}"
GALAXIES = (
    "{name: galaxies, galaxies: 10, domains: [Mgas, HI, T_b, v_los], pixels: 16, rotations: 2, gas: 400,"
    " stars: 200, dark_particle: 5.0e8}"
)
TURBULENT = "{name: turbulence, simulations: 20, size: 12, times: [0.05, 0.1]}"
COARSE, TWELVE = "{cut: slice, axis: [x], count: 6}", "{cut: slice, axis: [x], count: 12, cells: 12}"
HELD_OUT = "{by: held_out, fraction: 0.5, stratify: transport, axis: x, validation: 0.25, seed: 0}"
WEB = "{{name: cosmic_web, simulations: {}, cells: 16, size: 16, steps: 4, fields: [Mgas, HI, B]}}"
#: What makes a multifield emulator small: maps of 16 pixels, two of three sets, few steps of the judge.
EMULATED = [
    f"data.source={WEB.format(40)}",
    f"split.fractions={FRACTIONS}",
    "task.samples=24",
    "task.judge_steps=2",
    "task.statistics=[{name: power_spectrum, bins: 4}, {name: coherence, bins: 4}]",
    f"task.fixed={WEB.format(4)[:-1]}, set: CV}}",
    "task.one_parameter=null",
]
TINY_UNET = ["method.net.width=8", "method.net.multiples=[1, 2]", "method.steps=2"]
EVENTS = [
    "data.source.events=60", "data.source.per_shard=60", "method.nr_filters=4", "method.mixtures=2",
    "method.scales=2", "task.samples=12", "task.statistics=[event_observables]", "task.judge_steps=2",
    f"split.fractions={FRACTIONS}",
]  # fmt: skip
#: One recipe of each task is run a second time: going on is the same for all.
GONE_ON_WITH = {"reionisation", "cosmic-rays-classify", "cosmic-rays-unet", "hawc-table-flow"}
SMALL_DENOISER = [*TINY_UNET, "method.draws=2"]
OWN = {
    "reionisation": [
        "method.net.width=4",
        "data.select={x_HI: [0.3, 0.7]}",
        "explain=[{name: smooth, widths: [0, 4]}, {name: integrated_gradients, steps: 2}]",
        f"transfer={{21cmfast: {{source: {SHIPPED}}}, embedded: {{source: {EMBEDDED}}}}}",
        f"variants={{seen-boxes: {{split: {{by: sample, leaky: true, fractions: {FRACTIONS}}}}},"
        f" embedded: {{data.source: {EMBEDDED}}}}}",
    ],
    "cosmic-rays-unet": [
        "method.net.width=4", "data.maps.count=24", "method.net.depth=2", "variants={}",
    ],
    "reionisation-parameters": ["method.net.width=4", "data.select={x_HI: [0.3, 0.7]}", "explain=[]"],
    "cosmic-rays-classify": [
        "method.net.widths=[4, 4]", "data.maps.count=12", "explain=[{name: smooth, widths: [0, 4]}]",
        "evaluate.baselines=[majority, {name: scattering, scales: 2, classifier: lda}]",
        "variants={seen-slices: {split: {by: sample, leaky: true,"
        " fractions: {train: 0.6, validation: 0.2, test: 0.2}}}}",
    ],
    "cosmic-rays-two-classes": [
        "method.net.widths=[4, 4]", "data.maps.count=12",
        "explain=[{name: smooth, widths: [0, 4]}, saliency]",
        "evaluate.baselines=[majority]", "variants={}",
    ],
    "cosmic-rays-diffusion": [
        "data.maps.count=24", "method.net.width=8", "method.net.multiples=[1, 2]", "method.steps=2",
        "task.samples=20", "task.statistics=[{name: power_spectrum}]",
    ],
    "cosmic-rays-classify-embedded": [
        "method.net.widths=[4, 4]", "explain=[]", "evaluate.baselines=[majority]",
        f"data.source={TURBULENT}", "data.maps.count=6",
        f"transfer={{embedded: {{source: {TURBULENT}, maps: {COARSE}}},"
        f" athena: {{source: {ATHENA}, maps: {TWELVE}}}}}",
        f"variants={{athena: {{data.source: {ATHENA}, data.maps: {TWELVE}, split: {HELD_OUT}}}}}",
    ],
    "cosmic-rays-unet-embedded": [
        "method.net.width=4", "method.net.depth=2", "variants={}",
        f"data.source={TURBULENT}", "data.maps.count=6",
        f"transfer={{embedded: {{source: {TURBULENT}, maps: {COARSE}}},"
        f" athena: {{source: {ATHENA}, maps: {TWELVE}}}}}",
    ],
    "multifield-infer": [
        "method.net.width=2", f"data.source={WEB.format(30)}", f"split.fractions={FRACTIONS}",
        f"transfer={{finer: {{source: {WEB.format(4)[:-1]}, seed: 5}}}}}}", "evaluate.baselines=[mean]",
        "variants={posterior: {method: {name: posterior, net: {name: cmd_cnn, width: 2}, flow: maf}}}",
    ],
    "cosmic-rays-latent-diffusion": [
        "data.maps.count=24", "method.net.width=8", "method.net.multiples=[1, 2]", "method.steps=2",
        "method.autoencoder={name: kl, width: 4, halvings: 2}", "train.epochs=2",
        "task.samples=20", "task.statistics=[{name: power_spectrum}]",
    ],
    "galaxies-infer": [
        "data.source=" + GALAXIES.replace("galaxies: 10", "galaxies: 30"), "method.net.width=4",
        f"split.fractions={FRACTIONS}", "evaluate.baselines=[mean]",
    ],
    "galaxies-illustris": [f"data.source={GALAXIES}", "method.net.width=4", "method.net.depth=2"],
    "galaxies-unet": [f"data.source={GALAXIES}", "method.net.width=4", "method.net.depth=2"],
    "multifield-flow": [*EMULATED, *TINY_UNET],
    "multifield-diffusion": [*EMULATED, *TINY_UNET],
    "multifield-gan": [*EMULATED, "method.net.width=2", "method.critic.width=2"],
    "hawc-table-flow": [
        "method.hidden=[8]", "method.splines=1", "data.source.events=300", "task.samples=60",
        "train.batch_size=32", "task.judge_steps=2",
    ],
    "hawc-table-gan": [
        "method.net.widths=[8]", "method.critic.widths=[8]", "data.source.events=300", "task.samples=60",
        "train.batch_size=32", "task.judge_steps=2",
    ],
    "hawc-table-conditional": [
        "method.net.widths=[8]", "method.critic.widths=[8]", "data.source.events=300", "task.samples=60",
        "train.batch_size=32", "task.judge_steps=2",
    ],
    "hawc-maps-wgan": [
        "method.net.widths=[4, 4]", "method.critic.widths=[4, 4]", "data.source.events=200",
        "task.samples=24", "task.statistics=[event_observables]", "task.judge_steps=2",
    ],
    "hawc-gamma-hadron": [
        "method.net.width=4", "data.source.events=60", "data.source.per_shard=60", "explain=[]",
        "evaluate.baselines=[majority, {name: readings, columns: [nHit, CxPE40], degree: 1}]",
    ],
    "hawc-reconstruct": [
        "method.net.widths=[4, 4, 4]", "data.source.events=60", "data.source.per_shard=60", "explain=[]",
    ],
    "hawc-maps-pixelcnn": EVENTS,
    "hawc-maps-pixelcnn-conditional": EVENTS,
    "galaxies-pix2pix": [
        f"data.source={GALAXIES}", "method.net.width=4", "method.net.depth=2", "method.critic.width=4",
    ],
    "galaxies-superresolution": [
        f"data.source={GALAXIES}", "data.coarse={HI_coarse: {of: HI, cells: 4}}",
        "method.net.width=4", "method.net.depth=2", "method.critic.width=4",
    ],
    "galaxies-cyclegan": [
        f"data.source={GALAXIES}", "method.net.width=4", "method.net.blocks=1", "method.critic.width=4",
    ],
    "galaxies-diffusion": [f"data.source={GALAXIES}", *SMALL_DENOISER],
    "galaxies-flow": [f"data.source={GALAXIES}", *SMALL_DENOISER],
    "galaxies-indi": [f"data.source={GALAXIES}", *SMALL_DENOISER],
    "reionisation-ska": ["method.net.width=4", "data.select={x_HI: [0.3, 0.7]}"],
    "reionisation-excursion": [
        "method.net.width=4",
        "data.source.simulations=12", "data.source.size=16", "data.source.box_size=64.0",
        "split.fractions={train: 0.5, validation: 0.25, test: 0.25}",
    ],
}  # fmt: skip


def skyloom(*words: str, folder: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run the command line in a folder and check its exit code."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(
        [sys.executable, "-m", "skyloom", *words],
        cwd=folder, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stderr[-3000:]
    return done


def settings(name: str) -> list[str]:
    return [word for change in (*SMALL, *OWN[name]) for word in ("--set", change)]


@pytest.mark.slow
@pytest.mark.parametrize("name", templates())
def test_every_template_runs_to_its_page(name, tmp_path):
    done = skyloom("run", name, *settings(name), "--out", "run", folder=tmp_path)
    shown = ("R² of", "balanced accuracy of", "real halves")
    assert any(words in done.stdout for words in shown)
    assert done.stdout.rstrip().endswith("run/report.html")
    metrics = json.loads((tmp_path / "run/evaluate/test/metrics.json").read_text())
    split = json.loads((tmp_path / "run/split.json").read_text())
    # The number of simulations beside the number of maps, and both those of the split.
    assert metrics["samples"] == len(split["sides"]["test"])
    assert metrics["looks"] == 1
    assert not metrics["leaky"]
    assert (tmp_path / "run/report.html").stat().st_size > 50_000
    assert (tmp_path / "run/card.md").is_file()
    if name not in GONE_ON_WITH:
        return
    again = skyloom("run", name, *settings(name), "--out", "run", "--resume", folder=tmp_path)
    # What is done is not done again, and the test side is not looked at again.
    assert "epoch" not in again.stderr
    assert json.loads((tmp_path / "run/looks.json").read_text())["test"][1:] == []


@pytest.mark.slow
def test_a_variant_by_sample_is_marked_as_leaky_on_the_page_and_in_the_table(tmp_path):
    done = skyloom("run", "reionisation", *settings("reionisation"), "--out", "run", folder=tmp_path)
    assert "seen-boxes (leaky)" in done.stdout
    child = json.loads((tmp_path / "run/variants/seen-boxes/evaluate/test/metrics.json").read_text())
    assert child["leaky"]
    assert "leaky" in (tmp_path / "run/report.html").read_text().lower()
    # Both ways: the run on the embedded engine, the variant that learnt from that on 21cmFAST.
    for place, suite in (("run", "embedded"), ("run/variants/embedded", "21cmfast")):
        card = json.loads((tmp_path / place / "transfer" / suite / "metrics.json").read_text())
        assert card["side"] == suite
        assert card["parameters"]["x_HI"]["scores"]["r2"]["groups"] == card["groups"] > 1
    told = skyloom("compare", "run", folder=tmp_path).stdout
    assert "tested on 21cmfast" in told and "tested on embedded" in told


def test_a_split_by_sample_that_is_not_marked_ends_with_code_3_and_trains_nothing(tmp_path):
    leak = f"split={{by: sample, fractions: {FRACTIONS}}}"
    done = skyloom(
        "run", "reionisation", *settings("reionisation"), "--set", leak, "--set", "variants={}",
        "--out", "run", folder=tmp_path, code=3,
    )  # fmt: skip
    assert "leaky" in done.stderr
    assert not (tmp_path / "run/weights").exists()
