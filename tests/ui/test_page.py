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
from mtl.runs.folder import Run, create_run, list_runs, open_run
from mtl.settings.config import RunConfig
from mtl.training.execute import run_training
from mtl.ui import form
from tests import browser as web
from tests.browser import can_press, drawn, pieces, start_tiny, status, step, text_of, wait_for

SENTENCE = "Honestly, the concert in  Lisbon with Priya Okafor <b>was</b> superb & \U0001f60a loud!"  # two blanks, markup, beyond the BMP


@pytest.fixture(scope="module")
def own_file(tmp_path_factory) -> Path:
    """A person's file: 200 sentences, each with a class and entities."""
    file = tmp_path_factory.mktemp("own") / "own.jsonl"
    with open(file, "w", encoding="utf-8") as lines:
        for row in make_rows(200, 5, "learnable").rows:
            spans = [{"start": span.start, "end": span.end, "label": span.label} for span in row.values["entities"]]
            lines.write(json.dumps({"text": row.text, "topic": row.values["class"], "entities": spans}) + "\n")
    return file


@pytest.fixture(scope="module")
def finished_run(app, tiny_config) -> Run:
    """A short run that is over; like one from the terminal it belongs to nobody."""
    run = create_run(app.runs, tiny_config(name="A short one", eval_every=2))
    assert run_training(run, resume=False) == "finished"
    return run


def bring(page: Page, file: Path) -> None:
    """Choose one's own file in place of the data that are there, which are ten times as many."""
    page.get_by_label("My own files").check()
    web.upload(page, file)
    wait_for("the file to be understood", lambda: text_of(page, "findings").startswith("own.jsonl: 200 rows."))


def press(page: Page, button: str, until: str) -> None:
    """Press a button of the run and wait for the state that it leads to."""
    wait_for(f"{button} to be enabled", lambda: can_press(page)[button])
    page.locator(f"#{button}").click()
    wait_for(f"the state '{until}'", lambda: status(page) == until)


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


def form_and_defaults(page: Page) -> tuple[dict, dict]:
    """The settings as they stand in the form, and the defaults that the terminal has too as they should stand there."""
    page.get_by_role("button", name="More settings").click()
    shown, wanted = {}, {}
    for name in form.fields(basic=True) + form.fields(basic=False):
        value = form.shown(name, getattr(RunConfig(), name))
        field = page.locator(f"#field-{name} input, #field-{name} textarea").first
        shown[name] = field.is_checked() if isinstance(value, bool) else field.input_value()
        if isinstance(value, float):
            value = f"{value:g}"
        wanted[name] = value if isinstance(value, bool) else "" if value is None else str(value)
    return shown, wanted


def validation_scores(run: Run) -> list[Evaluated]:
    return [logged.event for logged in read_events(run.folder / "events.jsonl") if isinstance(logged.event, Evaluated)]


