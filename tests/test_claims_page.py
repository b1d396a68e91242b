"""The ways between formula, proof and code in the built book, the page of all claims, and the quiz."""

from __future__ import annotations

import html
import json
import re
from functools import lru_cache
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from playwright.sync_api import Locator, Page

from diffcourse.algebra import CHAPTERS, CLAIMS, Claim
from test_page import CONTRAST, HTML, PAGES, ROOT, Visit, browser, site, visit, written  # noqa: F401

API, CLAIMS_PAGE, QUIZ = "book/api", "book/claims", "book/spot-the-mistake"
PAGE_OF = {claim.label: f"book/{stem}" for stem, module in CHAPTERS.items() for claim in module.CLAIMS}
IMPLEMENTED = [claim for claim in CLAIMS.values() if claim.implemented_by]


@lru_cache(maxsize=None)
def page_text(page: str) -> str:
    return written(page)


def links(source: str) -> list[tuple[str, str]]:
    """(address, text) of the links in a piece of HTML."""
    found = re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>(.*?)</a>', source, re.DOTALL)
    return [(html.unescape(address), html.unescape(re.sub(r"<[^>]+>", "", text)).strip()) for address, text in found]


def require_target(page: str, address: str) -> str:
    """The file and anchor that a link leads to, which must exist; relative to the site, such as book/api.html#x."""
    target, anchor = urldefrag(urljoin(f"/{page}.html", address))
    path = HTML / unquote(target).lstrip("/")
    assert path.exists(), f"{page} links to {address}, and there is no such page"
    assert not anchor or f' id="{anchor}"' in page_text(path.relative_to(HTML).with_suffix("").as_posix()), f"{page}: nothing at {address}"
    return f"{target.lstrip('/')}#{anchor}"


def card(label: str) -> str:
    """The HTML of a claim on the page of all claims."""
    start = page_text(CLAIMS_PAGE).index(f'id="claim-{label}"')
    end = page_text(CLAIMS_PAGE).find('class="claim-card', start)
    return page_text(CLAIMS_PAGE)[start : end if end > 0 else None]


def docs(path: str) -> str:
    """The HTML of a function's description on the page of the code, up to the next description."""
    start = page_text(API).index(f' id="{path}"')
    end = page_text(API).find('<dt class="sig', start)
    return page_text(API)[start : end if end > 0 else None]


# --- read as files


@pytest.mark.parametrize("claim", IMPLEMENTED, ids=lambda claim: claim.label)
def test_formula_and_code_lead_to_each_other(claim: Claim) -> None:
    page, path = PAGE_OF[claim.label], claim.implemented_by
    number = re.search(rf'id="equation-{claim.label}">\s*<span class="eqno">(\([\d.]+\))', page_text(page))[1]

    outputs = re.findall(r'<pre class="claim[^>]*>.*?</pre>', page_text(page), re.DOTALL)
    (output,) = [output for output in outputs if claim.label in [text for _, text in links(output)]]
    ways = {text: require_target(page, address) for address, text in links(output)}
    assert ways[path] == f"{API}.html#{path}"
    assert ways[claim.label] == f"{CLAIMS_PAGE}.html#claim-{claim.label}"

    back = {text: require_target(API, address) for address, text in links(docs(path)) if "equation-" in address}
    assert number in back, f"the docstring of {path} does not name {claim.label}"
    assert back[number] == f"{page}.html#equation-{claim.label}"
    assert any("[source]" in text and "_modules/" in require_target(API, address) for address, text in links(docs(path)))


@pytest.mark.parametrize("claim", CLAIMS.values(), ids=lambda claim: claim.label)
def test_each_claim_has_a_card_with_its_number_proof_code_and_near_misses(claim: Claim) -> None:
    ways = [(require_target(CLAIMS_PAGE, address), text) for address, text in links(card(claim.label))]
    targets = [target for target, _ in ways]
    assert f"{PAGE_OF[claim.label]}.html#equation-{claim.label}" in targets
    name = claim.proof.__qualname__.partition(".")[0]
    assert f"_modules/{claim.proof.__module__.replace('.', '/')}.html#{name}" in targets
    if claim.implemented_by:
        assert f"{API}.html#{claim.implemented_by}" in targets
    shown = html.unescape(card(claim.label))
    assert all(miss.mistake in shown and " ".join(miss.latex.split()) in " ".join(shown.split()) for miss in claim.near_misses)
    assert re.search(r"<p>\d+\.\d\d s</p>", shown)


