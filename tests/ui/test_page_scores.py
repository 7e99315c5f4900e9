"""The Scores tab, as HTML and in a real browser: validation when the tab is opened, test once and only by the owner."""

import csv
import html
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile

import pytest

from mtl.data.kept import ROWS, ROWS_INFO, read_info
from mtl.data.values import Label, Spans
from mtl.errors import MtlError
from mtl.jobs.queue import Jobs
from mtl.runs.checkpoint import MANIFEST
from mtl.runs.events import Evaluated, StatusChanged
from mtl.runs.folder import Run, create_run
from mtl.runs.history import History, read_history
from mtl.scoring.error_analysis import LabelScores, Mistake, Reliability, Report, TaskReport
from mtl.scoring.intervals import Interval
from mtl.scoring.measure import SplitScores, digest, measure_test, measure_validation, read_measured
from mtl.scoring.predictions import Sentence, Wanted
from mtl.settings.config import TaskSpec
from mtl.training.execute import run_training
from mtl.ui.run_files import FILES, about_html, make_file
from mtl.ui.scores_tab import scores_state, why_not_test, why_not_validation
from mtl.ui.scores_view import measured_html, sentences_html, summary
from mtl.ui.templates import WORDS, explained
from tests import browser as web
from tests.browser import is_too_wide, status, wait_for

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
             TaskReport(NASTY, "tagging", 1, 1, "f1", Interval(0.5, 0.4, 0.6), {"f1": 0.0}, (line(NASTY, 1),), (),
                        errors={"missed": 1}, errors_of={NASTY: {"missed": 1}}))
    (tmp_path / "predictions-validation").mkdir()
    (tmp_path / "predictions-validation" / "checkpoint").touch()
    shown = measured_html(Run(tmp_path), measured(*tasks))
    assert "<img" not in shown and shown.count("&lt;img") >= 10 and shown.count("data-find") >= 6
    for kind, value in (("classification", Label(NASTY)), ("tagging", Spans.of_plain([span]))):
        spec = TaskSpec(name=NASTY, kind=kind, labels=(NASTY,))
        shown = sentences_html([Sentence(0, NASTY, value, value, 0.9)], Wanted("validation", NASTY, NASTY, NASTY, NASTY), spec)
        assert "<img" not in shown and shown.count("&lt;img") >= 4


def test_a_matrix_of_many_classes_shows_the_most_confused_ones(tmp_path):
    shown = measured_html(Run(tmp_path), measured(classes(50)))
    matrix = shown.split('class="mtl-confusion"')[1].split("</table>")[0]
    assert "the 20 most confused of 50 classes." in shown and matrix.count("<tr>") == 21
    assert "class 49" in matrix and "class 3<" not in matrix and "others" in matrix
    assert "others" not in measured_html(Run(tmp_path), measured(classes(20))).split('class="mtl-confusion"')[1].split("</table>")[0]


def slots(**changes) -> TaskReport:
    """A report on entities, of which a third is missed."""
    return replace(TaskReport("slots", "tagging", 10, 4, "f1", Interval(0.8, 0.7, 0.9), {"f1": 0.8, "recall": 0.75}, (line("LOC", 9),), (),
                              errors=dict(zip(Spans.sorts, (6, 1, 0, 0, 31, 2), strict=True)),
                              errors_of={"LOC": {"right": 6, "wrong_type": 1, "missed": 31, "invented": 2}}), **changes)


def test_what_became_of_the_entities_is_counted_for_each_type_and_an_interval_has_its_bounds(tmp_path):
    shown = re.sub(r"<span popover.*?</span>|</?(bdi|button)[^>]*>", "", measured_html(Run(tmp_path), measured(slots())))
    head, total, of_type = re.findall("<tr>.*?</tr>", shown.split('class="mtl-labels"')[1], re.DOTALL)
    assert re.findall('<th scope="col">(.*?)</th>', head)[1:7] == [sort.replace("_", " ") for sort in Spans.sorts]
    assert [re.findall("<td>(.*?)</td>", row)[:6] for row in (total, of_type)] == [["6", "1", "", "", "31", "2"]] * 2
    assert all(told in shown for told in ("70.0 to 90.0", "left:70.0%;width:20.0%", "recall 75.0%", "mistakes in 4 of 10 rows"))


