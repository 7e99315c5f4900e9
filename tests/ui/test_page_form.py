"""The form in a real browser, used by the impatient and the careless: what is trained is what is shown, or it is refused by its label."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page

from mtl.runs.folder import Run, create_run, open_run
from mtl.settings.config import RunConfig
from mtl.ui import form
from tests import browser as web
from tests.browser import status, text_of, ticked, wait_for


def rows(count: int, *tasks: str) -> str:
    """A CSV with so many short rows and a column of labels for each task."""
    return ",".join(["text", *tasks]) + "\n" + "".join(
        f"row {index} is {('good', 'bad')[index % 2]}" + "".join(f",{task} {index % 2}" for task in tasks) + "\n" for index in range(count))


def type_into(page: Page, field: str, text: str) -> None:
    """Replace what stands in the field with the id `field`, key by key, as a person does."""
    box = page.locator(f"#{field} input, #{field} textarea").first
    box.click()
    box.press("ControlOrMeta+a")
    box.press("Backspace")
    box.press_sequentially(text)
    assert text_of(page, field) == text


def refused(page: Page, told: str) -> None:
    """Press Start and wait for a refusal that says `told`; it covers no other widget, and Start can be pressed again."""
    page.locator("#start").click()
    wait_for(f"the refusal '{told}'", lambda: told in web.message(page))
    wait_for("the button as it was", lambda: page.locator("#start").inner_text() == "Start training")
    assert "run=" not in web.address(page) and "Error" not in page.locator("#run-menu").inner_text()
    assert page.locator("#run-menu input").click(trial=True) is None
    page.locator("#message").get_by_role("button", name="Dismiss").click()


def end(page: Page) -> None:
    """Stop the run, or see it end by itself."""
    def over() -> bool:
        if page.locator("#stop").is_enabled():
            page.locator("#stop").click(timeout=1000)
        return status(page) in ("stopped", "finished")

    wait_for("the end", over)


@pytest.fixture
def two_tasks(app, tmp_path, tiny_config) -> Run:
    """A run of two of the three tasks of its own file; like one from the terminal it belongs to nobody."""
    (tmp_path / "three.csv").write_text(rows(60, "one", "two", "three"))
    tasks = tuple({"name": name, "kind": "classification"} for name in ("one", "two"))
    return create_run(app.runs, tiny_config(source="files", train_files=(str(tmp_path / "three.csv"),), tasks=tasks, epochs=1))


def check_defaults(page: Page) -> None:
    """The settings in the form are the defaults that the terminal has too."""
    for name in sum(form.fields().values(), []):
        wanted = form.shown(name, getattr(RunConfig(), name))
        field = page.locator(f"#field-{name} input, #field-{name} textarea").first
        assert (field.is_checked() if isinstance(wanted, bool) else field.input_value()) == wanted, name


def check_alpha(page: Page) -> None:
    """Alpha is there for two tasks, refused out of its bounds, and says where it is not used."""
    page.get_by_label("entities", exact=True).uncheck()
    wait_for("alpha", lambda: "Alpha: topic against sentiment" in page.locator("#alpha").inner_text())
    web.choose(page, "field-balancing", "equal")
    type_into(page, "alpha", "7")
    wait_for("what balances now", lambda: text_of(page, "field-balancing") == "fixed")
    refused(page, "Alpha: found 7, wanted a number from 0 to 1, or nothing.")
    type_into(page, "field-weights", "topic=2")
    wait_for("alpha not to be used", lambda: "Not used: Loss weights are given." in page.locator("#alpha").inner_text())
    wait_for("what balances now", lambda: text_of(page, "field-balancing") == "fixed")
    assert not page.locator("#alpha input, #alpha textarea").first.is_enabled()
    type_into(page, "field-weights", "")
    wait_for("alpha to be used", lambda: page.locator("#alpha input, #alpha textarea").first.is_enabled())
    web.choose(page, "field-balancing", "famo")
    wait_for("alpha not to be used", lambda: "Not used: Balancing 'famo'" in page.locator("#alpha").inner_text())


def test_a_setting_is_trained_as_it_was_typed_and_one_that_cannot_be_is_refused_by_its_label(app, new_person, open_page):
    page = open_page(new_person())
    web.open_settings(page)
    check_defaults(page)
    type_into(page, "field-learning_rate", "0,5")
    type_into(page, "field-batch_size", "1e400")
    type_into(page, "field-epochs", "2.5")
    refused(page, "Epochs: found 2.5, wanted a whole number")
    type_into(page, "field-epochs", "2")
    refused(page, "Batch size: found infinity, wanted a whole number")
    type_into(page, "field-batch_size", "32")
    refused(page, "Learning rate: found '0,5', wanted a number above 0")
    type_into(page, "field-learning_rate", "2e-3")
    check_alpha(page)

    type_into(page, "field-encoder", "tiny")
    page.locator("#field-encoder input").press("Enter")
    run = open_run(app.runs, web.start(page))
    assert (run.config.learning_rate, run.config.epochs, run.config.encoder, run.config.balancing) == (2e-3, 2, "tiny", "famo")
    assert [task.name for task in run.config.tasks] == ticked(page) == ["topic", "sentiment"]
    end(page)
    page.reload()
    web.open_settings(page)
    wait_for("the form after the reload", lambda: text_of(page, "field-learning_rate") == "0.002" and text_of(page, "field-epochs") == "2")


def test_a_choice_of_tasks_is_forgotten_with_its_data_and_kept_with_them(app, new_person, open_page, two_tasks, tmp_path):
    page = open_page(new_person(), two_tasks.id)
    wait_for("the tasks of the run", lambda: ticked(page) == ["one", "two"])
    (tmp_path / "other.csv").write_text(rows(50, "one", "four", "five"))
    web.bring(page, "other.csv: 50 rows.", tmp_path / "other.csv")
    wait_for("all tasks of the other file", lambda: ticked(page) == ["one", "four", "five"])
    page.get_by_label("four", exact=True).uncheck()
    web.open_settings(page)
    web.set_field(page, "max_length", "64")  # the data are looked at again
    web.open_tab(page, "Data")
    wait_for("the new length in the report", lambda: "none is cut at 64" in page.locator("#report").inner_text())
    web.open_tab(page, "Train")
    assert ticked(page) == ["one", "five"]
    run = open_run(app.runs, web.start(page))
    assert [task.name for task in run.config.tasks] == ["one", "five"] and run.config.max_length == 64
    end(page)

    for folder, task in (("a", "one"), ("b", "two")):  # two files of one name
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.csv").write_text(rows(40, task).replace("row", folder))
    web.bring(page, "own.csv and 1 more: 80 rows.", tmp_path / "a" / "own.csv", tmp_path / "b" / "own.csv")
    wait_for("the new name", lambda: re.search(r"own-2\s*\.csv", page.locator("#files").inner_text()))
    wait_for("the tasks of both", lambda: ticked(page) == ["one", "two"])
    start_on_a_large_file_at_once(app, page, tmp_path / "large.csv")


def start_on_a_large_file_at_once(app: web.App, page: Page, file: Path) -> None:
    """Start while it is still being read: it is trained on with all its tasks."""
    file.write_text(rows(20_000, "two", "six", "seven"))
    web.upload(page, file)
    wait_for("the upload", lambda: re.search(r"large\s*\.csv", page.locator("#files").inner_text())
             and "Uploading" not in page.locator("#files").inner_text())
    seen = []
    page.expose_function("seen", lambda button, menu: seen.append((button, menu)))
    page.evaluate("""() => new MutationObserver(() => window.seen(...['start', 'run-menu'].map(
        id => document.getElementById(id).innerText))).observe(document.body, {subtree: true, childList: true, characterData: true})""")
    run = open_run(app.runs, web.start(page))
    assert any(button == "Starting \u2026" for button, _ in seen), "the button gave no sign"
    assert not any("%" in menu for _, menu in seen), "the progress stood on the other runs"
    assert [Path(name).name for name in run.config.train_files] == ["large.csv"]
    assert [task.name for task in run.config.tasks] == ["two", "six", "seven"]
    wait_for("all its tasks on the page", lambda: ticked(page) == ["two", "six", "seven"], 120)
    end(page)
    shutil.rmtree(run.folder)
    page.get_by_label("Newsroom").check()
    wait_for("all tasks of the corpus", lambda: ticked(page) == ["topic", "sentiment", "entities"])
