"""The page in a real browser, used as a person uses it: the app runs as a process of its own and everything is seen through the page."""

import json
import random
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route

from mtl.data.kept import open_rows
from mtl.inference.predictor import Predictor
from mtl.jobs.models import STARTER_EXAMPLES
from mtl.runs.events import Evaluated, GradientConflict, LogReader, StepDone
from mtl.runs.folder import Run, list_runs, open_run
from tests import browser as web
from tests.browser import can_press, drawn, pieces, press, start_tiny, status, step, text_of, wait_for

WORDS = {"law": ("judge", "court"), "money": ("bank", "market"), "sport": ("goal", "match")}
SENTENCE = "The calm judge and the goal in Rome"
ODD = "The loud bank in  Rome <b>was</b> superb & \U0001f60a odd!"  # two blanks, markup, beyond the BMP
SERIES = {*(f"{task} {split}" for task in ("mood", "topics", "places") for split in ("train", "validation")),
          "mood accuracy", "topics micro f1", "places f1", "everything right"}


@pytest.fixture
def own_file(tmp_path) -> Path:
    """A person's file: 300 sentences, each with a mood, one to three topics, which words of it tell, and a place."""
    draws, lines = random.Random(3), []
    for index, count in enumerate([1, 2, 1, 3, 2] * 60):
        mood, topics = ("calm", "loud")[index % 2], sorted(draws.sample(list(WORDS), count))
        text = f"The {mood} {' and the '.join(draws.choice(WORDS[topic]) for topic in topics)} in {draws.choice(('Rome', 'Oslo', 'Lima'))}"
        places = [{"start": len(text) - 4, "end": len(text), "label": "PLACE"}]
        lines.append(json.dumps({"text": text, "mood": mood, "topics": topics, "places": places}) + "\n")
    (tmp_path / "own.jsonl").write_text("".join(lines))
    return tmp_path / "own.jsonl"


def wait_for_a_step(page: Page) -> None:
    """Wait until the run has gone on since now."""
    at = step(page)
    wait_for(f"a step after {at}", lambda: status(page) == "running" and step(page) > at)


def told(page: Page) -> str:
    """The sentence above the curves, which a screen reader reads out."""
    return page.locator("#story [role=status]").inner_text()


def live_step(about: str) -> int:
    """The step of the live weights that answered."""
    return int(re.match(r"live weights of step ([\d,]+),", about)[1].replace(",", ""))


def watch_it_grow(page: Page) -> None:
    """Every line of the charts grows, twice, and so does the table; the log gets its lines."""
    for _ in range(2):
        before = drawn(page)
        wait_for(f"more points than {before}", lambda before=before: (now := drawn(page)).keys() == SERIES
                 and all(count > max(1, before.get(name, 0)) for name, count in now.items()))
    page.locator(".mtl-looks summary").click()
    wait_for("the table", lambda: page.locator(".mtl-looks tbody tr").count() >= before["mood accuracy"])
    wait_for("the log", lambda: "Training begins" in text_of(page, "log"))


def predict_while_it_trains_and_after_a_pause(page: Page, run: Run) -> int:
    """The live weights answer with every character of the text. A paused run stands still and still answers; its step."""
    def learned() -> bool:
        events = [logged.event for logged in LogReader(run.log.path).read()]
        return any(isinstance(event, Evaluated) and event.everything_right > 0.95 for event in events)

    wait_for("a model that has learned the tasks", learned, 120)
    web.open_tab(page, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(page, "model"))
    first = live_step(web.ask(page, ODD))
    assert first > 0 and page.get_by_label("Follow the training").is_checked()
    wait_for("a newer answer by itself", lambda: (by := web.answered_by(page)) and live_step(by) > first)
    web.open_tab(page, "Train")
    press(page, "pause", "paused")
    at = step(page)
    web.open_tab(page, "Predict")
    assert live_step(web.ask(page, "Paused, Anna called the soup in Oslo great.")) >= at
    web.open_tab(page, "Train")
    assert step(page) == at and can_press(page) == {"pause": False, "resume": True, "stop": True}
    return at


