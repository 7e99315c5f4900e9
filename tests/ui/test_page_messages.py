"""What the page says to who pressed, in a real browser: every refusal, whichever button and tab, and what two windows do to each other."""

import pytest
from playwright.sync_api import Page

from mtl.comparing.plan import alone_plan, create
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run, create_run, delete_run
from mtl.runs.history import YIELDED
from mtl.settings.config import make_config
from mtl.training.execute import run_training
from tests import browser as web
from tests.browser import can_press, message, start_tiny, status, step, wait_for
from tests.watcher import Watcher

GONE = "There is no such run here. It was deleted"
LONG = {"source": "hypothetical", "encoder": "tiny", "hypothetical_rows": 60, "epochs": 5000, "device": "cpu"}


def stand_still(page: Page) -> None:
    """Let the page be as in a window behind others, where browsers tell it that it is hidden: it asks for nothing by itself any more."""
    page.evaluate("Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => 'hidden'})")


def wait_until_enabled(page: Page, button: str) -> None:
    wait_for(f"{button} to be enabled", lambda: page.locator(f"#{button}").is_enabled())


def press(page: Page, button: str, until: str = "") -> None:
    """Press a button once it can be, say yes if asked, and wait for the state that it leads to."""
    wait_until_enabled(page, button)
    if button.endswith("delete"):
        page.once("dialog", lambda dialog: dialog.accept())
    page.locator(f"#{button}").click()
    if until:
        wait_for(f"the state '{until}'", lambda: until in state(page, button))


def state(page: Page, button: str) -> str:
    """What the badge says of the run, or of the comparison if that is what the button is for."""
    badge = page.locator(f"#{'compare-state' if button.startswith('compare') else 'status'} .mtl-badge")
    return badge.inner_text() if badge.count() else "none"


def refused(page: Page, button: str, sentence: str) -> None:
    """Press a button that the page still offers, and wait for the refusal, in place of any that is there."""
    before = page.locator("#message .mtl-message").get_attribute("data-number") if message(page) else ""
    press(page, button)
    wait_for(f"'{sentence}'", lambda: sentence in message(page))
    assert page.locator("#message .mtl-message").get_attribute("data-number") != before


@pytest.fixture
def finished(app, tiny_config) -> Run:
    """A short run that is over and belongs to nobody."""
    run = create_run(app.runs, tiny_config(name="A short one"))
    assert run_training(run, resume=False) == "finished"
    return run


def test_every_refusal_of_a_runs_buttons_is_said_in_the_window_where_they_were_pressed(new_person, open_page):
    person = new_person()
    front = open_page(person)
    run_id = start_tiny(front)
    back = open_page(person, run_id)
    wait_until_enabled(back, "pause")
    stand_still(back)

    press(front, "stop", "stopped")
    before = back.locator("#start").bounding_box()
    refused(back, "pause", "This run is stopped and not in work any more")
    assert back.locator("#start").bounding_box() == before, "the page moved"
    wait_until_enabled(back, "delete")  # after a press a window is up to date
    press(front, "resume", "running")
    refused(back, "delete", "This run is still going. Stop it first.")
    press(front, "stop", "stopped")
    press(back, "resume")
    wait_for("what was said of the last press to go with the next one", lambda: message(back) == "")
    wait_until_enabled(back, "stop")
    press(front, "stop", "stopped")
    refused(back, "stop", "This run is stopped and not in work any more")

    wait_until_enabled(back, "resume")
    press(front, "delete")
    wait_for("the run to be gone", lambda: "run=" not in web.address(front))
    refused(back, "resume", GONE)
    wait_for("its state to say so", lambda: GONE in back.locator("#status").inner_text())
    assert not any(can_press(back).values())
    web.open_tab(back, "Compare")
    assert back.locator("#message [role=alert]").is_visible(), "it is seen from every tab"
    back.locator("#message").get_by_role("button", name="Dismiss").click()
    assert message(back) == ""


