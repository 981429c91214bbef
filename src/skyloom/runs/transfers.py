"""Which run was tested on which suite: the scorecards of a run, its variants and others, as one matrix.

A run's own suite is the one of its recipe's ``transfer`` that has the source of its training; its column
holds the scores of the run's test side. Where no suite of the list has it, the column is called after the
source itself. A suite of the same source with maps of another kind has a column of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from skyloom.runs.folder import RunFolder

TEST = "evaluate/test/metrics.json"


@dataclass(frozen=True)
class Tested:
    """One run and what is known of it on each suite.

    Args:
        label: What the run is called.
        suite: The suite that it was trained on.
        leaky: Whether its split leaks.
        cards: Suite to the content of ``metrics.json``; its own is the test side's.
    """

    label: str
    suite: str
    leaky: bool
    cards: Mapping[str, Mapping[str, Any]]


def transfer_file(suite: str) -> str:
    """Return where a run keeps its scores on another suite.

    Example:
        >>> transfer_file("embedded")
        'transfer/embedded/metrics.json'
    """
    return f"transfer/{suite}/metrics.json"


def own_suite(recipe: Mapping[str, Any]) -> str:
    """Return what a resolved recipe calls the suite that it trains on.

    Example:
        >>> source = {"name": "shipped", "set": "a"}
        >>> own_suite({"data": {"source": source}, "transfer": {"real": {"source": source}}})
        'real'
        >>> own_suite({"data": {"source": source}})
        'shipped'
    """
    source, maps = recipe["data"]["source"], recipe["data"].get("maps")
    suites = recipe.get("transfer") or {}
    own = (
        name
        for name, suite in suites.items()
        if suite["source"] == source and suite.get("maps") in (None, maps)
    )
    return next(own, str(source["name"]))


def row_of(run: RunFolder, label: str) -> Tested | None:
    """Read what is known of a run on each suite; None where it was not evaluated.

    Args:
        run: Its folder.
        label: What to call it.

    Raises:
        DataError: A file of the run is damaged.
    """
    if not run.has(TEST):
        return None
    recipe = run.recipe
    own, card = own_suite(recipe), run.read_json(TEST)
    cards = {own: card}
    for name in recipe.get("transfer") or {}:
        if name != own and run.has(transfer_file(name)):
            cards[name] = run.read_json(transfer_file(name))
    return Tested(label, own, bool(card.get("leaky")), cards)


def with_variants(run: RunFolder, label: str) -> list[Tested]:
    """Return a run and its variants as far as they were evaluated, the run first.

    Args:
        run: Its folder.
        label: What to call the run itself.
    """
    planned = list(run.recipe.get("variants") or {})
    members = {label: run, **{name: run.variant(name) for name in run.variants()}}
    order = [label, *(name for name in planned if name in members)]
    found = [row_of(members[name], name) for name in dict.fromkeys((*order, *members))]
    return [member for member in found if member is not None]


def suites(members: list[Tested]) -> list[str]:
    """Return every suite that a run was trained or tested on, in order of appearance.

    Args:
        members: The runs.
    """
    return list(dict.fromkeys([*(m.suite for m in members), *(name for m in members for name in m.cards)]))
