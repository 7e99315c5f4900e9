"""The Scores tab, as HTML and in a real browser: validation at a press, test once and only by the owner."""

from dataclasses import replace

import pytest

from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import MANIFEST
from mtl.runs.events import Evaluated
from mtl.runs.folder import Run, create_run
from mtl.runs.history import History, read_history
from mtl.scoring.error_analysis import LabelScores, Mistake, Reliability, Report, TaskReport
from mtl.scoring.intervals import Interval
from mtl.scoring.measure import SplitScores, digest, measure_test, measure_validation, read_measured
from mtl.training.execute import run_training
from mtl.ui.scores_tab import ERRORS, measured_html, scores_state, why_not_test, why_not_validation
from tests import browser as web
from tests.browser import is_too_wide, wait_for

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def make_run(tiny_config, write_rows, easy_rows, tmp_path_factory):
    """A function that makes a finished run with test rows in a folder."""
    place, rows = tmp_path_factory.mktemp("data"), easy_rows(72)
    files = {"train_files": (write_rows(place / "train.jsonl", rows[:60]),), "test_files": (write_rows(place / "test.jsonl", rows[60:]),)}

    def make(root, key: str = "", **settings) -> Run:
        run = create_run(root, tiny_config(**{"source": "files", "epochs": 2, **files} | settings), key)
        assert run_training(run, resume=False) == "finished"
        return run

    return make


def line(label: str, support: int) -> LabelScores:
    return LabelScores(label, 0.5, 0.25, 1 / 3, support, 2)


def measured(*tasks: TaskReport) -> SplitScores:
    return SplitScores("validation", "best", 4, "", 1e9, 1.0, {}, 0.5, 1, Report(10, Interval(0.5, 0.4, 0.6), tasks))


def classes(count: int, name: str = "mood") -> TaskReport:
    """A task in which every class is taken for the next one, the later ones more often."""
    labels = [f"class {index}" for index in range(count)]
    confusion = {label: {label: 1, labels[(index + 1) % count]: index + 1} for index, label in enumerate(labels)}
    return TaskReport(name, "classification", 100, 50, "accuracy", Interval(0.5, 0.4, 0.6), {"accuracy": 0.5}, tuple(
        line(label, 5) for label in labels), (), confusion)


def test_everything_that_a_user_wrote_is_escaped(tmp_path):
    span = {"start": 0, "end": len(NASTY), "label": NASTY}
    tasks = (TaskReport(NASTY, "classification", 1, 1, "accuracy", None, {}, (line(NASTY, 1),), (Mistake(0, NASTY, NASTY, NASTY, 0.9),),
                        {NASTY: {NASTY: 1, "x": 2}}),
             TaskReport(NASTY, "tagging", 1, 1, "f1", None, {"f1": 0.0}, (line(NASTY, 1),), (Mistake(0, NASTY, [span], [], 0.0),),
                        errors={"missed": 1}))
    shown = measured_html(Run(tmp_path), measured(*tasks), {NASTY: (NASTY,)})
    assert NASTY not in shown and shown.count("&lt;img") >= 10


def test_a_matrix_of_many_classes_shows_the_most_confused_ones(tmp_path):
    shown = measured_html(Run(tmp_path), measured(classes(50)), {})
    matrix = shown.split('class="mtl-confusion"')[1].split("</table>")[0]
    assert "the 20 most confused of 50 classes." in shown and matrix.count("<tr>") == 21
    assert "class 49" in matrix and "class 3<" not in matrix and "others" in matrix
    assert "others" not in measured_html(Run(tmp_path), measured(classes(20)), {}).split('class="mtl-confusion"')[1].split("</table>")[0]


def test_a_sort_of_error_is_shown_with_its_number_and_an_interval_with_its_bounds(tmp_path):
    task = TaskReport("slots", "tagging", 10, 4, "f1", Interval(0.8, 0.7, 0.9), {"f1": 0.8, "recall": 0.75}, (line("LOC", 9),), (),
                      errors=dict(zip(ERRORS, (6, 1, 0, 0, 2, 3), strict=True)))
    shown = measured_html(Run(tmp_path), measured(task), {})
    assert all(told in shown for told in ("right 6", "wrong type 1", "wrong boundary 0", "missed 2", "invented 3", "70.0 to 90.0",
                                          "left:70.0%;width:20.0%", "recall 75.0%", "mistakes in 4 of 10 rows"))


