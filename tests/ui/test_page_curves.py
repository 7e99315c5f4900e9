"""The curves in a real browser, of a run that only its log knows: they grow, stay as they were set, and can be read without eyes."""

import csv
import io
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mtl.runs.events import Evaluated, Notice, StatusChanged, StepDone
from mtl.runs.folder import Run, create_run
from tests.browser import legend, points, status, step, text_of, wait_for
from tests.watcher import started

TASKS = ("topic", "\u05e8\u05d2\u05e9 <i>7</i>")


@pytest.fixture
def run(app, tiny_config) -> Run:
    """A run whose log this test writes; another program seems to train it."""
    run = create_run(app.runs, tiny_config(name="Made up"))
    run.log.append(started(total=400, tasks=TASKS))
    run.log.append(StatusChanged("running"))
    log(run, range(40))
    with run.hold():
        yield run


def log(run: Run, steps: range) -> None:
    """Steps, and an evaluation at every tenth, which gets better and better."""
    for number in steps:
        run.log.append(StepDone(number, number / 10, {task: 2 - number / 50 for task in TASKS}, 1e-4, 1.0, 99.0, number / 10))
        if number % 10 == 0:
            scores = {task: {"accuracy": 0.2 + number / 500} for task in TASKS}
            run.log.append(Evaluated(number, number / 10, "validation", dict.fromkeys(TASKS, 1.5), scores, 0.1, 0.5, True, 0.1))


def last_step(page: Page) -> float:
    """The last step of the curve of the training loss."""
    return max(points(page).get("topic train", {0: 0}))


def is_hidden(page: Page) -> bool:
    """Whether the first task is switched off among the scores, in the legend and in the chart."""
    button = page.locator("[data-chart=scores] .mtl-key button").first
    return button.get_attribute("aria-pressed") == "false" and "topic accuracy" not in points(page)


def zoomed(page: Page) -> list[float] | None:
    return page.evaluate("document.querySelector('#curves .mtl-curves').mtlCurves.zoom()")


def test_curves_grow_and_stay_as_they_were_set_over_updates_a_resume_and_a_reload(new_person, open_page, run, complaints):
    page = open_page(new_person(), run.id)
    wait_for("the curves", lambda: last_step(page) == 39)
    assert page.locator("#story [role=status]").count() == 1 and step(page) == 39 and status(page) == "running"
    assert legend(page, "loss")[0] == "topic" and "<i>7</i>" in legend(page, "loss")[1]
    page.locator("[data-chart=scores] canvas").evaluate("canvas => { canvas.isThatOfTheBeginning = true }")
    page.locator("[data-chart=scores] .mtl-key button").first.click()
    wait_for("the series to be switched off", lambda: is_hidden(page))
    box = page.locator("[data-chart=loss] canvas").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 60, steps=4)
    page.mouse.up()
    shown = wait_for("the zoom", lambda: zoomed(page))
    assert 0 < shown[0] < shown[1] < 400
    for number in range(40, 50):
        log(run, range(number, number + 1))
        page.evaluate("mtl.live.poll()")
        wait_for("the next step", lambda number=number: last_step(page) == number)
    assert zoomed(page) == shown and is_hidden(page)
    assert page.locator("[data-chart=scores] canvas").evaluate("canvas => canvas.isThatOfTheBeginning")

    # a resume takes steps back
    run.log.append(started(30, 400, tasks=TASKS))
    log(run, range(31, 36))
    wait_for("the curves to go back", lambda: last_step(page) == 35)
    page.reload()
    wait_for("the curves after the reload", lambda: last_step(page) == 35)
    complaints.clear()  # of what was on its way when the page was left
    assert zoomed(page) == shown and is_hidden(page)
    page.get_by_role("button", name="Whole run").click()
    wait_for("the whole run", lambda: zoomed(page) is None)
    mark = page.locator("[data-chart=loss] .mtl-marks [data-sort=resumed]")
    assert "goes on from step 30" in wait_for("the mark", lambda: mark.get_attribute("title"))


def test_curves_can_be_read_by_the_keyboard_saved_and_laid_over_another_run(new_person, open_page, run, short_run):
    page = open_page(new_person(), run.id)
    wait_for("the curves", lambda: last_step(page) == 39)
    plot = page.locator("[data-chart=scores] .mtl-plot")
    plot.focus()
    page.keyboard.press("Home")
    page.keyboard.press("Shift+ArrowRight")
    told = wait_for("the values at a step", lambda: (text := plot.get_attribute("aria-valuetext")).startswith("step 40:") and text)
    assert "topic accuracy 26.0" in told and page.locator("[data-chart=scores] .mtl-key thead td").inner_text() == "step 40"
    page.keyboard.press("+")
    shown = wait_for("the zoom", lambda: zoomed(page))
    assert shown[1] - shown[0] < 400
    page.keyboard.press("0")
    wait_for("the whole run", lambda: zoomed(page) is None)
    page.locator(".mtl-looks summary").click()
    rows = page.locator(".mtl-looks tbody tr")
    assert wait_for("the table", lambda: rows.count()) == 4 and rows.nth(3).locator("td").first.inner_text() == "30"

    with page.expect_download() as saved:
        page.get_by_role("button", name="CSV").click()
    lines = list(csv.DictReader(io.StringIO(Path(saved.value.path()).read_text("utf-8"))))
    losses = [float(line["value"]) for line in lines if line["series"] == "topic train"]
    assert losses == pytest.approx([2 - number / 50 for number in range(40)])  # not smoothed
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    assert Path(saved.value.path()).read_bytes().startswith(b"\x89PNG")

    page.evaluate("id => document.dispatchEvent(new CustomEvent('mtl-overlay', {detail: [id]}))", short_run.id)
    both = wait_for("both runs", lambda: (found := points(page)) and any("A short one" in name for name in found) and found)
    assert {name.partition(": ")[2] for name in both if "A short one" in name} >= {"class accuracy", "entities train"}
    assert "topic train" in both
    page.evaluate("document.dispatchEvent(new CustomEvent('mtl-overlay', {detail: []}))")
    wait_for("one run", lambda: not any("A short one" in name for name in points(page)))


def test_a_page_that_loses_its_connection_says_so_and_goes_on_by_itself(new_person, open_page, run, complaints):
    person = new_person()
    page = open_page(person, run.id)
    wait_for("the curves", lambda: last_step(page) == 39)
    wait_for("the log", lambda: "Training begins" in text_of(page, "log"))
    person.set_offline(True)
    wait_for("the words", lambda: "The connection is lost" in page.locator("#connection").inner_text())
    log(run, range(40, 45))
    run.log.append(Notice("Something to know."))
    person.set_offline(False)
    wait_for("what was missed", lambda: last_step(page) == 44)
    assert page.locator("#connection").inner_text() == ""
    wait_for("the log", lambda: "Something to know" in text_of(page, "log"))
    complaints.clear()  # of what the page, and Gradio's part of it, asked for meanwhile
