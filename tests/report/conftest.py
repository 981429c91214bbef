"""Run folders made of random numbers with known properties, written in the layouts of the real steps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from skyloom.evaluate.conformal import Conformal
from skyloom.evaluate.scorecard import scorecard, spread
from skyloom.evaluate.statistics import compute
from skyloom.report import build
from skyloom.runs import RunFolder
from skyloom.tasks.prediction import prediction

UNITS = {"x_HI": "", "ION_Tvir_MIN": "dex(K)"}
LEVELS = (0.68, 0.95)


def recipe(**changes: Any) -> dict[str, Any]:
    """A resolved recipe, short."""
    whole = {
        "recipe": 1,
        "name": "reionisation",
        "data": {
            "source": {"name": "shipped", "set": "reionisation-21cmfast"},
            "fields": {"T_b": [{"name": "remove_mean"}]},
        },
        "split": {"by": "group", "fractions": {"train": 0.6, "validation": 0.2, "test": 0.2}, "seed": 1},
        "task": {"name": "infer", "parameters": ["x_HI"]},
        "method": {"name": "moments", "net": {"name": "resnet", "width": 32}},
        "train": {"epochs": 20, "seed": 0},
    }
    return whole | changes


def table(groups: int, side: str, seed: int) -> xr.Dataset:
    """Coordinates of ``groups`` simulations at three redshifts, eight maps each."""
    rng = np.random.default_rng(seed)
    n = groups * 24
    group = np.repeat(np.arange(groups), 24)
    redshift = np.tile(np.repeat([7.0, 8.0, 9.0], 8), groups)
    x_HI = np.clip(rng.uniform(0.1, 0.9, groups)[group] + 0.1 * (redshift - 8.0), 0.02, 0.98)
    names = np.array([f"{side}{i:04d}" for i in range(n)])
    return xr.Dataset(
        coords={
            "sample": names,
            "group": ("sample", np.array([f"{side}-{i}" for i in group])),
            "redshift": ("sample", redshift),
            "x_HI": ("sample", x_HI, {"units": "", "role": "label"}),
            "ION_Tvir_MIN": (
                "sample",
                rng.uniform(4.0, 5.0, groups)[group],
                {"units": "dex(K)", "role": "parameter"},
            ),
        }
    )


def predicted(
    where: xr.Dataset, side: str, *, error: float, names: list[str], seed: int, draws: int, leaky: bool
) -> xr.Dataset:
    """A prediction that errs by ``error`` times the spread of each parameter, and says so."""
    rng = np.random.default_rng(seed)
    truth = np.stack([where[name].values for name in names], axis=1)
    sd = np.broadcast_to(error * truth.std(axis=0), truth.shape)
    mean = truth + sd * rng.standard_normal(truth.shape)
    outputs = {"mean": mean, "sd": sd}
    if draws:
        outputs["samples"] = mean[:, None] + sd[:, None] * rng.standard_normal((len(mean), draws, len(names)))
    units = {name: UNITS[name] for name in names}
    return prediction(outputs, where, units=units, levels=LEVELS, side=side, leaky=leaky)


def split_of(tables: dict[str, xr.Dataset], by: str, leaky: bool) -> dict[str, Any]:
    """``split.json``."""
    sides = {side: list(where["sample"].values) for side, where in tables.items()}
    return {"by": by, "leaky": leaky, "settings": {"seed": 1}, "sides": sides, "excluded": []}


def log_text(epochs: int, best: int) -> str:
    """``log.csv`` in which the validation loss is smallest at the epoch ``best``."""
    lines = ["step,epoch,seconds,lr,train/loss,train/loss_epoch,validation/loss,validation/r2"]
    for epoch in range(1, epochs + 1):
        for part in (1, 2):
            step = 2 * (epoch - 1) + part
            loss = 1.0 / step + 0.01
            lines.append(f"{step},{epoch},{step},{1e-3 / epoch},{loss},,,")
        validation = 0.05 + 0.001 * (epoch - best) ** 2
        lines.append(f"{2 * epoch},{epoch},{2 * epoch},,,{1 / (2 * epoch)},{validation},{1 - 1 / epoch}")
    return "\n".join(lines) + "\n"


def write_run(
    path: Path,
    *,
    names: list[str] | None = None,
    error: float = 0.14,
    leaky: bool = False,
    draws: int = 0,
    seeds: int = 1,
    groups: int = 12,
    **changes: Any,
) -> RunFolder:
    """Write everything that training and evaluation write."""
    names = names or ["x_HI"]
    by = "sample" if leaky else "group"
    run = RunFolder.create(path, recipe(task={"name": "infer", "parameters": names}, **changes))
    run.record(seeds={"train": 0})
    run.mark("started")
    run.mark("trained", epoch=14)
    sizes = {"train": 3 * groups, "validation": groups, "test": groups}
    tables = {side: table(count, side, seed) for seed, (side, count) in enumerate(sizes.items())}
    run.write_json("split.json", split_of(tables, by, leaky))
    run.write_text(
        "audit.txt",
        "LEAKY SPLIT\n" if leaky else "The split is clean.\n  passed  disjoint groups: 12 of 12\n",
    )
    run.write_text("log.csv", log_text(20, best=14))
    timing = {
        "seconds": 183.2,
        "steps": 40,
        "epochs": 20,
        "best_epoch": 14,
        "validation_loss": 0.05,
        "steps_per_second": 6.1,
    }
    run.write_json("timing.json", timing | {"processes": 1, "threads": 2})
    options = {"error": error, "names": names, "draws": draws, "leaky": leaky}
    fitted = Conformal.fit(predicted(tables["validation"], "validation", seed=1, **options), LEVELS)
    run.write_json("calibration.json", fitted.state())
    for side in ("validation", "test"):
        cards = []
        for seed in range(seeds):
            own = fitted.apply(predicted(tables[side], side, seed=10 + seed, **options))
            others = {
                name: predicted(tables[side], side, seed=20, **(options | {"error": worse, "draws": 0}))
                for name, worse in (("moments", 0.45), ("spectrum", 0.6), ("mean", 1.3))
            }
            floor = predicted(tables[side], side, seed=30, **(options | {"error": error / 1.3, "draws": 0}))
            card = scorecard(
                own,
                baselines=others,
                floors={"label_noise": floor},
                bootstrap=200,
                looks=1,
                seconds_per_sample=0.0021,
            )
            cards.append(card)
        run.write_json(f"evaluate/{side}/metrics.json", spread(cards) if seeds > 1 else cards[0])
        write_dataset(run, f"evaluate/{side}/predictions.nc", own)
    maps, sides = sky_of(tables["train"], 50), np.full(tables["train"].sizes["sample"], "train")
    compared = xr.concat(
        [tables["train"].reset_coords(), tables["test"].reset_coords()], "sample"
    ).set_coords("group")
    maps = np.concatenate([maps, sky_of(tables["test"], 51)])
    sides = np.concatenate([sides, np.full(tables["test"].sizes["sample"], "test")])
    options = {"box": 128.0, "periodic": True, "units": {"T_b": "mK"}}
    statistics = compute(
        [{"name": "power_spectrum", "bins": 12}, "pdf"], {"T_b": maps}, compared, sides, **options
    )
    write_dataset(run, "evaluate/test/statistics.nc", statistics)
    run.look("validation")
    run.look("test")
    return run


def write_dataset(run: RunFolder, name: str, data: xr.Dataset) -> None:
    """Write netCDF as the real steps do."""
    path = run.path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.to_netcdf(path, engine="h5netcdf")


@pytest.fixture(scope="session")
def make_run() -> Callable[..., RunFolder]:
    """The maker of run folders."""
    return write_run


def sky(n: int, seed: int) -> np.ndarray:
    """Maps with large structures, zero mean, unit variance, shape ``(n, 1, 32, 32)``."""
    k = np.hypot(np.fft.fftfreq(32)[:, None], np.fft.rfftfreq(32)) * 32
    noise = np.fft.rfft2(np.random.default_rng(seed).standard_normal((n, 1, 32, 32)))
    maps = np.fft.irfft2(noise / (1.0 + k**2), s=(32, 32))
    return np.asarray((maps - maps.mean(axis=(2, 3), keepdims=True)) / maps.std(axis=(2, 3), keepdims=True))


def sky_of(where: xr.Dataset, seed: int) -> np.ndarray:
    """A map for every sample in mK, the more structure the more neutral, shape ``(n, 32, 32)``."""
    return 20.0 * where["x_HI"].values[:, None, None] * sky(where.sizes["sample"], seed)[:, 0]


def write_explanations(run: RunFolder, target: str = "x_HI") -> None:
    """Write what every built-in explanation leaves."""
    with xr.open_dataset(run.path_of("evaluate/validation/predictions.nc"), engine="h5netcdf") as data:
        ids = data["sample"].values[::37][:6]
    dims, maps, rng = ("sample", "channel", "y", "x"), sky(len(ids), 0), np.random.default_rng(1)
    noise = 0.3 * rng.standard_normal(maps.shape)

    def save(name: str, data: xr.Dataset, **facts: Any) -> None:
        attrs = {"explanation": name, "target": target, "summary": json.dumps(facts)}
        write_dataset(run, f"explain/{name}-{target}.nc", data.assign_attrs(data.attrs | attrs))

    for name, values in (
        ("saliency", np.abs(np.gradient(maps, axis=3))),
        ("integrated_gradients", maps * np.abs(maps) + noise),
    ):
        facts = (
            {"steps": 32, "gap_relative": 0.0125} if name == "integrated_gradients" else {"mean_slope": 0.1}
        )
        save(
            name,
            xr.Dataset({"attribution": (dims, values), "maps": (dims, maps)}, coords={"sample": ids}),
            **facts,
        )
    for name, dim, labels, score in (
        ("smooth", "width", [0.0, 2.0, 4.0, 8.0], [0.98, 0.9, 0.55, -0.3]),
        ("flatten_spectrum", "spectrum", ["own", "flat"], [0.98, 0.31]),
        ("shuffle_phases", "version", ["own", "changed"], [0.98, 0.45]),
    ):
        value = np.array(score)
        variables = {
            "score": value,
            "low": value - 0.06,
            "high": value + 0.01,
            "correlation_squared": np.maximum(value, 0.3),
        }
        data = xr.Dataset(
            {key: (dim, column) for key, column in variables.items()},
            coords={dim: labels},
            attrs={"score": "r2"},
        )
        save(name, data)
    low, high = [0.0, 2.0, 4.0], [2.0, 4.0, 23.0]
    ends = {"n_low": ("band", low), "n_high": ("band", high)}
    removed_kept = np.array([[0.9, 0.4, 0.95], [-2.0, 0.7, 0.1]])
    scored = {
        key: (("treatment", "band"), removed_kept + d)
        for key, d in (("score", 0), ("low", -0.1), ("high", 0.05))
    }
    save(
        "bands",
        xr.Dataset(
            scored | {"own": 0.98}, coords=ends | {"treatment": ["removed", "kept"]}, attrs={"score": "r2"}
        ),
        most_needed=[2.0, 4.0],
    )
    shared = {
        "by_band": (("sample", "band"), rng.standard_normal((6, 3))),
        "of_mean": ("sample", np.zeros(6)),
    }
    save("band_attribution", xr.Dataset(shared, coords=ends), largest=[2.0, 4.0], gap_relative=0.01)
    correlation = np.clip(0.12 + 0.1 * rng.standard_normal((2, 60)), -1, 1)
    save(
        "randomised_weights",
        xr.Dataset({"correlation": (("twin", "sample"), correlation)}),
        twins=2,
        attribution={"name": "saliency"},
    )


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run on three test simulations; nobody writes to it."""
    return write_run(tmp_path_factory.mktemp("runs") / "small", groups=3)


