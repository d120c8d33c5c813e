"""The status page in a real browser: light and dark, wide and narrow, without JavaScript.

Chromium comes from the distribution; the tests are skipped where there is none. The page has to be
readable as it is: nothing in it runs. With a folder in SCREENSHOTS, pictures of it are left there.
"""

import os
import pathlib

import pytest
from google.protobuf import json_format
from playwright.sync_api import sync_playwright

import casebook
from contract import admission_pb2
from daemon import Daemon

CHROMIUM = pathlib.Path("/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SIZES = {"wide": (1280, 900), "phone": (360, 740)}
# What WCAG 2 asks of text that is not large.
CONTRAST_MIN = 4.5
CANARY = "<img src=x onerror=alert(1)>"

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="no chromium on this machine")

# The contrast of every text of the page with what is painted behind it, the worst first.
CONTRASTS = """() => {
  const rgba = (text) => {
    const parts = text.match(/[\\d.]+/g).map(Number);
    return parts.length > 3 ? parts : [...parts, 1];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = rgba(getComputedStyle(e).backgroundColor);
      if (color[3] === 1) return color;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  for (const element of document.body.querySelectorAll("*")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.getClientRects().length) continue;
    const [a, b] = [rgba(getComputedStyle(element).color), behind(element)].map(luminance);
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([ratio, element.textContent.trim().slice(0, 40)]);
  }
  return found.sort((a, b) => a[0] - b[0]);
}"""


@pytest.fixture(scope="module")
def address(admitd):
    """A daemon with a clean policy beside a file that is not, after one launch that is allowed and some
    that are denied."""
    with Daemon(admitd) as daemon:
        documents = casebook.example()
        documents[f"sot/CTO-CASE-MODEL-PROVIDER-ADMISSION.{CANARY}.json"] = (
            b'{\n  "schema_version": 1,\n  "model": "' + CANARY.encode() + b'",\n  "model": 7\n}\n'
        )
        daemon.policy.write(documents)
        daemon.tcp.wait_for_policy(casebook.policy_digest(documents))
        example = casebook.example()
        cases = [case for case in casebook.cases() if case.documents == example and not case.now]
        allowed = [case for case in cases if not case.codes and case.standing == "fresh"]
        denied = [case for case in cases if case.codes and case.standing == "fresh"]
        for case in [*denied[:6], allowed[0]]:
            message = json_format.ParseDict(case.request, admission_pb2.AdmitRequest())
            message.ClearField("expected_policy_digest")
            daemon.tcp.admit(message)
        yield f"http://{daemon.operations_address}/"


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=SIZES)
def size(request):
    width, height = SIZES[request.param]
    return request.param, {"width": width, "height": height}


@pytest.fixture(params=["light", "dark"])
def page(request, browser, size, address):
    """The open page, and everything that the browser said and asked for meanwhile."""
    name, viewport = size
    context = browser.new_context(
        color_scheme=request.param, viewport=viewport, java_script_enabled=False
    )
    page = context.new_page()
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda asked: page.asked.append(asked.url))
    page.goto(address)
    if shots := os.environ.get("SCREENSHOTS"):
        path = pathlib.Path(shots) / f"status-{name}-{request.param}.png"
        page.screenshot(path=path, full_page=True)
    yield page
    context.close()


def test_it_says_what_there_is_to_know(page, address):
    assert page.locator("h1").inner_text() == "✓ Serving"
    headings = page.locator("h2").all_inner_texts()
    for heading in ["Policy in force", "Pairs", "Expiry", "Findings", "Work items", "Latest"]:
        assert any(text.startswith(heading) for text in headings), (heading, headings)
    latest = page.locator("table.latest")
    for badge in ["ALLOW", "DENY"]:
        assert latest.locator(".badge", has_text=badge).first.is_visible()
    assert latest.locator("code.chip").first.is_visible()
    # A reason that stands in the table is explained on the page.
    code = latest.locator("code.chip").first.inner_text()
    assert page.locator(f"#code-{code}").is_visible()
    assert page.locator("mark").first.inner_text().strip()


def test_nothing_runs_and_nothing_else_is_asked_for(page, address):
    assert page.said == []
    assert {url for url in page.asked if not url.startswith("data:")} == {address}
    assert page.locator("script").count() == 0
    assert page.locator("img").count() == 0
    # What a document says is shown as it is written.
    assert CANARY in page.locator("main").inner_text()


def test_it_fits_the_screen(page, size):
    widths = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1] == size[1]["width"]
    beyond = page.evaluate(
        """() => [...document.querySelectorAll("main *")]
            .filter((e) => e.getBoundingClientRect().right > window.innerWidth + 1)
            .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert beyond == []


def test_every_text_stands_out_from_what_is_behind_it(page):
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 40
    assert contrasts[0][0] >= CONTRAST_MIN, contrasts[:5]


def test_the_scheme_of_the_reader_is_taken(browser, address):
    painted = []
    for scheme in ["light", "dark"]:
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(address)
        painted.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        context.close()
    assert painted[0] != painted[1]