def test_the_first_sentence_of_a_task_says_how_good_it_is_and_its_most_frequent_error():
    tone = replace(classes(3, "tone"), confusion={"good": {"good": 9, "bad": 2}, "bad": {"good": 3, "bad": 9}})
    topics = TaskReport("topics", "multilabel", 5, 0, "micro_f1", Interval(1, 1, 1), {}, (), (), errors={"right": 4},
                        errors_of={"a": {"right": 4}})
    assert summary(measured(tone, slots(), topics, slots(main=None))) == [
        "tone is right 50.0% of the time; it takes bad for good most often.",
        "slots has an F1 of 80.0%; its most frequent error is missed LOC.",
        "topics has a micro F1 of 100.0%, without a mistake.", "slots is not labelled in these rows."]
    older = slots(errors_of={})  # only the sums were kept
    assert summary(measured(older)) == ["slots has an F1 of 80.0%."]


def test_every_word_on_a_score_is_explained_where_it_stands(tmp_path):
    assert 'popovertarget="word-x-macro-f1"' in explained("macro F1", "x") and WORDS["macro f1"] in explained("macro F1", "x")
    assert explained(NASTY, "x") == f"<bdi>{html.escape(NASTY)}</bdi>"
    shown = measured_html(Run(tmp_path), measured(slots(), classes(3)))
    opened, ids = re.findall('popovertarget="(.*?)"', shown), re.findall('<span popover id="(.*?)"', shown)
    assert opened == ids and len(set(ids)) == len(ids) > 12


def test_how_far_probabilities_can_be_trusted_is_drawn_and_told(tmp_path):
    found = Reliability(0.03, 0.12, 0.02, ((1, 0.4, 1), (80, 72, 70)), ((81, 80, 71),))
    shown = measured_html(Run(tmp_path), measured(replace(classes(3), reliability=found)))
    assert found.sentence.startswith("When it says 90%, it is right 88% of the time. Calibration error 3.0% (before calibration 12.0%")
    assert shown.count('circle class="mtl-after"') == 2 and shown.count('circle class="mtl-before"') == 1 and found.sentence in shown
    assert 'cx="90.0" cy="12.5"' in shown and "80 answers: 90% sure, 88% right" in shown
    assert "mtl-reliability" not in measured_html(Run(tmp_path), measured(classes(3)))  # of an older file


def test_reasons_why_nothing_can_be_measured(make_run, tiny_config, tmp_path):
    assert "choose one" in scores_state(Jobs(tmp_path), "", "")[0]
    assert "no checkpoint yet" in why_not_validation(History(status="running"), is_owner=True)
    assert "saved no checkpoint" in why_not_validation(History(status="failed"), is_owner=True)
    trained = History(status="running", checkpoints={"best": 4})
    assert why_not_validation(trained, is_owner=True) == "" and "when it has ended" in why_not_validation(trained, is_owner=False)
    waiting = create_run(tmp_path, tiny_config())
    assert why_not_test(waiting, read_history(waiting), True, None) == "This run has no test rows."
    run = make_run(tmp_path)
    history = read_history(run)
    assert why_not_validation(history, is_owner=False) == why_not_test(run, history, True, None) == ""
    assert "only where" in why_not_test(run, history, False, None)
    done, _ = measure_test(run, device="cpu")
    assert "They are scored only once." in why_not_test(run, history, True, done)
    assert "went on" not in why_not_test(run, history, True, done)
    change_best(run)
    assert "the run went on" in why_not_test(run, history, True, done)
    history.status = "paused"
    assert why_not_test(run, history, True, None) == "This run is paused. Its test rows can be scored when it has ended."


def change_best(run: Run) -> None:
    """Another best checkpoint, with the same weights."""
    with open(run.best / MANIFEST, "a") as file:
        file.write(" ")