@pytest.fixture(scope="session")
def whole_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with two parameters, variants, seeds and explanations."""
    changes = {
        "seen-boxes": {"split": {"by": "sample", "leaky": True}},
        "with-mean": {"data.fields": {"T_b": [{"name": "standardise"}]}},
        "not-made": {"train.seed": 5},
    }
    wanted = ["saliency", "integrated_gradients", "smooth", "flatten_spectrum", "randomised_weights"]
    path = tmp_path_factory.mktemp("runs") / "whole"
    run = write_run(path, variants=changes, seeds=3, draws=60, explain=[{"name": name} for name in wanted])
    write_run(path / "variants/seen-boxes", leaky=True, error=0.05)
    write_run(path / "variants/with-mean", error=0.1)
    write_explanations(run)
    return build(path)


@pytest.fixture(scope="session")
def leaky_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run on a leaky split, without training log and statistics."""
    run = write_run(tmp_path_factory.mktemp("runs") / "leaky", leaky=True)
    run.path_of("log.csv").unlink()
    run.path_of("evaluate/test/statistics.nc").unlink()
    return build(run.path)


@pytest.fixture(scope="session")
def bare_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run in which nothing but the recipe was written."""
    run = RunFolder.create(tmp_path_factory.mktemp("runs") / "bare", recipe(explain=[{"name": "saliency"}]))
    return build(run.path)
