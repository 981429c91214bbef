"""What the console prints of scores."""

from __future__ import annotations

from skyloom.cli import console


def test_scores_of_a_translated_field_stand_one_a_row(capsys):
    """They are many: in columns their numbers would be folded."""
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    scores = {f"score_{i}": score for i in range(16)}
    told = {"scores": scores, "baselines": {"constant": {"score_0": score | {"value": 0.123}}}}
    console.scores(
        {"answers": "fields", "side": "test", "samples": 8, "groups": 2, "parameters": {"HI": told}}
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("test side: 8 samples of 2 groups")
    assert lines[1].split() == ["HI", "network", "constant"]
    row = next(line for line in lines if line.startswith("score_0 "))
    assert row.split()[1:] == ["0.500", "[0.400,", "0.600]", "0.123", "[0.400,", "0.600]"]
    assert next(line for line in lines if line.startswith("score_15")).split()[-1] == "–"
