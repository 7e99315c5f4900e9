"""The Compare tab in a real browser: a person asks whether training together helped, watches, stops, goes on, and reads the answer."""

import re

import pytest
from playwright.sync_api import Page

from mtl.comparing.joint_vs_alone import read_card
from mtl.comparing.plan import Comparison, Member, Plan, create, list_comparisons, open_comparison
from mtl.errors import MtlError
from mtl.runs.events import StatusChanged
from mtl.runs.folder import create_run
from mtl.settings.config import TaskSpec
from tests import browser as web
from tests.browser import drawn, press, status, text_of, wait_for


@pytest.fixture
def form_page(new_person, open_page, short_run) -> Page:
    """A page whose form describes a run of a few seconds, for three tasks."""
    page = open_page(new_person(), short_run.id)
    web.open_settings(page)
    wait_for("the form of the short run", lambda: text_of(page, "field-encoder") == "tiny")
    page.locator("#rows input").fill("100")
    page.locator("#rows input").press("Enter")
    wait_for("more sentences", lambda: "100 rows" in text_of(page, "findings"))
    web.set_field(page, "epochs", "8")
    return page


def start_from_the_form(page: Page) -> None:
    """Choose it; again if the choices were just being brought up to date."""
    def is_chosen() -> bool:
        page.get_by_label("The Train tab").click()
        return page.get_by_label("The Train tab").is_checked()

    wait_for("the choice", is_chosen)


def test_a_person_asks_whether_it_helped_sees_both_curves_in_one_plot_stops_resumes_and_reads_the_card(app, form_page):
    page = form_page
    web.open_tab(page, "Compare")
    assert "No comparison yet" in page.locator("#compare-state").inner_text()
    assert not page.locator("#compare-stop").is_enabled() and not page.locator("#compare-resume").is_enabled()
    # before anything is pressed, it says what it costs: with the run that is shown, and from the start
    wait_for("the cost", lambda: re.search(r"^3 runs, about .* on this machine$", page.locator("#compare-alone-cost").inner_text()))
    wait_for("why not", lambda: page.locator("#compare-sweep-cost").inner_text() == "This takes two tasks, and 3 tasks are chosen.")
    assert not page.locator("#compare-sweep").is_enabled()
    start_from_the_form(page)
    wait_for("the cost", lambda: page.locator("#compare-alone-cost").inner_text() == "4 runs")
    page.locator("#compare-alone").click(click_count=2)  # people double-click
    wait_for("the comparison", lambda: status(page, "compare-state") in ("queued", "running"))
    comparison, = list_comparisons(app.runs)
    press(page, "compare-stop", "stopped")

    page.reload()
    web.open_tab(page, "Compare")
    wait_for("the comparison after the reload", lambda: status(page, "compare-state") == "stopped")
    press(page, "compare-resume")
    wait_for("the lines of both runs", lambda: set(drawn(page, "compare-curves")) == {"joint", "alone: class"})
    wait_for("the card", lambda: "Did training together help?" in page.locator("#compare-result").inner_text())
    card = read_card(comparison.folder)
    told = page.locator("#compare-result").inner_text()
    assert all(line in told for line in (*(found.sentence for found in (*card.tasks, card.everything)), *card.notes))
    assert [task.name for task in card.tasks] == ["class", "sentiment", "entities"]
    wait_for("points in both lines", lambda: all(count > 1 for count in drawn(page, "compare-curves").values()))
    assert web.legend(page, "members") == ["joint", "alone: class"]
    web.choose(page, "compare-task", "entities")
    wait_for("the other task's lines", lambda: set(drawn(page, "compare-curves")) == {"joint", "alone: entities"})
    assert page.locator("#compare-members tbody tr").count() == 4

    # a run of it is a run like others
    page.locator("#compare-members a").nth(1).click()
    wait_for("the run", lambda: status(page) == "finished")
    assert "class alone" in page.locator("#header-run").inner_text()

    web.choose(page, "run-menu", "sentiment alone")
    names = {"everything right", *(f"sentiment {line}" for line in ("accuracy", "train", "validation"))}
    wait_for("another run's lines", lambda: set(drawn(page)) == names)

    # on a phone
    web.open_tab(page, "Compare")
    page.set_viewport_size({"width": 390, "height": 800})
    wait_for("the card on the phone", lambda: "Did training together help?" in page.locator("#compare-result").inner_text())
    assert not web.is_too_wide(page)


