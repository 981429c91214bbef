"""A finding: how grave, what was found and what it means, what to do next; and how a list of them reads."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["error", "warning", "note", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")

_SHOWN = 3


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    Args:
        level: ``error`` (cannot be used as it is), ``warning`` (will mislead), ``note`` or ``ok``.
        check: Name of the check.
        message: What was found and what it means.
        next: The next step; empty where there is none.

    Example:
        >>> Finding("note", "layout", "one chunk holds 64 maps").level
        'note'
    """

    level: Level
    check: str
    message: str
    next: str = ""


def render(findings: Sequence[Finding], width: int = 100) -> str:
    """Return findings as text, the gravest first, checks without a finding on one line.

    Args:
        findings: In any order.
        width: Characters of a line.

    Example:
        >>> print(render([Finding("ok", "finite", ""), Finding("error", "units", "T_b has none", "name it")]))
        findings: 1 error
          error    units        T_b has none
                                → name it
          ok       finite
    """
    counts = {level: sum(f.level == level for f in findings) for level in LEVELS[:3]}
    told = ", ".join(f"{n} {level}{'s' if n > 1 else ''}" for level, n in counts.items() if n)
    lines = [f"findings: {told or 'none'}"]
    space = " " * 24
    for level in LEVELS[:3]:
        for finding in (f for f in findings if f.level == level):
            first = f"  {level:<8} {finding.check:<12} "
            lines += textwrap.wrap(
                finding.message, width, initial_indent=first, subsequent_indent=space, break_on_hyphens=False
            )
            if finding.next:
                lines += textwrap.wrap(
                    finding.next,
                    width,
                    initial_indent=space + "→ ",
                    subsequent_indent=space + "  ",
                    break_on_hyphens=False,
                )
    well = list(dict.fromkeys(f.check for f in findings if f.level == "ok"))
    if well:
        lines += textwrap.wrap(
            ", ".join(well), width, initial_indent="  ok       ", subsequent_indent=" " * 11
        )
    return "\n".join(lines)


def named(names: Iterable[Any]) -> str:
    """Return the first names of a list, and how many more there are.

    Example:
        >>> named(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    listed = [str(name) for name in names]
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def or_ok(check: str, findings: list[Finding]) -> list[Finding]:
    """Return the findings of a check, or that all is well."""
    return findings or [Finding("ok", check, "nothing found")]