def test_every_module_of_the_diffusion_is_on_the_page_of_the_code() -> None:
    modules = {f"diffcourse.diffusion.{path.stem}" for path in (ROOT / "diffcourse" / "diffusion").glob("[!_]*.py")}
    assert modules - set(re.findall(r' id="module-([\w.]+)"', page_text(API))) == set()


def test_proof_in_the_source_leads_back_to_its_card() -> None:
    source = page_text("_modules/diffcourse/algebra/forward_process")
    backs = [require_target("_modules/diffcourse/algebra/forward_process", a) for a, text in links(source) if text == "[docs]"]
    assert any(back.startswith(f"{CLAIMS_PAGE}.html#") for back in backs)


def test_solutions_show_no_markers() -> None:
    sheets = [page for page in PAGES if page.startswith("solutions/")]
    for page in sheets:
        assert "BEGIN SOLUTION" in (ROOT / f"{page}.md").read_text(encoding="utf-8")
        shown = re.sub(r"<!--.*?-->", "", re.sub(r"<[^!][^>]*>", "", page_text(page)), flags=re.DOTALL)
        assert not re.search(r"# (BEGIN|END) SOLUTION|# STUB", shown), page


def quiz_data() -> list[dict]:
    return json.loads(re.search(r'<script type="application/json" id="quiz-data">(.*?)</script>', page_text(QUIZ), re.DOTALL)[1])


def test_the_quiz_asks_what_the_claims_say() -> None:
    data = quiz_data()
    assert [question["label"] for question in data] == [label for label in CLAIMS if len(asked(CLAIMS[label])) >= 2]
    for question in data:
        claim = CLAIMS[question["label"]]
        assert claim.latex in question["right"] and question["because"] == claim.because
        assert [wrong["mistake"] for wrong in question["wrong"]] == [miss.mistake for miss in asked(claim)]
        assert require_target(QUIZ, question["href"]) == f"{PAGE_OF[claim.label]}.html#equation-{claim.label}"
        assert f'>({question["number"]})<' in card(claim.label)


def asked(claim: Claim) -> list:
    return [miss for miss in claim.near_misses if not miss.mistake.startswith("true")]


def test_the_quiz_needs_no_script() -> None:
    folded = re.search(r"<noscript>\s*(<ol.*?)</noscript>", page_text(QUIZ), re.DOTALL)[1]
    assert folded.count("<details>") == len(quiz_data()) == folded.count("Right: ")
    assert folded.count("Wrong: ") == 2 * len(quiz_data())
    assert 'src="../_static/spot-the-mistake.js' in page_text(QUIZ)
    assert not [page for page in PAGES if page != QUIZ and "spot-the-mistake.js" in page_text(page)]


# --- played in Chromium


def opened(visit: Visit, seed: int = 3) -> Page:  # noqa: F811
    page = visit.open(f"{QUIZ}.html?seed={seed}")
    page.wait_for_function("!document.querySelector('.quiz .math:not(:has(mjx-container))')")
    return page


def rows(page: Page) -> Locator:
    return page.locator(".quiz-options li")


def right_answer(page: Page) -> int:
    """Which row is right, found as nobody else can: by the formula that MathJax was given."""
    shown = page.evaluate("""() => MathJax.startup.document.getMathItemsWithin(
        [...document.querySelectorAll('.quiz-formula')]).map(item => item.math)""")
    right = {question["right"] for question in quiz_data()}
    (k,) = [k for k, latex in enumerate(shown) if latex in right]
    return k


@pytest.mark.browser
def test_answers_are_judged_at_once_and_marked_in_the_end(visit: Visit) -> None:  # noqa: F811
    page = opened(visit)
    for n in range(10):
        assert page.locator(".quiz h2").inner_text() == f"Question {n + 1} of 10"
        assert f"{n - n // 3 - (n % 3 > 0)} of {n} right so far" in page.locator(".quiz-score").inner_text()
        k = right_answer(page)
        chosen = k if n % 3 else (k + 1) % 3  # every third answer is wrong
        rows(page).nth(chosen).get_by_role("button").click()
        feedback = page.locator(".quiz-feedback[aria-live=polite]").inner_text()
        assert feedback.startswith(f"{'ABC'[chosen]} is {'right.' if chosen == k else 'wrong: '}")
        if chosen != k:
            mistake = rows(page).nth(chosen).locator("p").inner_text().removeprefix("✗ ")
            assert mistake in feedback and mistake in {miss.mistake for claim in CLAIMS.values() for miss in claim.near_misses}
        assert rows(page).nth(k).get_attribute("class") == "right"
        assert page.locator(".quiz-options button:enabled").count() == 0
        require_target(QUIZ, page.locator(".quiz-feedback a").get_attribute("href"))
        page.locator(".quiz-next").click()
    assert page.locator(".quiz-feedback").inner_text().startswith("6 of 10.")
    assert page.locator(".quiz-feedback li a[href*='#equation-']").count() == 4
    for address in page.locator(".quiz-feedback a").evaluate_all("all => all.map(a => a.getAttribute('href'))"):
        require_target(QUIZ, address)
    page.get_by_role("button", name="Another round").click()
    assert page.locator(".quiz h2").inner_text() == "Question 1 of 10"
    assert visit.problems == []


