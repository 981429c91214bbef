"""The page in a real browser: no error, nothing blank, nothing fetched, nothing wider than a telephone."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# Variance of the grey values of a figure [0..255]²; an empty sheet has 0, empty axes about 300.
VARIANCES = """
const done = arguments[arguments.length - 1];
Promise.all([...document.images].map(image => image.decode().then(() => {
  const canvas = document.createElement('canvas');
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0, sum = 0, squares = 0;
  for (let i = 0; i < data.length; i += 4) {
    const grey = (data[i] + data[i + 1] + data[i + 2]) / 3;
    n += 1; sum += grey; squares += grey * grey;
  }
  return [image.naturalWidth, squares / n - (sum / n) ** 2, image.alt];
}))).then(done);
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """Debian's Chromium, driven by the driver that comes with it; nothing is downloaded."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("Debian's chromium and chromium-driver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


def show(browser: webdriver.Chrome, page: Path, *, width: int = 1280, scheme: str = "light") -> None:
    """Open a page anew at a width and in a colour scheme."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(page.as_uri())


def requested(browser: webdriver.Chrome, page: Path) -> list[str]:
    """Addresses that a page asked for; what the browser does for itself is left out."""
    entries = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [entry["params"] for entry in entries if entry["method"] == "Network.requestWillBeSent"]
    return [entry["request"]["url"] for entry in sent if entry["documentURL"] == page.as_uri()]


@pytest.fixture(params=["whole_page", "leaky_page", "bare_page"])
def page(request: pytest.FixtureRequest) -> Path:
    """Each kind of page."""
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wrong_blank_or_fetched(browser: webdriver.Chrome, page: Path, scheme: str) -> None:
    show(browser, page, scheme=scheme)
    figures: list[tuple[int, float, str]] = browser.execute_async_script(VARIANCES)
    assert browser.get_log("browser") == []
    asked = requested(browser, page)
    assert page.as_uri() in asked
    assert {url.split(":")[0] for url in asked} == ({"file", "data"} if figures else {"file"}), asked
    assert len(figures) == len(list((page.parent / "figures").glob("*.png")))
    for width, variance, alt in figures:
        assert width > 0, alt
        assert variance > 400, alt


@pytest.mark.parametrize("width", [400, 800, 1280])
def test_no_page_is_wider_than_the_window(browser: webdriver.Chrome, page: Path, width: int) -> None:
    show(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    inside = "return [...document.images].every(i => i.getBoundingClientRect().right <= innerWidth)"
    assert browser.execute_script(inside)


def test_the_answers_stand_on_the_first_screen(browser: webdriver.Chrome, whole_page: Path) -> None:
    show(browser, whole_page)
    bottom = browser.execute_script(
        "return document.querySelector('.answers').getBoundingClientRect().bottom"
    )
    assert bottom < 800


def test_figures_follow_the_colour_scheme_and_paper_is_light(
    browser: webdriver.Chrome, leaky_page: Path
) -> None:
    def source_becomes(wanted: str | None) -> str:
        """The source of the first figure, once the browser has chosen it anew."""
        script = "return document.images[0].currentSrc"
        if wanted is not None:
            WebDriverWait(browser, 5).until(lambda _: browser.execute_script(script) == wanted)
        return str(browser.execute_script(script))

    show(browser, leaky_page, scheme="light")
    light = source_becomes(None)
    show(browser, leaky_page, scheme="dark")
    assert source_becomes(None) != light
    feature = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": [feature]})
    assert source_becomes(light) == light
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_it_prints(browser: webdriver.Chrome, whole_page: Path) -> None:
    show(browser, whole_page)
    answer: dict[str, Any] = browser.execute_cdp_cmd("Page.printToPDF", {"preferCSSPageSize": True})
    pdf = base64.b64decode(answer["data"])
    # Every figure is on paper, and the pages are A4: 210 mm = 595 pt.
    images = len(re.findall(rb"/Subtype\s*/Image", pdf))
    assert images >= len(list((whole_page.parent / "figures").glob("*.png")))
    assert re.search(rb"/MediaBox\s*\[0 0 59[45]", pdf)


def test_every_entry_of_the_contents_leads_somewhere(browser: webdriver.Chrome, page: Path) -> None:
    show(browser, page)
    links = "[...document.querySelectorAll('nav a')]"
    script = f"return {links}.map(link => !!document.querySelector(link.getAttribute('href')))"
    found = browser.execute_script(script)
    assert found
    assert all(found)
