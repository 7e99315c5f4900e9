"""Steering in a real browser: what is set holds, is seen in every window and logged, and is repeated by a run that is run again."""

import pytest
import safetensors.torch
import torch
from playwright.sync_api import Locator, Page

from mtl.runs.folder import Run
from mtl.runs.history import read_history
from tests import browser as web
from tests.browser import press, start_tiny, status, step, text_of, wait_for
from tests.ui.test_page_layout import complaints_of_axe


def unfold(page: Page) -> None:
    """Open the panel by the keyboard, if it is folded."""
    if not page.locator("#steer fieldset").is_visible():
        page.locator("#steer summary").focus()
        page.keyboard.press("Enter")
        page.locator("#steer fieldset").wait_for()


def control(page: Page, name: str) -> Locator:
    """The slider, the switch or the button of that name in the panel."""
    panel = page.locator("#steer")
    return panel.get_by_label(name).or_(panel.get_by_role("button", name=name))


def move(page: Page, name: str, *keys: str) -> None:
    """Put the keyboard on a control of the panel and press the keys."""
    unfold(page)
    wait_for(f"'{name}'", control(page, name).is_enabled)
    control(page, name).focus()
    for key in keys:
        page.keyboard.press(key)


def said(page: Page) -> str:
    """What holds, as the panel says."""
    return page.locator("#steer [data-part=said]").inner_text()


def weights(run: Run) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(run.folder / "last" / "model.safetensors")


@pytest.fixture
def run(new_person, open_page, app):
    """A page and the run in training that it has started."""
    page = open_page(new_person())
    run = Run(app.runs / start_tiny(page))
    wait_for("some steps", lambda: step(page) > 3)
    yield page, run
    if status(page) in ("running", "paused"):
        press(page, "stop", "stopped")


def test_a_weight_that_is_changed_has_an_effect_a_mark_and_a_line_and_holds_in_every_window(run, new_person, open_page):
    page, run = run
    move(page, "Weight of topic", "Home")
    wait_for("the weight to hold", lambda: said(page) == "weight of topic × 0")
    change, = read_history(run).steered
    assert change.weights == {"topic": 0.0}
    mark = page.locator("[data-chart=loss] .mtl-marks [data-sort=steered]")
    assert f"Steered after step {change.step:,}: weight of topic × 0." in wait_for("the mark", lambda: mark.first.get_attribute("title"))
    wait_for("the line in the log", lambda: change.said in text_of(page, "log"))
    later = wait_for("a step after it", lambda: [done for done in read_history(run).steps if done.step > change.step])
    assert later[-1].weights["topic"] == 0 < min(later[-1].weights["sentiment"], later[-1].weights["entities"])

    move(page, "Learning rate", "ArrowRight", "ArrowRight")
    move(page, "Freeze the encoder", " ")
    wait_for("all to hold", lambda: said(page) == "weight of topic × 0, learning rate × 1.4, encoder frozen")
    other = open_page(page.context, run.id)
    wait_for("the same in another window", lambda: said(other) == said(page))
    unfold(other)
    assert control(other, "Weight of topic").get_attribute("aria-valuetext") == "0 times"
    assert control(other, "Freeze the encoder").is_checked() and complaints_of_axe(other) == []
    guest = open_page(new_person(viewport={"width": 390, "height": 844}), run.id)
    wait_for("the reason", lambda: "not started in this browser" in guest.locator("#steer [data-part=why]").text_content())
    unfold(guest)
    assert said(guest) == said(page) and control(guest, "Weight of topic").is_disabled() and not web.is_too_wide(guest)
    assert complaints_of_axe(guest) == []


def test_orders_are_carried_out_and_one_that_is_refused_is_put_back(run):
    page, run = run
    press(page, "pause", "paused")
    here = step(page)
    move(page, "Evaluate now", "Enter")
    wait_for("the scores", lambda: [seen for seen in read_history(run).evaluations if seen.step == here])
    before = wait_for("its checkpoint", lambda: read_history(run).checkpoints.get("last"))
    assert before == here and status(page) == "paused"
    press(page, "resume", "running")
    wait_for("some steps", lambda: step(page) > here + 3)
    move(page, "Save now", "Enter")
    wait_for("the checkpoint", lambda: read_history(run).checkpoints["last"] > before)
    for task in ("topic", "sentiment"):
        move(page, f"Weight of {task}", "Home")
    wait_for("both to hold", lambda: said(page) == "weight of topic × 0, weight of sentiment × 0")
    move(page, "Weight of entities", "Home")
    wait_for("the refusal", lambda: "Every task would have weight 0" in web.message(page))
    wait_for("the slider to go back", lambda: control(page, "Weight of entities").get_attribute("aria-valuetext") == "1 times")
    move(page, "Stop after this epoch", "Enter")
    wait_for("the run to stop", lambda: status(page) == "stopped")
    history = read_history(run)
    assert history.step % history.started.steps_per_epoch == 0
    wait_for("the reason", lambda: "this one is stopped" in page.locator("#steer [data-part=why]").inner_text())
    assert control(page, "Evaluate now").is_disabled()


def test_a_run_is_run_again_with_its_changes_and_ends_with_the_same_weights(new_person, open_page, app):
    page = open_page(new_person())
    web.set_field(page, "max_steps", "300")
    first = Run(app.runs / start_tiny(page))
    for name, key, holds in (("Weight of topic", "End", "weight of topic × 4"), ("Freeze the encoder", " ", "encoder frozen")):
        wait_for("some steps", lambda: step(page) > 3)
        press(page, "pause", "paused")
        move(page, name, key)
        wait_for(holds, lambda holds=holds: holds in said(page))
        press(page, "resume")
    wait_for("the end", lambda: status(page) == "finished")

    web.open_tab(page, "Runs")
    page.locator(f"#runs [data-run='{first.id}'] [data-action=again]").click()
    web.open_tab(page, "Train")
    wait_for("the changes in the form", lambda: "Replays 2 changes of that run." in page.locator("#replay").inner_text())
    second = Run(app.runs / web.start(page))
    wait_for("the end of the second", lambda: read_history(second).status == "finished")
    assert read_history(second).steered == read_history(first).steered
    one, other = weights(first), weights(second)
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    page.get_by_role("button", name="Drop them").click()
    wait_for("the line to go", lambda: not page.locator("#replay").is_visible())
