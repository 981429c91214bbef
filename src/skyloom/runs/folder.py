"""A run is a folder: everything that was decided, learnt and measured, and nothing else is needed to use it.

``LAYOUT`` lists the files and the step that writes each. Two files are shared between processes and change
under a lock: ``provenance.json`` (facts and events) and ``looks.json`` (how often each side was evaluated,
since a test side that is looked at often becomes a validation side).

Status is told by the events: ``started``, ``resumed``, ``trained``, ``evaluated``, ``interrupted``, ``exit``.
A run is complete when its last training ended; one that was killed says ``started`` for ever.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Self

import yaml

from skyloom.errors import DataError, UsageError, nearest
from skyloom.runs import atomic
from skyloom.runs.provenance import now, provenance

LAYOUT: Mapping[str, str] = {
    "recipe.yaml": "skyloom run or skyloom train",
    "provenance.json": "skyloom run or skyloom train",
    "split.json": "skyloom train",
    "audit.txt": "skyloom train",
    "transforms.json": "skyloom train",
    "task.json": "skyloom train",
    "emulator.json": "skyloom train",
    "weights": "skyloom train",
    "state": "skyloom train",
    "log.csv": "skyloom train",
    "samples": "skyloom train",
    "timing.json": "skyloom train",
    "looks.json": "skyloom evaluate",
    "calibration.json": "skyloom evaluate",
    "shift.json": "skyloom evaluate",
    "evaluate": "skyloom evaluate",
    "transfer": "skyloom transfer",
    "explain": "skyloom explain",
    "figures": "skyloom report",
    "report.html": "skyloom report",
    "card.md": "skyloom report",
}
SIDES = ("train", "validation", "test")
EVENTS = ("started", "resumed", "trained", "evaluated", "explained", "interrupted", "exit")
_NEEDED = ("recipe.yaml", "provenance.json")
_INTERRUPTED = 130


class RunFolder:
    """A run's folder on disk; make one with ``create`` or ``open``.

    Args:
        path: The folder, which need not be there yet.

    Example:
        >>> import tempfile
        >>> run = RunFolder.create(Path(tempfile.mkdtemp()) / "a", {"name": "a", "train": {"seed": 0}})
        >>> run.status, run.recipe["train"]
        ('created', {'seed': 0})
        >>> run.mark("started")
        >>> run.look("test"), run.look("test"), run.looks()
        (1, 2, {'test': 2})
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        recipe: Mapping[str, Any],
        *,
        force: bool = False,
        resume: bool = False,
    ) -> Self:
        """Make a run's folder with its recipe and provenance, or take up an interrupted one.

        Args:
            path: The folder; absent, empty, or a run as ``force`` and ``resume`` allow.
            recipe: The resolved recipe, JSON values.
            force: Replace a run that stands there. The new provenance keeps the looks of the old one.
            resume: Go on with a run that stands there, with the same recipe; make one where there is none.

        Returns:
            The run.

        Raises:
            UsageError: Another run, or something that is no run, stands there; the recipe differs from that
                of the run to resume; both switches are given.
            DataError: The folder cannot be written.
        """
        if force and resume:
            raise UsageError(
                "force and resume exclude each other", hint="resume keeps the run, force replaces it"
            )
        run = cls(path)
        replaced = None
        if run._occupied():
            run._refuse_foreign()
            if resume:
                return run._resume(recipe)
            if not force:
                run._refuse_existing()
            replaced = {"status": run.status, "looks": run.looks()}
            run._remove()
        text = yaml.safe_dump(atomic.jsonable(recipe), sort_keys=False, allow_unicode=True)
        facts = {**provenance(), "inputs": [], "seeds": {}, "events": []}
        run.write_json("provenance.json", facts if replaced is None else {**facts, "replaced": replaced})
        run.write_text("recipe.yaml", text)
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str], need: tuple[str, ...] = ()) -> Self:
        """Open a run that stands on disk.

        Args:
            path: The folder.
            need: Further files that the caller cannot do without, relative to the folder.

        Returns:
            The run.

        Raises:
            DataError: The folder is no run, or files are missing; the message names each and its step.

        Example:
            >>> RunFolder.open("/no/such/run")
            Traceback (most recent call last):
            skyloom.errors.DataError: there is no run folder /no/such/run
              → check the path; skyloom run makes one
        """
        run = cls(path)
        if not run.path.is_dir():
            raise DataError(f"there is no run folder {path}", hint="check the path; skyloom run makes one")
        missing = [name for name in (*_NEEDED, *need) if not run.path_of(name).exists()]
        if missing:
            steps = "; ".join(dict.fromkeys(f"{name}: {_step(name)}" for name in missing))
            raise DataError(f"the run {path} lacks {', '.join(missing)}", hint=f"written by: {steps}")
        return run

    def path_of(self, name: str) -> Path:
        """Return where a file of the run stands.

        Args:
            name: Path inside the folder, with ``/``.

        Returns:
            Its path; nothing need stand there.

        Raises:
            UsageError: The name leads out of the folder.
        """
        inside = PurePosixPath(name)
        if not name or inside.is_absolute() or ".." in inside.parts:
            raise UsageError(
                f"{name!r} is no path inside the run {self.path}", hint="give a path such as 'log.csv'"
            )
        return self.path / inside

    def has(self, name: str) -> bool:
        """Tell whether a file or folder of the run is there.

        Args:
            name: Path inside the folder.
        """
        return self.path_of(name).exists()

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Write bytes atomically; see ``skyloom.runs.write_bytes``."""
        return atomic.write_bytes(self.path_of(name), content)

    def write_text(self, name: str, content: str) -> Path:
        """Write text atomically; see ``skyloom.runs.write_text``."""
        return atomic.write_text(self.path_of(name), content)

    def write_json(self, name: str, content: Any) -> Path:
        """Write JSON atomically, NaN as null; see ``skyloom.runs.write_json``."""
        return atomic.write_json(self.path_of(name), content)

    def read_text(self, name: str) -> str:
        """Read a text file of the run.

        Raises:
            DataError: It is missing or no UTF-8; the message names the step that writes it.
        """
        try:
            return self.path_of(name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise self._missing(name) from None
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"cannot read {self.path / name}: {error}", hint=f"run {_step(name)} again"
            ) from error

    def read_json(self, name: str) -> Any:
        """Read a JSON file of the run; what was NaN is None.

        Raises:
            DataError: It is missing or damaged; the message names the step that writes it.
        """
        if not self.has(name):
            raise self._missing(name)
        return atomic.read_json(self.path_of(name))

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        try:
            recipe = yaml.safe_load(self.read_text("recipe.yaml"))
        except yaml.YAMLError as error:
            raise DataError(
                f"{self.path / 'recipe.yaml'} is damaged: {error}", hint="train the run again"
            ) from error
        if not isinstance(recipe, dict):
            raise DataError(f"{self.path / 'recipe.yaml'} holds no recipe", hint="train the run again")
        return recipe

    @property
    def provenance(self) -> dict[str, Any]:
        """The facts of ``provenance.json``."""
        facts = self.read_json("provenance.json")
        if not isinstance(facts, dict):
            raise DataError(f"{self.path / 'provenance.json'} holds no facts", hint="train the run again")
        return facts

    def record(self, **facts: Any) -> None:
        """Merge facts into ``provenance.json``: mappings are merged key by key, all else is replaced.

        Args:
            facts: JSON values, as in ``record(seeds={"train": 0}, inputs=[input_file("a.h5")])``.
        """
        with self._locked():
            self.write_json("provenance.json", _merged(self.provenance, facts))

    def mark(self, event: str, **facts: Any) -> None:
        """Append an event with the time to ``provenance.json``.

        Args:
            event: One of ``EVENTS``. ``exit`` takes ``code``, the exit code of the process.
            facts: Further JSON values of the event.

        Raises:
            UsageError: No such event.
        """
        if event not in EVENTS:
            raise UsageError(f"no event {event!r}", hint=nearest(event, EVENTS))
        with self._locked():
            known = self.provenance
            known["events"] = [*known.get("events", []), {"event": event, "time": now(), **facts}]
            if event == "exit":
                known["exit"] = facts.get("code")
            self.write_json("provenance.json", known)

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened, in order: ``event``, ``time`` and its own facts."""
        return list(self.provenance.get("events", []))

    @property
    def status(self) -> str:
        """``created``, an event that is no exit, or ``failed`` after an exit code that is not zero."""
        status = "created"
        for event in self.events:
            if event["event"] != "exit":
                status = event["event"]
            elif event.get("code"):
                status = "interrupted" if event["code"] == _INTERRUPTED else "failed"
        return status

    @property
    def complete(self) -> bool:
        """Whether the last training that began has ended."""
        order = [
            event["event"] for event in self.events if event["event"] in {"started", "resumed", "trained"}
        ]
        return bool(order) and order[-1] == "trained"

    def look(self, side: str) -> int:
        """Count one more look at a side; safe when several processes look at once.

        Args:
            side: ``train``, ``validation`` or ``test``.

        Returns:
            How often the side has been looked at, this time included.

        Raises:
            UsageError: No such side.
        """
        if side not in SIDES:
            raise UsageError(f"no side {side!r}", hint=nearest(side, SIDES))
        with self._locked():
            log = self._look_times()
            log.setdefault(side, []).append(now())
            self.write_json("looks.json", log)
        return len(log[side])

    def looks(self) -> dict[str, int]:
        """Return how often each side was looked at; a side never looked at is absent."""
        return {side: len(times) for side, times in self._look_times().items()}

    def variant(self, name: str) -> RunFolder:
        """Return the folder of a variant, a full run inside this one.

        Args:
            name: The variant's name in the recipe.
        """
        return RunFolder(self.path_of(f"variants/{name}"))

    def variants(self) -> list[str]:
        """Return the names of the variants that stand in the folder, sorted."""
        return sorted(path.parent.name for path in self.path.glob("variants/*/recipe.yaml"))

    def _look_times(self) -> dict[str, list[str]]:
        log: dict[str, list[str]] = self.read_json("looks.json") if self.has("looks.json") else {}
        return log

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # A file of its own: the others are replaced, and a lock on a replaced file protects nothing.
        with self.path_of(".lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _missing(self, name: str) -> DataError:
        return DataError(f"the run {self.path} lacks {name}", hint=f"run {_step(name)} first")

    def _occupied(self) -> bool:
        if not self.path.is_dir():
            return self.path.exists()
        # A kill within create leaves these alone, and they hold nothing yet.
        begun = {"provenance.json", ".lock"}
        return any(path.name not in begun and path.suffix != ".part" for path in self.path.iterdir())

    def _refuse_foreign(self) -> None:
        if not all(self.has(name) for name in _NEEDED):
            raise UsageError(
                f"{self.path} is no run folder, and it is not empty",
                hint="choose another folder; nothing in it was touched",
            )

    def _refuse_existing(self) -> None:
        if self.complete:
            raise UsageError(
                f"a complete run stands in {self.path}", hint="choose another folder, or --force replaces it"
            )
        raise UsageError(
            f"an unfinished run ({self.status}) stands in {self.path}",
            hint="--resume goes on with it, --force replaces it",
        )

    def _resume(self, recipe: Mapping[str, Any]) -> Self:
        wanted, found = _leaves(atomic.jsonable(recipe)), _leaves(self.recipe)
        changed = sorted({key for key, _ in wanted ^ found})
        if changed:
            raise UsageError(
                f"the recipe differs from that of the run in {self.path}: {', '.join(changed[:5])}",
                hint=f"resume with {self.path / 'recipe.yaml'}, or choose another folder",
            )
        atomic.remove_leftovers(self.path)
        if self.complete:
            return self
        here, before = provenance(), self.provenance
        other = {key: here[key] for key in ("machine", "packages", "git") if here[key] != before.get(key)}
        self.mark("resumed", **other)
        return self

    def _remove(self) -> None:
        # Moved first, so that a kill in the middle leaves no half of a run under the run's name.
        away = self.path.with_name(f".{self.path.name}.{os.getpid()}.replaced")
        self.path.rename(away)
        shutil.rmtree(away)


def _step(name: str) -> str:
    parts = PurePosixPath(name).parts
    known = ("/".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return next((LAYOUT[candidate] for candidate in known if candidate in LAYOUT), "skyloom run")


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _leaves(tree: Any, prefix: str = "") -> set[tuple[str, str]]:
    if not isinstance(tree, Mapping) or not tree:
        return {(prefix, repr(tree))}
    branches = (_leaves(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items())
    return set().union(*branches)
