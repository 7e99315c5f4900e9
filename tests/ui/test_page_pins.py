"""Pinned sentences in a real browser: one pins them, takes them away, slides back, sees what flipped; and finds all of it again later."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from mtl.runs.events import Pinned, StatusChanged, StepDone, Watched
from mtl.runs.folder import Run, create_run
from tests import browser as web
from tests.browser import press, wait_for
from tests.watcher import started

TEXT = "\U0001f60a Rome <i>is</i> lovely"


@pytest.fixture
def run(app, tiny_config) -> Run:
    """A run whose log this test writes: one sentence is learned and forgotten, of the other nobody knows what is right."""
    run = create_run(app.runs, tiny_config(name="Made up"))
    begun = started(total=40, tasks=("tone", "places"))
    begun.tasks["places"] = begun.tasks["tone"] | {"kind": "tagging", "labels": ["LOC", "PER"]}
    truth = {"tone": "good", "places": [{"start": 2, "end": 6, "label": "LOC"}]}
    sentences = [{"id": 1, "text": TEXT, "truth": truth}, {"id": 2, "text": "It is.", "truth": {}}]
    rome, calm = ["LOC", 0.7, 2, 6], [2, [[None, ["bad", 0.6]], [None]]]
    for event in (begun, StatusChanged("running"), Pinned(0, sentences, []),
                  Watched(0, [[1, [[False, ["bad", 0.5]], [False, ["PER", 0.1, 2, 6]]]], calm]), StepDone(9, 1.0, {}, 1e-4, 1.0, 9.0, 1.0),
                  Watched(10, [[1, [[True, ["good", 0.8]], [False]]]]), Watched(20, [[1, [[True, ["good", 0.9]], [True, rome]]]]),
                  Watched(30, [[1, [[False, ["bad", 0.55]], [True, rome]]]]), StepDone(35, 3.5, {}, 1e-4, 1.0, 9.0, 3.5), Watched(36, [])):
        run.log.append(event)
    with run.hold():
        yield run


def strip(page: Page, part: str) -> str:
    return page.locator(f"#pins {part}").first.inner_text()


def told(page: Page) -> str:
    """What a screen reader says of the slider."""
    return page.locator("#pins [type=range]").get_attribute("aria-valuetext") or ""


def sentences(page: Page) -> list[str]:
    """The sentences of the strip that were answered."""
    return page.locator("#pins ol > li:has(ul > li) > div").evaluate_all("""parts => parts.map((part) => {
        const copy = part.cloneNode(true);
        copy.querySelectorAll('sub, b, small').forEach((each) => each.remove());
        return copy.textContent.trim();
    })""")


def cursor(page: Page) -> str:
    return page.locator("[data-chart=scores] .mtl-key thead td").text_content()


def test_one_slider_shows_what_was_said_then_what_flipped_and_what_was_learned_and_forgotten(new_person, open_page, run):
    page = open_page(new_person(), run.id)
    wait_for("the last look", lambda: "now, step 36" in strip(page, "output"))
    assert strip(page, "h2 small") == "at the last look, step 36; no answers changed since step 30"
    assert sentences(page) == [TEXT, "It is."]
    assert strip(page, "ol .mtl-hint") == "forgot tone at step 30; learned places at step 20"
    assert page.locator("#pins mark").all_text_contents() == ["RomeLOC"] and strip(page, "ul .mtl-should") == "it should be good"
    assert page.locator("#pins .mtl-flips i").evaluate_all("all => all.map(tick => tick.dataset.sort)") == ["learned", "learned", "forgot"]
    assert not page.locator("#pins form").is_visible() and cursor(page) == ""

    page.locator("#pins [data-do=back]").press("Enter")
    wait_for("the flip before", lambda: told(page).startswith("step 30: forgot: tone became bad in \u201c\U0001f60a Rome"))
    wait_for("the cursor of the curves", lambda: cursor(page) == "step 30")
    assert page.locator("#pins .mtl-flip").all_text_contents() == ["bad"]
    page.locator("#pins [type=range]").focus()
    page.keyboard.press("ArrowLeft")
    wait_for("an earlier look", lambda: "learned: places became Rome = LOC" in told(page) and cursor(page) == "step 20")
    assert page.locator("#pins mark.mtl-flip").count() == 1 and "as of step 20; 1 answer changed" in strip(page, "h2 small")
    page.keyboard.press("Home")
    wait_for("the first look", lambda: told(page).startswith("step 0: nothing changed") and "PER" in strip(page, "mark"))

    plot = page.locator("[data-chart=scores] .mtl-plot")
    plot.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    wait_for("the slider to follow the curves", lambda: strip(page, "output") == "step 10 of 36")
    page.keyboard.press("Tab")
    wait_for("the step at which the slider was held", lambda: strip(page, "output") == "step 0 of 36" and cursor(page) == "step 0")
    page.locator("#pins [type=range]").press("End")
    run.log.append(Watched(38, [[1, [[True, ["good", 0.8]], [True, ["LOC", 0.7, 2, 6]]]]]))
    wait_for("the look that is new", lambda: "now, step 38" in strip(page, "output"))
    assert strip(page, "ol .mtl-hint").startswith("learned tone again at step 38") and cursor(page) == ""

    page.set_viewport_size({"width": 390, "height": 900})
    for theme in ("light", "dark"):
        assert not web.is_too_wide(page)
        assert Axe().run(page, context="#pins").response["violations"] == [], theme
        page.get_by_role("button", name="Light or dark").click()


def test_a_person_pins_a_sentence_takes_one_away_and_finds_both_done_after_a_reload_and_others_watch(new_person, open_page, complaints):
    page = open_page(new_person())
    run_id = web.start_tiny(page)
    wait_for("sentences that the run pinned by itself", lambda: len(sentences(page)) == 3)
    own = "Honestly, Lisbon <b>was</b> lovely!"
    page.locator("#pins-text").fill(own)
    page.locator("#pins-text").press("Enter")
    wait_for("an answer to it", lambda: sentences(page)[-1] == own and page.locator("#pins-text").input_value() == "")
    page.locator("#pins-text").fill("x" * 301)
    page.get_by_role("button", name="Pin", exact=True).click()
    wait_for("a refusal", lambda: "301 characters" in web.message(page))
    assert page.locator("#pins-text").input_value() == "x" * 301
    page.locator("#pins ol > li button").first.press("Enter")
    wait_for("one less", lambda: len(sentences(page)) == 3)
    press(page, "pause", "paused")
    page.locator("#pins-text").fill("Typed in a pause.")
    page.get_by_role("button", name="Pin", exact=True).click()
    kept = wait_for("an answer in the pause", lambda: (now := sentences(page))[-1] == "Typed in a pause." and now)
    page.locator("#pins [type=range]").focus()
    page.keyboard.press("Home")
    wait_for("the first look, when it was not pinned", lambda: "Not asked yet" in page.locator("#pins ol > li").last.inner_text())

    page.reload()
    wait_for("the same sentences after the reload", lambda: sentences(page) == kept)
    complaints.clear()  # of what was on its way when the page was left
    other = open_page(new_person(viewport={"width": 390, "height": 900}), run_id)
    wait_for("the same sentences for another person", lambda: sentences(other) == kept)
    assert not other.locator("#pins form").is_visible() and not other.locator("#pins ol > li > button").first.is_visible()
    press(page, "stop", "stopped")
    wait_for("nothing to pin any more", lambda: not page.locator("#pins form").is_visible())
    assert sentences(page) == kept
