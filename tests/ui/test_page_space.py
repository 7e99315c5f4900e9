"""A Space on a CPU, in a real browser: what `python -m mtl space` sent to the small Hub of the tests is started in a clean folder, with the
variables that the Hub gives a Space, and its owner's token. A visitor may do what the limits allow, and nothing in the owner's name."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Page

from mtl.inference.predictor import Predictor
from mtl.runs.events import Notice
from mtl.runs.folder import create_run, open_run
from mtl.runs.history import read_history
from mtl.training.execute import run_training
from tests import browser as web
from tests.browser import App, message, press, start_tiny, status, text_of, wait_for
from tests.test_house import ROOT
from tests.watcher import Watcher

SPACE, HOST = "ann/mtl-studio", "ann-mtl-studio.hf.space"
OWNERS = "hf_of_the_owner"


@pytest.fixture(scope="module")
def app(chromium, hub, tmp_path_factory) -> Iterator[App]:
    """The Space, sent and started."""
    send = os.environ | {"HF_ENDPOINT": hub.url, "HF_TOKEN": "hf_of_ann", "HF_HUB_DISABLE_XET": "1"}
    subprocess.run([sys.executable, "-m", "mtl", "space", SPACE], cwd=ROOT, env=send, check=True, capture_output=True)
    clean = Path(shutil.copytree(hub.root / "spaces" / SPACE, tmp_path_factory.mktemp("space") / "app"))
    facts = yaml.safe_load((clean / "README.md").read_text(encoding="utf-8").split("---\n")[1])
    app = App(tmp_path_factory.mktemp("log"), clean / facts["app_file"])
    app.runs = clean / "checkpoints"
    for name in ("MTL_RUNS", "PYTHONPATH"):
        app.environment.pop(name, None)
    app.environment |= {"SYSTEM": "spaces", "SPACE_ID": SPACE, "SPACE_HOST": f"{HOST},models.ann.example", "GRADIO_SERVER_NAME": "0.0.0.0",
                        "HF_TOKEN": OWNERS, "HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1",
                        "HF_HOME": str(clean.with_name("cache"))}
    app.start()
    yield app
    app.kill()
    assert "Traceback" not in app.output, app.output


@pytest.fixture
def visit(new_person, open_page) -> Callable[..., Page]:
    """A function that opens the page in another visitor's browser. What Gradio's own script asks the world is answered here."""
    def open_it(run_id: str = "") -> Page:
        person = new_person(viewport={"width": 1280, "height": 900})
        person.route(lambda url: "//127.0.0.1" not in url, lambda route: route.fulfill(
            json={"id": SPACE, "author": "ann", "likes": 0, "runtime": {"stage": "RUNNING"}}))
        return open_page(person, run_id)

    return open_it


def test_the_model_that_came_with_the_space_answers_and_the_space_can_be_duplicated(app, visit):
    page = visit()
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Duplicate this Space").click()
    assert opened.value.url == f"https://huggingface.co/spaces/{SPACE}?duplicate=true"
    web.open_tab(page, "Predict")
    wait_for("the starter model", lambda: text_of(page, "model") == "Starter model")
    text = "Shares of Norlund Shipping fell in Oslo on Monday."
    assert web.ask(page, text) == "starter model; cpu"
    expected = Predictor.load(app.runs / "starter", "cpu").predict([text])[0].predictions["entities"]
    assert web.pieces(page) == expected.drawing(text).pieces and ("Oslo", "LOC") in web.pieces(page)


def test_the_link_to_a_run_names_the_spaces_own_host(app, visit):
    page = visit()
    assert text_of(page, "link") == ""
    run_id = start_tiny(page)
    wait_for("the link", lambda: text_of(page, "link") == f"https://{HOST}/?run={run_id}")
    assert web.address(page).startswith(app.url), "the address that the visitor came by stays"
    press(page, "stop", "stopped")


def test_a_visitor_has_two_runs_at_a_time_and_comparisons_of_few_runs(app, visit, complaints):
    page = visit()
    first, second = start_tiny(page), start_tiny(page, epochs=1999)
    web.set_field(page, "epochs", "1998")
    page.locator("#start").click()
    wait_for("the refusal of a third", lambda: message(page).startswith("You have 2 runs in training or in the queue."))
    for run_id in (second, first):
        page.goto(f"{app.url}/?run={run_id}")
        press(page, "stop", "stopped")
    # what a page asks for when it is left, Gradio reports as aborted
    complaints[:] = [line for line in complaints if "AbortError" not in line and "errored out" not in line]
    web.open_tab(page, "Compare")
    page.get_by_label("The Train tab").check()
    page.locator(".mtl-more > button").first.click()
    page.locator("#compare-seeds input").fill("5")
    page.locator("#compare-alone").click()
    wait_for("the refusal", lambda: message(page).startswith("On this public page a comparison may have at most 6 runs"))


def test_a_run_trains_for_15_minutes_and_no_longer(app, visit, tiny_config):
    page = visit()
    own = open_run(app.runs, start_tiny(page))
    press(page, "stop", "stopped")

    class Clock(Watcher):
        """Stops the run when its clock shows 15 minutes, which it is set to."""

        def between_steps(self, trainer) -> bool:
            if trainer.progress.step >= 3:
                trainer.progress.seconds += 900
            return super().between_steps(trainer)

    old = create_run(app.runs, tiny_config(epochs=2000))
    assert run_training(old, resume=False, control=Clock(step=3)) == "stopped"
    shutil.copyfile(own.folder / "owner", old.folder / "owner")  # it is this visitor's
    page.goto(f"{app.url}/?run={old.id}")
    wait_for("the data to be understood", lambda: "rows" in text_of(page, "findings"))
    press(page, "resume")
    wait_for("the end", lambda: any(isinstance(seen.event, Notice) and "may train for 15 minutes" in seen.event.message
                                    for seen in read_history(old).entries))
    wait_for("the end on the page", lambda: status(page) == "stopped" and "may train for 15 minutes" in text_of(page, "log"))


def test_a_run_of_the_terminal_can_be_watched_by_its_link_but_belongs_to_nobody(app, visit, tiny_config):
    shown, other = (create_run(app.runs, tiny_config(name=name)) for name in ("The shown one", "The other one"))
    assert run_training(shown, resume=False, control=Watcher(step=3)) == "stopped"
    assert run_training(other, resume=False) == "finished"
    page = visit(shown.id)
    wait_for("the run", lambda: status(page) == "stopped")
    wait_for("who may do what", lambda: "can be changed or deleted only where it was started" in page.locator("#who").inner_text())
    assert not any(web.can_press(page).values()) and not page.locator("#delete").is_enabled()
    page.locator("#run-menu input").click()
    wait_for("the menu", lambda: "The shown one" in "".join(page.get_by_role("option").all_inner_texts()))
    assert page.get_by_role("option").count() == 1, "other runs are listed to a stranger"


def test_what_a_visitor_asks_of_the_hub_is_asked_without_the_owners_token(app, hub, visit):
    folder = hub.root / "datasets" / "bob" / "reviews" / "data"
    folder.mkdir(parents=True)
    rows = "".join(f"Report {index},{('war', 'sport')[index % 2]}\n" for index in range(60))
    (folder / "train.csv").write_text(f"sentence,label\n{rows}")
    page = visit()
    page.get_by_label("From the Hub").check()
    web.choose(page, "preset", "Any other")
    page.locator("#hub-ids textarea, #hub-ids input").first.fill("bob/reviews")
    page.locator("#hub-look").click()
    wait_for("the sizes", lambda: "commit" in text_of(page, "hub-about"))
    page.locator("#hub-download").click()
    wait_for("the rows", lambda: text_of(page, "findings").startswith("bob/reviews: 60 rows."))
    web.set_field(page, "encoder", "bob/encoder")
    web.start(page)
    wait_for("the end", lambda: status(page) == "failed")
    asked = [path for path in hub.asked if "bob/" in path]
    assert any("/resolve/" in path for path in asked) and any("bob/encoder" in path for path in asked)
    assert f"Bearer {OWNERS}" not in hub.tokens


def test_a_file_of_more_than_20_mb_is_refused_in_a_sentence(app, visit, tmp_path, complaints):
    page = visit()
    (tmp_path / "large.csv").write_text("sentence,label\n" + "A sentence of the person.,sport\n" * 700_000)
    page.get_by_label("My own files").check()
    web.upload(page, tmp_path / "large.csv")
    wait_for("the refusal", lambda: 'exceed the maximum allowed size of 20.0 Mb: "large.csv"' in page.locator("body").inner_text())
    page.close()  # after which the page reports no error any more
    # Gradio 6.31 goes on to ask how far the upload is, which never began, and complains of the answer 404
    complaints[:] = [told for told in complaints if "status of 404" not in told and told != "console: Response"]
    assert not list(app.runs.parent.parent.rglob("large.csv")), "it was kept"
    answer = page.context.request.post(f"{app.url}/gradio_api/upload", multipart={"files": tmp_path / "large.csv"})  # past the page
    assert answer.status == 413