def test_a_person_trains_on_a_file_of_their_own_watches_pauses_reloads_resumes_stops_and_predicts(app, new_person, open_page, own_file):
    page = open_page(new_person())
    assert text_of(page, "findings").startswith("newsroom data: 1,867 training rows.")
    wait_for("the word that there is no run", lambda: "No run yet" in page.locator("#status").inner_text())
    assert not any(can_press(page).values())

    bring(page, own_file)
    wait_for("the tasks", lambda: all(word in page.locator("#task-table").inner_text() for word in ("topic", "entities", "tagging")))
    first = make_rows(1, 5, "learnable").rows[0]
    assert page.get_by_label("topic", exact=True).is_checked() and page.get_by_label("entities", exact=True).is_checked()

    run = open_run(app.runs, start_tiny(page, eval_every="20", warmup="0.01"))
    wait_for_a_step(page)
    assert [other.id for other in list_runs(app.runs) if other.config.train_files] == [run.id], "the second click started another run"
    assert (run.config.encoder, run.config.epochs, run.config.learning_rate, run.config.eval_every) == ("tiny", 2000, 2e-3, 20)

    # the plots grow
    series = {"loss-plot": ["topic train", "topic validation", "entities train", "entities validation"],
              "score-plot": ["topic accuracy", "entities f1", "everything right"]}
    for plot, names in series.items():
        wait_for_more_points(page, plot, dict.fromkeys(names, 1))
        wait_for_more_points(page, plot, drawn(page, plot))
    wait_for("the table", lambda: "f1" in page.locator("#last-values").inner_text())
    wait_for("the log", lambda: "Training begins" in text_of(page, "log"))

    # predict while it trains
    wait_for("a model that finds entities", lambda: any(seen.scores["entities"]["f1"] > 0.5 for seen in validation_scores(run)), 120)
    web.open_tab(page, "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(page, "model"))
    about = web.ask(page, SENTENCE)
    assert int(re.match(r"live weights of step ([\d,]+),", about)[1].replace(",", "")) > 0
    assert "".join(piece for piece, _ in pieces(page)) == SENTENCE

    # pause: it stands still and still answers
    web.open_tab(page, "Train")
    press(page, "pause", "paused")
    at = step(page)
    ticks = [at]
    page.wait_for_timeout(2_500)  # nothing to wait for: that nothing happens is the point
    ticks.append(step(page))
    assert ticks == [at, at] and can_press(page) == {"pause": False, "resume": True, "stop": True}
    web.open_tab(page, "Predict")
    about = web.ask(page, "Paused, Anna called the soup in Oslo great.")
    live = int(re.match(r"live weights of step ([\d,]+),", about)[1].replace(",", ""))
    assert live >= at

    # a reload finds everything again
    page.reload()
    wait_for("the run after the reload", lambda: status(page) == "paused" and step(page) == at)
    wait_for("the plots after the reload", lambda: all(set(drawn(page, plot)) == set(names) for plot, names in series.items()))
    wait_for("the log after the reload", lambda: "The run is paused" in text_of(page, "log"))  # the newest lines of a long one
    wait_for("the form after the reload", lambda: text_of(page, "field-encoder") == "tiny" and text_of(page, "field-epochs") == "2000")
    wait_for("the data after the reload", lambda: text_of(page, "findings").startswith("own.jsonl: 200 rows."))
    page.get_by_role("button", name="More settings").click()
    wait_for("the folded settings", lambda: text_of(page, "field-eval_every") == "20" and text_of(page, "field-warmup") == "0.01")

    # resume, stop
    press(page, "resume", "running")
    wait_for("the step to move", lambda: step(page) > live)
    press(page, "stop", "stopped")
    wait_for("the message", lambda: re.search(r"Stopped at step [\d,]+\. Resume goes on", page.locator("#status").inner_text()))
    wait_for("the buttons of a stopped run", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})

    # the best checkpoint answers on the page as it does without a page
    web.open_tab(page, "Predict")
    web.choose(page, "model", "best")
    predictor = Predictor.load(run.folder / "best", "cpu")
    for text in (first.text, "Stopped now: " + SENTENCE):
        assert web.ask(page, text).startswith("checkpoint 'best'; cpu, ")
        expected = predictor.predict([text])[0].predictions
        assert pieces(page) == expected["entities"].drawing(text).pieces
        shown = web.probabilities(page)
        assert page.locator("#classified-0 [data-testid=label-output-value]").inner_text() == expected["topic"].label == next(iter(shown))
        assert shown == pytest.approx(expected["topic"].probabilities, abs=1e-4)
    assert any(label for _, label in pieces(page)), "a model that finds entities found none"


def test_who_only_has_the_link_can_watch_and_predict_in_two_tabs_but_not_pause_or_stop(app, new_person, open_page):
    owner = open_page(new_person())
    run_id = start_tiny(owner, accumulation="4", eval_every="50")  # long steps: what is to be seen is the tabs, not their drawing
    wait_for_a_step(owner)
    sent = []
    owner.on("request", lambda request: sent.append(request) if run_id in (request.post_data or "") else None)
    wait_for_a_step(owner)
    looks = {request.post_data_json["fn_index"] for request in sent}
    press(owner, "pause", "paused")
    others = [request for request in sent if request.post_data_json["fn_index"] not in looks]
    pressed = next(request for request in others if [type(value) for value in request.post_data_json["data"]] == [str, dict])

    # two more tabs, opened while nothing new is to be drawn in the others
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
    web.open_tab(tabs[-1], "Predict")
    wait_for("the live weights to be offered", lambda: "live weights" in text_of(tabs[-1], "model"))
    assert web.ask(tabs[-1], "A friend of Ines likes the opera in Porto.").startswith("live weights of step ")

    # the server refuses too, whatever the page allows
    body = pressed.post_data_json
    body["data"][1] = {"key": "another key", "run": run_id}
    answer = friend.request.post(pressed.url, data=body)
    assert "not started in this browser" in answer.text()
    wait_for_a_step(owner)

    press(owner, "stop", "stopped")
    wait_for("the friend to see the end", lambda: status(tabs[0]) == "stopped")
    assert not any(can_press(tabs[0]).values())


def test_a_new_form_has_the_defaults_and_a_broken_file_is_told_with_its_name_and_line_before_a_good_one(new_person, open_page, own_file,
                                                                                                       tmp_path):
    files = {"empty.jsonl": ("", "empty.jsonl: is empty."),
             "words.csv": ("Just one sentence\nand another one\n", "words.csv"),
             "lengths.jsonl": ('{"tokens": ["Anna", "came"], "tags": ["B-PER", "O"]}\n{"tokens": ["Anna", "left"], "tags": ["B-PER"]}\n',
                               "lengths.jsonl, line 2: 2 tokens but 1 tag")}
    page = open_page(new_person())
    shown, wanted = form_and_defaults(page)
    assert shown == wanted
    page.get_by_label("My own files").check()
    wait_for("the wish for a file", lambda: text_of(page, "findings").startswith("No file yet."))
    for name, (text, message) in files.items():
        (tmp_path / name).write_text(text)
        web.upload(page, tmp_path / name)
        wait_for(f"what is wrong with {name}", lambda message=message: message in text_of(page, "findings"))
        assert page.locator("#tasks input").count() == 0
    page.locator("#start").click()
    wait_for("the refusal to start", lambda: "lengths.jsonl, line 2" in web.message(page))
    assert "run=" not in web.address(page)
    web.upload(page, own_file)
    wait_for("the good file", lambda: text_of(page, "findings").startswith("own.jsonl: 200 rows."))
    wait_for("its tasks", lambda: page.locator("#tasks input:checked").count() == 2)


