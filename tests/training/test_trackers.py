from __future__ import annotations

import importlib.util
import warnings

import pytest

from skyloom import registry
from skyloom.errors import MissingDependencyError
from skyloom.runs import RunFolder


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_names_the_extra(name, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda package: None if package == name else find(package)
    )
    with pytest.raises(MissingDependencyError, match=rf"'{name}'(.|\n)*pip install 'skyloom\[{name}\]'"):
        registry.build(name, "tracker")


def events(folder) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder))
    found.Reload()
    return [(event.step, event.value) for event in found.Scalars("train/loss")]


def test_tensorboard_gets_the_rows_of_the_log(worker, tmp_path):
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    with warnings.catch_warnings():
        # TensorBoard's protocol buffers warn about the Python to come.
        warnings.simplefilter("ignore", DeprecationWarning)
        worker.train(str(tmp_path), epochs=2, trackers=[{"name": "tensorboard", "folder": "events"}])
        found = events(tmp_path / "events")
    assert [step for step, _ in found] == [3, 6, 9, 10, 12, 15, 18, 20]
    log = (tmp_path / "log.csv").read_text().splitlines()
    column = log[0].split(",").index("train/loss")
    expected = [float(line.split(",")[column]) for line in log[1:]]
    assert [value for _, value in found] == pytest.approx(expected, rel=1e-6)


def test_mlflow_goes_on_in_the_same_run(tmp_path):
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    run = RunFolder(tmp_path)
    tracker = registry.build({"name": "mlflow", "uri": f"sqlite:///{tmp_path / 'a.db'}"}, "tracker")
    first, second = tracker.logger(run, 0), tracker.logger(run, 10)
    assert first.run_id == second.run_id


def test_wandb_goes_on_in_the_same_run(tmp_path):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    run = RunFolder(tmp_path)
    tracker = registry.build({"name": "wandb", "offline": True}, "tracker")
    assert tracker.logger(run, 0).version == tracker.logger(run, 10).version