@pytest.fixture
def search(app, short_run, tiny_config) -> Comparison:
    """A search that is over; all its candidates have the same run, so the first one is the best."""
    changes = [{"learning_rate": 3e-3, "head_learning_rate": 5e-3, "weights": {"entities": 2.0}, "balancing": "fixed"}, {}, {}]
    members = [Member(role=f"candidate {number}", config=tiny_config(name="x", **change), run=short_run.id, rung=1, seconds=1.0)
               for number, change in enumerate(changes, 1)]
    plan = Plan(kind="search", minutes=1.0, members=tuple(members), rungs=((3, 20),))
    comparison = create(app.runs, tiny_config(name="Searched"), plan)
    comparison.log.append(StatusChanged("finished"))
    return comparison


def test_a_person_takes_good_settings_over_and_sweeps_the_weight_of_two_tasks(app, form_page, search):
    page = form_page
    web.open_tab(page, "Compare")
    web.choose(page, "comparison-menu", "Searched")
    wait_for("the table", lambda: page.locator("#compare-result tbody tr").count() == 3)
    wait_for("the best settings", lambda: status(page, "compare-state") == "finished" and page.locator("#compare-use").is_visible())
    best = page.locator("#compare-result tbody tr").first.locator("td").all_inner_texts()
    assert best[0] == "1" and best[4:] == ["0.003", "0.005", "entities 2"]
    page.locator("#compare-use").click()
    web.open_tab(page, "Train")
    web.open_settings(page)
    wait_for("the best settings in the form", lambda: [text_of(page, f"field-{name}") for name in (
        "learning_rate", "head_learning_rate", "weights", "balancing")] == ["0.003", "0.005", "entities=2.0", "fixed"])

    page.get_by_label("sentiment", exact=True).uncheck()
    web.set_field(page, "epochs", "1")
    web.set_field(page, "weights", "")  # of three tasks
    web.open_tab(page, "Compare")
    start_from_the_form(page)
    page.locator(".mtl-more > button").nth(1).click()
    page.locator("#compare-alphas input, #compare-alphas textarea").fill("0.2, 0.8")
    wait_for("the cost", lambda: page.locator("#compare-sweep-cost").inner_text() == "2 runs")
    page.locator("#compare-sweep").click()
    wait_for("both points", lambda: page.locator("#compare-result tbody tr").count() == 2 and status(page, "compare-state") == "finished")
    wait_for("the chart", lambda: page.locator("#compare-points svg path[aria-roledescription='point']").count() >= 2)
    assert list_comparisons(app.runs)[0].plan.kind == "sweep"

    press(page, "compare-delete")
    wait_for("it to be gone", lambda: list_comparisons(app.runs)[0].id == search.id)


def test_the_run_shown_is_swept_and_searched_from_and_somebody_elses_is_not(tabs, filled, tiny_config):
    tasks = tuple(TaskSpec(name=name, kind="classification") for name in ("class", "sentiment"))
    run = create_run(tabs.jobs.root, tiny_config(name="Two", tasks=tasks), "k")
    values = filled("newsroom") | {tabs.page.run_id: run.id, tabs.compare.start_from: "run", tabs.compare.times["sweep"]: "0.2,0.8"}
    shown = tabs.compare.start("sweep", values)
    plan = open_comparison(tabs.jobs.root, shown[tabs.compare.comparison_id]).plan
    assert [member.config.name for member in plan.members] == ["Two: alpha 0.2", "Two: alpha 0.8"]
    tabs.jobs._jobs.pop().lock.release()
    with pytest.raises(MtlError, match="not started in this browser"):
        tabs.compare.start("sweep", values | {tabs.page.browser: {"key": "another", "run": ""}})


def test_a_search_is_started_with_the_settings_of_the_form(tabs, filled):
    values = filled("hypothetical", settings={"encoder": "tiny", "epochs": "2"})
    shown = tabs.compare.start("search", values | {tabs.compare.start_from: "form", tabs.compare.times["search"]: "0.5"})
    plan = open_comparison(tabs.jobs.root, shown[tabs.compare.comparison_id]).plan
    assert (plan.kind, plan.minutes, plan.members[0].config.encoder) == ("search", 0.5, "tiny")
    tabs.jobs._jobs.pop().lock.release()
