"""The page in a real browser, used as a person uses it: the app runs as a process of its own and everything is seen through the page."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mtl.data.hypothetical import make_rows
from mtl.inference.predictor import Predictor
from mtl.runs.events import Evaluated, GradientConflict, StepDone, read_events
from mtl.runs.folder import Run, list_runs, open_run
from tests import browser as web
from tests.browser import can_press, drawn, pieces, press, start_tiny, status, step, text_of, wait_for

SENTENCE = "Honestly, the concert in  Lisbon with Priya Okafor <b>was</b> superb & \U0001f60a loud!"  # two blanks, markup, beyond the BMP
SERIES = {"loss-plot": ["topic train", "topic validation", "entities train", "entities validation"],
          "score-plot": ["topic accuracy", "entities f1", "everything right"]}


@pytest.fixture(scope="module")
def own_file(tmp_path_factory) -> Path:
    """A person's file: 200 sentences, each with a class and entities."""
    file = tmp_path_factory.mktemp("own") / "own.jsonl"
    with open(file, "w", encoding="utf-8") as lines:
        for row in make_rows(200, 5, "learnable").rows:
            spans = [{"start": span.start, "end": span.end, "label": span.label} for span in row.values["entities"]]
            lines.write(json.dumps({"text": row.text, "topic": row.values["class"], "entities": spans}) + "\n")
    return file


def wait_for_more_points(page: Page, plot: str, before: dict[str, int]) -> None:
    """Wait until every line in the plot has more points than `before`."""
    wait_for(f"more points in {plot} than {before}",
             lambda: (now := drawn(page, plot)) and all(now.get(name, 0) > count for name, count in before.items()))


def wait_for_a_step(page: Page) -> None:
    """Wait until the run has gone on since now."""
    at = step(page)
    wait_for(f"a step after {at}", lambda: status(page) == "running" and step(page) > at)


def check_legends(page: Page) -> None:
    """A legend names every line of the plots and is not cut off."""
    tasks = ("class", "sentiment", "entities")
    assert web.legend(page, "loss-plot") == [f"{task} {split}" for task in tasks for split in ("train", "validation")]
    assert web.legend(page, "score-plot") == ["class accuracy", "sentiment accuracy", "entities f1", "everything right"]
    for plot in ("loss-plot", "score-plot"):
        box, frame = page.locator(f"#{plot.replace('plot', 'legend')} .mtl-legend").bounding_box(), page.locator(f"#{plot}").bounding_box()
        assert box["x"] >= frame["x"] and box["x"] + box["width"] <= frame["x"] + frame["width"] + 1


def live_step(about: str) -> int:
    """The step of the live weights that answered."""
    return int(re.match(r"live weights of step ([\d,]+),", about)[1].replace(",", ""))


def watch_it_grow(page: Page) -> None:
    """Plots get points, the table and the log their lines."""
    for plot, names in SERIES.items():
        wait_for_more_points(page, plot, dict.fromkeys(names, 1))
        wait_for_more_points(page, plot, drawn(page, plot))
    wait_for("the table", lambda: "f1" in page.locator("#last-values").inner_text())
    wait_for("the log", lambda: "Training begins" in text_of(page, "log"))


def predict_while_it_trains(page: Page, run: Run) -> None:
    """The live weights answer, with every character of the text."""
    def scores() -> list[float]:
        return [logged.event.scores["entities"]["f1"] for logged in read_events(run.log.path) if isinstance(logged.event, Evaluated)]

    wait_for("a model that finds entities", lambda: max(scores(), default=0) > 0.5, 120)
    web.open_tab(page, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(page, "model"))
    assert live_step(web.ask(page, SENTENCE)) > 0
    assert "".join(piece for piece, _ in pieces(page)) == SENTENCE
    web.open_tab(page, "Train")


def pause(page: Page) -> int:
    """A paused run stands still and still answers; the step."""
    press(page, "pause", "paused")
    at = step(page)
    page.wait_for_timeout(1_500)  # nothing to wait for: that nothing happens is the point
    assert step(page) == at and can_press(page) == {"pause": False, "resume": True, "stop": True}
    web.open_tab(page, "Predict")
    assert live_step(web.ask(page, "Paused, Anna called the soup in Oslo great.")) >= at
    return at


def reload(page: Page, at: int) -> None:
    """Everything is there again: the run, its plots and log, the form, the data."""
    page.reload()
    wait_for("the run after the reload", lambda: status(page) == "paused" and step(page) == at)
    wait_for("the plots after the reload", lambda: all(set(drawn(page, plot)) == set(names) for plot, names in SERIES.items()))
    wait_for("the log after the reload", lambda: "The run is paused" in text_of(page, "log"))  # the newest lines of a long one
    wait_for("the form after the reload", lambda: text_of(page, "field-encoder") == "tiny" and text_of(page, "field-epochs") == "2000")
    wait_for("the data after the reload", lambda: text_of(page, "findings").startswith("own.jsonl: 200 rows."))
    page.get_by_role("button", name="More settings").click()
    wait_for("the folded settings", lambda: text_of(page, "field-eval_every") == "20" and text_of(page, "field-warmup") == "0.01")


