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
    # Each figure is there in both editions.
    assert len(figures) == 2 * len(list((page.parent / "figures").glob("*.png")))
    for width, variance, alt in figures:
        assert width > 0, alt
        assert variance > 400, alt


@pytest.mark.parametrize("width", [380, 800, 1280])
def test_no_page_is_wider_than_the_window(browser: webdriver.Chrome, page: Path, width: int) -> None:
    show(browser, page, width=width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    inside = (
        "return [...document.querySelectorAll('img, .plot svg, .sheet, summary, h2')]"
        ".every(part => part.getBoundingClientRect().right <= innerWidth)"
    )
    assert browser.execute_script(inside)


def test_the_answers_stand_on_the_first_screen(browser: webdriver.Chrome, whole_page: Path) -> None:
    show(browser, whole_page)
    bottom = browser.execute_script(
        "return document.querySelector('.answers').getBoundingClientRect().bottom"
    )
    assert bottom < 800


def editions(browser: webdriver.Chrome) -> set[str]:
    """Which editions of the figures are to be seen."""
    script = "return [...document.images].filter(i => i.getClientRects().length).map(i => i.className)"
    return set(browser.execute_script(script))


def paper(browser: webdriver.Chrome) -> float:
    """Brightness of the page [0..255]."""
    colour = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 3


def choose(browser: webdriver.Chrome, theme: str) -> None:
    browser.execute_script(f"document.querySelector('.themes [data-theme={theme}]').click()")


def test_the_page_follows_the_system_until_the_reader_chooses_and_remembers_it(
    browser: webdriver.Chrome, leaky_page: Path
) -> None:
    show(browser, leaky_page, scheme="light")
    assert editions(browser) == {"light"}
    assert paper(browser) > 200
    show(browser, leaky_page, scheme="dark")
    assert editions(browser) == {"dark"}
    assert paper(browser) < 40
    choose(browser, "light")
    show(browser, leaky_page, scheme="dark")
    assert editions(browser) == {"light"}
    assert paper(browser) > 200
    choose(browser, "dark")
    show(browser, leaky_page, scheme="light")
    assert editions(browser) == {"dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert editions(browser) == {"light"}
    assert paper(browser) > 200
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    choose(browser, "auto")


def test_curves_can_be_explored_and_take_the_colours_of_the_page(
    browser: webdriver.Chrome, whole_page: Path
) -> None:
    show(browser, whole_page, scheme="light")
    browser.get_log("performance")
    browser.execute_script("document.querySelector('#statistics').scrollIntoView({behavior: 'instant'})")

    def drawn(theme: str) -> bool:
        script = "return [...document.querySelectorAll('.plot')].map(p => p.dataset.drawn)"
        return set(browser.execute_script(script)) == {theme}

    def ink() -> str:
        return str(browser.execute_script("return document.querySelector('.plot')._fullLayout.font.color"))

    WebDriverWait(browser, 20).until(lambda _: drawn("auto"))
    lines = (
        "return [...document.querySelectorAll('.plot')]"
        ".map(plot => plot.querySelectorAll('.scatterlayer .js-line').length)"
    )
    # Two sides, each a line and the edge of its band.
    assert browser.execute_script(lines) == [4, 4]
    told = (
        "const plot = document.querySelector('.plot');"
        "Plotly.Fx.hover(plot, [{curveNumber: 3, pointNumber: 2}]);"
        "return plot.querySelector('.hoverlayer').textContent"
    )
    WebDriverWait(browser, 5).until(lambda _: "Fourier modes in the bin" in browser.execute_script(told))
    light = ink()
    choose(browser, "dark")
    WebDriverWait(browser, 5).until(lambda _: drawn("dark"))
    assert ink() != light
    choose(browser, "auto")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    seen = "return [...document.querySelectorAll('.plot')].some(plot => plot.getClientRects().length)"
    assert not browser.execute_script(seen)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert browser.get_log("browser") == []
    assert requested(browser, whole_page) == []


def test_the_contents_fold_on_a_telephone_and_stand_open_on_a_desk(
    browser: webdriver.Chrome, whole_page: Path
) -> None:
    opened = "return document.querySelector('nav details').open"
    show(browser, whole_page, width=380)
    assert not browser.execute_script(opened)
    browser.execute_script("document.querySelector('nav summary').click()")
    assert browser.execute_script(opened)
    browser.execute_script("document.querySelector('nav a[href=\"#training\"]').click()")
    assert not browser.execute_script(opened)
    show(browser, whole_page, width=1280)
    assert browser.execute_script(opened)
    browser.execute_script("document.querySelector('#training').scrollIntoView({behavior: 'instant'})")
    current = "return document.querySelector('nav [aria-current]')?.textContent"
    WebDriverWait(browser, 5).until(lambda _: browser.execute_script(current) == "Training")


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
