"""Errors, exit codes and the way to go on, in this process and in real ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import skyloom
from skyloom import errors
from skyloom.cli import main

Command = Callable[..., Result]
CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, errors.SkyloomError)]


def process(*words: str, folder: Path | None = None, code: str = "") -> subprocess.CompletedProcess[str]:
    """Run ``python -m skyloom``, or the command line after ``code``, in a fresh interpreter."""
    start = (
        ["-m", "skyloom"] if not code else ["-c", f"{code}\nfrom skyloom.cli import main\nsys.exit(main())"]
    )
    return subprocess.run(
        [sys.executable, *start, *words], capture_output=True, text=True, cwd=folder, check=False
    )


FALSE_API = """
import os, signal, sys, types, skyloom, skyloom.recipe
api = types.ModuleType("skyloom.api")
skyloom.api = sys.modules["skyloom.api"] = api
skyloom.recipe.load = lambda source, changes: types.SimpleNamespace(name="tiny")
def train(*given, **options):
    {body}
api.train = train
api.__path__ = [os.path.join(os.path.dirname(skyloom.__file__), "api")]
"""


def test_help_is_light() -> None:
    code = "import sys, atexit; atexit.register(lambda: print('LOADED', *sorted(sys.modules)))"
    done = process("--help", code=code)
    assert done.returncode == 0
    shown, loaded = done.stdout.split("LOADED")
    assert not {"torch", "lightning", "numpy", "pydantic", "yaml", "xarray", "matplotlib"} & set(
        loaded.split()
    )
    verbs = "run make import inspect split train evaluate explain predict report compare list describe init"
    assert {*verbs.split(), "doctor"} <= set(shown.split())


def test_version_by_both_doors(skyloom_command: Command) -> None:
    from importlib.metadata import version

    expected = f"skyloom {version('skyloom')}"
    assert process("--version").stdout.strip() == expected
    assert skyloom_command("--version").output.strip() == expected
    assert main(["--version"]) == 0


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_every_error_is_a_message_and_its_exit_code(
    cls: type[errors.SkyloomError], api: object, recipes: list[object], skyloom_command: Command, here: Path
) -> None:
    api.fails = cls("what [red]happened[/red]", hint="do this")  # type: ignore[attr-defined]
    done = skyloom_command("inspect", "file.h5")
    assert done.exit_code == cls.exit_code
    assert done.stdout == ""
    assert "error: what [red]happened[/red]\n  → do this\n" in done.stderr, "brackets are no markup"


def test_several_faults_stand_on_lines_of_their_own(api: object, skyloom_command: Command) -> None:
    api.fails = errors.DataError("one\ntwo")  # type: ignore[attr-defined]
    assert skyloom_command("inspect", "a").stderr == "error: \n  one\n  two\n"


def test_an_unexpected_error_keeps_its_traceback(tmp_path: Path) -> None:
    done = process("train", "x", folder=tmp_path, code=FALSE_API.format(body="1 / 0"))
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError: division by zero" in done.stderr


@pytest.mark.parametrize(
    ("words", "again"),
    [
        (
            ["train", "my recipe", "--set", "a.b=[1, 2]"],
            "skyloom train 'my recipe' --set 'a.b=[1, 2]' --resume",
        ),
        (["train", "x", "--resume"], "skyloom train x --resume"),
        (["train", "x", "--force"], "skyloom train x --resume"),
    ],
)
def test_an_interrupted_training_tells_how_to_go_on(tmp_path: Path, words: list[str], again: str) -> None:
    done = process(*words, folder=tmp_path, code=FALSE_API.format(body="os.kill(os.getpid(), signal.SIGINT)"))
    assert done.returncode == 130
    assert "error: interrupted" in done.stderr
    assert f"go on with: {again}\n" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interruption_that_the_training_noticed_itself(
    api: object, recipes: list[object], skyloom_command: Command, here: Path
) -> None:
    api.fails = errors.Interrupted("SIGTERM at step 12")  # type: ignore[attr-defined]
    done = skyloom_command("run", "x")
    assert done.exit_code == 130
    assert "SIGTERM at step 12" in done.stderr
    assert "go on with: skyloom run x --resume" in done.stderr


def test_interrupted_imports_go_on_with_the_same_command(api: object, skyloom_command: Command) -> None:
    api.fails = KeyboardInterrupt()  # type: ignore[attr-defined]
    done = skyloom_command("import", "a.h5", "--out", "b")
    assert done.exit_code == 130
    assert "go on with the same command: skyloom import a.h5 --out b" in done.stderr
    assert "go on" not in skyloom_command("inspect", "a.h5").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run", "a", "--resmue"], "--resume"),
        (["make", "reionisation"], "--out"),
        (["make", "reionisaton", "--out", "x"], "did you mean 'reionisation'?"),
        (["run", "reionisaton"], "did you mean 'reionisation'?"),
        (["run", "a", "--resume", "--force"], "give one of the two"),
        (["evaluate", "first", "--side", "tset"], "did you mean 'test'?"),
        (["evaluate", "frist"], "did you mean 'first'?"),
        (["evaluate", "runs"], "is no run: it holds no recipe.yaml"),
        (["compare", "first", "--out", "a.html"], "name two runs or more"),
        (["describe", "nte", "resnet"], "did you mean 'net'?"),
        (["list", "nte"], "did you mean 'net'?"),
        (["init"], "reionisation-parameters"),
        (["init", "reionisaton"], "did you mean 'reionisation'?"),
    ],
)
def test_wrong_usage_ends_with_2_and_a_suggestion(
    words: list[str], said: str, here: Path, skyloom_command: Command
) -> None:
    done = skyloom_command(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


def test_no_run_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skyloom_command: Command) -> None:
    monkeypatch.chdir(tmp_path)
    assert "make one: skyloom run RECIPE" in skyloom_command("report", "first").stderr


def test_a_real_process_ends_with_the_documented_code(tmp_path: Path) -> None:
    assert process("run", "nothing.yaml", folder=tmp_path).returncode == 2
    assert process(folder=tmp_path).returncode in (0, 2), "without a verb the help is shown"


def test_main_returns_the_code(api: object, capsys: pytest.CaptureFixture[str]) -> None:
    api.fails = errors.LeakError("twins")  # type: ignore[attr-defined]
    assert main(["inspect", "a"]) == 3
    assert "error: twins" in capsys.readouterr().err
    assert skyloom.__doc__