def resume_and_stop(page: Page, at: int) -> None:
    press(page, "resume", "running")
    wait_for("the step to move", lambda: step(page) > at)
    press(page, "stop", "stopped")
    wait_for("the message", lambda: re.search(r"Stopped at step [\d,]+\. Resume goes on", page.locator("#status").inner_text()))
    wait_for("the buttons of a stopped run", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})


def compare_with_the_best_checkpoint(page: Page, run: Run) -> None:
    """It answers on the page as it does without a page."""
    web.open_tab(page, "Predict")
    web.choose(page, "model", "best")
    predictor = Predictor.load(run.folder / "best", "cpu")
    for text in (make_rows(1, 5, "learnable").rows[0].text, "Stopped now: " + SENTENCE):
        assert web.ask(page, text).startswith("checkpoint 'best'; cpu; ")
        expected = predictor.predict([text])[0].predictions
        assert pieces(page) == expected["entities"].drawing(text).pieces
        shown = web.probabilities(page)
        assert page.locator("#classified-0 [data-testid=label-output-value]").inner_text() == expected["topic"].label == next(iter(shown))
        assert shown == pytest.approx(expected["topic"].probabilities, abs=1e-4)
    assert any(label for _, label in pieces(page)), "a model that finds entities found none"


def test_a_person_trains_on_a_file_of_their_own_watches_pauses_reloads_resumes_stops_and_predicts(app, new_person, open_page, own_file):
    page = open_page(new_person())
    assert text_of(page, "findings").startswith("newsroom data: 1,867 training rows.")
    wait_for("the word that there is no run", lambda: "No run yet" in page.locator("#status").inner_text())
    assert not any(can_press(page).values())
    web.bring(page, "own.jsonl: 200 rows.", own_file)
    wait_for("the tasks", lambda: all(word in page.locator("#task-table").inner_text() for word in ("topic", "entities", "tagging")))
    assert page.get_by_label("topic", exact=True).is_checked() and page.get_by_label("entities", exact=True).is_checked()

    run = open_run(app.runs, start_tiny(page, eval_every="20", warmup="0.01"))
    wait_for_a_step(page)
    assert [other.id for other in list_runs(app.runs) if other.config.train_files] == [run.id], "the second click started another run"
    assert (run.config.encoder, run.config.epochs, run.config.learning_rate, run.config.eval_every) == ("tiny", 2000, 2e-3, 20)
    watch_it_grow(page)
    predict_while_it_trains(page, run)
    at = pause(page)
    reload(page, at)
    resume_and_stop(page, at)
    compare_with_the_best_checkpoint(page, run)


def test_others_watch_by_link_in_two_tabs_predict_and_wait_their_turn_but_cannot_pause_or_stop(app, new_person, open_page, short_run):
    owner = open_page(new_person(), short_run.id)
    run_id = start_tiny(owner, accumulation="4", eval_every="50")  # long steps: what is to be seen is the tabs, not their drawing
    wait_for_a_step(owner)
    wait_for("the owner's words", lambda: "Only this browser can" in owner.locator("#link").inner_text())
    press(owner, "pause", "paused")

    # two tabs, opened while nothing new is to be drawn in the other page
    friend = new_person()
    tabs = [friend.new_page() for _ in range(2)]
    for tab in tabs:
        tab.goto(f"{app.url}/?run={run_id}")
    for tab in tabs:
        wait_for("the run in every tab", lambda tab=tab: status(tab) == "paused" and step(tab) > 0)
    press(owner, "resume", "running")
    before = [step(tab) for tab in tabs]
    for tab, at in zip(tabs, before, strict=True):
        wait_for("the steps to go on in every tab", lambda tab=tab, at=at: step(tab) > at)
        assert not any(can_press(tab).values())
    watching, waiting = tabs
    web.open_tab(watching, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(watching, "model"))
    assert web.ask(watching, "A friend of Ines likes the opera in Porto.").startswith("live weights of step ")
    web.open_tab(watching, "Train")

    # the server refuses too, whatever the page allows
    wait_for("the watcher's words", lambda: "not started in this browser" in watching.locator("#link").inner_text())
    assert "Only this browser" not in watching.locator("#link").inner_text()
    for button in ("pause", "stop"):
        watching.locator(f"#{button}").evaluate("button => button.disabled = false")
        watching.locator(f"#{button}").click()
        wait_for("the refusal", lambda: "was not started in this browser" in web.message(watching))
        watching.locator("#message").get_by_role("button", name="Dismiss").click()
    wait_for_a_step(owner)

    # a run that waits for a paused one
    press(owner, "pause", "paused")
    start_tiny(waiting, seed="2")
    wait_for("what it waits for", lambda: "1 run ahead; the one in training is paused and lets the next one train in"
             in waiting.locator("#status").inner_text())
    wait_for("the same for the owner", lambda: "lets the next run train" in owner.locator("#status").inner_text())
    press(waiting, "stop", "stopped")
    wait_for("nobody to wait", lambda: "lets the next run train" not in owner.locator("#status").inner_text())
    press(owner, "stop", "stopped")
    wait_for("the friend to see the end", lambda: status(watching) == "stopped")


