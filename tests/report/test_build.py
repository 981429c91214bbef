"""The page as a document: complete, self-contained, escaped, marked where the split leaks."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image
from plotly.offline import get_plotlyjs

from skyloom.report import build
from skyloom.report.style import COLUMN, PAGE
from skyloom.runs import RunFolder

VOID = {"meta", "link", "img", "source", "br"}
UNREAD = {"style", "script"}


class Outline(HTMLParser):
    """Collects tags, attributes and text, and checks that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in UNREAD:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All words of the page."""
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of every such tag."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def whole(whole_page: Path) -> Outline:
    """The page of a complete run."""
    return Outline(whole_page.read_text(encoding="utf-8"))


def test_every_section_is_there_and_in_the_contents(whole: Outline) -> None:
    keys = [attributes["id"] for attributes in whole.all("section") if attributes.get("id")]
    wanted = "side-by-side predictions baselines error-bars explanations data statistics training"
    assert keys == [*wanted.split(), "provenance", "recipe"]
    # Once in the contents and once in each heading.
    assert [a["href"] for a in whole.all("a")].count("#data") == 2
    assert {f"#{key}" for key in keys} <= {a["href"] for a in whole.all("a")}


def test_every_link_leads_to_an_anchor_and_every_anchor_is_unique(whole: Outline) -> None:
    anchors = [attributes["id"] for _, attributes in whole.tags if attributes.get("id")]
    assert len(set(anchors)) == len(anchors)
    assert {f"#{anchor}" for anchor in anchors} >= {a["href"] for a in whole.all("a")}


def test_a_figure_is_found_by_its_name_whatever_its_number(whole: Outline) -> None:
    figures = [attributes["id"] for attributes in whole.all("figure") if attributes.get("id")]
    assert "figure-truth-x_HI" in figures
    assert [f"Figure {number}." in whole.text for number in (1, len(figures), len(figures) + 1)] == [
        True,
        True,
        False,
    ]


def test_every_figure_has_an_alternative_a_caption_and_two_files(whole: Outline, whole_page: Path) -> None:
    images = [image for image in whole.all("img") if image["class"] == "light"]
    assert 2 * len(images) == len(whole.all("img"))
    assert all(len(image["alt"] or "") > 20 for image in images)
    for kind in ("png", "pdf"):
        assert len(list((whole_page.parent / "figures").glob(f"*.{kind}"))) == len(images)


def test_all_artefacts_are_drawn(whole_page: Path) -> None:
    stems = {path.stem for path in (whole_page.parent / "figures").glob("*.png")}
    wanted = [
        "variants",
        "truth",
        "redshift",
        "seeds",
        "baselines",
        "coverage",
        "sbc",
        "saliency",
        "integrated_gradients",
        "twins",
        "bands",
        "band-attribution",
    ]
    assert {f"{name}-x_HI" for name in wanted} <= stems
    assert {
        "tarp",
        "integrated_gradients-x_HI",
        "smooth",
        "survival",
        "training-loss",
        "training-lr",
        "training-r2",
    } <= stems
    assert {"power_spectrum-T_b-power", "pdf-T_b-pdf"} <= stems


def test_curves_to_explore_are_on_the_page_once_and_packed(whole_page: Path, leaky_page: Path) -> None:
    text = whole_page.read_text(encoding="utf-8")
    (packed,) = re.findall(r'id="plotly">([^<]*)<', text)
    assert gzip.decompress(base64.b64decode(packed)).decode() == get_plotlyjs()
    specs = [json.loads(spec) for spec in re.findall(r'"application/json">(.*?)</script>', text)]
    assert len(specs) == 2
    with xr.open_dataset(whole_page.parent / "evaluate/test/statistics.nc", engine="h5netcdf") as data:
        power = data["T_b.power_spectrum.power"].sel(side="test").values
    assert specs[0]["data"][3]["y"] == pytest.approx(power, rel=1e-4)
    assert 'id="plotly"' not in leaky_page.read_text(encoding="utf-8")


def test_nothing_outside_is_asked_for(whole_page: Path) -> None:
    text = whole_page.read_text(encoding="utf-8")
    assert not re.search(r"(?:src|srcset|href)=\"(?!data:|#)", text)
    assert "@import" not in text
    assert "url(" not in text
    assert "<script src" not in text


def test_variants_stand_beside_the_run_with_their_own_numbers(whole: Outline, whole_page: Path) -> None:
    for name in ("seen-boxes", "with-mean"):
        card = RunFolder(whole_page.parent / "variants" / name).read_json("evaluate/test/metrics.json")
        assert f"{card['parameters']['x_HI']['scores']['r2']['value']:.3f}" in whole.text
    assert "The variant not-made has no scores yet. Make it with skyloom run reionisation" in whole.text
    assert [attributes.get("class") for attributes in whole.all("tr")].count("leaky") == 1


def test_a_clean_run_carries_no_mark_of_a_leak(whole: Outline) -> None:
    assert "Leaky split." not in whole.text
    assert "unseen simulations" in whole.text


def test_what_the_training_cost_is_told(whole: Outline) -> None:
    assert "3 min 3 s" in whole.text
    assert "epoch 14, validation loss 0.0500" in whole.text
    assert "2.1 ms a map" in whole.text


def test_the_completeness_gap_and_the_sanity_check_are_told(whole: Outline) -> None:
    assert "Completeness gap: 1.2 % rms" in whole.text
    assert "The pictures show what was learned." in whole.text


def test_a_leaky_run_is_marked_on_the_page_and_on_every_figure(leaky_page: Path) -> None:
    outline = Outline(leaky_page.read_text(encoding="utf-8"))
    assert "Leaky split. Maps of one simulation stand on several sides." in outline.text
    assert "unseen simulations" not in outline.text
    figures = list((leaky_page.parent / "figures").glob("*.png"))
    assert figures
    for path in figures:
        top = np.asarray(Image.open(path).convert("RGB"), float)[:40]
        assert (np.abs(top - [0xD5, 0x5E, 0x00]).max(axis=2) < 3).sum() > 1000, path.name


def test_what_is_missing_is_said_with_its_command(bare_page: Path) -> None:
    text = Outline(bare_page.read_text(encoding="utf-8")).text
    path = bare_page.parent
    for said in (
        "The run was not evaluated, so there is no score.",
        f"There are no predictions to draw. Make it with skyloom evaluate {path}",
        "There is no training log. Make it with skyloom train reionisation",
        f"Not computed yet: saliency. Make it with skyloom explain {path}",
        "There is no split on record.",
        "There is no audit of the split.",
    ):
        assert said in text
    assert not list(path.glob("figures/*"))


def test_text_from_files_is_escaped(tmp_path: Path) -> None:
    evil = "<script>alert('x')</script>"
    tame = RunFolder.create(tmp_path / "tame", {"name": "tame"})
    run = RunFolder.create(tmp_path / "a", {"name": evil, "task": {"name": "infer", "parameters": [evil]}})
    run.write_text("audit.txt", evil)
    page = build(run.path).read_text(encoding="utf-8")
    assert evil not in page
    assert page.count("<script") == build(tame.path).read_text(encoding="utf-8").count("<script")
    assert page.count("&lt;script&gt;") >= 3


def test_figures_of_an_earlier_report_are_removed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "a", {"name": "a"})
    for name in ("old.png", "old.pdf", "notes.txt"):
        run.write_text(f"figures/{name}", "")
    build(run.path)
    assert [path.name for path in run.path_of("figures").iterdir()] == ["notes.txt"]


def test_equal_runs_give_equal_pages(leaky_page: Path) -> None:
    first = leaky_page.read_bytes()
    assert build(leaky_page.parent).read_bytes() == first


def test_letters_of_a_figure_for_a_journal_are_in_it_and_its_width_is_that_of_a_column(
    whole_page: Path,
) -> None:
    widths = set()
    for path in (whole_page.parent / "figures").glob("*.pdf"):
        pdf = path.read_bytes()
        widths.add(float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)[1]) / 72)  # type: ignore[index]
        # TrueType is embedded as Type 42; Type 3 is what journals refuse.
        assert b"/Subtype /Type3" not in pdf, path.name
        fonts = len(re.findall(rb"/Type /FontDescriptor", pdf))
        assert fonts == len(re.findall(rb"/FontFile2", pdf)) > 0, path.name
    assert sorted(widths) == pytest.approx([COLUMN, PAGE])


def test_figures_are_whole_files(whole_page: Path) -> None:
    for path in (whole_page.parent / "figures").glob("*.png"):
        Image.open(io.BytesIO(path.read_bytes())).verify()
    for path in (whole_page.parent / "figures").glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF")


def test_the_report_imports_no_torch() -> None:
    code = "import sys, skyloom.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
