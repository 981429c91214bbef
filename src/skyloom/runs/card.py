"""The model card: what a run's network does, how well, and where not to trust it, as Markdown.

It is filled from the run folder alone, under the same headings for every run, so that two cards can be laid
side by side. What was not measured is said to be missing, never left out. The head is the YAML block that the
Hugging Face Hub reads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from skyloom.runs.folder import RunFolder

_METRICS = "evaluate/{}/metrics.json"
_UNSEEN = (
    "Nothing is known of its errors outside these data: another simulation code, resolution, box size, noise."
)
_LEAKY = (
    "**Leaky split: maps of one simulation are on several sides. The scores below say how well the network "
    "knows boxes that it has seen, not how well it does on unseen ones.**"
)


def card(folder: RunFolder | str | os.PathLike[str]) -> str:
    """Return the model card of a run; parts that are not there yet are said to be missing.

    Args:
        folder: The run, or its path.

    Returns:
        Markdown with a YAML head.

    Raises:
        DataError: The folder is no run, or a file in it is damaged.

    Example:
        >>> import tempfile
        >>> text = card(RunFolder.create(tempfile.mkdtemp(), {"name": "demo", "task": {"name": "infer"}}))
        >>> [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
        ['demo', 'What it does', 'Data and split', 'Scores', 'Limits', 'Use', 'Provenance']
    """
    run = RunFolder.open(folder.path if isinstance(folder, RunFolder) else folder)
    recipe = run.recipe
    metrics = {
        side: run.read_json(name) for side in ("test", "validation") if run.has(name := _METRICS.format(side))
    }
    leaky = _is_leaky(run)
    blocks = [
        _head(recipe),
        f"# {recipe.get('name', run.path.name)}",
        *([_LEAKY] if leaky else []),
        "## What it does",
        _purpose(recipe),
        "## Data and split",
        _data(run, recipe),
        "## Scores",
        *_scores(metrics, run.looks()),
        "## Limits",
        _limits(metrics, leaky=leaky),
        "## Use",
        _use(run),
        "## Provenance",
        _provenance(run),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _head(recipe: Mapping[str, Any]) -> str:
    tags = ["astrophysics", "simulation-based-inference", *_names(recipe, ("task", "method"))]
    return f"---\n{yaml.safe_dump({'library_name': 'skyloom', 'tags': tags}, sort_keys=False)}---"


def _purpose(recipe: Mapping[str, Any]) -> str:
    task, method = _part(recipe, "task"), _part(recipe, "method")
    what = f"Task `{task.get('name', '?')}`"
    if task.get("name") == "emulate":
        return _emulates(recipe)
    asked = [task["label"]] if task.get("label") else task.get("parameters")
    if asked:
        what += f" of {_code(asked)}"
    inputs = _part(_part(recipe, "data"), "fields")
    if inputs:
        what += f" from maps of {_code(inputs)}"
    what += f", learnt by the method `{method.get('name', '?')}`"
    net = method.get("net")
    return (
        f"{what} with the network `{net['name']}`."
        if isinstance(net, Mapping) and "name" in net
        else f"{what}."
    )


def _emulates(recipe: Mapping[str, Any]) -> str:
    task, method = _part(recipe, "task"), _part(recipe, "method")
    names = [*(task.get("parameters") or []), *([task["label"]] if task.get("label") else [])]
    drawn = _code(_part(_part(recipe, "data"), "fields"))
    at = f" at given {_code(names)}" if names else ""
    return f"Task `emulate`: draws new maps of {drawn}{at}, learnt by the method `{method.get('name', '?')}`."


def _data(run: RunFolder, recipe: Mapping[str, Any]) -> str:
    source = _part(_part(recipe, "data"), "source")
    told = ", ".join(f"{key}={value}" for key, value in source.items() if key != "name" and value is not None)
    lines = [f"- source: `{source.get('name', '?')}`" + (f" ({told})" if told else "")]
    lines += [
        f"- input `{item.get('path', '?')}`, sha256 `{item.get('sha256', '?')}`"
        for item in run.provenance.get("inputs", [])
    ]
    lines.append(f"- split by {_part(recipe, 'split').get('by', '?')}")
    if run.has("split.json"):
        sides = run.read_json("split.json")["sides"]
        lines[-1] += ": " + ", ".join(f"{side} {len(ids)} maps" for side, ids in sides.items())
    lines.append("- audit: " + ("see `audit.txt`" if run.has("audit.txt") else "**none was made**"))
    return "\n".join(lines)


def _scores(metrics: Mapping[str, Mapping[str, Any]], looks: Mapping[str, int]) -> list[str]:
    blocks = []
    for side in ("test", "validation"):
        if side not in metrics:
            blocks.append(f"The {side} side has not been evaluated.")
            continue
        found = metrics[side]
        size = f"{found.get('samples', '?')} maps of {found.get('groups', '?')} simulations"
        times = f"{looks.get(side, 0)} {'time' if looks.get(side) == 1 else 'times'}"
        told = f"On the {side} side: {size}, looked at {times}. Brackets are intervals over simulations."
        blocks.append(told)
        ensemble = found.get("answers") == "ensembles"
        blocks.append(_scorecard(found) if ensemble else _table(found.get("parameters") or {}))
    return blocks


def _scorecard(metrics: Mapping[str, Any]) -> str:
    """The scores of drawn maps: beside real against real and the baselines."""
    rows = [row for row in metrics["scorecard"]["rows"] if row["unit"] != "%"]
    others = list(rows[0]["baselines"]) if rows else []
    head = ["score", "of", "generated", "real against real", *(f"baseline {name}" for name in others)]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        name = row["label"] + (f" [{row['unit']}]" if row["unit"] else "")
        rivals = [_value(row["baselines"].get(other)) for other in others]
        lines.append([name, row["of"] or "all", _value(row["generated"]), _value(row["floor"]), *rivals])
    told = f"{metrics['generated']} maps were drawn, {metrics['seconds_per_sample']:.3g} s each.\n\n"
    return told + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _table(parameters: Mapping[str, Mapping[str, Any]]) -> str:
    baselines = list(
        dict.fromkeys(name for found in parameters.values() for name in found.get("baselines") or {})
    )
    head = [
        "parameter",
        "score",
        "this network",
        "worth independent maps",
        *(f"baseline {name}" for name in baselines),
    ]
    rows = [head, ["---"] * len(head)]
    for parameter, found in parameters.items():
        named = f"`{parameter}`" + (f" [{found['unit']}]" if found.get("unit") else "")
        for score, value in (found.get("scores") or {}).items():
            others = [((found.get("baselines") or {}).get(name) or {}).get(score) for name in baselines]
            effective = value.get("effective") if isinstance(value, Mapping) else None
            worth = "–" if effective is None else f"{effective:.0f}"
            rows.append([named, score, _value(value), worth, *map(_value, others)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _limits(metrics: Mapping[str, Mapping[str, Any]], *, leaky: bool) -> str:
    lines = [f"- {_UNSEEN}"]
    if leaky:
        lines.append("- Its scores are of boxes that it has seen.")
    if metrics.get("test", {}).get("answers") == "ensembles":
        lines.append("- A score that differs from real against real is a fault of the drawn maps.")
        return "\n".join(lines)
    coverage = [
        f"`{parameter}` {score.removeprefix('coverage_')} %: {_value(value)}"
        for parameter, found in (metrics.get("test", {}).get("parameters") or {}).items()
        for score, value in (found.get("scores") or {}).items()
        if score.startswith("coverage_")
    ]
    told = (
        "; ".join(coverage) if coverage else "not measured, so its error bars, if any, are not to be trusted"
    )
    lines.append(f"- Share of truths inside the error bars: {told}.")
    return "\n".join(lines)


def _use(run: RunFolder) -> str:
    if run.has("emulator.json"):
        asked = run.read_json("task.json")
        names = [*asked["parameters"], *([asked["label"]] if asked["label"] else [])]
        point = "{" + ", ".join(f'"{name}": ...' for name in names) + "}" if names else "None"
        line = f'maps = skyloom.load_run("{run.path.name}").sample({point}, n=64, seed=0)'
        return f"```python\nimport skyloom\n\n{line}\n```"
    line = f'prediction = skyloom.load_run("{run.path.name}").predict(field_set)'
    return f"```python\nimport skyloom\n\n{line}\n```"


def _provenance(run: RunFolder) -> str:
    facts = run.provenance
    machine, git = facts.get("machine") or {}, facts.get("git") or {}
    lines = [
        f"- Skyloom {facts.get('skyloom') or '?'}"
        + (f", commit `{git['commit']}`" if git.get("commit") else ""),
        f"- Python {facts.get('python', '?')}, {_versions(facts)}",
        f"- {machine.get('processor', '?')}, {machine.get('usable_cores', '?')} cores",
        f"- begun {facts.get('time', '?')}, status {run.status}",
        f"- `{' '.join(facts.get('argv', []))}`",
    ]
    seeds = facts.get("seeds") or {}
    if seeds:
        lines.append("- seeds: " + ", ".join(f"{name} {seed}" for name, seed in seeds.items()))
    return "\n".join(lines)


def _versions(facts: Mapping[str, Any]) -> str:
    packages = facts.get("packages") or {}
    return ", ".join(
        f"{name} {packages[name]}" for name in ("torch", "lightning", "numpy") if name in packages
    )


def _is_leaky(run: RunFolder) -> bool:
    if run.has("split.json"):
        return bool(run.read_json("split.json").get("leaky"))
    return bool(_part(run.recipe, "split").get("leaky"))


def _value(entry: Any) -> str:
    if isinstance(entry, Mapping):
        low, high = entry.get("low"), entry.get("high")
        interval = "" if low is None or high is None else f" [{_value(low)}, {_value(high)}]"
        return _value(entry.get("value")) + interval
    if not isinstance(entry, int | float) or not math.isfinite(entry):
        return "–"
    return f"{entry:.4g}"


def _part(tree: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = tree.get(key)
    return found if isinstance(found, Mapping) else {}


def _names(recipe: Mapping[str, Any], keys: Iterable[str]) -> list[str]:
    return [str(_part(recipe, key)["name"]) for key in keys if "name" in _part(recipe, key)]


def _code(names: Iterable[Any]) -> str:
    return ", ".join(f"`{name}`" for name in names)
