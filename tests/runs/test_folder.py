"""The run folder keeps what it is given, says what is missing, and counts every look."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from skyloom.errors import DataError, UsageError
from skyloom.runs import RunFolder

RECIPE = {"recipe": 1, "name": "a", "train": {"epochs": 3, "widths": [1, 2]}, "variants": {}}


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", RECIPE)


def finish(run: RunFolder) -> None:
    run.mark("started")
    run.mark("trained")


def test_a_new_run_holds_its_recipe_and_where_it_came_from(run: RunFolder) -> None:
    assert RunFolder.open(run.path).recipe == RECIPE
    facts = run.provenance
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert (facts["events"], facts["inputs"], facts["seeds"]) == ([], [], {})
    assert run.status == "created"
    assert not run.complete


def test_a_run_shows_its_path(tmp_path: Path) -> None:
    assert repr(RunFolder(tmp_path)) == f"RunFolder({str(tmp_path)!r})"


def test_the_order_of_the_recipe_is_kept(run: RunFolder) -> None:
    assert list(run.recipe) == list(RECIPE)


def test_files_go_where_they_belong(run: RunFolder) -> None:
    run.write_json("evaluate/test/metrics.json", {"r2": float("nan")})
    run.write_text("audit.txt", "ok")
    run.write_bytes("weights/best.safetensors", b"w")
    assert run.read_json("evaluate/test/metrics.json") == {"r2": None}
    assert run.read_text("audit.txt") == "ok"
    assert (run.path / "weights" / "best.safetensors").read_bytes() == b"w"
    assert run.has("weights/best.safetensors")
    assert not run.has("weights/last.safetensors")


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../a", "state/../../a"])
def test_a_path_out_of_the_run_is_refused(run: RunFolder, name: str) -> None:
    with pytest.raises(UsageError, match="is no path inside the run"):
        run.write_text(name, "")


def test_a_missing_file_names_its_step(run: RunFolder) -> None:
    with pytest.raises(DataError, match=r"lacks task.json\n.*skyloom train first"):
        run.read_json("task.json")
    with pytest.raises(DataError, match=r"lacks evaluate/test/predictions.nc\n.*skyloom evaluate first"):
        run.read_text("evaluate/test/predictions.nc")
    with pytest.raises(DataError, match=r"lacks explain/saliency.nc\n.*skyloom explain first"):
        run.read_text("explain/saliency.nc")


def test_opening_names_all_that_is_missing(run: RunFolder) -> None:
    run.path_of("recipe.yaml").unlink()
    with pytest.raises(
        DataError, match=r"lacks recipe.yaml, weights/best.safetensors, report.html"
    ) as caught:
        RunFolder.open(run.path, need=("weights/best.safetensors", "report.html"))
    assert "report.html: skyloom report" in caught.value.hint
    with pytest.raises(DataError, match="there is no run folder"):
        RunFolder.open(run.path / "nowhere")


def test_a_damaged_file_is_named(run: RunFolder) -> None:
    for content in ("a: [", "just text"):
        run.write_text("recipe.yaml", content)
        with pytest.raises(DataError, match=r"recipe.yaml"):
            _ = run.recipe
    run.write_text("provenance.json", "[]")
    with pytest.raises(DataError, match=r"provenance.json.* holds no facts"):
        _ = run.provenance
    run.write_bytes("audit.txt", b"\xff\xfe")
    with pytest.raises(DataError, match=r"cannot read .*audit.txt"):
        run.read_text("audit.txt")


def test_a_complete_run_is_replaced_only_by_force(run: RunFolder) -> None:
    finish(run)
    run.look("test")
    run.write_text("report.html", "old")
    with pytest.raises(UsageError, match=r"a complete run stands in .*\n.*--force"):
        RunFolder.create(run.path, RECIPE)
    assert run.read_text("report.html") == "old"
    RunFolder.create(run.path, RECIPE, force=True)
    assert not run.has("report.html")
    assert run.looks() == {}
    assert run.provenance["replaced"] == {"status": "trained", "looks": {"test": 1}}
    assert [path.name for path in run.path.parent.iterdir()] == ["run"]


def test_an_interrupted_run_goes_on_only_when_asked(run: RunFolder) -> None:
    run.mark("started")
    run.mark("interrupted", step=7)
    (run.path / ".a.json.00.part").write_text("half")
    with pytest.raises(UsageError, match=r"unfinished run \(interrupted\) stands in .*\n.*--resume"):
        RunFolder.create(run.path, RECIPE)
    resumed = RunFolder.create(run.path, RECIPE, resume=True)
    assert resumed.status == "resumed"
    assert [event["event"] for event in resumed.events] == ["started", "interrupted", "resumed"]
    assert "machine" not in resumed.events[-1], "the machine is the same, so nothing about it is new"
    assert not (run.path / ".a.json.00.part").exists()


def test_resuming_a_complete_run_changes_nothing(run: RunFolder) -> None:
    finish(run)
    before = run.provenance
    assert RunFolder.create(run.path, RECIPE, resume=True).provenance == before


def test_resuming_where_there_is_nothing_begins(tmp_path: Path) -> None:
    assert RunFolder.create(tmp_path / "new", RECIPE, resume=True).status == "created"


def test_resuming_with_another_recipe_names_the_keys(run: RunFolder) -> None:
    other = {**RECIPE, "train": {"epochs": 4, "widths": [1, 3]}, "extra": None}
    with pytest.raises(
        UsageError, match=r"differs from .*: extra, train.epochs, train.widths\n.*recipe.yaml"
    ):
        RunFolder.create(run.path, other, resume=True)


def test_a_run_killed_while_it_was_made_is_made_again(run: RunFolder) -> None:
    run.path_of("recipe.yaml").unlink()
    assert RunFolder.create(run.path, RECIPE).recipe == RECIPE


@pytest.mark.parametrize("switches", [{}, {"force": True}, {"resume": True}])
def test_what_is_no_run_is_never_touched(tmp_path: Path, switches: dict[str, bool]) -> None:
    (tmp_path / "recipe.yaml").write_text("mine")
    with pytest.raises(UsageError, match="is no run folder"):
        RunFolder.create(tmp_path, RECIPE, **switches)
    assert (tmp_path / "recipe.yaml").read_text() == "mine"
    with pytest.raises(UsageError, match="is no run folder"):
        RunFolder.create(tmp_path / "recipe.yaml", RECIPE, **switches)


def test_force_and_resume_exclude_each_other(run: RunFolder) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        RunFolder.create(run.path, RECIPE, force=True, resume=True)


def test_the_status_follows_the_events(run: RunFolder) -> None:
    seen = []
    for event, facts in [
        ("started", {}),
        ("exit", {"code": 130}),
        ("resumed", {}),
        ("trained", {"seconds": 2.5}),
        ("exit", {"code": 0}),
        ("evaluated", {"side": "test"}),
        ("exit", {"code": 4}),
    ]:
        run.mark(event, **facts)
        seen.append((run.status, run.complete))
    assert seen == [
        ("started", False),
        ("interrupted", False),
        ("resumed", False),
        ("trained", True),
        ("trained", True),
        ("evaluated", True),
        ("failed", True),
    ]
    assert run.provenance["exit"] == 4
    assert run.events[3]["seconds"] == 2.5
    with pytest.raises(UsageError, match=r"no event 'start'\n.*'started'"):
        run.mark("start")


def test_facts_are_merged_key_by_key(run: RunFolder) -> None:
    run.record(seeds={"train": 0}, inputs=[1])
    run.record(seeds={"split": 1}, inputs=[2])
    assert run.provenance["seeds"] == {"train": 0, "split": 1}
    assert run.provenance["inputs"] == [2]


def test_looks_of_many_threads_are_all_counted(run: RunFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: run.look("test"), range(40)))
    assert sorted(counts) == list(range(1, 41))
    assert run.looks() == {"test": 40}


def test_looks_and_facts_of_many_processes_are_all_kept(run: RunFolder) -> None:
    script = """
        import sys
        from skyloom.runs import RunFolder
        run = RunFolder(sys.argv[1])
        for count in range(10):
            run.look("test")
            run.record(seeds={f"{sys.argv[2]}-{count}": count})
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(run.path)]
    running = [subprocess.Popen([*command, name]) for name in "abc"]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert run.looks() == {"test": 30}
    assert len(run.provenance["seeds"]) == 30


def test_only_a_side_can_be_looked_at(run: RunFolder) -> None:
    with pytest.raises(UsageError, match=r"no side 'tests'\n.*'test'"):
        run.look("tests")


def test_a_variant_is_a_run_inside_the_run(run: RunFolder) -> None:
    assert run.variants() == []
    RunFolder.create(run.variant("seen").path, {"name": "seen"})
    assert run.variants() == ["seen"]
    assert run.variant("seen").recipe == {"name": "seen"}
    with pytest.raises(UsageError, match="no path inside"):
        run.variant("../out")
