"""The Runs tab: what its table says, who may change what, and in a real browser what a person does with several runs."""

from types import SimpleNamespace

import pytest

from mtl.errors import MtlError
from mtl.runs.events import Evaluated, Event, Logged, RunStarted, StatusChanged, StepDone
from mtl.runs.folder import Run, create_run, list_runs
from mtl.runs.history import History
from mtl.settings.config import TaskSpec, make_config
from mtl.training.execute import run_training
from mtl.ui.runs_tab import RunsTab, differing, differing_html, list_it, runs_html
from tests import browser as web
from tests.browser import text_of, wait_for


def history_of(*events: Event) -> History:
    """The history after these events."""
    history = History()
    for event in events:
        history.add(Logged(1.0, event))
    return history


FACTS = {"a<b>": {"kind": "classification", "labels": [], "main_score": "accuracy"},
         "slots": {"kind": "tagging", "labels": [], "main_score": "f1"}}
ENDED = history_of(RunStarted(0, 20, 10, FACTS, 40, 10, 1000, "cpu", "fp32", 1, 1, 1), StepDone(20, 2.0, {}, 0.0, 1.0, 100.0, 75.0),
                   Evaluated(20, 2.0, "validation", {}, {"a<b>": {"accuracy": 0.5}, "slots": {"f1": 0.25}}, 0.2, 0.4, True, 15.0),
                   StatusChanged("finished"))


@pytest.fixture
def run(tmp_path) -> Run:
    """A run of nobody, with a name and a note that would be HTML."""
    made = create_run(tmp_path / "others", make_config({"source": "hypothetical", "name": "<i>name</i>"}))
    made.describe(note="<u>note</u>")
    return made


def test_a_line_has_state_data_scores_time_note_and_what_it_costs_to_ask_whether_it_helped(run):
    line = list_it(run, ENDED)
    assert (line.name, line.note, line.state, line.data) == ("<i>name</i>", "<u>note</u>", "finished", "hypothetical data")
    assert (line.scores, line.trained, line.is_over) == ([("a<b>", 0.5), ("slots", 0.25)], "1 min 15 s", True)
    assert line.cost == "2 runs, about 3 min on this machine"
    table = runs_html([line])
    assert "<i>" not in table and "<u>" not in table and "a&lt;b&gt;" in table and "50.0%" in table and line.cost in table


def test_a_run_in_training_cannot_be_deleted_and_asked_about_only_when_it_is_over(run):
    line = list_it(run, history_of(StatusChanged("running")))
    assert not line.is_over and not line.cost and 'data-action="delete" disabled' in runs_html([line])


def test_a_page_without_runs_says_what_will_be_there_and_what_to_press():
    assert "No runs yet. Press Start training; every run is listed here." in runs_html([])


def test_on_a_space_the_link_to_share_has_the_address_of_the_space(run, monkeypatch):
    assert f'data-link="/?run={run.id}"' in runs_html([list_it(run, ENDED)])
    monkeypatch.setenv("SPACE_HOST", "me-mtl.hf.space,other")
    assert f'data-link="https://me-mtl.hf.space/?run={run.id}"' in runs_html([list_it(run, ENDED)])


def test_only_the_settings_that_differ_are_laid_side_by_side_in_words():
    tasks = (TaskSpec(name="topic", kind="classification", labels=("a",)), TaskSpec(name="tone", kind="classification"))
    one = make_config({"name": "one", "tasks": tasks, "learning_rate": 1e-3, "source": "files", "train_files": ("data/train/a.csv",)})
    other = one.model_copy(update={"name": "other", "tasks": tasks[:1], "learning_rate": None, "train_files": ("data/train/b.csv",)})
    assert differing([one, other]) == [["Training files", "a.csv", "b.csv"], ["Tasks", "topic, tone", "topic"],
                                       ["Learning rate", "0.001", "–"]]
    assert differing([one, one]) == []


def test_runs_of_the_same_settings_say_so_and_one_run_alone_says_nothing(run):
    assert differing_html([run]) == "" and "They have the same settings." in differing_html([run, run])