def test_how_far_probabilities_can_be_trusted_is_drawn_and_told(tmp_path):
    found = Reliability(0.03, 0.12, 0.02, ((1, 0.4, 1), (80, 72, 70)), ((81, 80, 71),))
    shown = measured_html(Run(tmp_path), measured(replace(classes(3), reliability=found)), {})
    assert found.sentence.startswith("When it says 90%, it is right 88% of the time. Calibration error 3.0% (before calibration 12.0%")
    assert shown.count('class="mtl-after"') == 2 and shown.count('class="mtl-before"') == 1 and found.sentence in shown
    assert 'cx="90.0" cy="12.5"' in shown and "80 answers: 90% sure, 88% right" in shown
    assert "mtl-reliability" not in measured_html(Run(tmp_path), measured(classes(3)), {})  # of an older file


def test_reasons_why_nothing_can_be_measured(make_run, tiny_config, tmp_path):
    assert "choose one" in scores_state(Jobs(tmp_path), "", "")[0] and "no checkpoint yet" in why_not_validation(History(status="running"))
    assert "saved no checkpoint" in why_not_validation(History(status="failed"))
    waiting = create_run(tmp_path, tiny_config())
    assert why_not_test(waiting, read_history(waiting), True, None) == "This run has no test rows."
    run = make_run(tmp_path)
    history = read_history(run)
    assert why_not_validation(history) == why_not_test(run, history, True, None) == ""
    assert "only where" in why_not_test(run, history, False, None)
    done, _ = measure_test(run, device="cpu")
    assert "They are scored only once." in why_not_test(run, history, True, done)
    assert "went on" not in why_not_test(run, history, True, done)
    with open(run.folder / "best" / MANIFEST, "a") as file:
        file.write(" ")
    assert "the run went on" in why_not_test(run, history, True, done)
    history.status = "paused"
    assert why_not_test(run, history, True, None) == "This run is paused. Its test rows can be scored when it has ended."


def test_a_person_looks_at_validation_and_measures_the_test_rows_once(app, new_person, open_page, make_run):
    run, other = make_run(app.runs), make_run(app.runs, key="somebody else's")
    person = new_person(color_scheme="dark")
    page = open_page(person, run.id)
    web.open_tab(page, "Scores")
    validation, test, scores = page.locator("#score-validation"), page.locator("#score-test"), page.locator("#scores")
    wait_for("both buttons", lambda: validation.is_enabled() and test.is_enabled())
    validation.click()
    wait_for("the scores on validation", lambda: "Validation rows" in scores.inner_text())
    text = scores.inner_text()
    for told in ("checkpoint 'best'", "everything right", "95 % interval", "true label (down), predicted (across)", "invented"):
        assert told in text
    known = read_measured(run, "validation")
    assert f"{known.report.everything_right.value:.1%}" in text and known.report.rows == 5
    page.once("dialog", lambda dialog: dialog.dismiss())
    test.click()
    page.set_viewport_size({"width": 390, "height": 800})
    wait_for("the page to be narrow enough", lambda: not is_too_wide(page))
    assert read_measured(run, "test") is None and test.is_enabled()
    page.once("dialog", lambda dialog: dialog.accept())
    test.click()
    wait_for("the scores on test", lambda: "Test rows" in scores.inner_text())
    wait_for("the button to be spent", lambda: not test.is_enabled())
    assert "The test rows were scored" in page.locator("#scores-note").inner_text()
    assert [seen.split for seen in read_history(run).evaluations if isinstance(seen, Evaluated)].count("test") == 1

    page = open_page(person, other.id)
    web.open_tab(page, "Scores")
    wait_for("the reason", lambda: "not started in this browser" in page.locator("#scores-note").inner_text())
    assert page.locator("#score-validation").is_enabled() and not page.locator("#score-test").is_enabled()
    assert measure_validation(other, device="cpu").manifest == digest(other.checkpoint("best"))
    wait_for("what was measured elsewhere", lambda: "Validation rows" in page.locator("#scores").inner_text())