def test_a_run_from_the_terminal_is_in_the_menu_and_live_on_the_page(app, new_person, open_page):
    command = [sys.executable, "-m", "mtl", "train", "--name", "From the terminal", "--source", "hypothetical",
               "--encoder", "tiny", "--hypothetical-rows", "200", "--epochs", "5000", "--learning-rate", "2e-3", "--device", "cpu"]
    terminal = subprocess.Popen(command, cwd=web.ROOT, env=app.environment, stdout=subprocess.PIPE, text=True)
    try:
        page = open_page(new_person())
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
def test_a_phone_shows_everything_with_whole_legends_and_without_scrolling_sideways(theme, new_person, open_page, finished_run, tmp_path):
    person = new_person(viewport={"width": 390, "height": 844}, color_scheme=theme)
    page = open_page(person, finished_run.id, f"__theme={theme}")
    wait_for("the plots", lambda: drawn(page, "loss-plot") and drawn(page, "score-plot"))
    check_legends(page)
    page.get_by_role("button", name="More settings").click()
    page.screenshot(path=tmp_path / f"train-{theme}.png", full_page=True)
    assert not web.is_too_wide(page)
    web.open_tab(page, "Predict")
    wait_for("a checkpoint", lambda: "best" in text_of(page, "model"))
    web.ask(page, f"{SENTENCE} " * 6 + "Antidisestablishmentarianism" * 4)
    page.screenshot(path=tmp_path / f"predict-{theme}.png", full_page=True)
    assert not web.is_too_wide(page)


def test_the_plots_show_exactly_what_the_log_says_and_their_legends_name_it(new_person, open_page, finished_run):
    page = open_page(new_person(), finished_run.id)
    seen = [logged.event for logged in read_events(finished_run.folder / "events.jsonl")]
    steps, looks = [event for event in seen if isinstance(event, StepDone)], [event for event in seen if isinstance(event, Evaluated)]
    loss = wait_for("the loss plot", lambda: web.points(page, "loss-plot"))
    for task in ("class", "sentiment", "entities"):
        assert loss[f"{task} validation"] == pytest.approx({look.step: look.losses[task] for look in looks}, rel=1e-4)
        # smoothed; test_charts.py has the values
        assert list(loss[f"{task} train"]) == [event.step for event in steps if task in event.losses]
    scores = wait_for("the score plot", lambda: web.points(page, "score-plot"))
    check_legends(page)
    assert scores["entities f1"] == pytest.approx({look.step: look.scores["entities"]["f1"] for look in looks}, rel=1e-4)
    assert scores["class accuracy"] == pytest.approx({look.step: look.scores["class"]["accuracy"] for look in looks}, rel=1e-4)
    assert scores["everything right"] == pytest.approx({look.step: look.everything_right for look in looks}, rel=1e-4)
    page.get_by_role("button", name="How the tasks get along").click()
    compared = [event for event in seen if isinstance(event, GradientConflict)]
    assert compared and page.locator("#reading .mtl-heat i").count() == 3 * len(compared)  # three pairs of tasks
    norms = wait_for("the norms", lambda: web.points(page, "norm-plot"))
    assert norms["class"] == pytest.approx({look.step: look.norms["class"] for look in compared}, rel=1e-4)
    weights = wait_for("the weights", lambda: web.points(page, "weight-plot"))
    assert set(weights["entities"].values()) == {1.0}


def test_a_run_whose_app_was_killed_is_interrupted_and_its_owner_goes_on_to_the_end(app, new_person, open_page, complaints, own_file):
    page = open_page(new_person())
    bring(page, own_file)
    run = open_run(app.runs, start_tiny(page, eval_every="20", max_steps="600"))
    wait_for("a checkpoint", lambda: (run.folder / "last").is_dir())
    app.kill()
    app.start()
    wait_for("the page to come back by itself", lambda: status(page) == "interrupted", 90)
    assert "Resume goes on" in page.locator("#status").inner_text()
    # what the page asked for while there was no app
    complaints[:] = [line for line in complaints if "ERR_" not in line and "Failed to fetch" not in line]
    wait_for("resume to be enabled", lambda: can_press(page) == {"pause": False, "resume": True, "stop": False})
    page.locator("#resume").click()
    wait_for("the end", lambda: status(page) == "finished")
    assert step(page) == 600 and "Training goes on from step" in text_of(page, "log")
    steps = [logged.event.step for logged in read_events(run.folder / "events.jsonl") if isinstance(logged.event, StepDone)]
    assert steps[-1] == 600 and steps.count(600) == 1