def reload(page: Page, at: int) -> None:
    """Everything is there again: the run, its plots and log, the form, the data."""
    page.reload()
    wait_for("the run after the reload", lambda: status(page) == "paused" and step(page) == at)
    wait_for("the sentence after the reload", lambda: told(page).startswith("Training stands still until it is resumed."))
    wait_for("the plots after the reload", lambda: drawn(page).keys() == SERIES)
    wait_for("the log after the reload", lambda: "The run is paused" in text_of(page, "log"))  # the newest lines of a long one
    web.open_settings(page)
    wait_for("the form after the reload", lambda: text_of(page, "field-encoder") == "tiny" and text_of(page, "field-epochs") == "2000")
    wait_for("the data after the reload", lambda: text_of(page, "findings").startswith("own.jsonl: 300 rows."))
    wait_for("the folded settings", lambda: text_of(page, "field-eval_every") == "20" and text_of(page, "field-warmup") == "0.01")


def check_the_best_checkpoint(page: Page, run: Run) -> None:
    """It is scored, and answers on the page as it does without a page."""
    web.open_tab(page, "Scores")
    scores = wait_for("the scores", lambda: (text := page.locator("#scores").inner_text()) and "Validation rows" in text and text)
    assert all(name in scores for name in ("micro F1", "PLACE", *WORDS))
    web.open_tab(page, "Predict")
    web.choose(page, "model", "best")
    predictor = Predictor.load(run.best, "cpu")
    for text in ("Stopped now: " + ODD, SENTENCE):
        assert web.ask(page, text) == "checkpoint 'best'; cpu"
        expected = predictor.predict([text])[0].predictions
        assert pieces(page) == expected["places"].drawing(text).pieces
        assert web.chosen(page) == [expected["mood"].label] == [next(iter(web.probabilities(page)))]
        topics = page.locator("#answer .mtl-classes h2").nth(1).inner_text()
        assert " ".join(topics.split()) == f"topics {expected['topics'].drawing(text).answer}"
        for index, task in enumerate(("mood", "topics")):
            assert web.probabilities(page, index) == pytest.approx(expected[task].probabilities, abs=1e-4)
    assert ("Rome", "PLACE") in pieces(page) and web.chosen(page) == ["calm"] and set(web.chosen(page, 1)) == {"law", "sport"}


def test_a_person_trains_on_a_file_of_their_own_watches_pauses_reloads_resumes_stops_and_predicts(app, new_person, open_page, own_file):
    page = open_page(new_person())
    assert text_of(page, "findings").startswith("newsroom data: 1,867 training rows.")
    wait_for("the word that there is no run", lambda: "No run yet" in page.locator("#status").inner_text())
    assert not any(can_press(page).values())
    web.bring(page, "own.jsonl: 300 rows.", own_file)
    web.open_tab(page, "Data")
    wait_for("its tasks", lambda: all(word in page.locator("#report").inner_text() for word in (
        "mood, classification: 2 labels", "topics, multilabel", "places, tagging")))
    web.open_tab(page, "Train")
    assert web.ticked(page) == ["mood", "topics", "places"]

    run = open_run(app.runs, start_tiny(page, eval_every="20", warmup="0.01"))
    wait_for_a_step(page)
    assert [other.id for other in list_runs(app.runs) if other.config.train_files] == [run.id], "the second click started another run"
    assert (run.config.encoder, run.config.epochs, run.config.learning_rate, run.config.eval_every) == ("tiny", 2000, 2e-3, 20)
    assert [task.kind for task in run.config.tasks] == ["classification", "multilabel", "tagging"]
    watch_it_grow(page)
    at = predict_while_it_trains_and_after_a_pause(page, run)
    wait_for("the sentence about a paused run", lambda: told(page).startswith("Training stands still until it is resumed."))
    reload(page, at)
    press(page, "resume", "running")
    wait_for("the step to move", lambda: step(page) > at)
    press(page, "stop", "stopped")
    wait_for("the message", lambda: re.search(r"Stopped at step [\d,]+\. Resume goes on", page.locator("#status").inner_text()))
    wait_for("the sentence about its scores", lambda: re.match(r"By the last scores, .*\bmood\b", told(page)))
    wait_for("the buttons of a stopped run", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})
    check_the_best_checkpoint(page, run)


