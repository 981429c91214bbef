"""Sections that let a reader check: the data and its split, where everything comes from, the recipe."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from markupsafe import Markup

from skyloom.report.answers import looks
from skyloom.report.artefacts import Artefacts
from skyloom.report.page import Block, Missing, Row, Section, Table, Text, Verbatim, counted
from skyloom.report.sections.statistics import groups_of


def data_and_split(run: Artefacts) -> Section:
    """The sides, how often they were looked at, and the audit.

    Args:
        run: The artefacts.
    """
    blocks: list[Block] = []
    if run.split is None:
        blocks.append(Missing("There is no split on record.", f"skyloom train {run.name}"))
    else:
        blocks.append(_sides(run))
    blocks.append(Text(looks(run)))
    if run.audit is None:
        blocks.append(Missing("There is no audit of the split.", f"skyloom train {run.name}"))
    else:
        blocks.append(Verbatim(run.audit.strip(), "The audit, as it was written"))
    lead = "Who was allowed to see what."
    return Section("data", "Data and split", lead, blocks)


def provenance(run: Artefacts) -> Section:
    """Versions, machine, inputs and events.

    Args:
        run: The artefacts.
    """
    facts = run.provenance
    rows = [Row([name, value]) for name, value in _facts(facts) if value]
    blocks: list[Block] = [Table("Code and machine.", ["what", "value"], rows, facts=True)]
    inputs = facts.get("inputs") or []
    if inputs:
        lines = [
            Row([str(i.get("path", "?")), Markup("<code>{}</code>").format(i.get("sha256", "?"))])
            for i in inputs
        ]
        blocks.append(Table("Input files.", ["file", "sha256"], lines, facts=True))
    packages = facts.get("packages") or {}
    if packages:
        versions = ", ".join(f"{name} {version}" for name, version in packages.items())
        blocks.append(Text(Markup("<b>Packages.</b> {}").format(versions)))
    events = facts.get("events") or []
    if events:
        lines = [Row([_time(event.get("time")), str(event.get("event")), _rest(event)]) for event in events]
        blocks.append(Table("What happened.", ["time (UTC)", "event", "facts"], lines, facts=True))
    lead = "What somebody else needs to repeat this run."
    return Section("provenance", "Provenance", lead, blocks)


def recipe(run: Artefacts) -> Section:
    """The resolved recipe.

    Args:
        run: The artefacts.
    """
    text = yaml.safe_dump(run.recipe, sort_keys=False, allow_unicode=True, width=100).strip()
    lead = Markup("Every default is written out; <code>skyloom run {}</code> repeats the run.")
    block = Verbatim(text, "recipe.yaml")
    return Section("recipe", "Recipe", lead.format(run.path / "recipe.yaml"), [block])


def _sides(run: Artefacts) -> Table:
    split = run.split or {}
    counts = run.looks or {}
    rows = []
    for side, ids in split.get("sides", {}).items():
        card = run.metrics(side) or {}
        known = card.get("groups") or groups_of(run.statistics(run.side), side)
        groups = f"{known:,}" if known else "–"
        times = str(counts.get(side, 0)) if side != "train" else "–"
        rows.append(Row([side, f"{len(ids):,}", groups, times]))
    if split.get("excluded"):
        rows.append(Row(["left out (buffers)", f"{len(split['excluded']):,}", "–", "–"]))
    settings = json.dumps(split.get("settings") or {}, ensure_ascii=False)
    caption = Markup("The sides, split by <b>{}</b> with <code>{}</code>.").format(
        split.get("by", "?"), settings
    )
    return Table(caption, ["side", "maps", "simulations", "looks"], rows)


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    git, machine = facts.get("git") or {}, facts.get("machine") or {}
    commit = str(git.get("commit", ""))[:12] + (" (with changes)" if git.get("dirty") else "") if git else ""
    memory = f", {machine['memory'] / 2**30:.1f} GiB" if machine.get("memory") else ""
    cores = (
        f"{machine.get('usable_cores', '?')} of {counted(int(machine['cores']), 'core')}"
        if machine.get("cores")
        else ""
    )
    seeds = ", ".join(f"{name} {value}" for name, value in (facts.get("seeds") or {}).items())
    return [
        ("begun", _time(facts.get("time"))),
        ("command", " ".join(str(word) for word in facts.get("argv", []))),
        ("Skyloom", str(facts.get("skyloom") or "")),
        ("commit", commit),
        ("Python", str(facts.get("python") or "")),
        ("system", str(machine.get("system") or "")),
        (
            "processor",
            ", ".join(part for part in (str(machine.get("processor") or ""), cores) if part) + memory,
        ),
        ("seeds", seeds),
    ]


def _time(text: Any) -> str:
    return str(text or "").replace("T", " ").replace("+00:00", "")


def _rest(event: Mapping[str, Any]) -> str:
    known = {key: value for key, value in event.items() if key not in ("event", "time")}
    return ", ".join(f"{key} {value}" for key, value in known.items()) or "–"
