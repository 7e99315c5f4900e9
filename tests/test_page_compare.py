"""The Compare tab in a real browser: a person asks whether training together helped, watches, stops, goes on, and reads the answer."""

import re

import pytest
from playwright.sync_api import Page

from mtl.comparison import list_comparisons
from mtl.verdict import read_card
from tests import browser as web
from tests.browser import drawn, text_of, wait_for


def state(page: Page) -> str:
    """The word in the comparison's badge."""
    badge = page.locator("#compare-state .mtl-badge")
    return badge.inner_text() if badge.count() else ""


@pytest.fixture
def form_page(new_person, open_page) -> Page:
    """A page whose form describes a run of a few seconds, for three tasks."""
    page = open_page(new_person())
    page.get_by_label("Hypothetical data").check()
    wait_for("the data to be understood", lambda: text_of(page, "findings").startswith("hypothetical data"))
    for name, value in {"encoder": "tiny", "epochs": "1", "learning_rate": "0.002"}.items():
        web.set_field(page, name, value)
    return page


def test_a_person_asks_whether_it_helped_sees_both_curves_in_one_plot_stops_resumes_and_reads_the_card(app, form_page, complaints):
    page = form_page
    web.open_tab(page, "Compare")
    assert "No comparison yet" in page.locator("#compare-state").inner_text()
    assert not page.locator("#compare-stop").is_enabled() and not page.locator("#compare-resume").is_enabled()
    page.locator("#compare-form").click(click_count=2)  # people double-click
    wait_for("the comparison", lambda: state(page) in ("queued", "running"))
    comparison, = list_comparisons(app.runs)
    wait_for("the second run", lambda: comparison.plan.members[1].run)
    wait_for("the lines of both runs", lambda: set(drawn(page, "compare-plot")) == {"joint", "alone: class"})
    wait_for("its stop", lambda: page.locator("#compare-stop").is_enabled())
    page.locator("#compare-stop").click()
    wait_for("the end", lambda: state(page) in ("stopped", "finished"))

    page.reload()
    web.open_tab(page, "Compare")
    wait_for("the comparison after the reload", lambda: state(page) == "stopped")
    wait_for("its resume", lambda: page.locator("#compare-resume").is_enabled())
    page.locator("#compare-resume").click()
    wait_for("the card", lambda: "Did training together help?" in page.locator("#compare-result").inner_text())
    card = read_card(comparison.folder)
    told = page.locator("#compare-result").inner_text()
    assert all(line in told for line in card.lines) and [task.name for task in card.tasks] == ["class", "sentiment", "entities"]
    wait_for("points in both lines", lambda: all(count > 1 for count in drawn(page, "compare-plot").values()))
    assert web.legend(page, "compare-plot") == ["joint", "alone: class"]
    web.choose(page, "compare-task", "entities")
    wait_for("the other task's lines", lambda: set(drawn(page, "compare-plot")) == {"joint", "alone: entities"})
    assert page.locator("#compare-members tbody tr").count() == 4

    # a run of it is a run like others
    page.locator("#compare-members a").nth(1).click()
    wait_for("the run", lambda: web.status(page) == "finished")
    assert re.search(r"class alone", page.locator("#status").inner_text())

    # on a phone, and to somebody else
    page.set_viewport_size({"width": 390, "height": 800})
    web.open_tab(page, "Compare")
    wait_for("the card on the phone", lambda: "Did training together help?" in page.locator("#compare-result").inner_text())
    assert not web.is_too_wide(page) and complaints == []
