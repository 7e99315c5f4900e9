"""What the page says to who pressed, in a real browser: refusals, whichever button and tab, and what two windows do to each other."""

import shutil

import pytest
from playwright.sync_api import Page

from mtl.comparing.plan import alone_plan, create
from mtl.runs.events import StatusChanged
from mtl.runs.folder import Run, create_run, delete_run
from mtl.runs.history import YIELDED
from mtl.settings.config import make_config
from mtl.training.execute import run_training
from mtl.ui.live import state_of
from tests import browser as web
from tests.browser import can_press, message, press, start_tiny, wait_for
from tests.watcher import Watcher

GONE = "There is no such run here. It was deleted"
LONG = {"source": "hypothetical", "encoder": "tiny", "hypothetical_rows": 60, "epochs": 5000, "device": "cpu"}


def stand_still(page: Page) -> None:
    """Let the page be as in a window behind others, where browsers tell it that it is hidden: it asks for nothing by itself any more."""
    page.evaluate("""() => { Object.defineProperty(document, 'visibilityState', {configurable: true, get: () => 'hidden'});
        Object.defineProperty(document, 'hidden', {configurable: true, get: () => true}); }""")


def wait_until_enabled(page: Page, button: str) -> None:
    wait_for(f"{button} to be enabled", lambda: page.locator(f"#{button}").is_enabled())


def refused(page: Page, button: str, sentence: str) -> None:
    """Press a button that the page still offers, and wait for the refusal, in place of any that is there."""
    before = page.locator("#message .mtl-message").get_attribute("data-number") if message(page) else ""
    press(page, button)
    wait_for(f"'{sentence}'", lambda: sentence in message(page))
    assert page.locator("#message .mtl-message").get_attribute("data-number") != before


@pytest.fixture
def finished(app, short_run) -> Run:
    """A run that is over and may be deleted."""
    copied = app.runs / short_run.id.replace(short_run.id[-6:], "abcdef")
    shutil.copytree(short_run.folder, copied)
    return Run(copied)


def test_every_refusal_of_a_runs_buttons_is_said_in_the_window_where_they_were_pressed(new_person, open_page, short_run):
    person = new_person()
    front = open_page(person, short_run.id)
    run_id = start_tiny(front, eval_every="100000")  # nothing happens by itself, so that no answer is on its way later
    back = open_page(person, run_id)
    wait_until_enabled(back, "pause")
    stand_still(back)

    press(front, "stop", "stopped")
    before = back.locator("#start").bounding_box()
    refused(back, "pause", "This run is stopped and not in training any more")
    assert back.locator("#start").bounding_box() == before, "the page moved"
    wait_until_enabled(back, "delete")  # after a press a window is up to date
    press(front, "resume", "running")
    refused(back, "delete", "This run is still going. Stop it first.")
    press(front, "stop", "stopped")
    press(back, "resume")
    wait_for("what was said of the last press to go with the next one", lambda: message(back) == "")
    wait_until_enabled(back, "stop")
    press(front, "stop", "stopped")
    refused(back, "stop", "This run is stopped and not in training any more")

    wait_until_enabled(back, "resume")
    press(front, "delete")
    wait_for("the run to be gone", lambda: "run=" not in web.address(front))
    refused(back, "resume", GONE)
    wait_for("its state to say so", lambda: GONE in back.locator("#status").inner_text())
    wait_for("its buttons to be disabled", lambda: not any(can_press(back).values()))
    web.open_tab(back, "Compare")
    assert back.locator("#message [role=alert]").is_visible(), "it is seen from every tab"
    back.locator("#message").get_by_role("button", name="Dismiss").click()
    assert message(back) == ""


def test_every_refusal_of_a_comparisons_buttons_is_said_in_the_window_where_they_were_pressed(app, new_person, open_page, short_run):
    config = make_config(LONG | {"name": "Two windows"})
    comparison = create(app.runs, config, alone_plan(config, 1))
    person = new_person()
    front, back = open_page(person, short_run.id), open_page(person, short_run.id)
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
    refused(back, "compare-stop", "stopped and not in training any more")
    wait_until_enabled(back, "compare-resume")
    press(front, "compare-delete", "")
    refused(back, "compare-resume", GONE)
    assert not comparison.folder.exists()


def test_a_run_that_was_deleted_meanwhile_is_said_to_be_on_every_tab_and_after_a_reload(finished, new_person, open_page):
    page = open_page(new_person(), finished.id)
    web.open_tab(page, "Scores")
    wait_for("the scores", lambda: "Validation rows" in page.locator("#scores").inner_text())
    web.open_tab(page, "Predict")
    wait_for("the checkpoint to be offered", lambda: "best" in web.text_of(page, "model"))
    stand_still(page)
    delete_run(finished)
    page.locator("#text textarea").fill("Is anybody there?")
    page.locator("#text textarea").focus()
    page.keyboard.press("Enter")
    wait_for("the answer", lambda: GONE in page.locator("#answer .mtl-answer").inner_text() and GONE in message(page))
    web.open_tab(page, "Scores")
    wait_for("the reason", lambda: not page.locator("#scores").inner_text() and GONE in page.locator("#scores-note").inner_text())
    page.reload()
    wait_for("the reason", lambda: GONE in page.locator("#status").inner_text())


def test_a_run_that_gave_its_place_up_is_shown_as_paused_and_can_be_resumed(tabs, tiny_config):
    run = create_run(tabs.jobs.root, tiny_config(epochs=300))
    assert run_training(run, resume=False, control=Watcher(step=5)) == "stopped"
    run.log.append(StatusChanged(YIELDED, "The pause was long."))
    told = state_of(run, tabs.jobs.history(run.id), tabs.jobs)
    assert told["state"] == "paused" and told["facts"][0].startswith("step 5 of")
    shown = tabs.train.show(run.id, {"key": "k", "run": run.id})
    assert {name for name, button in tabs.train.buttons.items() if shown[button]["interactive"]} == {"resume", "delete"}
    tabs.jobs.resume(run.id, "k")
    assert state_of(run, tabs.jobs.history(run.id), tabs.jobs)["state"] == "queued"
    tabs.jobs._jobs.pop().lock.release()