def test_a_run_from_the_terminal_is_in_the_menu_and_live_on_the_page(app, new_person, open_page, short_run):
    command = [sys.executable, "-m", "mtl", "train", "--name", "From the terminal", "--source", "hypothetical",
               "--encoder", "tiny", "--hypothetical-rows", "200", "--epochs", "5000", "--learning-rate", "2e-3", "--device", "cpu"]
    terminal = subprocess.Popen(command, cwd=web.ROOT, env=app.environment, stdout=subprocess.PIPE, text=True)
    try:
        page = open_page(new_person(), short_run.id)
        run_id = terminal.stdout.readline().split()[1]
        web.choose(page, "run-menu", "From the terminal")
        wait_for("its steps", lambda: status(page) == "running" and step(page) > 0)
        wait_for_a_step(page)
        wait_for("its line", lambda: drawn(page, "loss-plot").get("entities train", 0) > 1)
        assert web.address(page).endswith(f"run={run_id}") and not any(can_press(page).values())
        terminal.send_signal(signal.SIGINT)
        wait_for("the end of the run", lambda: status(page) == "stopped")
        assert terminal.wait(60) == 130
    finally:
        terminal.kill()
        terminal.stdout.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_shows_everything_with_whole_legends_and_without_scrolling_sideways(theme, new_person, open_page, short_run):
    person = new_person(viewport={"width": 390, "height": 844}, color_scheme=theme)
    page = open_page(person, short_run.id, f"__theme={theme}")
    wait_for("the plots", lambda: drawn(page, "loss-plot") and drawn(page, "score-plot"))
    check_legends(page)
    page.get_by_role("button", name="More settings").click()
    assert not web.is_too_wide(page)
    web.open_tab(page, "Predict")
    wait_for("a checkpoint", lambda: "best" in text_of(page, "model"))
    web.ask(page, f"{SENTENCE} " * 6 + "Antidisestablishmentarianism" * 4)
    assert not web.is_too_wide(page)


def test_the_plots_show_exactly_what_the_log_says_and_their_legends_name_it(new_person, open_page, short_run):
    page = open_page(new_person(), short_run.id)
    events = [logged.event for logged in read_events(short_run.log.path)]
    steps, evaluations, compared = ([event for event in events if isinstance(event, kind)]
                                    for kind in (StepDone, Evaluated, GradientConflict))
    loss = wait_for("the loss plot", lambda: web.points(page, "loss-plot"))
    for task in ("class", "sentiment", "entities"):
        assert loss[f"{task} validation"] == pytest.approx({event.step: event.losses[task] for event in evaluations}, rel=1e-4)
        # smoothed; test_charts.py has the values
        assert list(loss[f"{task} train"]) == [event.step for event in steps if task in event.losses]
    scores = wait_for("the score plot", lambda: web.points(page, "score-plot"))
    check_legends(page)
    assert scores["entities f1"] == pytest.approx({event.step: event.scores["entities"]["f1"] for event in evaluations}, rel=1e-4)
    assert scores["class accuracy"] == pytest.approx({event.step: event.scores["class"]["accuracy"] for event in evaluations}, rel=1e-4)
    assert scores["everything right"] == pytest.approx({event.step: event.everything_right for event in evaluations}, rel=1e-4)
    page.get_by_role("button", name="Do the tasks disagree?").click()
    wait_for("the comparisons", lambda: page.locator("#reading .mtl-heat i").count() == 3 * len(compared) > 0)  # three pairs of tasks
    norms = wait_for("the norms", lambda: web.points(page, "norm-plot"))
    assert norms["class"] == pytest.approx({event.step: event.norms["class"] for event in compared}, rel=1e-4)
    weights = wait_for("the weights", lambda: web.points(page, "weight-plot"))
    assert set(weights["entities"].values()) == {1.0}


def test_a_run_whose_app_was_killed_is_interrupted_and_its_owner_goes_on_to_the_end(app, new_person, open_page, complaints, short_run):
    page = open_page(new_person(), short_run.id)
    run = open_run(app.runs, start_tiny(page, eval_every="50", max_steps="250", batch_size="32"))
    wait_for("a checkpoint", lambda: (run.folder / "last").is_dir())
    app.kill()
    app.start()
    wait_for("the page to come back by itself", lambda: status(page) == "interrupted", 90)
    assert "Resume goes on" in page.locator("#status").inner_text()
    # what the page asked for while there was no app
    complaints[:] = [line for line in complaints if "ERR_" not in line and "Failed to fetch" not in line]
    wait_for("resume to be enabled", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})
    page.locator("#resume").click()
    wait_for("the end", lambda: status(page) == "finished", 120)
    assert step(page) == 250 and "Training goes on from step" in text_of(page, "log")
    steps = [logged.event.step for logged in read_events(run.log.path) if isinstance(logged.event, StepDone)]
    assert steps[-1] == 250 and steps.count(250) == 1
