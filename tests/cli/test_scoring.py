"""The verb prints a row a score and writes its files; wrong input has its exit code and a next step."""

from __future__ import annotations

import pytest

from skyloom.cli import main
from skyloom.fields import example, store
from skyloom.runs import read_json


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    for name, seed in (("real", 0), ("generated", 1)):
        store.write(example(groups=10, seed=seed)[["T_b"]], folder / name)
    return folder


def test_scores_are_printed_and_written(sets, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # narrower, long cells fold
    out = tmp_path / "card"
    arguments = ["--no-judge", "--statistics", "power_spectrum", "--out", str(out), "--quiet"]
    assert main(["scorecard", str(sets / "real"), str(sets / "generated"), *arguments]) == 0
    printed = capsys.readouterr().out
    card = read_json(out / "scorecard.json")
    row = next(row for row in card["rows"] if row["key"] == "T_b.power_spectrum.power.sigma")
    assert f"{row['generated']['value']:.3f}" in printed and "classifier AUC" in printed
    assert "duplicates:" in printed and "scorecard.html" in printed
    written = {path.name for path in out.iterdir()}
    assert written == {"scorecard.json", "curves.nc", "scorecard.html", "figures"}


def test_translation_is_judged_pair_by_pair(sets, tmp_path, capsys):
    real = str(sets / "real")
    assert main(["scorecard", real, real, "--paired", "--out", str(tmp_path / "card"), "--quiet"]) == 0
    assert "PSNR [dB]" in capsys.readouterr().out
    assert read_json(tmp_path / "card" / "scorecard.json")["kind"] == "pairs"


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["nowhere", "generated"], 2, "there is no"),
        (["real", "generated", "--inputs", "real"], 2, "inputs means nothing where ensembles"),
        (["real", "real", "--paired", "--statistics", "pdf"], 2, "statistics means nothing where pairs"),
        (["real", "generated", "--fields", "T_c", "--no-judge"], 4, "did you mean 'T_b'"),
    ],
)
def test_wrong_input(sets, tmp_path, capsys, arguments, code, text):
    known = {name: str(sets / name) for name in ("real", "generated", "nowhere")}
    words = [known.get(word, word) for word in arguments]
    assert main(["scorecard", *words, "--out", str(tmp_path), "--quiet"]) == code
    assert text in capsys.readouterr().err