def test_only_its_owner_names_notes_and_deletes_a_run(tabs):
    runs, jobs = RunsTab(tabs.page, tabs.train.menu, tabs.form), tabs.jobs
    run = create_run(jobs.root, make_config({"source": "hypothetical", "name": "mine"}), "key")
    run.log.append(StatusChanged("stopped"))
    mine, theirs = {"key": "key", "run": ""}, {"key": "another", "run": ""}
    for action, value in (("name", "x"), ("note", "x"), ("delete", "")):
        with pytest.raises(MtlError, match="not started in this browser"):
            runs.change(theirs, SimpleNamespace(action=action, id=run.id, value=value))
    assert (run.name, run.note) == ("mine", "") and "mine" not in runs.show(theirs)
    assert "renamed" in runs.change(mine, SimpleNamespace(action="name", id=run.id, value="renamed"))[runs.table]
    assert run.name == "renamed"
    assert "No runs yet" in runs.change(mine, SimpleNamespace(action="delete", id=run.id))[runs.table] and not list_runs(jobs.root)


@pytest.fixture
def two_runs(app, tiny_config, short_run) -> list[Run]:
    """Two finished runs of nobody, with other rates; only this test knows them."""
    runs = [create_run(app.runs, tiny_config(name=f"Rate {rate}", learning_rate=rate, epochs=1)) for rate in (0.003, 0.004)]
    assert [run_training(run, resume=False) for run in runs] == ["finished"] * 2
    return runs


def test_a_person_names_a_run_notes_something_lays_two_side_by_side_runs_one_again_and_deletes_one(new_person, open_page, two_runs):
    page, (one, other) = open_page(new_person()), two_runs
    page.evaluate("document.addEventListener('mtl-overlay', (event) => { window.laid = event.detail; })")

    def row(run: Run, part: str = ""):
        return page.locator(f"#runs [data-run='{run.id}'] {part}".strip())

    web.open_tab(page, "Runs")
    row(one, "[data-action=rename]").click()
    page.keyboard.type("First <b>try</b>")
    page.keyboard.press("Enter")
    wait_for("the new name", lambda: one.name == "First <b>try</b>" and "First <b>try</b>" in row(one).inner_text())
    row(one, "textarea").fill("too slow")
    row(other, "textarea").fill("better")  # while the answer to the first note comes
    page.keyboard.press("Enter")
    wait_for("both notes", lambda: (one.note, other.note) == ("too slow", "better"))
    row(one, "[data-action=rename]").click()
    page.keyboard.type("no, not that")
    page.keyboard.press("Escape")
    assert row(one, "[data-action=show]").inner_text() == "First <b>try</b>"
    assert page.evaluate("document.activeElement.dataset.action") == "rename"

    for run in two_runs:
        row(run, "[type=checkbox]").check()
    wait_for("what differs", lambda: page.locator("#differing tbody tr").count() == 1)
    assert page.locator("#differing tr").all_inner_texts() == ["Setting\tFirst <b>try</b>\tRate 0.004", "Learning rate\t0.003\t0.004"]
    page.locator("[data-action=together]").click()
    wait_for("the Train tab", page.locator("#start").is_visible)
    wait_for("both in one chart", lambda: page.evaluate("window.laid") == [one.id, other.id] and f"run={one.id}" in web.address(page))

    web.open_tab(page, "Runs")
    assert row(one, "[type=checkbox]").is_checked()
    row(other, "[data-action=again]").click()
    web.open_settings(page)
    wait_for("its settings in the form", lambda: text_of(page, "field-learning_rate") == "0.004")
    web.open_tab(page, "Runs")
    row(other, "[data-action=show]").click()
    wait_for("the run shown", lambda: f"run={other.id}" in web.address(page))
    web.open_tab(page, "Runs")
    page.once("dialog", lambda dialog: dialog.accept())
    row(one, "[data-action=delete]").click()
    wait_for("it to be gone", lambda: not one.exists() and not row(one).count())
    wait_for("nothing to lay side by side", lambda: not page.locator("#differing tr").count())
    page.set_viewport_size({"width": 390, "height": 800})
    assert not web.is_too_wide(page)
