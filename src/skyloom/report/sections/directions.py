"""The section on directions: the angular resolution of the network beside that of the fit."""

from __future__ import annotations

from skyloom.report.artefacts import Artefacts, Score
from skyloom.report.page import Row, Section, Table, number


def angular_resolution(run: Artefacts) -> Section | None:
    """How well are directions reconstructed? None where the run does not infer any.

    Args:
        run: The artefacts.
    """
    told = (run.metrics(run.side) or {}).get("angular_resolution")
    if not told:
        return None
    methods = list(told["events"]["all"])
    rows = []
    for label, scores in told["events"].items():
        cells = [_cell(Score.read(scores[name])) for name in methods]
        rows.append(Row([label, str(scores[methods[0]]["samples"]), *cells]))
    percent = f"{100 * told['level']:g} %"
    caption = (
        f"Angle from the true direction that holds {percent} of the events [{told['unit']}], with 95 % range."
    )
    lead = (
        "The fit of a plane to the times of hits gives the direction; the network tells what it has missed. "
        "A smaller angle is better."
    )
    return Section(
        "directions",
        "How well is the direction known?",
        lead,
        [Table(caption, ["events", "number", *methods], rows)],
    )


def _cell(score: Score | None) -> str:
    if score is None:
        return "n/a"
    return (
        f"{number(score.value)} [{number(score.low)}, {number(score.high)}]"
        if score.bounded
        else number(score.value)
    )
