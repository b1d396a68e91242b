"""The built book, read as files and opened in Chromium as a reader would.

Without the book or without Chromium these tests are skipped, unless DIFFCOURSE_REQUIRE_BROWSER is set.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import nbformat
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
HTML = ROOT / "_build" / "html"
PAGES = re.findall(r"^[ -]*(?:root|file): (\S+)", (ROOT / "_toc.yml").read_text(encoding="utf-8"), re.MULTILINE)
PAGES_WITH_CODE = [
    page for page in PAGES if (source := ROOT / f"{page}.md").exists() and "```{code-cell}" in source.read_text("utf-8")
]


def unavailable(reason: str) -> NoReturn:
    if os.environ.get("DIFFCOURSE_REQUIRE_BROWSER"):
        pytest.fail(reason)
    pytest.skip(reason)


def written(page: str) -> str:
    """The HTML of a page."""
    if not (HTML / "index.html").exists():
        unavailable("the book is not built: run `make book`")
    return (HTML / f"{page}.html").read_text(encoding="utf-8")


# --- read as files


def code_cells(path: Path) -> list[nbformat.NotebookNode]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_every_code_cell_was_executed(page: str) -> None:
    written(page)
    # A page taken from the cache carries the outputs and not the counts; those stand in the cache.
    runs = [code_cells(path) for path in (ROOT / "_build" / ".jupyter_cache").glob("executed/*/base.ipynb")]
    shown = [cell.source for cell in code_cells(ROOT / "_build" / "jupyter_execute" / f"{page}.ipynb")]
    # More than one where a caption was changed since: the cache tells them apart, and their code is the same.
    of_this_page = [run for run in runs if [cell.source for cell in run] == shown]
    assert of_this_page
    for run in of_this_page:
        assert [cell.execution_count for cell in run] == list(range(1, len(shown) + 1))


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_no_cell_shows_the_name_of_an_object(page: str) -> None:
    """A cell of a figure whose last line returns something shows that as well: end it with a semicolon."""
    outputs = [output for cell in code_cells(ROOT / "_build" / "jupyter_execute" / f"{page}.ipynb") for output in cell.outputs]
    shown = [output.data.get("text/plain", "") for output in outputs if output.output_type == "execute_result"]
    assert not [text for text in shown if re.match(r"\[?(Text|<matplotlib|<Axes|Line2D)", text)]


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_colab_opens_the_notebook_of_the_page(page: str) -> None:
    (path,) = set(re.findall(r'href="https://colab\.research\.google\.com/github/[^/]+/[^/]+/blob/main/([^"]+)"', written(page)))
    assert path == page.replace("solutions/", "exercises/") + ".ipynb"
    assert (ROOT / path).exists()


EQUATION = re.compile(r'id="(equation-[^"]+)">\s*<span class="eqno">\(([^)]+)\)')
FIGURE = re.compile(r'<figure[^>]* id="([^"]+)"(?:(?!</figure>).)*<span class="caption-number">Fig\. ([E\d.]+) </span>', re.DOTALL)


def test_equations_and_figures_are_numbered_by_chapter() -> None:
    numbers = {}
    for page in PAGES:
        for kind in (EQUATION, FIGURE):
            found = kind.findall(written(page))
            numbers |= dict(found)
            if chapter := re.fullmatch(r"(book|solutions)/(\d+)-.*", page):
                prefix = {"book": "", "solutions": "E"}[chapter[1]] + str(int(chapter[2]))
                assert [number for _, number in found] == [f"{prefix}.{k + 1}" for k in range(len(found))]
    assert numbers

    for page in PAGES:
        reference = r'<a class="reference internal" href="[^"#]*#([^"]+)"><span class="std std-(?:num)?ref">(?:Fig\. )?\(?(E?[\d.]+)\)?</span>'
        equation = r'<a class="reference internal" href="[^"#]*#(equation-[^"]+)">\(([^)]*)\)</a>'
        for anchor, number in re.findall(reference, written(page)) + re.findall(equation, written(page)):
            assert numbers.get(anchor, number) == number, f"{page} calls {anchor} {number}"


@pytest.mark.parametrize("page", PAGES_WITH_CODE)
def test_notebook_and_page_number_alike(page: str) -> None:
    numbers = [number for _, number in EQUATION.findall(written(page))]
    assert re.findall(r"\\\\tag\{([^}]+)\}", (ROOT / f"{page}.ipynb").read_text(encoding="utf-8")) == numbers


# --- opened in Chromium


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    written("index")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


# Of this module alone: while Playwright's event loop runs, no other test could start one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        unavailable("no Chromium: install Debian's package chromium, or Google Chrome")
    options = "no-sandbox disable-gpu disable-quic disable-background-networking no-first-run disable-component-update disable-sync"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[f"--{o}" for o in options.split()])
        yield browser
        browser.close()


class Visit:
    """A page opened in a window of its own, and everything that went wrong on the way."""

    def __init__(self, browser: Browser, site: str) -> None:
        self.site = site
        self.problems: list[str] = []
        self.page: Page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"script error: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", lambda r: r.status >= 400 and self.problems.append(f"{r.status} for {r.url}"))
        self.page.on("requestfailed", lambda r: self.problems.append(f"request failed: {r.url}"))

    def _console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(f"console {message.type}: {message.text}")

    def _request(self, request) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(self.site + "/"):
            self.problems.append(f"request to the outside: {request.url}")

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.site}/{path}", wait_until="networkidle")
        self.page.wait_for_function("!window.MathJax || MathJax.startup?.promise")  # until then it is a mere configuration
        self.page.evaluate("window.MathJax && MathJax.startup.promise.then(() => true)")
        return self.page


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Visit]:
    visit = Visit(browser, site)
    yield visit
    visit.page.close()


FINDINGS = """() => {
  const found = [];
  for (const e of document.querySelectorAll('.math'))
    if (!e.querySelector('mjx-container')) found.push('formula left raw: ' + e.textContent);
  for (const e of document.querySelectorAll('mjx-merror')) found.push('formula in error: ' + e.textContent);
  for (const e of document.images) {
    if (!e.alt.trim()) found.push('image without words: ' + e.src.slice(0, 80));
    if (!e.complete || !e.naturalWidth) found.push('image does not show: ' + e.src.slice(0, 80));
  }
  if (!document.documentElement.lang) found.push('no language');
  for (const e of document.querySelectorAll('details')) e.open = true;
  for (const e of document.querySelectorAll('.toggle-hidden')) e.classList.remove('toggle-hidden');
  for (const e of document.querySelectorAll('pre, div.math:has(.eqno) mjx-container'))
    if (e.scrollWidth > e.clientWidth + 1) found.push('wider than the page: ' + (e.closest('[id]').id + ' ' + e.textContent).slice(0, 80));
  return found;
}"""


@pytest.mark.browser
@pytest.mark.parametrize("path", [f"{page}.html" for page in PAGES])
def test_page_is_whole_and_quiet(visit: Visit, path: str) -> None:
    page = visit.open(path)
    problems = page.evaluate(FINDINGS)
    page.set_viewport_size({"width": 390, "height": 844})
    if (wide := page.evaluate("document.documentElement.scrollWidth")) > 390:
        problems.append(f"a phone scrolls sideways: the page is {wide} pixels wide")
    assert problems + visit.problems == []


@pytest.mark.browser
def test_index_leads_to_the_first_page(visit: Visit) -> None:
    visit.open("index.html").wait_for_url(f"**/{PAGES[0]}.html")
    assert visit.problems == []


@pytest.mark.browser
def test_search_finds_offline(visit: Visit) -> None:
    page = visit.open("search.html?q=diffusion")
    page.wait_for_selector("#search-results li a")
    assert visit.problems == []


@pytest.mark.browser
def test_sliders_move_by_keyboard(visit: Visit) -> None:
    with_slider = [page for page in PAGES if 'class="frame-slider"' in written(page)]
    assert with_slider, "no page has a slider"
    for path in with_slider:
        page = visit.open(f"{path}.html")
        for slider in page.locator(".frame-slider").all():
            handle, seen = slider.locator("input"), slider.locator("img:visible")
            assert handle.get_attribute("aria-label")
            before = seen.get_attribute("alt")
            handle.focus()
            page.keyboard.press("ArrowRight")
            assert seen.count() == 1 and seen.get_attribute("alt") != before
            assert slider.locator("output").inner_text() == handle.get_attribute("aria-valuetext")
            page.keyboard.press("ArrowLeft")
            assert seen.get_attribute("alt") == before
    assert visit.problems == []


CONTRAST = """selector => {
  const rgb = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => rgb(c).slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.querySelectorAll(selector)].map(e => {
    let ground = e;
    while (ground && (rgb(getComputedStyle(ground).backgroundColor)[3] ?? 1) === 0) ground = ground.parentElement;
    const [a, b] = [e, ground].map((x, i) =>
      light(x ? getComputedStyle(x)[i ? 'backgroundColor' : 'color'] : 'rgb(255, 255, 255)')).sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(visit: Visit, scheme: str) -> None:
    visit.page.emulate_media(color_scheme=scheme)
    page = visit.open("book/07-forward-process.html")
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    text = ".bd-article :is(p, h1, h2, li, a.reference, figcaption p, .eqno, pre.claim, pre.claim a, .frame-slider output)"
    assert min(page.evaluate(CONTRAST, text)) >= 4.5  # what WCAG asks of body text