def test_others_watch_by_link_in_two_tabs_predict_and_wait_their_turn_but_cannot_pause_or_stop(app, new_person, open_page, short_run):
    owner = open_page(new_person(), short_run.id)
    run_id = start_tiny(owner, accumulation="4", eval_every="50")  # long steps: what is to be seen is the tabs, not their drawing
    wait_for_a_step(owner)
    wait_for("the owner's words", lambda: "Only this browser can" in owner.locator("#who").inner_text())
    press(owner, "pause", "paused")

    # two tabs, opened while nothing new is to be drawn in the other page
    friend = new_person()
    tabs = [friend.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(f"{app.url}/?run={run_id}")
    for tab in tabs:
        wait_for("the run in every tab", lambda tab=tab: status(tab) == "paused" and step(tab) > 0)
    press(owner, "resume", "running")
    for tab in tabs:
        wait_for_a_step(tab)
        assert not any(can_press(tab).values())
    watching, waiting = tabs
    web.open_tab(watching, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(watching, "model"))
    assert web.ask(watching, "A friend of Ines likes the opera in Porto.").startswith("live weights of step ")
    web.open_tab(watching, "Train")

    # the server refuses too, whatever the page allows
    wait_for("the watcher's words", lambda: "not started in this browser" in watching.locator("#who").inner_text())
    assert "Only this browser" not in watching.locator("#who").inner_text()
    for button in ("pause", "stop"):
        watching.locator(f"#{button}").evaluate("button => button.disabled = false")
        watching.locator(f"#{button}").click()
        wait_for("the refusal", lambda: "was not started in this browser" in web.message(watching))
        watching.locator("#message").get_by_role("button", name="Dismiss").click()
    wait_for_a_step(owner)

    # a run that waits for a paused one
    press(owner, "pause", "paused")
    web.start(waiting)  # its form has the settings of the run that it shows
    wait_for("what it waits for", lambda: "1 run ahead; the one in training is paused and lets the next one train in"
             in waiting.locator("#status").inner_text())
    wait_for("the same for the owner", lambda: "lets the next run train" in owner.locator("#status").inner_text())
    press(waiting, "stop", "stopped")
    wait_for("nobody to wait", lambda: "lets the next run train" not in owner.locator("#status").inner_text())
    press(owner, "stop", "stopped")
    wait_for("the end in the menu", lambda: text_of(owner, "run-menu").endswith(", stopped"))
    wait_for("the friend to see the end", lambda: status(watching) == "stopped")


def test_it_answers_as_one_types_by_another_model_by_two_and_for_a_file_and_its_examples_are_of_its_own_rows(
        new_person, open_page, short_run, tmp_path):
    page = open_page(new_person(), short_run.id)
    web.open_tab(page, "Predict")
    wait_for("the run's checkpoint", lambda: "best" in text_of(page, "model"))
    assert page.locator("#answer").get_by_text("Type a sentence, or choose one").is_visible()
    own = [row.text for row in open_rows(short_run.folder).validation]

    def examples() -> list[str]:
        return page.locator("#examples button").evaluate_all("links => links.map(link => link.dataset.text)")

    wait_for("texts of the run", lambda: len(examples()) == 4 and set(examples()) <= set(own))
    page.locator("#examples button").nth(2).focus()
    page.keyboard.press("Enter")
    told = examples()[2]
    wait_for("the answer of the run", lambda: web.answered_by(page) == "checkpoint 'best'; cpu")
    assert text_of(page, "text") == told == "".join(piece for piece, _ in pieces(page))
    wait_for("the answer to be spoken", lambda: "class: " in page.locator("#answer [role=status]").inner_text())

    held: list[Route] = []
    page.route("**/mtl/answer", lambda route: held.append(route))
    page.locator("#text textarea").press_sequentially(" in Oslo", delay=20)
    assert web.answered_by(page) == "", "the old answer is dimmed at once"
    wait_for("the question to be on its way", lambda: held)
    assert len(held) == 1, "the next one waits for the answer"
    page.unroute("**/mtl/answer")  # and let it go on
    wait_for("the answer to all that was typed", lambda: web.answered_by(page) and "".join(p for p, _ in pieces(page)) == f"{told} in Oslo")
    web.choose(page, "model", "Starter")
    wait_for("the answer of the starter model", lambda: web.answered_by(page) == "starter model; cpu")
    wait_for("its examples", lambda: examples() == STARTER_EXAMPLES)

    page.locator("#compare-with").click()
    titles = page.locator("#answer .mtl-both > .mtl-wide")
    wait_for("both", lambda: titles.count() == 2 and not page.locator("#answer [aria-busy=true]").count())
    assert "starter model" in titles.first.inner_text() and "checkpoint 'best'" in titles.last.inner_text()
    assert page.locator("#answer .mtl-tags p").all_text_contents() and page.get_by_text("This model has no such task.").count() >= 1
    page.locator("#compare-with").click()
    wait_for("one", lambda: web.answered_by(page) and not titles.count())

    (tmp_path / "texts.csv").write_text("text\nAna left Oslo.\nA fine day!\n")
    with page.expect_file_chooser() as chooser:
        page.locator("#ask-file").click()
    chooser.value.set_files(tmp_path / "texts.csv")
    with page.expect_download() as got:
        page.get_by_text("Download texts-predicted.csv").click()
    lines = got.value.path().read_text("utf-8-sig").splitlines()
    assert [line.partition(",")[0] for line in lines] == ["text", "Ana left Oslo.", "A fine day!"]
    page.locator("#text textarea").fill("")
    wait_for("no answer to no text", lambda: web.answered_by(page) == "" and not pieces(page) and not web.probabilities(page))
    assert page.locator("#answer").get_by_text("Type a sentence, or choose one").is_visible() and web.message(page) == ""


def check_plots(page: Page, run: Run) -> None:
    """The plots of the short run show exactly what is in its log."""
    events = [logged.event for logged in LogReader(run.log.path).read()]
    steps, evaluations, compared = ([event for event in events if isinstance(event, kind)]
                                    for kind in (StepDone, Evaluated, GradientConflict))
    found = wait_for("the charts", lambda: web.points(page))
    for task in ("class", "sentiment", "entities"):
        assert found[f"{task} validation"] == pytest.approx({event.step: event.losses[task] for event in evaluations}, rel=1e-4)
        assert list(found[f"{task} train"]) == [event.step for event in steps if task in event.losses]
    web.check_legends(page)
    for task, score in (("entities", "f1"), ("class", "accuracy")):
        assert found[f"{task} {score}"] == pytest.approx({event.step: event.scores[task][score] for event in evaluations}, rel=1e-4)
    assert found["everything right"] == pytest.approx({event.step: event.everything_right for event in evaluations}, rel=1e-4)
    page.get_by_role("button", name="How the tasks get along").click()
    wait_for("the comparisons", lambda: page.locator("#reading .mtl-heat i").count() == 3 * len(compared) > 0)  # three pairs of tasks
    insight = wait_for("the norms and the weights", lambda: web.points(page, "insight-curves"))
    assert insight["class norm"] == pytest.approx({event.step: event.norms["class"] for event in compared}, rel=1e-4)
    assert len(set(insight["entities weight"].values())) > 1  # 'even' follows the gradients


def test_plots_show_exactly_what_the_log_has_and_a_run_from_the_terminal_is_in_the_menu_and_live(app, new_person, open_page, short_run):
    command = [sys.executable, "-m", "mtl", "train", "--name", "From the terminal", "--source", "hypothetical",
               "--encoder", "tiny", "--hypothetical-rows", "200", "--epochs", "5000", "--learning-rate", "2e-3", "--device", "cpu"]
    terminal = subprocess.Popen(command, cwd=web.ROOT, env=app.environment, stdout=subprocess.PIPE, text=True)
    try:
        page = open_page(new_person(), short_run.id)
        check_plots(page, short_run)  # while the other process is still starting
        run_id = terminal.stdout.readline().split()[1]
        web.choose(page, "run-menu", "From the terminal")
        wait_for_a_step(page)
        wait_for("its line", lambda: drawn(page).get("entities train", 0) > 1)
        assert web.address(page).endswith(f"run={run_id}") and not any(can_press(page).values())
        terminal.send_signal(signal.SIGINT)
        wait_for("the end of the run", lambda: status(page) == "stopped")
        assert terminal.wait(60) == 130
    finally:
        terminal.kill()
        terminal.stdout.close()


def test_a_run_whose_app_was_killed_is_interrupted_and_its_owner_goes_on_to_the_end(app, new_person, open_page, complaints, short_run):
    page = open_page(new_person(), short_run.id)
    run = open_run(app.runs, start_tiny(page, eval_every="40", max_steps="200"))
    wait_for("a checkpoint", lambda: (run.folder / "last").is_dir())
    app.kill()
    app.start()
    wait_for("the page to come back by itself", lambda: status(page) == "interrupted", 90)
    assert "Resume goes on" in page.locator("#status").inner_text()
    # what the page asked for while there was no app
    complaints[:] = [line for line in complaints if "ERR_" not in line and "Failed to fetch" not in line]
    wait_for("resume to be enabled", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})
    press(page, "resume")
    wait_for("the end", lambda: status(page) == "finished", 120)
    assert step(page) == 200 and "Training goes on from step" in text_of(page, "log")
    steps = [logged.event.step for logged in LogReader(run.log.path).read() if isinstance(logged.event, StepDone)]
    assert steps[-1] == 200 and steps.count(200) == 1