def test_the_best_checkpoint_is_scored_when_the_tab_is_open_and_in_training_only_once_its_owner_opens_it(make_run, tmp_path):
    jobs, key = Jobs(tmp_path), "the owner's"
    run = make_run(jobs.root, key)

    def told(due: str, key: str = key) -> tuple[str, bool]:
        why_validation, *_, unscored = scores_state(jobs, run.id, key, due)
        assert unscored in ("", f"{run.id}/{digest(run.best)}")
        return why_validation, bool(unscored)

    assert told("") == ("", False)
    for due in ("open", "opened", "another run's"):
        assert told(due) == told(due, "a visitor's") == ("Scoring 5 validation rows \u2026", True)
    measure_validation(run, device="cpu")
    assert told("opened") == ("", False)
    change_best(run)
    assert told("open")[1] and not told("")[1]
    refused = f"{run.id}/{digest(run.best)} The disk is full."
    assert scores_state(jobs, run.id, key, refused)[::4] == ("The disk is full.", refused), "it is tried again without end"
    assert told("opened")[1]

    run.log.append(StatusChanged("running"))
    with run.hold():
        assert told("opened")[1] and not told("open")[1], "a run that trains has new best checkpoints all the time"
        assert told(f"{run.id}/{digest(run.best)}")[1], "it is being scored"
        assert not told("opened", "a visitor's")[1] and "when it has ended" in told("opened", "a visitor's")[0]
        (run.folder / "scores-validation.json").unlink()
        assert told("open")[1], "the first one is what the open tab waits for"


def test_scores_whose_predictions_were_not_kept_are_shown_without_sentences_and_measured_again(make_run, tmp_path):
    run = make_run(tmp_path)
    measure_validation(run, device="cpu")
    assert "data-find" in scores_state(Jobs(tmp_path), run.id, "", "opened")[2]
    (run.folder / "predictions-validation" / "checkpoint").unlink()
    *_, shown, _, due = scores_state(Jobs(tmp_path), run.id, "", "opened")
    assert "Validation rows" in shown and "data-find" not in shown and due