def test_who_only_watches_is_told_so_and_why_a_press_all_the_same_does_nothing(new_person, open_page):
    owner = open_page(new_person())
    run_id = start_tiny(owner)
    wait_for("the owner's words", lambda: "Only this browser can" in owner.locator("#link").inner_text())
    friend = open_page(new_person(), run_id)
    wait_for("the run", lambda: status(friend) == "running" and step(friend) > 0)
    wait_for("the watcher's words", lambda: "not started in this browser" in friend.locator("#link").inner_text())
    assert "Only this browser" not in friend.locator("#link").inner_text()
    for button in ("pause", "stop"):
        friend.locator(f"#{button}").evaluate("button => button.disabled = false")
        friend.locator(f"#{button}").click()
        wait_for("the refusal", lambda: "was not started in this browser" in message(friend))
        friend.locator("#message").get_by_role("button", name="Dismiss").click()
    press(owner, "stop", "stopped")


def test_every_refusal_of_a_comparisons_buttons_is_said_in_the_window_where_they_were_pressed(app, new_person, open_page):
    config = make_config(LONG | {"name": "Two windows"})
    comparison = create(app.runs, config, alone_plan(config, 1))
    person = new_person()
    front, back = open_page(person), open_page(person)
    for page in (front, back):
        web.open_tab(page, "Compare")
        web.choose(page, "comparison-menu", "Two windows")
        wait_until_enabled(page, "compare-resume")
    stand_still(back)

    press(front, "compare-resume", "running")
    refused(back, "compare-delete", "still going. Stop it first.")
    press(back, "compare-resume")
    wait_until_enabled(back, "compare-stop")
    press(front, "compare-stop", "stopped")
    refused(back, "compare-stop", "stopped and not in work any more")
    wait_until_enabled(back, "compare-resume")
    press(front, "compare-delete", "none")
    refused(back, "compare-resume", GONE)
    assert not comparison.folder.exists()


def test_a_question_to_a_run_that_was_deleted_meanwhile_and_a_look_at_its_scores_say_so(finished, new_person, open_page):
    page = open_page(new_person(), finished.id)
    web.open_tab(page, "Scores")
    wait_until_enabled(page, "look-validation")
    web.open_tab(page, "Predict")
    wait_for("the checkpoint to be offered", lambda: "best" in web.text_of(page, "model"))
    stand_still(page)
    delete_run(finished)
    page.locator("#text textarea").fill("Is anybody there?")
    page.locator("#predict").click()
    wait_for("the answer", lambda: GONE in web.text_of(page, "about") and GONE in message(page))
    web.open_tab(page, "Scores")
    wait_for("the reason", lambda: not page.locator("#look-validation").is_enabled() and GONE in page.locator("#scores-note").inner_text())


def test_the_link_of_a_deleted_run_says_that_it_was_deleted_and_a_torn_one_that_it_is_not_complete(app, tiny_config, new_person, open_page):
    run = create_run(app.runs, tiny_config())
    delete_run(run)
    person = new_person()
    page = open_page(person, run.id)
    wait_for("the reason", lambda: GONE in page.locator("#status").inner_text())
    page = open_page(person, run.id[:-3])
    wait_for("the reason", lambda: "its link or id is not complete" in page.locator("#status").inner_text())
    page = open_page(person)
    wait_for("the word that there is none", lambda: "No run yet" in page.locator("#status").inner_text())


def test_who_waits_is_told_that_the_run_in_work_is_paused_and_how_long_it_keeps_its_place(new_person, open_page):
    owner, other = open_page(new_person()), open_page(new_person())
    start_tiny(owner)
    press(owner, "pause", "paused")
    start_tiny(other, seed="2")
    wait_for("what it waits for", lambda: "1 run ahead, of which the one in work is paused: it gives its place up in"
             in other.locator("#status").inner_text())
    wait_for("the same for the owner", lambda: "gives its place up in" in owner.locator("#status").inner_text())
    press(other, "stop", "stopped")
    wait_for("nobody to wait", lambda: "gives its place up" not in owner.locator("#status").inner_text())
    press(owner, "stop", "stopped")


def test_a_run_that_gave_its_place_up_is_shown_as_paused_and_goes_on_when_resume_is_pressed(app, tiny_config, new_person, open_page):
    run = create_run(app.runs, tiny_config(epochs=300))
    assert run_training(run, resume=False, control=Watcher(step=5)) == "stopped"
    run.log.append(StatusChanged(YIELDED, "The pause was long."))
    page = open_page(new_person(), run.id)
    wait_for("its state", lambda: status(page) == "paused" and step(page) == 5)
    wait_for("its buttons", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})
    press(page, "resume", "running")
    wait_for("a step", lambda: step(page) > 5)
    press(page, "stop", "stopped")
