"""What an explanation found, in one line, and how to read it: what it says and what it cannot say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import xarray as xr
from markupsafe import Markup, escape

from skyloom.report.artefacts import summary
from skyloom.report.page import Row, number, parameter, percent

Facts = Mapping[str, Any]
_PROSE = {"gradient_shap": "gradient SHAP", "deep_lift_shap": "DeepLift SHAP", "grad_cam": "Grad-CAM"}


def reading(data: xr.Dataset) -> Row:
    """The row of one explanation: its name and target, what it found, how to read that.

    Args:
        data: The result, with ``attrs["summary"]``.

    Example:
        >>> facts = '{"own": 0.9, "changed": 0.2, "score": "r2"}'
        >>> data = xr.Dataset(attrs={"explanation": "shuffle_phases", "target": "x_HI", "summary": facts})
        >>> str(reading(data).cells[1])
        'R² 0.900 becomes 0.200'
    """
    kind, facts = str(data.attrs.get("explanation", "")), summary(data)
    name = Markup("{}, {}").format(in_prose(kind), parameter(str(data.attrs.get("target", ""))))
    found, how = _READINGS.get(kind, (_attribution, ""))
    return Row([name, escape(found(facts)), how])


def in_prose(kind: str) -> str:
    """The name of an explanation as a reader writes it.

    Example:
        >>> in_prose("grad_cam"), in_prose("band_attribution")
        ('Grad-CAM', 'band attribution')
    """
    return _PROSE.get(kind, kind.replace("_", " "))


def outer(facts: Facts) -> str:
    """How much of an attribution lies near the edges of the map; empty where it is not known.

    Example:
        >>> outer({"outer_tenth": 0.5, "outer_tenth_even": 0.36})
        '50.0 % of it within a tenth of the side from an edge (36.0 % if even)'
    """
    share, even = facts.get("outer_tenth"), facts.get("outer_tenth_even")
    if share is None or even is None:
        return ""
    found, expected = percent(float(share)), percent(float(even))
    return f"{found} of it within a tenth of the side from an edge ({expected} if even)"


def score_name(facts: Facts) -> str:
    """The score of an explanation, as it is written on the page."""
    name = str(facts.get("score", "score"))
    return {"r2": "R²"}.get(name, name.replace("_", " "))


def _number(value: Any) -> str:
    return "n/a" if value is None else number(float(value))


def _attribution(facts: Facts) -> str:
    parts = [outer(facts)]
    if facts.get("gap_relative") is not None:
        parts.append(f"completeness gap {percent(float(facts['gap_relative']))}")
    if facts.get("layer"):
        parts.append(f"layer {facts['layer']}")
    return "; ".join(part for part in parts if part)


def _changed(facts: Facts) -> str:
    after = facts.get("changed", facts.get("flat"))
    return f"{score_name(facts)} {_number(facts.get('own'))} becomes {_number(after)}"


def _smoothed(facts: Facts) -> str:
    half = facts.get("half_lost_at")
    return (
        "half of the score is never lost" if half is None else f"half of the score is lost at {half:g} pixels"
    )


def _bands(facts: Facts) -> str:
    return _band("without {} the score falls most", facts.get("most_needed"))


def _shares(facts: Facts) -> str:
    gap = facts.get("gap_relative")
    said = "" if gap is None else f"; completeness gap {percent(float(gap))}"
    return _band("most from {}", facts.get("largest")) + said


def _band(words: str, band: Any) -> str:
    if not band:
        return ""
    return words.format(f"{float(band[0]):g} to {float(band[1]):.3g} waves")


def _twins(facts: Facts) -> str:
    said = f"median rank correlation {_number(facts.get('median'))}"
    if "permuted" in facts:
        score = score_name(facts)
        said += (
            f"; {score} {_number(facts['permuted'])} after permuted labels, chance {_number(facts['chance'])}"
        )
    return said


_READINGS: Mapping[str, tuple[Callable[[Facts], str], str]] = {
    "saliency": (
        _attribution,
        "Where a small change would move the answer, not what made it. Noisy from pixel to pixel: trust "
        "regions, not single pixels.",
    ),
    "integrated_gradients": (
        _attribution,
        "Shares the change from an empty map among pixels. Believe it only where its gap is small.",
    ),
    "gradient_shap": (
        _attribution,
        "Shares the change from the average answer of other maps. A Monte-Carlo estimate: its gap is noise "
        "that more draws lower.",
    ),
    "deep_lift_shap": (
        _attribution,
        "As gradient SHAP, by a rule for each layer. A large gap means that some layer breaks the rule: then "
        "leave it.",
    ),
    "occlusion": (
        _attribution,
        "A real experiment, on maps with a hole that the network never saw. Patches that tell the same look "
        "unimportant, each alone.",
    ),
    "grad_cam": (
        _attribution,
        "Which places speak for the answer, as coarse as the last convolution. No sum is promised.",
    ),
    "smooth": (
        _smoothed,
        "Where the score falls, the answer was in the scales that are gone, or the maps became strange.",
    ),
    "flatten_spectrum": (_changed, "A score that stays is read from phases: shapes, not power."),
    "shuffle_phases": (
        _changed,
        "A score that stays needs only the power spectrum; what is lost was in the shapes.",
    ),
    "equalise": (_changed, "A score that stays does not rest on the histogram of pixels, plateaus aside."),
    "remove_mean": (
        _changed,
        "A score that falls rests on the mean, which an interferometer does not measure. Behind the "
        "transform remove_mean nothing can change.",
    ),
    "bands": (
        _bands,
        "Removed: is the band needed? Only: is it enough? Filtered maps are strange to the network, so a "
        "score that falls proves less than one that stays.",
    ),
    "band_attribution": (_shares, "Stays on the maps as they are; an attribution, not an experiment."),
    "randomised_weights": (
        _twins,
        "Should be far from 1: else the pictures come from the network's shape and the map.",
    ),
    "randomised_labels": (
        _twins,
        "The twin learned permuted labels: its pictures should differ, and its score stand at chance.",
    ),
}