def test_the_id_of_a_run_gives_its_scores_and_its_log_and_only_its_owner_gets_the_checkpoint(make_run, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    jobs, run = Jobs(tmp_path / "runs"), make_run(tmp_path / "runs", "the owner's", name=NASTY)
    with pytest.raises(MtlError, match="no scores yet"):
        make_file(jobs, run.id, "a visitor's", "errors")
    measure_validation(run, device="cpu")
    made = {name: Path(make_file(jobs, run.id, "a visitor's", name)) for name in FILES if name != "checkpoint"}
    assert len({file.parent for file in made.values()}) == len(made) and all(run.folder not in file.parents for file in made.values())
    assert json.loads(made["scores"].read_text()).keys() == {"validation"}
    assert made["log"].read_bytes() == run.log.path.read_bytes()
    table = list(csv.DictReader(made["table"].read_text(encoding="utf-8-sig").splitlines()))
    found = read_measured(run, "validation").report
    assert [float(row["value"]) for row in table if row["score"] == "everything right"] == [found.everything_right.value]
    assert {row["task"] for row in table} == {"answer", "place", "all tasks"}
    with pytest.raises(MtlError, match="Only the browser in which a run was started"):
        make_file(jobs, run.id, "a visitor's", "checkpoint")
    with ZipFile(make_file(jobs, run.id, "the owner's", "checkpoint")) as packed:
        assert {Path(name).name for name in packed.namelist()} == {file.name for file in run.best.iterdir()}
    monkeypatch.setenv("SPACE_ID", "somebody/space")
    monkeypatch.setattr("mtl.ui.run_files.SPACE_MEGABYTES", 0.001)
    with pytest.raises(MtlError, match="this public page gives at most"):
        make_file(jobs, run.id, "the owner's", "checkpoint")
    with pytest.raises(MtlError, match="no such file"):
        make_file(jobs, run.id, "the owner's", "owner")
    shown = about_html(run, read_history(run), "a visitor's")
    assert NASTY not in shown and "&lt;img" in shown and read_info(run.folder / ROWS / ROWS_INFO)["fingerprint"] in shown
    assert re.search('data-file="checkpoint" disabled', shown) and "train.jsonl" in shown


def test_a_person_finds_the_scores_on_validation_and_measures_the_test_rows_once(app, new_person, open_page, make_run):
    run, other = make_run(app.runs), make_run(app.runs, key="somebody else's")
    person = new_person(color_scheme="dark")
    page = open_page(person, run.id)
    test, scores = page.locator("#score-test"), page.locator("#scores")
    wait_for("the run", lambda: status(page) == "finished")
    time.sleep(2)
    assert read_measured(run, "validation") is None, "nobody has opened the tab"
    web.open_tab(page, "Scores")
    wait_for("the scores on validation", lambda: "Validation rows" in scores.inner_text())
    wait_for("the button", test.is_enabled)
    assert "Scoring" not in page.locator("#scores-note").inner_text()
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
    wait_for("the scores on validation", lambda: "Validation rows" in page.locator("#scores").inner_text())
    assert not page.locator("#score-test").is_enabled() and "Test rows" not in page.locator("#scores").inner_text()
    measure_test(other, device="cpu")
    wait_for("what was measured elsewhere", lambda: "Test rows" in page.locator("#scores").inner_text())


def cell(page):
    """A number of the confusion table that counts mistakes; the one that was pressed if one is."""
    return page.locator("#scores td.mtl-miss [data-find]").first


def test_a_person_reads_the_sentences_of_a_number_by_keyboard_filters_them_asks_the_model_and_takes_them_along(
        app, new_person, open_page, short_run):
    page = open_page(new_person(), short_run.id)
    web.open_tab(page, "Scores")
    wait_for("the scores", lambda: "Validation rows" in page.locator("#scores").inner_text())
    name = cell(page).get_attribute("aria-label")
    true, predicted, count = re.fullmatch(r"true (.*), predicted (.*): (\d+) sentences?", name).groups()
    stops = page.locator("#scores .mtl-confusion").first.locator("[data-find][tabindex='0']")
    assert stops.count() == 1, "a table is one stop of the Tab key"
    stops.focus()
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.closest('tr').rowIndex") == 1 and stops.count() == 1

    cell(page).focus()
    page.keyboard.press("Enter")
    items, heading = page.locator("#sentences li"), page.locator("#sentences h2")
    wait_for("the sentences", lambda: items.count() == min(20, int(count)))
    assert f"true {true}, predicted {predicted}" in heading.inner_text() and f"{count} sentence" in heading.inner_text()
    assert page.evaluate("document.activeElement.id") == "sentences-title"
    assert all(f"true: {true}" in told and f": {predicted}" in told for told in items.all_inner_texts())
    page.keyboard.press("Escape")
    wait_for("the sentences to be gone", lambda: not page.locator("#sentences section").count())
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name

    page.get_by_role("button", name="Read").first.click()  # the mistakes of the first task
    total = int(re.search(r"(\d+) sentence", wait_for("the mistakes", heading.inner_text))[1])
    word = items.first.locator("p").inner_text().split()[0]
    page.locator("#sentences input").fill(word.upper())
    page.keyboard.press("Enter")
    wait_for("fewer sentences", lambda: items.count() and all(word.casefold() in told.casefold() for told in items.all_inner_texts()))
    text = items.first.locator("p").inner_text()
    items.first.get_by_role("button", name="Ask the model").click()
    wait_for("the sentence in the Predict tab", lambda: web.text_of(page, "text") == text)

    web.open_tab(page, "Scores")
    page.locator("#this-run summary", has_text="Files").click()
    with page.expect_download() as download:
        page.locator("[data-file=errors]").click()
    rows = list(csv.DictReader(download.value.path().read_text(encoding="utf-8-sig").splitlines()))
    task = rows[0]["task"]
    assert sum(row["task"] == task for row in rows) == total and text in {row["text"] for row in rows}
    assert all(row["true"] != row["predicted"] for row in rows)