@pytest.mark.browser
def test_the_keyboard_is_enough(visit: Visit) -> None:  # noqa: F811
    page = opened(visit)
    page.locator("#quiz-chapter").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Formula A is right"
    for n in range(10):
        page.keyboard.press(str(right_answer(page) + 1))
        page.keyboard.press("Enter")  # the button that goes on has the focus
        page.wait_for_function("!document.querySelector('.quiz .math:not(:has(mjx-container))')")
        assert page.evaluate("document.activeElement.matches('.quiz h2')")
    assert page.locator(".quiz-feedback").inner_text().startswith("10 of 10.")
    assert visit.problems == []


@pytest.mark.browser
def test_the_same_seed_asks_the_same(visit: Visit) -> None:  # noqa: F811
    first, again, other = (opened(visit, seed).locator(".quiz-options").inner_html() for seed in (1, 1, 2))
    plain = [re.sub(r"\b(id|aria-describedby|for|ctxtmenu_counter|tabindex)=\"[^\"]*\"", "", text) for text in (first, again, other)]
    assert plain[0] == plain[1] != plain[2]


@pytest.mark.browser
def test_a_chapter_can_be_chosen(visit: Visit) -> None:  # noqa: F811
    page = opened(visit)
    title = quiz_data()[0]["chapter"]
    page.locator("#quiz-chapter").select_option(title)
    assert page.locator(".quiz > p", has_text="Which of the three").inner_text().startswith(title)
    assert visit.problems == []


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_quiz_and_cards_stand_out_from_their_ground(visit: Visit, scheme: str) -> None:  # noqa: F811
    visit.page.emulate_media(color_scheme=scheme)
    page = opened(visit)
    rows(page).first.get_by_role("button").click()
    text = ".quiz :is(p, h2, select, .quiz-formula, a, .quiz-next, button:enabled)"
    assert min(page.evaluate(CONTRAST, text)) >= 4.5
    page = visit.open(f"{CLAIMS_PAGE}.html")
    assert min(page.evaluate(CONTRAST, ".claim-card :is(p, dt, a:not(.headerlink), code, summary)")) >= 4.5
    assert visit.problems == []


@pytest.mark.browser
def test_the_quiz_fits_a_phone(visit: Visit) -> None:  # noqa: F811
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = opened(visit)
    for _ in range(10):
        rows(page).first.get_by_role("button").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.locator(".quiz-next").click()
    assert visit.problems == []


@pytest.mark.browser
def test_near_misses_are_typeset_when_they_unfold(visit: Visit) -> None:  # noqa: F811
    page = visit.open(f"{CLAIMS_PAGE}.html")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator(".near-miss mjx-container").count() == 0
    page.locator("details.near-misses summary").first.click()
    page.locator("details.near-misses").first.locator(".near-miss:last-child mjx-container").wait_for()
    page.evaluate("document.querySelectorAll('details.near-misses').forEach(details => { details.open = true; })")
    page.wait_for_function("!document.querySelector('.near-miss .latex:not(:has(mjx-container))')", timeout=120_000)
    assert page.locator(".near-miss mjx-merror").count() == 0
    assert page.locator(".near-miss mjx-container").count() == sum(len(claim.near_misses) for claim in CLAIMS.values())
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert visit.problems == []


@pytest.mark.browser
def test_without_javascript_the_answers_unfold(browser, site: str) -> None:  # noqa: F811
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{site}/{QUIZ}.html")
    first = page.locator("article details").first
    assert not first.locator("ol").is_visible()
    first.locator("summary").click()
    assert first.locator("li", has_text="Right: ").is_visible()
    context.close()
